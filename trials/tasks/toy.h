// SPDX-License-Identifier: MIT
// Functions of two weights, whose paths the report draws: without data, noise or network.
#pragma once

#include <torch/torch.h>

#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>

#include "workload.h"

namespace adabelief::trials {

/// A number with its derivatives by x and y: a function that is written for it has its gradient.
struct Dual {
  Dual(double value, double dx = 0, double dy = 0) : value(value), dx(dx), dy(dy) {}

  double value, dx, dy;
};

inline Dual operator+(Dual a, Dual b) { return {a.value + b.value, a.dx + b.dx, a.dy + b.dy}; }
inline Dual operator-(Dual a, Dual b) { return {a.value - b.value, a.dx - b.dx, a.dy - b.dy}; }
inline Dual operator*(Dual a, Dual b) {
  return {a.value * b.value, a.dx * b.value + a.value * b.dx, a.dy * b.value + a.value * b.dy};
}
inline Dual square(Dual a) { return a * a; }
/// Of the derivatives that |a| has at 0, in [-1, 1], it takes 0, as torch does.
inline Dual abs(Dual a) {
  const double sign = (a.value > 0) - (a.value < 0);
  return {std::abs(a.value), sign * a.dx, sign * a.dy};
}

struct ToyFunction {
  std::string formula;  ///< of f(x, y), for people
  Dual (*value)(Dual x, Dual y);
  std::array<double, 2> start, optimum;
  std::array<double, 2> low, high;  ///< corners of the part that is drawn
};

/// Minimizes the function from its start in double. A trial ends at the first step that is within 1e-3 of the optimum,
/// or after 30,000 steps. Functions and starts are those of the AdaBelief paper's figure 3, as
/// github.com/seiyab/adabelief-toy-examples-pytorch read them off it.
class Toy : public Workload {
 public:
  Toy(const Setup& setup, ToyFunction function)
      : function_(std::move(function)),
        epochs_(setup.epochs > 0 ? setup.epochs : 1),
        weights_(torch::tensor({function_.start[0], function_.start[1]}, torch::kDouble)) {
    if (setup.batch > 1 || setup.bfloat16 || setup.channels_last || setup.train > 0 || setup.width != 1)
      throw std::invalid_argument(
          "a toy function has no batches, examples or width and is computed in double; leave batch, train, width, "
          "precision and channels_last");
  }

  std::vector<torch::Tensor> parameters() override { return {weights_}; }
  std::int64_t epochs() const override { return epochs_; }
  std::int64_t batch() const override { return 1; }
  std::int64_t steps_per_epoch() const override { return 30'000; }

  double backward(std::int64_t) override {
    const auto [x, y] = point();
    const Dual f = function_.value({x, 1, 0}, {y, 0, 1});
    weights_.mutable_grad() = torch::tensor({f.dx, f.dy}, torch::kDouble);
    return f.value;
  }

  /// As often as a smooth path needs it, and exactly where the goal is reached.
  bool evaluates_after(std::int64_t t) override {
    const auto [x, y] = point();
    const double moved = std::hypot((x - drawn_[0]) / (function_.high[0] - function_.low[0]),
                                    (y - drawn_[1]) / (function_.high[1] - function_.low[1]));
    return distance() <= goal || t % 100 == 0 || (moved > 0.005 && count_ < 500);
  }

  std::vector<torch::Tensor> state() override { return {over(drawn_), over(count_)}; }

  Evaluation evaluate() override {
    drawn_ = point(), ++count_;
    return {function_.value(drawn_[0], drawn_[1]).value, distance(), {drawn_[0], drawn_[1]}};
  }

  Metric metric() const override { return {"distance", "", false, goal}; }
  std::string data_name() const override { return ""; }
  std::string data_sha256() const override { return ""; }

  Json surface() const override {
    constexpr int n = 81;
    const auto& [low, high] = std::pair(function_.low, function_.high);
    Json x, y, z;
    for (int i = 0; i < n; ++i) {
      x.push_back(rounded(low[0] + (high[0] - low[0]) * i / (n - 1)));
      y.push_back(rounded(low[1] + (high[1] - low[1]) * i / (n - 1)));
    }
    for (const double v : y) {
      Json row;
      for (const double u : x) row.push_back(rounded(function_.value(u, v).value));
      z.push_back(row);
    }
    return {{"formula", function_.formula},
            {"start", function_.start},
            {"optimum", function_.optimum},
            {"x", x},
            {"y", y},
            {"z", z}};
  }

 private:
  static constexpr double goal = 1e-3;

  std::array<double, 2> point() const {
    const double* weights = weights_.const_data_ptr<double>();
    return {weights[0], weights[1]};
  }
  double distance() const {
    const auto [x, y] = point();
    return std::hypot(x - function_.optimum[0], y - function_.optimum[1]);
  }
  // To five digits, more than a picture shows.
  static double rounded(double value) {
    char text[32];
    std::snprintf(text, sizeof text, "%.5g", value);
    return std::strtod(text, nullptr);
  }

  ToyFunction function_;
  std::int64_t epochs_;
  torch::Tensor weights_;                     // (2): x, y
  std::array<double, 2> drawn_ = {NAN, NAN};  // the point of the last evaluation
  double count_ = 0;                          // evaluations
};

}  // namespace adabelief::trials
