// SPDX-License-Identifier: MIT
// A trial: workload x rule x schedule x seed -> a record. The same trial gives the same
// losses and metrics on one machine with one build and one number of threads; trials of one seed share weights, data
// order and augmentation.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "json.h"

namespace adabelief::trials {

/// A user's mistake: its message is all that the program prints.
struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// The learning rate over a trial as a multiple of the rule's lr, and the decay of its beta1.
struct Schedule {
  std::string kind = "constant";  ///< one of kinds
  double warmup = 0;              ///< epochs of linear rise from 0, before and beside any kind
  std::vector<double> at;         ///< steps: the epochs at which lr is multiplied by factor
  double factor = 0.1;            ///< steps
  double beta1_decay = 1;         ///< lambda of beta1 lambda^t, the beta1 of step t; in (0, 1], and 1 leaves it alone

  static constexpr std::array<std::string_view, 5> kinds{"constant", "steps", "cosine", "linear", "inverse_sqrt"};

  /// The multiple for step t = 1, 2, ..., of `steps` in all. cosine and linear fall to 0 at the end, and with a warmup
  /// are a one-cycle schedule. inverse_sqrt is 1 / sqrt(t), times the root of the steps of a warmup, so that it goes on
  /// from 1 where that ends.
  double operator()(std::int64_t t, std::int64_t steps, std::int64_t steps_per_epoch) const;

  /// Throws Error that names the field.
  void check() const;
  Json json() const;
};

/// A trial's whole configuration. What is 0 or empty is the workload's or the rule's own default.
struct Trial {
  std::string workload, rule, label, experiment;
  std::vector<std::pair<std::string, std::string>> settings;  ///< options of the rule, as text
  Schedule schedule;
  std::int64_t seed = 1, epochs = 0, batch = 0;
  int threads = 1;
  std::string precision = "float32";  ///< or bfloat16: autocast, with float32 weights
  std::string states = "full";        ///< how the optimizer keeps what it keeps: one of state_type_names
  std::string weights = "float32";    ///< how weights are kept between steps: one of weight_forms
  bool channels_last = false;
  bool names_workload = false;  ///< has it in the record's name, as where an experiment trains several
  bool reduced = false;         ///< by its experiment, which the record says
  int point = 0;                ///< its number among the tuning trials of its label, from 1; 0: none of them
  bool tuning = false;          ///< Setup has these four
  std::int64_t train = 0;
  double width = 1;
  bool average = false;
  std::int64_t max_steps = 0;  ///< stop after so many steps, as if killed there but in order; 0: no bound

  static constexpr std::array<std::string_view, 2> precisions{"float32", "bfloat16"};
  static constexpr std::array<std::string_view, 7> weight_forms{
      "float32",         "bfloat16-nearest",   "bfloat16-stochastic", "bfloat16-exact",
      "float16-nearest", "float16-stochastic", "float16-exact"};

  /// The name of its record: LABEL-sSEED with nothing but a-z, 0-9 and '-', or WORKLOAD-LABEL-sSEED; of a tuning trial
  /// LABEL-tPOINT-sSEED.
  std::string run() const;

  /// What messages call it beside the seed: its label, with the workload before it where its record's name has it.
  std::string title() const;

  /// Throws Error where the label, the precision, the states or the schedule is one that no trial can have.
  void check() const;

  /// The words after `adabelief` that run this trial again.
  std::vector<std::string> arguments() const;
};

/// What a trial reports while it runs.
struct Progress {
  std::int64_t step, steps;
  double seconds;                ///< of training so far
  double loss;                   ///< mean of the last steps
  std::optional<double> metric;  ///< of the last evaluation on the test data
  std::string_view metric_name, unit;
};

/// What is known of a workload without building it.
struct WorkloadInfo {
  std::string_view name, summary;
};
std::span<const WorkloadInfo> workloads();

/// How a trial is run, which its numbers do not depend on.
struct RunOptions {
  std::filesystem::path folder, data_root;  ///< an empty data_root leaves it to the places that data/dataset.h names
  bool resume = false;                      ///< go on from the trial's newest whole checkpoint in the folder, if any
  double checkpoint_seconds = 60;           ///< the time between checkpoints; 0: one after every step
  std::function<void(const Progress&)> report;
  std::function<bool()> stop;                    ///< asked before every step: true ends the trial unfinished
  std::function<void(const std::string&)> note;  ///< told what the user should know and the trial survives
};

struct Outcome {
  std::filesystem::path record;
  std::string status;  ///< finished, diverged, stopped
  std::string reason;
  std::int64_t step = 0;  ///< the last one
};

/// Trains; writes FOLDER/records/RUN.jsonl (RUN.jsonl.part while it runs) and returns its path. While it runs, and
/// after a stop, its checkpoints are in FOLDER/checkpoints. A trial that was killed at any moment and is resumed leaves
/// the record of an unbroken one but for the times in it. Throws std::runtime_error or std::invalid_argument with a
/// message for the user.
Outcome run(const Trial& trial, const RunOptions& options);

/// Removes the checkpoints in FOLDER/checkpoints of the trial RUN, what a kill left of one being written, and the
/// folder where nothing else is in it.
void remove_checkpoints(const std::filesystem::path& folder, const std::string& run);

}  // namespace adabelief::trials
