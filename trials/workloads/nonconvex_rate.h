// SPDX-License-Identifier: MIT
// A smooth non-convex function with noisy gradients: is the least squared gradient O(log T / sqrt(T)), as the AdaBelief
// paper's Theorem 2.2 has it?
#pragma once

#include <algorithm>
#include <limits>

#include "tasks/problem.h"

namespace adabelief::trials {

/// f(x) = sum_i x_i^2 / (1 + x_i^2) of 100 weights, which start uniformly in [-2, 2]: bounded below, with bounded and
/// Lipschitz gradients, not convex beyond 1 / sqrt(3). The gradient's noise is -1/2 or 1/2, by a coin for each weight.
struct NonconvexRate final : Problem {
  static constexpr std::string_view name = "nonconvex_rate";
  static constexpr std::string_view summary =
      "Smooth non-convex optimization: sum of x^2 / (1 + x^2) with noisy gradients";

  explicit NonconvexRate(const Setup& setup) : Problem(setup, 100, 1'000'000) {
    Random random = this->random(0);
    for (double& x : this->x()) x = random.uniform(-2, 2);
  }

  double loss(std::int64_t t, std::span<const double> x, std::span<double> g) override {
    Random random = this->random(1, t);
    double loss = 0, square = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double xx = x[i] * x[i], true_gradient = 2 * x[i] / ((1 + xx) * (1 + xx));
      loss += xx / (1 + xx);
      square += true_gradient * true_gradient;
      g[i] = true_gradient + (random.below(2) == 0 ? -0.5 : 0.5);
    }
    least_ = std::min(least_, square);
    steps_ = static_cast<double>(t);
    return last_ = loss;
  }

  std::vector<torch::Tensor> state() override { return {over(steps_), over(least_), over(last_)}; }

  /// f at the last step, and the least |gradient|^2 of T > 1 steps over log(T) / sqrt(T).
  Evaluation evaluate() override { return {last_, steps_ > 1 ? least_ * std::sqrt(steps_) / std::log(steps_) : NAN}; }

  Metric metric() const override { return {"least |gradient|^2 sqrt(T) / log(T)", "", false}; }

 private:
  double steps_ = 0, least_ = std::numeric_limits<double>::infinity(), last_ = NAN;
};

}  // namespace adabelief::trials
