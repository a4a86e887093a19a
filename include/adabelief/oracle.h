// SPDX-License-Identifier: MIT
// The specification: a rule's formula in double, one weight at a time, in the plainest way. Everything faster is
// tested against it. Compile it with -ffp-contract=off where its bits are to be the kernels'.
#pragma once

#include <span>
#include <vector>

#include "adabelief/optimizer.h"

namespace adabelief {

/// A tensor of n doubles, the states that a rule keeps for it, and its steps.
template <RuleLike Rule>
struct Oracle {
  Options options;
  std::vector<double> x;
  std::array<std::vector<double>, Rule::states.size()> states{};
  std::int64_t t = 0;

  Oracle(Options options, std::vector<double> start) : options(std::move(options)), x(std::move(start)) {
    for (auto& state : states) state.resize(x.size());
  }

  /// One step with the gradients of all weights.
  void step(std::span<const double> gradient) {
    ++t;
    const auto [coupled, lost] = options.decayed();
    const auto c = scalars(std::make_index_sequence<std::tuple_size_v<decltype(Rule::options())>>{});
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double g = gradient[i] + coupled * x[i];
      x[i] = x[i] - lost * x[i];
      std::apply([&](auto&... state) { Rule::update(c, x[i], g, state[i]...); }, states);
    }
  }

 private:
  template <std::size_t... k>
  auto scalars(std::index_sequence<k...>) const {
    const auto list = Rule::options();
    const Rule rule = rule_of<Rule>(options);
    return Rule::template scalars<double>(rule.*std::get<k>(list).member..., static_cast<double>(t));
  }
};

}  // namespace adabelief
