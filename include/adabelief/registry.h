// SPDX-License-Identifier: MIT
// The rules as data: what is derived from a rule's file, for programs that choose a rule at run time.
#pragma once

#include <array>
#include <span>
#include <string_view>

#include "adabelief/cpu.h"
#include "adabelief/rule.h"

namespace adabelief {

/// An option without its C++ type: bools are 0 and 1, choices count from 0.
struct OptionInfo {
  std::string_view name;
  double value;  ///< the default
  Interval range;
  std::string_view meaning;
  bool is_bool = false;
  std::span<const std::string_view> choices = {};  ///< the names of 0, 1, ... where the option is a choice
};

/// A rule without its C++ type.
struct RuleInfo {
  std::string_view name, summary, source;
  Common common;  ///< its defaults of these, where it has any
  std::span<const OptionInfo> options;
  std::span<const std::string_view> states;
  /// The scalars of step t from the options' values, in the order of `options`.
  std::array<double, cpu::max_scalars> (*scalars)(const double* options, double t);
  std::array<std::array<cpu::Kernel, cpu::isa_names.size()>, type_names.size()> kernels;  ///< [Type][Isa]

  cpu::Kernel kernel(Type type) const { return kernels[int(type)][int(cpu::isa())]; }
};

/// A rule's entry, defined in kernel.h and compiled once for every rule.
template <RuleLike Rule>
struct RuleEntry {
  static const RuleInfo& info();
};

/// Every rule of the library, by name.
std::span<const RuleInfo* const> rules();

/// The rule of that name. Throws std::invalid_argument that names the nearest one.
const RuleInfo& find_rule(std::string_view name);

}  // namespace adabelief
