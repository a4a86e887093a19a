// SPDX-License-Identifier: MIT
// The convex problem on which Adam goes to the worst point there is.
#pragma once

#include <algorithm>

#include "tasks/problem.h"

namespace adabelief::trials {

/// Reddi, Kale and Kumar, ICLR 2018, arXiv:1904.09237, Theorem 1: f_t(x) = 3 x at t = 1, 4, 7, ..., else -x, over x in
/// [-1, 1]. Three steps sum to x, so that -1 is best. The start is uniform in [-1, 1].
struct Reddi final : Problem {
  static constexpr std::string_view name = "reddi";
  static constexpr std::string_view summary =
      "Reddi et al.'s online problem: slope 3 at every third step, else -1, in [-1, 1]";

  explicit Reddi(const Setup& setup) : Problem(setup, 1, 30'000) { x()[0] = random(0).uniform(-1, 1); }

  double loss(std::int64_t t, std::span<const double> x, std::span<double> g) override {
    g[0] = t % period == 1 ? period : -1;
    regret_ += g[0] * (x[0] + 1);
    steps_ = static_cast<double>(t);
    return g[0] * x[0];
  }

  void after(const libtorch::AnyOptimizer&) override { x()[0] = std::clamp(x()[0], -1.0, 1.0); }

  std::vector<torch::Tensor> state() override { return {over(steps_), over(regret_)}; }

  /// The distance to -1, and the mean regret of a step to it.
  Evaluation evaluate() override { return {x()[0] + 1, regret_ / steps_}; }

  Metric metric() const override { return {"regret / T", "", false}; }

 private:
  static constexpr std::int64_t period = 3;

  double steps_ = 0, regret_ = 0;
};

}  // namespace adabelief::trials
