// SPDX-License-Identifier: MIT
// Tuning: the same number of trials for every rule, at points that fill its search space evenly.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "trial.h"

namespace adabelief::trials {

/// What an option of a rule may be set to: a number in [low, high], evenly in itself or in its logarithm, or one of
/// some texts.
struct Search {
  std::string option;
  double low = 0, high = 0;
  bool log = false;
  std::vector<std::string> choices;

  Json json() const;
};

/// Point k = 1, 2, ... of a sequence in [0, 1)^dimensions of which any first part is spread evenly: frac(1/2 + k a^-i)
/// for i = 1, 2, ..., where a is the root above 1 of a^(dimensions + 1) = a + 1 (Roberts 2018, "The unreasonable
/// effectiveness of quasirandom sequences").
std::vector<double> quasi_random(int k, int dimensions);

/// The options at point k of a search space, whose dimensions are in its order; numbers have four digits.
std::vector<std::pair<std::string, std::string>> settings_at(const std::vector<Search>& space, int k);

/// Of the trials with the options that a trial's tuning chose.
std::string tuned_label(const Trial& trial);

/// Changes the trial's settings to these where it has them, and adds the others.
void change(Trial& trial, const std::vector<std::pair<std::string, std::string>>& settings);

/// The best of tuning trials by the last evaluation in their records, which all must be in a folder, or by the best one
/// where `by_best` says so or the workload has validation data, by which a trial's epoch is picked; nothing where none
/// has finished, as where all diverged.
struct Chosen {
  std::size_t trial;  ///< its place among them
  double metric;
};
std::optional<Chosen> choose(const std::vector<Trial>& trials, const std::filesystem::path& records, bool by_best);

}  // namespace adabelief::trials
