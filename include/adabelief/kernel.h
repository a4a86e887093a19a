// SPDX-License-Identifier: MIT
// A rule's formula in the lanes of the CPU. CMake's collector compiles this once for every rule; a rule of your own
// outside rules/ gets its kernels from a source file with `template struct adabelief::RuleEntry<MyRule>;`, compiled
// with -O3 -ffp-contract=off -fno-math-errno -fno-trapping-math.
#pragma once

#ifdef __FAST_MATH__
#error "adabelief: -ffast-math would change results from machine to machine; compile this without it"
#endif

#include <bit>
#include <utility>

#include "adabelief/registry.h"

namespace adabelief {
namespace cpu::detail {

template <class Rule>
using ScalarArray = std::array<double, sizeof(typename Rule::template Scalars<double>) / sizeof(double)>;

// The loop that the compiler turns into lanes: every value is read once and written once. Scalars were computed in
// double and are narrowed here, since 1 - 0.999 in float is wrong in the fifth digit.
template <class Rule, class T>
[[gnu::always_inline]] inline void loop(const Job& job, std::size_t begin, std::size_t end) {
  constexpr std::size_t count = ScalarArray<Rule>{}.size();
  static_assert(count <= max_scalars && Rule::states.size() <= max_states);
  std::array<T, count> narrow;
  for (std::size_t i = 0; i < count; ++i) narrow[i] = static_cast<T>(job.scalars[i]);
  const auto c = std::bit_cast<typename Rule::template Scalars<T>>(narrow);
  const T coupled = static_cast<T>(job.coupled), lost = static_cast<T>(job.lost);
  T* const weights = static_cast<T*>(job.weights);
  const T* const gradient = static_cast<const T*>(job.gradient);

  [&]<std::size_t... k>(std::index_sequence<k...>) {
    const std::array<T*, sizeof...(k)> states{static_cast<T*>(job.states[k])...};
#pragma GCC ivdep
    for (std::size_t i = begin; i < end; ++i) {
      const T g = gradient[i] + coupled * weights[i];
      T x = weights[i] - lost * weights[i];  // (1 - lost) * x would lose lost's digits in float
      std::array<T, sizeof...(k)> s{states[k][i]...};
      Rule::update(c, x, g, s[k]...);
      ((states[k][i] = s[k]), ...);
      weights[i] = x;
    }
  }
  (std::make_index_sequence<Rule::states.size()>{});
}

template <class Rule, class T>
[[gnu::flatten]] void baseline(const Job& job, std::size_t begin, std::size_t end) {
  loop<Rule, T>(job, begin, end);
}
#if defined(__x86_64__)
template <class Rule, class T>
[[gnu::flatten, gnu::target("avx2")]] void avx2(const Job& job, std::size_t begin, std::size_t end) {
  loop<Rule, T>(job, begin, end);
}
template <class Rule, class T>
[[gnu::flatten, gnu::target("avx512f,avx512vl,avx512dq,prefer-vector-width=512")]] void avx512(const Job& job,
                                                                                               std::size_t begin,
                                                                                               std::size_t end) {
  loop<Rule, T>(job, begin, end);
}
#else
template <class Rule, class T>
inline constexpr Kernel avx2 = nullptr;
template <class Rule, class T>
inline constexpr Kernel avx512 = nullptr;
#endif

template <class Rule, class T>
constexpr OptionInfo without_type(const Option<Rule, T>& option) {
  const double value = Rule{}.*option.member;
  return {option.name, value, option.range, option.meaning, std::is_same_v<T, bool>};
}

template <class Rule>
constexpr Common common() {
  if constexpr (requires { Rule::common; }) return Rule::common;
  return {};
}

}  // namespace cpu::detail

template <RuleLike Rule>
const RuleInfo& RuleEntry<Rule>::info() {
  namespace d = cpu::detail;
  static constexpr auto options =
      std::apply([](auto... option) { return std::array{d::without_type(option)...}; }, Rule::options());
  static constexpr auto scalars = [](const double* option, double t) {
    return [&]<std::size_t... k>(std::index_sequence<k...>) {
      const auto typed = []<class T>(const Option<Rule, T>&, double value) { return static_cast<T>(value); };
      const auto list = Rule::options();
      const auto own = std::bit_cast<d::ScalarArray<Rule>>(
          Rule::template scalars<double>(typed(std::get<k>(list), option[k])..., t));
      std::array<double, cpu::max_scalars> all{};
      for (std::size_t i = 0; i < own.size(); ++i) all[i] = own[i];
      return all;
    }
    (std::make_index_sequence<options.size()>{});
  };
  static constexpr RuleInfo entry{
      Rule::name,
      Rule::summary,
      Rule::source,
      d::common<Rule>(),
      options,
      Rule::states,
      scalars,
      {{{d::baseline<Rule, float>, d::avx2<Rule, float>, d::avx512<Rule, float>},
        {d::baseline<Rule, double>, d::avx2<Rule, double>, d::avx512<Rule, double>}}},
  };
  return entry;
}

}  // namespace adabelief
