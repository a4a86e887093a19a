// SPDX-License-Identifier: MIT
// The largest curvature at which a rule is stable near a minimum, measured.
#pragma once

#include <algorithm>
#include <vector>

#include "tasks/problem.h"

namespace adabelief::trials {

/// 65,536 weights with f_i(x) = lambda_i x_i^2 / 2, the curvatures lambda_i in equal ratios (1.00028) from 1e-4 to 1e4.
/// All start at 1e-50, where a squared gradient vanishes beside any eps, so that a rule is linear in x. A weight that
/// has grown by 1e30 has left: it gets no further gradient, and so overflows nothing. (Stable ones grow too, by up to
/// 2e18 in the first steps, as the bias correction of m makes these larger.)
struct StableCurvature final : Problem {
  static constexpr std::string_view name = "stable_curvature";
  static constexpr std::string_view summary = "Quadratics of 65,536 curvatures: which of them a rule can shrink";

  explicit StableCurvature(const Setup& setup) : Problem(setup, 1 << 16, 10'000), curvatures_(x().size()) {
    std::fill(x().begin(), x().end(), start);
    const double last = static_cast<double>(curvatures_.size() - 1);
    for (std::size_t i = 0; i < curvatures_.size(); ++i) {
      curvatures_[i] = 1e-4 * std::pow(1e8, static_cast<double>(i) / last);
    }
  }

  double loss(std::int64_t, std::span<const double> x, std::span<double> g) override {
    double loss = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      if (std::abs(x[i]) > 1e30 * start) curvatures_[i] = 0;
      g[i] = curvatures_[i] * x[i];
      loss += g[i] * x[i] / 2;
    }
    return loss;
  }

  std::vector<torch::Tensor> state() override { return {over(curvatures_)}; }

  /// The loss of the weights that have not left, and the largest curvature up to which every weight has shrunk.
  Evaluation evaluate() override {
    const std::span<const double> x = this->x();
    double loss = 0;
    for (std::size_t i = 0; i < x.size(); ++i) loss += curvatures_[i] * x[i] * x[i] / 2;
    std::size_t stable = 0;
    while (stable < x.size() && std::abs(x[stable]) < start) ++stable;
    return {loss, stable == 0 ? NAN : curvatures_[stable - 1]};
  }

  Metric metric() const override { return {"largest stable curvature", "", true}; }

 private:
  static constexpr double start = 1e-50;

  std::vector<double> curvatures_;  // 0: has left
};

}  // namespace adabelief::trials
