// SPDX-License-Identifier: MIT
// What a rule is: the formula of one optimizer in one file, and the words that such a formula may use.
//
// A rule is an aggregate of its options with
//
//   name, summary, source        what it is called, one line about it, and the paper and equation that it follows
//   states                       names of the values kept for every weight; all start at zero
//   options()                    a tuple of Option, in the order in which scalars() takes them
//   Scalars<S>                   a struct of nothing but S: what is the same for every weight in one step
//   scalars<S>(options..., t)    the scalars of step t = 1, 2, ...
//   update<S, V>(c, x, g, m...)  one weight x with gradient g and its states, changed in place
//   common                       where there is one: its defaults of the options that every rule has
//   presets()                    where there are some: an array of Preset, named sets of options
//
// A rule that needs norms of a whole tensor, such as LAMB, has three members more:
//
//   norms                        what they are norms of
//   measure<S, V>(c, x, g, m...) for one weight the numbers whose 2-norms over the tensor these are; changes nothing
//   with_norms<S>(c, norms)      the scalars with which update() then runs
//
// Evaluators run update() with V = double (oracle.h), with V = float and double in the lanes of the CPU (kernel.h),
// with V = a tensor (libtorch.h), and with S and V = a value that prints what is done with it (tools/symbol.h).
// rules/adabelief.h is the example to copy; a new file in rules/ is found by CMake.
#pragma once

#include <array>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <limits>
#include <optional>
#include <span>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

#include "adabelief/powr.h"

namespace adabelief {

using std::sqrt;

/// The larger of a and b; b where either is NaN, so that a NaN that enters a running maximum's new term shows.
template <class V>
requires std::is_floating_point_v<V>
constexpr V max(V a, V b) { return a >= b ? a : b; }

/// The smaller of a and b; b where either is NaN.
template <class V>
requires std::is_floating_point_v<V>
constexpr V min(V a, V b) { return a <= b ? a : b; }

/// -1, 0 or 1 as a is below, at or above zero; NaN of NaN.
template <class V>
requires std::is_floating_point_v<V>
constexpr V sign(V a) { return a > 0 ? V(1) : a < 0 ? V(-1) : a; }

/// b in [0, 1] to the power t for a whole number t >= 0, to within an ulp (a few below 1e-290, where the tails of the
/// pairs underflow). libm's pow may differ in the last bit between two machines; this one is made of IEEE operations
/// alone, so that a step gives the same bits everywhere.
[[gnu::always_inline]] inline double pow(double b, double t) {
  // Square and multiply on pairs hi + lo, since plain doubles would lose t / 2 ulps.
  struct Pair {
    double hi, lo;
  };
  const auto times = [](Pair u, Pair v) {
    const double product = u.hi * v.hi;
    const double rest = std::fma(u.hi, v.hi, -product) + (u.hi * v.lo + u.lo * v.hi);
    const double sum = product + rest;
    return Pair{sum, rest - (sum - product)};
  };
  Pair result{1, 0}, square{b, 0};
  for (auto n = static_cast<unsigned long long>(t); n != 0; n >>= 1, square = times(square, square)) {
    if (n & 1) result = times(result, square);
  }
  return result.hi;
}

/// factor(1) factor(2) ... factor(t) of factors in [0, 1), as far as 1 less it can tell.
template <class S, class F>
requires std::is_floating_point_v<S> S product(S t, F factor) {
  S all = 1;
  for (S i = 1; i <= t && all > S(0x1p-60); ++i) all *= factor(i);
  return all;
}

/// An interval of the reals, for an option's range.
struct Interval {
  double low, high;
  bool holds_low = true, holds_high = false;

  constexpr bool contains(double value) const {  // false for NaN
    return (holds_low ? value >= low : value > low) && (holds_high ? value <= high : value < high);
  }
};

inline constexpr Interval at_least_zero{0, std::numeric_limits<double>::infinity()};
inline constexpr Interval above_zero{0, std::numeric_limits<double>::infinity(), false};
inline constexpr Interval zero_to_below_one{0, 1};

/// What weight decay does with a weight x at strength w.
enum class Decay : unsigned char {
  coupled,    ///< g + w x takes the gradient's place (L2 regularization)
  decoupled,  ///< x loses lr w x (Loshchilov and Hutter, ICLR 2019)
  fixed       ///< x loses w x, whatever the learning rate
};

inline constexpr std::array<std::string_view, 3> decay_names{"coupled", "decoupled", "fixed"};
constexpr std::span<const std::string_view> names_of(Decay) { return decay_names; }

/// The options that every rule has beside its own. What is not given is the rule's default: of its member `common`
/// where it has one, such as AdamW, else 0 and coupled.
struct Common final {
  std::optional<double> weight_decay{};  ///< w, in [0, inf)
  std::optional<Decay> decay{};
};

/// One option of a rule: a member of the rule's struct, a double with its range, a bool, or an enum 0, 1, ... with a
/// function names_of(enum) beside it.
template <class Rule, class T>
struct Option {
  std::string_view name;
  T Rule::*member;
  Interval range;
  std::string_view meaning;

  constexpr Option(std::string_view name, T Rule::*member, Interval range, std::string_view meaning)
      : name(name), member(member), range(range), meaning(meaning) {}
  constexpr Option(std::string_view name, T Rule::*member,
                   std::string_view meaning) requires(!std::is_floating_point_v<T>)
      : Option(name, member, {0, is_bool ? 1. : static_cast<double>(choices().size()) - 1, true, true}, meaning) {}

  static constexpr bool is_bool = std::is_same_v<T, bool>;

  /// The names of what an enum may be; none of a number or a bool.
  static constexpr std::span<const std::string_view> choices() {
    if constexpr (std::is_enum_v<T>) return names_of(T{});
    return {};
  }
};

/// A named set of a rule's options: what one published implementation does, or what results were made with.
template <class Rule>
struct Preset {
  std::string_view name, meaning;
  Rule rule;
  Common common{};
};

/// The preset of that name among Rule::presets(); changed and handed on as `Optimizer opt(p.rule, weights, p.common)`.
/// Does not compile for a constant name that there is not.
template <class Rule>
consteval Preset<Rule> preset(std::string_view name) {
  for (const auto& one : Rule::presets()) {
    if (one.name == name) return one;
  }
  throw "no such preset of the rule";
}

/// A rule with norms: an element's step depends on its whole tensor.
template <class R>
concept HasNorms = requires {
  R::norms;
};

/// See the head of this file.
template <class R>
concept RuleLike = std::is_aggregate_v<R> && requires {
  { R::name } -> std::convertible_to<std::string_view>;
  { R::summary } -> std::convertible_to<std::string_view>;
  { R::source } -> std::convertible_to<std::string_view>;
  { R::states.size() } -> std::convertible_to<std::size_t>;
  R::options();
  typename R::template Scalars<double>;
};

}  // namespace adabelief
