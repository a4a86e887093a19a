// SPDX-License-Identifier: MIT
// The tensors of which steps are timed.
#pragma once

#include <benchmark/benchmark.h>

#include <cstddef>
#include <numeric>
#include <string>
#include <vector>

namespace adabelief::benchmarks {

using Sizes = std::vector<std::size_t>;  ///< the elements of each tensor

inline std::size_t total(const Sizes& sizes) { return std::accumulate(sizes.begin(), sizes.end(), std::size_t{0}); }

/// The 62 tensors of ResNet-18 (torchvision's): the weights of each convolution, and its normalization's two vectors.
inline Sizes resnet18() {
  Sizes sizes;
  const auto convolution = [&](std::size_t in, std::size_t out, std::size_t width) {
    for (const std::size_t n : {out * in * width * width, out, out}) sizes.push_back(n);
  };
  convolution(3, 64, 7);
  std::size_t in = 64;
  for (const std::size_t out : {64, 128, 256, 512}) {
    for (int block = 0; block < 2; ++block, in = out) {
      convolution(in, out, 3);
      convolution(out, out, 3);
      if (in != out) convolution(in, out, 1);  // the shortcut's
    }
  }
  for (const std::size_t n : {1000 * 512, 1000}) sizes.push_back(n);
  return sizes;
}

/// Registers f(state, sizes, arguments...) for every shape.
template <class F, class... Arguments>
void for_every_shape(const std::string& name, F f, Arguments... arguments) {
  const auto one = [&](const std::string& shape, const Sizes& sizes) {
    benchmark::RegisterBenchmark((name + "/" + shape).c_str(), f, sizes, arguments...)
        ->UseRealTime()
        ->Unit(benchmark::kMicrosecond);
  };
  for (const std::size_t n : {1'000, 10'000, 100'000, 1'000'000, 25'000'000, 100'000'000})
    one("1/" + std::to_string(n), {n});
  one("300/1000", Sizes(300, 1'000));
  one("resnet18", resnet18());
}

/// What main returns.
inline int run(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}

}  // namespace adabelief::benchmarks
