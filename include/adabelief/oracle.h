// SPDX-License-Identifier: MIT
// The specification: a rule's formula in double, one weight at a time, in the plainest way. Everything faster is
// tested against it. Compile it with -ffp-contract=off where its bits are to be the kernels'.
#pragma once

#include <algorithm>
#include <cmath>
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

  /// One step with the gradients of all weights, which are multiplied by scale and cut to [-limit, limit] first.
  void step(std::span<const double> gradient, double scale = 1,
            double limit = std::numeric_limits<double>::infinity()) {
    ++t;
    const auto [coupled, lost] = options.decayed();
    auto c = scalars(std::make_index_sequence<std::tuple_size_v<decltype(Rule::options())>>{});
    std::vector<double> g(x.size());
    for (std::size_t i = 0; i < x.size(); ++i) {
      g[i] = max(-limit, min(limit, scale * gradient[i])) + coupled * x[i];
      x[i] = x[i] - lost * x[i];
    }
    if constexpr (HasNorms<Rule>) {
      std::array<double, Rule::norms.size()> norms;
      for (std::size_t k = 0; k < norms.size(); ++k) {
        norms[k] = norm([&](std::size_t i) {
          return std::apply([&](const auto&... state) { return Rule::measure(c, x[i], g[i], state[i]...); }, states)[k];
        });
      }
      c = Rule::with_norms(c, norms);
    }
    for (std::size_t i = 0; i < x.size(); ++i) {
      std::apply([&](auto&... state) { Rule::update(c, x[i], g[i], state[i]...); }, states);
    }
  }

 private:
  // The 2-norm of number(0), number(1), ..., added in the order that cpu.h gives.
  template <class Number>
  double norm(Number number) const {
    double sum = 0;
    for (std::size_t first = 0; first < x.size(); first += cpu::block) {
      std::array<double, cpu::lanes> part{};
      for (std::size_t i = first; i < std::min(x.size(), first + cpu::block); ++i) {
        part[i % cpu::lanes] += number(i) * number(i);
      }
      for (std::size_t half = cpu::lanes / 2; half > 0; half /= 2) {
        for (std::size_t l = 0; l < half; ++l) part[l] += part[l + half];
      }
      sum += part[0];
    }
    return std::sqrt(sum);
  }

  template <std::size_t... k>
  auto scalars(std::index_sequence<k...>) const {
    const auto list = Rule::options();
    const Rule rule = rule_of<Rule>(options);
    return Rule::template scalars<double>(rule.*std::get<k>(list).member..., static_cast<double>(t));
  }
};

}  // namespace adabelief
