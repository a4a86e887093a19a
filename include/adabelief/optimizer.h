// SPDX-License-Identifier: MIT
// Optimizer<Rule>: a rule known at compile time over memory that the caller owns.
#pragma once

#include "adabelief/any.h"

namespace adabelief {

/// The options of a rule and of Common as one checked list. Throws std::invalid_argument.
template <RuleLike Rule>
Options options_of(const Rule& rule, const Common& common = {}) {
  Options options(RuleEntry<Rule>::info());
  std::apply([&](auto... option) { (options.set(option.name, static_cast<double>(rule.*option.member)), ...); },
             Rule::options());
  if (common.weight_decay) options.set("weight_decay", *common.weight_decay);
  if (common.decay) options.set("decay", static_cast<double>(*common.decay));
  return options;
}

/// The inverse of options_of.
template <RuleLike Rule>
Rule rule_of(const Options& options) {
  Rule rule;
  std::apply(
      [&](auto... option) {
        ((rule.*option.member =
              static_cast<std::remove_reference_t<decltype(rule.*option.member)>>(options.get(option.name))),
         ...);
      },
      Rule::options());
  return rule;
}

/// adabelief::Optimizer opt(AdaBelief{.lr = 1e-3}, weights); then opt.step(gradient) after each backward pass.
///
/// Weights are float, double, bfloat16 or float16 in memory of the caller's; several tensors and groups are added by
/// add() and add_group(). Any number of threads and any instruction set give the same bits.
template <RuleLike Rule>
class Optimizer : public AnyOptimizer {
 public:
  /// Throws std::invalid_argument where an option is out of its range, as everything below does.
  explicit Optimizer(const Rule& rule = {}, const Common& common = {}, const Storage& storage = {})
      : AnyOptimizer(options_of(rule, common), storage) {}
  Optimizer(const Rule& rule, Weights weights, const Common& common = {}, const Storage& storage = {})
      : Optimizer(rule, common, storage) {
    add(weights);
  }

  using AnyOptimizer::add_group;
  std::size_t add_group(const Rule& rule, const Common& common = {}) { return add_group(options_of(rule, common)); }

  /// The rule with a group's present options.
  Rule rule(std::size_t group = 0) const { return rule_of<Rule>(options(group)); }
};

}  // namespace adabelief
