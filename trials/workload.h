// SPDX-License-Identifier: MIT
// What is trained: a model, its data and its measure. A workload is one file in workloads/ with a struct of static
// `name` and `summary`, made from a Setup; CMake finds it.
#pragma once

#include <torch/torch.h>

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "adabelief/libtorch.h"
#include "trial.h"

namespace adabelief::trials {

/// What a workload is made from. Torch's generator is seeded with `seed` before.
struct Setup {
  std::filesystem::path data_root;   ///< empty: the places that data/dataset.h names
  std::int64_t seed, epochs, batch;  ///< epochs, batch: 0 asks for the workload's own
  bool bfloat16, channels_last;
  double width = 1;
  std::int64_t train = 0;
};

/// What is measured on the test data beside the loss.
struct Metric {
  std::string name, unit;
  bool higher_is_better;
  std::optional<double> goal = {};  ///< the value at which a trial ends, so that rules compare by their steps to it
};

class Workload {
 public:
  virtual ~Workload() = default;

  /// The weights to optimize, in a fixed order.
  virtual std::vector<torch::Tensor> parameters() = 0;

  virtual std::int64_t epochs() const = 0;
  virtual std::int64_t batch() const = 0;
  virtual std::int64_t steps_per_epoch() const = 0;

  /// Leaves in the parameters the gradients of step t = 1, 2, ..., which depend on the seed, t and the weights alone.
  /// Returns the loss.
  virtual double backward(std::int64_t t) = 0;

  /// Called after each step of the optimizer: to project the weights onto a feasible set, to look at its states.
  virtual void after(const libtorch::AnyOptimizer&) {}

  struct Evaluation {
    double loss, metric;
    std::vector<double> point = {};                         ///< the weights, where the report draws their path
    std::vector<std::pair<std::string, double>> more = {};  ///< other measures by name, written beside the metric
  };
  virtual std::vector<torch::Tensor> state() { return {}; }

  /// On all of the test data. NaN stands for a metric that is not defined yet.
  virtual Evaluation evaluate() = 0;

  /// Whether to evaluate after step t; after the last one it always is. Two evaluations an epoch show the fast start of
  /// short trials.
  virtual bool evaluates_after(std::int64_t t) {
    const std::int64_t an_epoch = epochs() <= 20 ? 2 : 1, n = steps_per_epoch();
    return t * an_epoch / n != (t - 1) * an_epoch / n;
  }

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
};

}  // namespace adabelief::trials
