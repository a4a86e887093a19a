// SPDX-License-Identifier: MIT
// An experiment: a TOML file that says which rules train which workloads, over which seeds, and what to compare with.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "trial.h"

namespace adabelief::trials {

/// The equal tuning budget of an experiment: so many trials for each rule with a search space, then trials of the
/// experiment's seeds with the best options, whose label ends in " (tuned)".
struct Tuning {
  int budget;                 ///< trials of each rule and workload
  std::int64_t seed;          ///< theirs, which is none of the experiment's
  bool by_best;               ///< whether the best evaluation of a trial tells of its options, not the last one
  Json search;                ///< [{"label", "rule", "workload" where there are several, "search": {option: range}}]
  std::vector<Trial> trials;  ///< point by point
  std::vector<Trial> tuned;   ///< as Experiment::trials, but that their options are not chosen yet
};

struct Experiment {
  std::string name, title, description;
  std::vector<std::string> workloads;
  std::string given;              ///< as the user gave it: the name, or the path of a file
  std::string baseline;           ///< the label that the others are compared with; may be empty
  Json target;                    ///< {"value": v}, the test metric that a trial is timed to, or null
  Json paper;                     ///< the paper's numbers, or null; each with its workload where there are several
  Json published;                 ///< the key in paper/results.toml of each workload that has one, or null
  Json claims;                    ///< what the report judges, or null; each with its workload where there are several
  std::string toml;               ///< the file's whole text
  std::vector<Trial> trials;      ///< seed by seed, then workload by workload, so that early results compare all rules
  Json reduced;                   ///< the table [reduced], where it is followed, or null
  std::vector<std::string> only;  ///< what keep_only was given
  std::optional<Tuning> tuning;

  /// experiment.json: what the report reads, and what a resumed run goes on from; with what tuning adds, or without it.
  Json json(bool tune) const;
};

/// Reads an experiment by the name of a file in experiments/, or by its path; `reduced`: as its table [reduced] has it,
/// under the name NAME-reduced. Throws Error that names file, line, key and what is allowed.
Experiment read_experiment(const std::string& name_or_path, bool reduced = false);

/// The same from the text that a run keeps in its experiment.json.
Experiment parse_experiment(const std::string& name, const std::string& toml, const std::string& file,
                            bool reduced = false);

/// Leaves the trials of these workloads and of rules with these labels alone, of either kind all where none is named,
/// and the baseline where it is among them; claims and a paper's numbers stay, for pages that show several parts.
/// Throws Error where a name is neither or nothing is left.
void keep_only(Experiment& experiment, const std::vector<std::string>& names);

/// The name under which a run of an experiment is kept.
std::string run_name(const std::string& name_or_path, bool reduced);

/// {name, title} of the files in experiments/.
std::vector<std::pair<std::string, std::string>> experiments();

}  // namespace adabelief::trials
