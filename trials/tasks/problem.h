// SPDX-License-Identifier: MIT
// A workload without data: a function of one vector of weights, in double, with its gradient by a formula.
#pragma once

#include <torch/torch.h>

#include <span>
#include <stdexcept>
#include <string>

#include "random.h"
#include "workload.h"

namespace adabelief::trials {

/// Its epochs are for the schedule and the record alone: one, unless Setup asks for more, of as many steps as the
/// problem is run for.
class Problem : public Workload {
 public:
  /// The weights start at 0. Throws std::invalid_argument where Setup asks for what no problem has.
  Problem(const Setup& setup, std::int64_t weights, std::int64_t steps)
      : seed_(static_cast<std::uint64_t>(setup.seed)),
        epochs_(setup.epochs > 0 ? setup.epochs : 1),
        steps_(steps),
        weights_(torch::zeros({weights}, torch::kFloat64)),
        gradient_(torch::zeros({weights}, torch::kFloat64)) {
    if (setup.batch > 1 || setup.bfloat16 || setup.channels_last || setup.train > 0 || setup.width != 1)
      throw std::invalid_argument("a workload without data has no batch, bfloat16, channels_last, train or width");
  }

  std::vector<torch::Tensor> parameters() final { return {weights_}; }
  std::int64_t epochs() const final { return epochs_; }
  std::int64_t batch() const final { return 1; }
  std::int64_t steps_per_epoch() const final { return steps_; }
  bool evaluates_after(std::int64_t t) final { return t % (steps_ / 50) == 0; }
  std::string data_name() const final { return ""; }
  std::string data_sha256() const final { return ""; }

  double backward(std::int64_t t) final {
    weights_.mutable_grad() = gradient_;
    return loss(t, x(), {gradient_.mutable_data_ptr<double>(), x().size()});
  }

 protected:
  /// The loss of step t = 1, 2, ... at x; g gets its gradient.
  virtual double loss(std::int64_t t, std::span<const double> x, std::span<double> g) = 0;

  std::span<double> x() { return {weights_.mutable_data_ptr<double>(), static_cast<std::size_t>(weights_.numel())}; }

  /// A state of the optimizer after its step.
  std::span<const double> optimizer_state(const libtorch::AnyOptimizer& optimizer, std::size_t number) const {
    const auto& kept = optimizer.state().at(weights_.unsafeGetTensorImpl());
    const torch::Tensor& state = static_cast<const libtorch::ParamState&>(*kept).states[number];
    return {state.const_data_ptr<double>(), static_cast<std::size_t>(state.numel())};
  }

  /// Random numbers of this seed, for one purpose and step.
  Random random(std::uint64_t purpose, std::int64_t t = 0) const {
    return {seed_, purpose, static_cast<std::uint64_t>(t)};
  }

 private:
  std::uint64_t seed_;
  std::int64_t epochs_, steps_;
  torch::Tensor weights_, gradient_;
};

}  // namespace adabelief::trials
