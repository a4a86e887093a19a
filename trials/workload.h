// SPDX-License-Identifier: MIT
// What is trained: a model, its data and its measure. A workload is one file in workloads/ with a struct of static
// `name` and `summary`, made from a Setup; CMake finds it, and compiles eight as one file, so that what they name at
// namespace scope must differ.
#pragma once

#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "adabelief/libtorch.h"
#include "json.h"

namespace adabelief::trials {

/// What a workload is made from. Torch's generator is seeded with `seed` before.
struct Setup {
  std::filesystem::path data_root;   ///< empty: the places that data/dataset.h names
  std::int64_t seed, epochs, batch;  ///< epochs, batch: 0 asks for the workload's own
  bool bfloat16, channels_last;
  bool tuning =
      false;  ///< train without a fixed part of the training data, and evaluate on it in place of the test data
  std::int64_t train = 0;  ///< train on so many examples, the first of a fixed permutation; 0: on all
  double width = 1;        ///< of the model's layers, as a multiple of the workload's own
  bool average = false;    ///< evaluate averages of the weights once validation gets no better: see tasks/average.h
};

/// What is measured on the test data beside the loss.
struct Metric {
  std::string name, unit;
  bool higher_is_better;
  std::optional<double> goal = {};  ///< the value at which a trial ends, so that rules compare by their steps to it
  std::string split = "test";  ///< the data that it is of; "" where that says nothing, as of samples of a generator
};

/// So many channels or features of a layer at a width of 1, at another width; at least 1.
inline std::int64_t scaled(std::int64_t channels, double width) {
  return std::max<std::int64_t>(1, std::llround(static_cast<double>(channels) * width));
}

/// Throws std::invalid_argument, "NAME must lie in [1, MOST], got VALUE", where it does not.
inline void check_range(std::string_view name, std::int64_t value, std::int64_t most) {
  if (value < 1 || value > most)
    throw std::invalid_argument(std::string(name) + " must lie in [1, " + std::to_string(most) + "], got " +
                                std::to_string(value));
}

class Workload {
 public:
  virtual ~Workload() = default;

  /// Throws std::invalid_argument where the rule lacks what is to be measured.
  virtual void check(const RuleInfo&) const {}

  /// The weights to optimize, in a fixed order.
  virtual std::vector<torch::Tensor> parameters() = 0;

  virtual std::int64_t epochs() const = 0;
  virtual std::int64_t batch() const = 0;
  virtual std::int64_t steps_per_epoch() const = 0;

  /// Leaves in the parameters the gradients of step t = 1, 2, ..., which depend on the seed, t, the weights and state()
  /// alone. Torch's generator has a seed of its own in each step, so that dropout needs no other. A parameter that is
  /// left without a gradient is left as it is by the step. Returns the loss.
  virtual double backward(std::int64_t t) = 0;

  /// Seconds of the last backward(t) in which its data were made ready; 0 where a step takes them as they lie.
  double data_seconds() const { return data_seconds_; }

  /// What the weights have beside them that outlasts a step: a network's buffers, an LSTM's hidden state, averages,
  /// sums. In a fixed order; each tensor keeps its shape and type, and is filled in place where a trial is resumed.
  virtual std::vector<torch::Tensor> state() { return {}; }

  /// Multiplies the scheduled learning rate at step t.
  virtual double lr_factor(std::int64_t) { return 1; }

  /// Called after each step of the optimizer: to project the weights onto a feasible set, to look at its states.
  virtual void after(const libtorch::AnyOptimizer&) {}

  struct Evaluation {
    double loss, metric;
    std::vector<double> point = {};                            ///< the weights, where the report draws their path
    std::optional<double> valid_loss = {}, valid_metric = {};  ///< on validation data, where there are some beside
    std::vector<std::pair<std::string, double>> more = {};     ///< other measures by name, written beside the metric
  };
  /// On all of the test data. NaN stands for a metric that is not defined yet. Torch's generator is seeded as for a
  /// step.
  virtual Evaluation evaluate() = 0;

  /// Whether to evaluate after step t; after the last one it always is. Two evaluations an epoch show the fast start of
  /// short trials.
  virtual bool evaluates_after(std::int64_t t) {
    const std::int64_t an_epoch = epochs() <= 20 ? 2 : 1, n = steps_per_epoch();
    return t * an_epoch / n != (t - 1) * an_epoch / n;
  }

  /// Whether it does what Setup's `average` asks for.
  virtual bool averages() const { return false; }

  virtual Metric metric() const = 0;
  virtual std::string data_name() const = 0;
  virtual std::string data_sha256() const = 0;

  /// Images to look at beside an evaluation, uint8 (N, 3, H, W), which are drawn as a grid of so many columns; or none.
  struct Samples {
    torch::Tensor images;
    std::int64_t columns = 1;
  };
  virtual Samples samples() { return {}; }

  /// What the record's first line says of the workload beside what all have; or null.
  virtual Json details() const { return nullptr; }

  /// A function of two weights as the report draws it, {"formula": text, "start": [x, y], "optimum": [x, y],
  /// "x": [...], "y": [...], "z": [[f(x, y) for each x] for each y]}, or null.
  virtual Json surface() const { return nullptr; }

 protected:
  /// A workload's own numbers as a tensor over the same memory, for state().
  static torch::Tensor over(std::span<double> numbers) {
    return torch::from_blob(numbers.data(), {std::ssize(numbers)}, torch::kDouble);
  }
  static torch::Tensor over(double& number) { return over(std::span(&number, 1)); }

  double data_seconds_ = 0;  ///< for backward() to set
};

/// How the program makes a workload.
struct Maker {
  std::string_view name, summary;
  std::unique_ptr<Workload> (*make)(const Setup&);
};
/// Of one workload, by its type, in its own file; of all of them, in the order of their files' names.
template <class W>
Maker maker();
std::span<const Maker> makers();

}  // namespace adabelief::trials
