// SPDX-License-Identifier: MIT
// The step's time, for every rule, type and size, beside plain loops with the same traffic.
//
// A benchmark is named RULE/TYPE/TENSORS/ELEMENTS, the elements of one tensor, or RULE/TYPE/resnet18.
// `bytes_per_second` counts what the rule must read and write: the weight and each state both ways, the gradient once,
// and for norms all of them once more. plainN moves as much as a rule with N states, plainN_norms as one that takes
// norms too: what remains between such a loop and the rule is not the memory's.
#include <adabelief/adabelief.h>
#include <benchmark/benchmark.h>
#include <omp.h>
#if defined(__AVX__)
#include <immintrin.h>
#endif

#include <cmath>
#include <cstdlib>
#include <new>
#include <string>
#include <vector>

#include "shapes.h"

namespace {

using namespace adabelief;
using namespace adabelief::benchmarks;

// Arrays set by all threads, since a page belongs to the memory of the core that touches it first. Each starts at a
// cache line, and no two of a size at the same place of a page: a core takes a read for dependent on a recent write at
// the same place, which costs the plain loops in cache up to half their speed.
template <class T>
class Arrays {
 public:
  explicit Arrays(const Sizes& sizes) {
    std::size_t bytes = 0;
    for (const std::size_t n : sizes) bytes += stride(n);
    if (memory_ = static_cast<char*>(std::aligned_alloc(4096, (bytes + 4095) / 4096 * 4096)); !memory_) {
      throw std::bad_alloc();
    }
    char* next = memory_;
    for (const std::size_t n : sizes) {
      T* const array = reinterpret_cast<T*>(next);
#pragma omp parallel for schedule(static)
      for (std::size_t i = 0; i < n; ++i) array[i] = T(0.01) * static_cast<T>(i % 101) - T(0.5);
      spans_.emplace_back(array, n);
      next += stride(n);
    }
  }
  Arrays(const Arrays&) = delete;
  ~Arrays() { std::free(memory_); }

  T* operator[](std::size_t k) const { return spans_[k].data(); }
  std::span<T> span(std::size_t k) const { return spans_[k]; }

 private:
  static std::size_t stride(std::size_t n) { return (n * sizeof(T) + 63) / 64 * 64 + 17 * 64; }

  char* memory_;
  std::vector<std::span<T>> spans_;
};

// Weights from which a fork and join are worth their time, to the core and to torch's operations alike.
constexpr std::size_t worth_a_fork = 32768;

Sizes weights_and_gradients(const Sizes& sizes) {
  Sizes both;
  for (const std::size_t n : sizes) both.resize(both.size() + 2, n);
  return both;
}

template <class T>
void count_bytes(benchmark::State& state, const Sizes& sizes, std::size_t arrays_moved) {
  const auto bytes = static_cast<double>(total(sizes) * sizeof(T) * arrays_moved);
  state.counters["bytes_per_second"] = benchmark::Counter(bytes, benchmark::Counter::kIsIterationInvariantRate);
}

template <class T>
void step(benchmark::State& state, const Sizes& sizes, const RuleInfo& rule) {
  const Arrays<T> arrays(weights_and_gradients(sizes));
  AnyOptimizer optimizer{Options(rule)};
  std::vector<Gradient> gradients;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    optimizer.add(arrays.span(2 * i));
    gradients.emplace_back(arrays.span(2 * i + 1));
  }
  optimizer.step(gradients);
  for (auto _ : state) optimizer.step(gradients);
  const std::size_t states = rule.states.size();
  count_bytes<T>(state, sizes, 3 + 2 * states + (rule.norms.empty() ? 0 : 2 + states));
  state.SetLabel("plain" + std::to_string(states) + (rule.norms.empty() ? "" : "_norms"));  // the loop to compare with
}

// AdaBelief with numbers in other forms. Weights and gradients are of the type; what the bytes are is for the reader.
void stored(benchmark::State& state, const Sizes& sizes, Type type, Storage storage) {
  const Arrays<float> arrays(weights_and_gradients(sizes));
  AnyOptimizer optimizer = make("adabelief", {}, storage);
  std::vector<Gradient> gradients;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    optimizer.add(Weights(arrays[2 * i], sizes[i], type));
    gradients.emplace_back(arrays[2 * i + 1], sizes[i], type);
  }
  if (type != Type::float32) {  // ordinary numbers, where halves of floats may be anything
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      for (std::size_t k = 0; k < sizes[i]; ++k) {
        reinterpret_cast<std::uint16_t*>(arrays[2 * i])[k] = std::uint16_t(0x3c00 + k % 512);
        reinterpret_cast<std::uint16_t*>(arrays[2 * i + 1])[k] = std::uint16_t(0x3c00 + k * 7 % 512);
      }
    }
  }
  optimizer.step(gradients);
  for (auto _ : state) optimizer.step(gradients);
  const double bytes = double(total(sizes)) * double(3 * size_of(type)) + 2 * double(optimizer.state_bytes());
  state.counters["bytes_per_second"] = benchmark::Counter(bytes, benchmark::Counter::kIsIterationInvariantRate);
}

// A scaled loss, clipping by the norm of all gradients, and AdaBelief's step: folded into the step, or each by itself
// as torch does it, the first two over the gradients.
void clipped(benchmark::State& state, const Sizes& sizes, bool folded) {
  const bool forks = total(sizes) >= worth_a_fork;
  const Arrays<float> arrays(weights_and_gradients(sizes));
  AnyOptimizer optimizer = make("adabelief");
  std::vector<Gradient> gradients;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    optimizer.add(arrays.span(2 * i));
    gradients.emplace_back(arrays.span(2 * i + 1));
  }
  constexpr float scale = -1;  // any other would take the gradients, scaled where they lie, out of their range in time
  if (folded) optimizer.fold({.scale = scale, .max_norm = 1e30});
  optimizer.step(gradients);
  for (auto _ : state) {
    if (!folded) {
      const auto multiply = [&](float by) {
#pragma omp parallel if (forks)
        for (std::size_t k = 0; k < sizes.size(); ++k) {
          float* const g = arrays[2 * k + 1];
#pragma omp for simd nowait
          for (std::size_t i = 0; i < sizes[k]; ++i) g[i] *= by;
        }
      };
      multiply(scale);
      float squares = 0;
#pragma omp parallel if (forks)
      for (std::size_t k = 0; k < sizes.size(); ++k) {
        const float* const g = arrays[2 * k + 1];
#pragma omp for simd reduction(+ : squares) nowait
        for (std::size_t i = 0; i < sizes[k]; ++i) squares += g[i] * g[i];
      }
      multiply(std::sqrt(squares) < 1e30F ? 1 : 0.5F);  // which torch does whether or not there is something to clip
    }
    optimizer.step(gradients);
  }
}

// All reads and writes of a rule with hardly any arithmetic: the memory's limit.
template <class T, std::size_t states>
void add_up(std::size_t begin, std::size_t end, const std::array<T*, 5>& a) {
  T* const x = a[0];
  const T* const g = a[1];
  T *const m = a[2], *const s = a[3], *const v = a[4];
#pragma omp simd
  for (std::size_t i = begin; i < end; ++i) {
    T last = T(0.5) * g[i];
    if constexpr (states > 0) last = m[i] += last;
    if constexpr (states > 1) last = s[i] += last;
    if constexpr (states > 2) last = v[i] += last;
    x[i] += last;
  }
}

// One more pass, which only reads.
template <class T, std::size_t states>
void sum_and_add_up(std::size_t begin, std::size_t end, const std::array<T*, 5>& a) {
  const T *const x = a[0], *const g = a[1], *const m = a[2], *const s = a[3], *const v = a[4];
  T sum = 0;
#pragma omp simd reduction(+ : sum)
  for (std::size_t i = begin; i < end; ++i) {
    T all = x[i] + g[i];
    if constexpr (states > 0) all += m[i];
    if constexpr (states > 1) all += s[i];
    if constexpr (states > 2) all += v[i];
    sum += all;
  }
  benchmark::DoNotOptimize(sum);
#pragma omp barrier
  add_up<T, states>(begin, end, a);
}

#if defined(__AVX__)
// The same with stores that go past the caches.
void stream(std::size_t begin, std::size_t end, const std::array<float*, 5>& a) {
  float *const x = a[0], *const m = a[2], *const s = a[3];
  const float* const g = a[1];
  const std::size_t whole = begin + (end - begin) / 8 * 8;
  for (std::size_t i = begin; i < whole; i += 8) {
    const __m256 half = _mm256_set1_ps(0.5F);
    const __m256 m8 = _mm256_add_ps(_mm256_load_ps(m + i), _mm256_mul_ps(half, _mm256_load_ps(g + i)));
    const __m256 s8 = _mm256_add_ps(_mm256_load_ps(s + i), m8);
    const __m256 x8 = _mm256_add_ps(_mm256_load_ps(x + i), s8);
    _mm256_stream_ps(m + i, m8);
    _mm256_stream_ps(s + i, s8);
    _mm256_stream_ps(x + i, x8);
  }
  _mm_sfence();
  add_up<float, 2>(whole, end, a);
}
#endif

template <class T>
void plain(benchmark::State& state, const Sizes& sizes, std::size_t arrays_moved,
           void (*part)(std::size_t, std::size_t, const std::array<T*, 5>&)) {
  const std::size_t n = total(sizes);
  const Arrays<T> arrays(Sizes(5, n));
  const std::array<T*, 5> all{arrays[0], arrays[1], arrays[2], arrays[3], arrays[4]};
  for (auto _ : state) {
#pragma omp parallel if (n >= worth_a_fork)
    {
      const auto threads = static_cast<std::size_t>(omp_get_num_threads());
      const auto cut = [&](std::size_t i) { return i == threads ? n : n / 16 * i / threads * 16; };
      const auto i = static_cast<std::size_t>(omp_get_thread_num());
      part(cut(i), cut(i + 1), all);
    }
    benchmark::ClobberMemory();
  }
  count_bytes<T>(state, sizes, arrays_moved);
}

template <class T, std::size_t... states>
void register_plain(const std::string& type, std::index_sequence<states...>) {
  const auto one = [&]<std::size_t k>() {
    const std::string name = "plain" + std::to_string(k);
    for_every_shape(name + type, plain<T>, 3 + 2 * k, add_up<T, k>);
    for_every_shape(name + "_norms" + type, plain<T>, 5 + 3 * k, sum_and_add_up<T, k>);
  };
  (one.template operator()<states>(), ...);
}

}  // namespace

int main(int argc, char** argv) {
  register_plain<float>("/float32", std::make_index_sequence<4>{});
#if defined(__AVX__)
  for_every_shape("plain2_streaming/float32", plain<float>, 7, stream);
#endif
  register_plain<double>("/float64", std::make_index_sequence<4>{});
  for (const RuleInfo* rule : rules()) {
    const std::string name(rule->name);
    for_every_shape(name + "/float32", step<float>, std::cref(*rule));
    for_every_shape(name + "/float64", step<double>, std::cref(*rule));
  }
  const auto in_form = [](const char* name, Type type, StateType states, Rounding rounding = Rounding::nearest) {
    for_every_shape(name, stored, type, Storage{.states = states, .weights = rounding});
  };
  in_form("adabelief_bfloat16_state/float32", Type::float32, StateType::bfloat16);
  in_form("adabelief_8bit_state/float32", Type::float32, StateType::bits8);
  in_form("adabelief_bfloat16_state_stochastic/bfloat16", Type::bfloat16, StateType::bfloat16, Rounding::stochastic);
  in_form("adabelief_8bit_state_stochastic/bfloat16", Type::bfloat16, StateType::bits8, Rounding::stochastic);
  in_form("adabelief_8bit_state_exact/bfloat16", Type::bfloat16, StateType::bits8, Rounding::exact);
  in_form("adabelief_stochastic/bfloat16", Type::bfloat16, StateType::full, Rounding::stochastic);
  in_form("adabelief_stochastic/float16", Type::float16, StateType::full, Rounding::stochastic);
  for_every_shape("adabelief_clip_folded/float32", clipped, true);
  for_every_shape("adabelief_clip_in_passes/float32", clipped, false);
  benchmark::AddCustomContext("version", std::string(version));
  benchmark::AddCustomContext("compiler", "g++ " __VERSION__);
  benchmark::AddCustomContext("isa", std::string(cpu::isa_names[static_cast<std::size_t>(cpu::isa())]));
  benchmark::AddCustomContext("threads", std::to_string(omp_get_max_threads()));
  std::string elements;
  for (const std::size_t n : resnet18()) elements.append(std::to_string(n)).push_back(' ');
  benchmark::AddCustomContext("resnet18", elements);
  return run(argc, argv);
}
