// SPDX-License-Identifier: MIT
// powr, a real power for the lanes of the CPU.
#pragma once

#include <bit>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <limits>
#include <type_traits>

namespace adabelief {
namespace detail {

// c + z (c' + z (...)), by Horner's rule.
template <class V, class... More>
constexpr V horner(V z, V c, More... more) {
  if constexpr (sizeof...(more) == 0) {
    return c;
  } else {
    return c + z * horner(z, more...);
  }
}

}  // namespace detail

/// v >= 0 to the power p in (0, 1], to within 2 ulps (1.7 in 40 million trials); a larger p multiplies the error, and
/// |p log2(v)| must stay below 1000. 0, infinity and NaN to any power are themselves. Of IEEE and integer operations
/// alone, so that it gives the same bits everywhere, and without a branch on v, so that the compiler makes lanes of it.
template <std::floating_point V>
inline V powr(V v, V p) {
  if (p == V(0.5)) return std::sqrt(v);  // a loop whose p is one for all becomes two loops
  constexpr bool is_float = sizeof(V) == 4;
  using Bits = std::conditional_t<is_float, std::uint32_t, std::uint64_t>;
  constexpr int digits = std::numeric_limits<V>::digits - 1, bias = std::numeric_limits<V>::max_exponent - 1;
  constexpr V unit = V(Bits(1) << digits);  // what is added to it keeps its whole part alone, in the lowest bits
  const auto bits = [](V value) { return std::bit_cast<Bits>(value); };
  const auto value = [](Bits bits) { return std::bit_cast<V>(bits); };
  const auto whole = [](V value) { return value + V(1.5) * unit - V(1.5) * unit; };
  const auto two_to = [&](V n) { return value(bits(n + (V(1.5) * unit + bias)) << digits); };

  // v = 2^k m with m in [sqrt(1/2), sqrt(2)); subnormals are scaled first.
  const bool tiny = v < std::numeric_limits<V>::min();
  const Bits least = bits(V(0.70710678118654752)), u = bits(tiny ? v * (2 * unit) : v) - least + bits(V(1));
  const V k = value((u >> digits) | bits(unit)) - (unit + bias) - (tiny ? V(digits + 1) : V(0));
  const V m = value((u & ((Bits(1) << digits) - 1)) + least);

  // log2(m) = 2 / ln(2) artanh((m - 1) / (m + 1)), by its series.
  const V s = (m - 1) / (m + 1), z = s * s;
  const auto c = [](int n) { return V(2.8853900817779268147 / n); };
  V log;
  if constexpr (is_float) {
    log = s * detail::horner(z, c(1), c(3), c(5), c(7), c(9));
  } else {
    log = s * detail::horner(z, c(1), c(3), c(5), c(7), c(9), c(11), c(13), c(15), c(17), c(19), c(21));
  }

  // p (k + log2(m)) = n + r with |r| <= 1/2. Half of p's digits times k is exact, and so loses nothing to n.
  const V half = value(bits(p) >> (digits / 2 + 1) << (digits / 2 + 1));
  const V n = whole(p * k + p * log), r = (half * k - n) + ((p - half) * k + p * log);

  // 2^r = exp(r ln(2)), by its series; 2^n in two factors, since the result may be subnormal.
  const V w = r * V(0.69314718055994530942);
  V power;
  if constexpr (is_float) {
    power = detail::horner(w, V(1), V(1), V(1. / 2), V(1. / 6), V(1. / 24), V(1. / 120), V(1. / 720), V(1. / 5040));
  } else {
    power = detail::horner(w, 1., 1., 1. / 2, 1. / 6, 1. / 24, 1. / 120, 1. / 720, 1. / 5040, 1. / 40320, 1. / 362880,
                           1. / 3628800, 1. / 39916800, 1. / 479001600, 1. / 6227020800);
  }
  const V first = whole(n / 2);
  power = power * two_to(first) * two_to(n - first);
  return v > 0 && v <= std::numeric_limits<V>::max() ? power : v;
}

}  // namespace adabelief
