// SPDX-License-Identifier: MIT
// The step's time, for every rule, type and size, beside a plain loop with the same traffic.
//
// A benchmark is named RULE/TYPE/TENSORS x ELEMENTS. `bytes_per_second` counts what the rule must read and write: the
// weight and each state both ways, the gradient once. plain/TYPE moves as much as a rule with two states.
#include <adabelief/adabelief.h>
#include <benchmark/benchmark.h>
#include <omp.h>

#include <string>
#include <vector>

namespace {

using namespace adabelief;

template <class T>
void step(benchmark::State& state, const RuleInfo& rule) {
  const auto tensors = static_cast<std::size_t>(state.range(0)), n = static_cast<std::size_t>(state.range(1));
  AnyOptimizer optimizer{Options(rule)};
  std::vector<std::vector<T>> x(tensors, std::vector<T>(n, 1)), g(tensors, std::vector<T>(n, T(0.1)));
  std::vector<Gradient> gradients;
  for (std::size_t i = 0; i < tensors; ++i) {
    optimizer.add(x[i]);
    gradients.emplace_back(g[i]);
  }
  optimizer.step(gradients);
  for (auto _ : state) optimizer.step(gradients);
  const double bytes = static_cast<double>(tensors * n * sizeof(T)) * static_cast<double>(3 + 2 * rule.states.size());
  state.counters["bytes_per_second"] = benchmark::Counter(bytes, benchmark::Counter::kIsIterationInvariantRate);
}

// Four reads and three writes a weight with hardly any arithmetic: the memory's limit.
template <class T>
void plain(benchmark::State& state) {
  const auto n = static_cast<std::size_t>(state.range(0) * state.range(1));
  std::vector<T> x(n, 1), g(n, T(0.1)), m(n), s(n);
  T *const px = x.data(), *const pm = m.data(), *const ps = s.data();
  const T* const pg = g.data();
  for (auto _ : state) {
#pragma omp parallel for simd schedule(static)
    for (std::size_t i = 0; i < n; ++i) {
      pm[i] += T(0.5) * pg[i];
      ps[i] += pm[i];
      px[i] += ps[i];
    }
    benchmark::ClobberMemory();
  }
  state.counters["bytes_per_second"] =
      benchmark::Counter(static_cast<double>(n * sizeof(T) * 7), benchmark::Counter::kIsIterationInvariantRate);
}

void sizes(benchmark::internal::Benchmark* b) {
  b->UseRealTime()->Unit(benchmark::kMicrosecond);
  for (const std::int64_t n : {1'000, 100'000, 1'000'000, 25'000'000}) b->Args({1, n});
  b->Args({300, 1'000});
}

}  // namespace

int main(int argc, char** argv) {
  sizes(benchmark::RegisterBenchmark("plain/float32", plain<float>));
  sizes(benchmark::RegisterBenchmark("plain/float64", plain<double>));
  for (const RuleInfo* rule : rules()) {
    const std::string name(rule->name);
    sizes(benchmark::RegisterBenchmark((name + "/float32").c_str(), step<float>, std::cref(*rule)));
    sizes(benchmark::RegisterBenchmark((name + "/float64").c_str(), step<double>, std::cref(*rule)));
  }
  benchmark::AddCustomContext("isa", std::string(cpu::isa_names[static_cast<std::size_t>(cpu::isa())]));
  benchmark::AddCustomContext("threads", std::to_string(omp_get_max_threads()));
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
}
