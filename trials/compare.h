// SPDX-License-Identifier: MIT
// Runs an experiment's trials side by side, each a process of its own, and makes the report.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace adabelief::trials {

struct CompareOptions {
  std::string experiment;           ///< a name or a path that ends in .toml
  std::filesystem::path out;        ///< the run's folder; empty: runs/NAME/TIME
  std::filesystem::path data_root;  ///< empty: the places that data/dataset.h names
  bool reduced = false;             ///< by the experiment's table [reduced]
  std::vector<std::string> only;    ///< workloads and labels of rules, see keep_only; empty: all
  bool tune = false;                ///< tune each rule that has a search space, and train it with what is found too
  bool resume = false;              ///< go on with `out`, else with the newest run of the experiment
  double checkpoint_seconds = 60;   ///< between the checkpoints of a trial; 0: one after every step
  int jobs = 0;                     ///< trials at once; 0: as many as the cores hold
  bool quiet = false;
};

/// Returns the program's exit status: 0; 1 where a trial crashed; 130 after Ctrl-C. Throws Error.
int compare(const CompareOptions& options);

/// A folder that is not there yet: runs/NAME/TIME.
std::filesystem::path new_run_folder(const std::string& name);

/// Makes the report of run folders in `out`, or in the first of them where that is empty; with `index` the list of the
/// runs under the first, or under runs/. Returns the exit status of its program.
int make_report(const std::vector<std::filesystem::path>& folders, const std::filesystem::path& out, bool quiet,
                bool index);

/// Makes Ctrl-C and SIGTERM ask for an orderly end; true once one has come.
/// With `second_ends` a second one ends the program at once.
void catch_stop_signals(bool second_ends);
bool stop_wanted();

}  // namespace adabelief::trials
