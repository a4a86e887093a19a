// SPDX-License-Identifier: MIT
// What a trial goes on from after it was stopped or killed: files in FOLDER/checkpoints, the newest two of each trial.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "adabelief/libtorch.h"
#include "workload.h"

namespace adabelief::trials {

/// The trainer's own part of a checkpoint.
struct Checkpoint {
  std::int64_t step = 0;
  Json counters;       ///< of the trainer, as it likes
  std::string record;  ///< the record's lines so far; the first is the trial's configuration
};

/// The checkpoints of one trial.
class Checkpoints {
 public:
  /// `note` is told what the user should know and training survives.
  Checkpoints(const std::filesystem::path& folder, const std::string& run,
              std::function<void(const std::string&)> note);

  /// Writes weights, optimizer and state() with the trainer's part under another name, syncs it to the disk and renames
  /// it; then removes all but the newest two. Where that fails, notes why, and the ones before are still there.
  void save(const Checkpoint& checkpoint, Workload& workload, const libtorch::AnyOptimizer& optimizer);

  /// Fills weights, optimizer and state() from the newest checkpoint that is whole, and returns the trainer's part;
  /// nothing where there is none. Notes why it leaves one out, and where the program or the machine is not the one that
  /// wrote it. Throws Error that says what differs where the newest one is whole, but of a trial with another
  /// configuration.
  std::optional<Checkpoint> load(const Json& config, Workload& workload, libtorch::AnyOptimizer& optimizer);

  /// The step of the newest one, whole or not; 0 where there is none.
  std::int64_t newest() const;

 private:
  std::filesystem::path folder_;
  std::string run_;
  std::function<void(const std::string&)> note_;
  bool failed_ = false;  // the last save, which is noted once
};

}  // namespace adabelief::trials
