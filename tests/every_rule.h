// SPDX-License-Identifier: MIT
// What the tests share: the list of all rules for typed tests, settings that reach every branch of a rule, and data.
#pragma once

#include <gtest/gtest.h>
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <ostream>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "adabelief/adabelief.h"
#include "adabelief/text.h"

namespace adabelief::tests {

template <class List>
struct TypesOf;
template <class... Rule>
struct TypesOf<RuleList<Rule...>> {
  using type = testing::Types<Rule...>;
};

/// The rules that CMake found: a new one is tested without a change here.
using RuleTypes = TypesOf<Rules>::type;

struct RuleName {
  template <class Rule>
  static std::string GetName(int) {
    return std::string(Rule::name);
  }
};

/// A number inside a range, far from the usual defaults.
inline double inside(const Interval& range) { return range.low + 0.3 * std::min(1.0, range.high - range.low); }

/// All options that are numbers, moved.
inline Settings moved(const RuleInfo& rule) {
  Settings all;
  for (const OptionInfo& option : rule.options) {
    if (!option.is_bool && option.choices.empty()) all.emplace_back(std::string(option.name), inside(option.range));
  }
  return all;
}

/// The defaults, the presets, all numbers moved, each bool turned, each choice, and each kind of weight decay.
inline std::vector<Settings> variants(const RuleInfo& rule) {
  std::vector<Settings> all{{}};
  for (const PresetInfo& preset : rule.presets) all.push_back({{"preset", std::string(preset.name)}});
  for (const OptionInfo& option : rule.options) {
    if (option.is_bool) {
      all.push_back({{std::string(option.name), 1 - option.value}});
    } else if (!option.choices.empty()) {
      for (const auto choice : option.choices) all.push_back({{std::string(option.name), std::string(choice)}});
    }
  }
  all.push_back(moved(rule));
  for (const auto kind : decay_names) all.push_back({{"weight_decay", 0.01}, {"decay", std::string(kind)}});
  return all;
}

/// n numbers of both signs from 2^-14 to 2, every eleventh 0; the same for the same seed. Floats are the rounded
/// doubles.
template <class T>
std::vector<T> values(std::size_t n, unsigned seed) {
  std::mt19937_64 bits(seed);  // its numbers are the same with every library, those of distributions are not
  std::vector<T> all(n);
  for (std::size_t i = 0; i < n; ++i) {
    const std::uint64_t b = bits();
    const double magnitude = std::ldexp(1 + std::ldexp(static_cast<double>(b >> 12), -52), -static_cast<int>(b % 15));
    all[i] = static_cast<T>(i % 11 == 10 ? 0 : b & 2048 ? magnitude : -magnitude);
  }
  return all;
}

/// Calls f.template operator()<T>() for float and double.
template <class F>
void for_types(F&& f) {
  f.template operator()<float>();
  f.template operator()<double>();
}

/// The state of that name as numbers.
template <class T>
std::span<const T> state(const AnyOptimizer& optimizer, std::string_view name, std::size_t tensor = 0) {
  const Gradient s = optimizer.state(name, tensor);
  return {static_cast<const T*>(s.data), s.size};
}

/// Whether two ranges hold the same finite numbers, bit for bit but for the sign of zero.
template <class T>
testing::AssertionResult same(std::span<const T> a, std::span<const T> b) {
  if (a.size() != b.size()) return testing::AssertionFailure() << a.size() << " elements and " << b.size();
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (!(a[i] == b[i]) || !std::isfinite(a[i])) {
      return testing::AssertionFailure() << "at " << i << " of " << a.size() << ": " << text(a[i]) << " and "
                                         << text(b[i]);
    }
  }
  return testing::AssertionSuccess();
}
template <class A, class B>
testing::AssertionResult same(const A& a, const B& b) {
  return same(std::span<const typename A::value_type>(a), std::span<const typename A::value_type>(b));
}

/// The message of the exception that f throws, or "" where it throws none.
template <class Exception, class F>
std::string message(F&& f) {
  try {
    f();
  } catch (const Exception& error) {
    return error.what();
  }
  return {};
}

/// Puts the instruction set and OpenMP's threads back when a test ends.
class Restore {
 public:
  Restore() = default;
  Restore(const Restore&) = delete;
  ~Restore() {
    cpu::use(isa_);
    omp_set_num_threads(threads_);
  }

 private:
  cpu::Isa isa_ = cpu::isa();
  int threads_ = omp_get_max_threads();
};

/// The instruction sets of this machine.
inline std::vector<cpu::Isa> instruction_sets() {
  std::vector<cpu::Isa> all;
  for (std::size_t i = 0; i < cpu::isa_names.size(); ++i) {
    if (cpu::has(cpu::Isa(i))) all.push_back(cpu::Isa(i));
  }
  return all;
}

}  // namespace adabelief::tests

namespace adabelief::cpu {

inline void PrintTo(Isa isa, std::ostream* out) { *out << isa_names[int(isa)]; }

}  // namespace adabelief::cpu
