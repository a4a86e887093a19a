// SPDX-License-Identifier: MIT
// Random numbers that depend on their key alone: the same on every machine, in any order of asking.
#pragma once

#include <cmath>
#include <cstdint>
#include <numbers>
#include <numeric>
#include <utility>
#include <vector>

namespace adabelief::trials {

/// A stream keyed by (seed, a, b): SplitMix64 (Steele et al., OOPSLA 2014) from a start that mixes the key.
class Random {
 public:
  Random(std::uint64_t seed, std::uint64_t a, std::uint64_t b) : state_(mix(mix(mix(seed) + a) + b)) {}

  std::uint64_t next() { return mix(state_ += 0x9e3779b97f4a7c15); }

  /// Uniform in [0, n) for n < 2^32, but for a bias of at most n / 2^32: 1 in 85,000 for the 50,000 images of CIFAR-10.
  std::uint64_t below(std::uint64_t n) { return (next() >> 32) * n >> 32; }

  /// Uniform in [low, high), of 2^53 values.
  double uniform(double low, double high) { return low + (high - low) * 0x1p-53 * static_cast<double>(next() >> 11); }

  /// Of the standard normal law (Box and Muller 1958). Its last bits are those of this machine's libm.
  double normal() {
    const double radius = std::sqrt(-2 * std::log(1 - uniform(0, 1)));
    return radius * std::cos(2 * std::numbers::pi * uniform(0, 1));
  }

 private:
  static std::uint64_t mix(std::uint64_t z) {
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }

  std::uint64_t state_;
};

/// The numbers 0 ... n-1 shuffled (Fisher and Yates).
inline std::vector<std::int64_t> permutation(std::int64_t n, Random random) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(n));
  std::iota(order.begin(), order.end(), 0);
  for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[random.below(i)]);
  return order;
}

}  // namespace adabelief::trials
