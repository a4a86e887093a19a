// SPDX-License-Identifier: MIT
// Averages of weights in place of weights, once these no longer improve.
#pragma once

#include <torch/torch.h>

#include <algorithm>
#include <limits>
#include <utility>
#include <vector>

namespace adabelief::trials {

/// The mean of the weights after each step since validation got no better: NT-ASGD of Merity et al. 2018,
/// arXiv:1708.02182, algorithm 1. Its sign is a validation loss above the least of those more than five evaluations
/// ago.
class Average {
 public:
  explicit Average(std::vector<torch::Tensor> weights)
      : weights_(std::move(weights)), numbers_(torch::full({2 + patience}, inf, torch::kDouble)) {
    for (const torch::Tensor& weight : weights_) means_.push_back(torch::zeros_like(weight));
    steps() = -1;
  }

  /// After an evaluation.
  void saw(double valid_loss) {
    double* recent = best() + 1;
    if (steps() < 0 && valid_loss > *best()) steps() = 0;
    *best() = std::min(*best(), recent[0]);
    std::rotate(recent, recent + 1, recent + patience);
    recent[patience - 1] = valid_loss;
  }

  /// After a step.
  void step() {
    if (steps() < 0) return;
    const torch::NoGradGuard no_grad;
    const double share = 1 / ++steps();
    for (std::size_t i = 0; i < means_.size(); ++i) means_[i].lerp_(weights_[i], share);
  }

  /// Exchanges weights and means, where there are means: before an evaluation, and after it.
  void exchange() {
    if (steps() < 1) return;
    const torch::NoGradGuard no_grad;
    for (std::size_t i = 0; i < means_.size(); ++i) {
      const torch::Tensor weight = weights_[i].clone();
      weights_[i].copy_(means_[i]);
      means_[i].copy_(weight);
    }
  }

  /// As Workload::state().
  std::vector<torch::Tensor> state() const {
    std::vector<torch::Tensor> all = means_;
    all.push_back(numbers_);
    return all;
  }

 private:
  static constexpr std::int64_t patience = 5;
  static constexpr double inf = std::numeric_limits<double>::infinity();

  double& steps() { return *numbers_.mutable_data_ptr<double>(); }    // in the means; -1: not begun
  double* best() { return numbers_.mutable_data_ptr<double>() + 1; }  // before the last five

  std::vector<torch::Tensor> weights_, means_;
  torch::Tensor numbers_;  // steps, best, the last five losses from the oldest on
};

}  // namespace adabelief::trials
