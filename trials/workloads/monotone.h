// SPDX-License-Identifier: MIT
// How often a second moment falls, which the AdaBelief paper's theorems assume that it never does.
#pragma once

#include <algorithm>
#include <stdexcept>
#include <vector>

#include "tasks/problem.h"

namespace adabelief::trials {

/// f(x) = sum_i lambda_i x_i^2 / 2 of 100 weights that start at 1, the lambda_i in equal ratios from 0.01 to 1; the
/// gradient's noise is of the standard normal law. Counted is the state under the rule's root, before its bias
/// correction: exp_avg_var, exp_avg_sq, or their largest.
struct Monotone final : Problem {
  static constexpr std::string_view name = "monotone";
  static constexpr std::string_view summary = "A noisy quadratic: how often the state under a rule's root falls";

  explicit Monotone(const Setup& setup) : Problem(setup, 100, 100'000), before_(x().size()) {
    std::fill(x().begin(), x().end(), 1.0);
  }

  double loss(std::int64_t t, std::span<const double> x, std::span<double> g) override {
    Random random = this->random(1, t);
    double loss = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double curvature = 0.01 * std::pow(100, static_cast<double>(i) / static_cast<double>(x.size() - 1));
      loss += curvature * x[i] * x[i] / 2;
      g[i] = curvature * x[i] + random.normal();
    }
    return last_ = loss;
  }

  void check(const RuleInfo& rule) const override {
    if (rule.states.empty() ||
        (!rule.states.back().starts_with("exp_avg_") && !rule.states.back().starts_with("max_exp_avg_")))
      throw std::invalid_argument("monotone: " + std::string(rule.name) +
                                  " has neither exp_avg_sq nor exp_avg_var; take a rule that has, such as adam");
  }

  void after(const libtorch::AnyOptimizer& optimizer) override {
    const auto s = optimizer_state(optimizer, optimizer.rule().states.size() - 1);
    for (std::size_t i = 0; i < s.size(); ++i) falls_ += s[i] < before_[i];
    counted_ += static_cast<double>(s.size());
    std::copy(s.begin(), s.end(), before_.begin());
  }

  std::vector<torch::Tensor> state() override { return {over(before_), over(falls_), over(counted_), over(last_)}; }

  /// f, and the share of weights and steps whose state fell.
  Evaluation evaluate() override { return {last_, 100 * falls_ / counted_}; }

  Metric metric() const override { return {"falling steps", "%", false}; }

 private:
  std::vector<double> before_;
  double falls_ = 0, counted_ = 0, last_ = NAN;
};

}  // namespace adabelief::trials
