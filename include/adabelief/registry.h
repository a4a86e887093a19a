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

/// A preset without its rule's C++ type.
struct PresetInfo {
  std::string_view name, meaning;
  std::span<const double> values;  ///< of the rule's own options, in their order
  Common common;
};

/// A rule without its C++ type.
struct RuleInfo {
  std::string_view name, summary, source;
  Common common;  ///< its defaults of these, where it has any
  std::span<const OptionInfo> options;
  std::span<const PresetInfo> presets;
  std::span<const std::string_view> states, norms;
  /// The scalars of step t from the options' values, in the order of `options`.
  std::array<double, cpu::max_scalars> (*scalars)(const double* options, double t);
  template <class Function>
  using PerTypeAndIsa = std::array<std::array<Function, cpu::isa_names.size()>, 2>;  ///< [float, double][Isa]
  PerTypeAndIsa<cpu::Kernel> kernels;
  std::array<cpu::Forms, cpu::isa_names.size()> forms;  ///< [Isa]
  PerTypeAndIsa<cpu::Measure> measures;                 ///< nullptr where the rule has no norms
  cpu::WithNorms with_norms;                            ///< nullptr where the rule has no norms

  /// The job of a tensor whose weights and gradient are of that type, and its states full, without its tensor and
  /// scalars, on the instruction set in use.
  cpu::Job job(Type type) const {
    cpu::Job job{};
    job.type = arithmetic(type);
    job.weights_type = job.gradient_type = type;
    job.state_count = states.size();
    job.kernel = kernels[int(job.type)][int(cpu::isa())];
    job.forms = &forms[std::size_t(cpu::isa())];
    job.measure = measures[int(job.type)][int(cpu::isa())];
    job.with_norms = with_norms;
    return job;
  }
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
