// SPDX-License-Identifier: MIT
// Online convex optimization in a box: is the regret O(sqrt(T)), as the AdaBelief paper's Theorem 2.1 has it?
#pragma once

#include <algorithm>
#include <array>

#include "tasks/problem.h"

namespace adabelief::trials {

/// f_t(x) = |x - z_t|^2 / 2 over x in [-1, 1]^10, where z_ti is uniform within 1/2 of a center of its own, and some
/// centers lie outside of the box. The regret R(T) is to the best fixed x in hindsight, which is the mean of z,
/// clamped.
struct ConvexRegret final : Problem {
  static constexpr std::string_view name = "convex_regret";
  static constexpr std::string_view summary =
      "Online convex optimization in a box: squared distances to random targets";

  explicit ConvexRegret(const Setup& setup) : Problem(setup, size, 1'000'000) {
    Random random = this->random(0);
    for (double& center : centers_) center = random.uniform(-1.25, 1.25);
  }

  double loss(std::int64_t t, std::span<const double> x, std::span<double> g) override {
    Random random = this->random(1, t);
    double loss = 0;
    for (std::size_t i = 0; i < size; ++i) {
      const double z = centers_[i] + random.uniform(-0.5, 0.5);
      g[i] = x[i] - z;
      loss += g[i] * g[i] / 2;
      sums_[i] += z, squares_ += z * z;
    }
    losses_ += loss;
    steps_ = static_cast<double>(t);
    return loss;
  }

  /// The projection: onto a box it is the same clamp under every diagonal norm.
  void after(const libtorch::AnyOptimizer&) override {
    for (double& x : this->x()) x = std::clamp(x, -1.0, 1.0);
  }

  std::vector<torch::Tensor> state() override { return {over(sums_), over(squares_), over(losses_), over(steps_)}; }

  /// The mean regret of a step, and R(T) / sqrt(T).
  Evaluation evaluate() override {
    if (steps_ == 0) return {NAN, NAN};
    double best = squares_ / 2;
    for (const double sum : sums_) {
      const double x = std::clamp(sum / steps_, -1.0, 1.0);
      best += steps_ * x * x / 2 - x * sum;
    }
    return {(losses_ - best) / steps_, (losses_ - best) / std::sqrt(steps_)};
  }

  Metric metric() const override { return {"regret / sqrt(T)", "", false}; }

 private:
  static constexpr std::size_t size = 10;

  std::array<double, size> centers_, sums_{};    // of z, and its sums
  double squares_ = 0, losses_ = 0, steps_ = 0;  // the sum of z^2; that of the losses of the points played; T
};

}  // namespace adabelief::trials
