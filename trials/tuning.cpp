// SPDX-License-Identifier: MIT
// Tuning: points of search spaces, and the choice among their trials.
#include "tuning.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <fstream>

namespace adabelief::trials {

Json Search::json() const { return choices.empty() ? Json{low, high, log ? "log" : "linear"} : Json(choices); }

std::vector<double> quasi_random(int k, int dimensions) {
  double a = 2;
  for (int i = 0; i < 60; ++i) a = std::pow(1 + a, 1.0 / (dimensions + 1));  // a contraction
  std::vector<double> point;
  for (int i = 1; i <= dimensions; ++i) {
    const double x = 0.5 + k * std::pow(a, -i);
    point.push_back(x - std::floor(x));
  }
  return point;
}

std::vector<std::pair<std::string, std::string>> settings_at(const std::vector<Search>& space, int k) {
  const auto point = quasi_random(k, static_cast<int>(space.size()));
  std::vector<std::pair<std::string, std::string>> settings;
  for (std::size_t i = 0; i < space.size(); ++i) {
    const Search& s = space[i];
    if (s.choices.empty()) {
      const double value = s.log ? s.low * std::pow(s.high / s.low, point[i]) : s.low + (s.high - s.low) * point[i];
      settings.emplace_back(s.option, fmt::format("{:.4g}", value));
    } else {
      const auto n = static_cast<double>(s.choices.size());
      settings.emplace_back(s.option, s.choices[static_cast<std::size_t>(point[i] * n)]);
    }
  }
  return settings;
}

std::string tuned_label(const Trial& trial) { return trial.label + " (tuned)"; }

void change(Trial& trial, const std::vector<std::pair<std::string, std::string>>& settings) {
  for (const auto& setting : settings) {
    const auto found = std::find_if(trial.settings.begin(), trial.settings.end(),
                                    [&](const auto& other) { return other.first == setting.first; });
    if (found == trial.settings.end()) {
      trial.settings.push_back(setting);
    } else {
      found->second = setting.second;
    }
  }
}

std::optional<Chosen> choose(const std::vector<Trial>& trials, const std::filesystem::path& records, bool by_best) {
  std::optional<Chosen> best;
  for (std::size_t i = 0; i < trials.size(); ++i) {
    std::ifstream in(records / (trials[i].run() + ".jsonl"));
    std::optional<double> metric;
    bool higher = true, finished = false;
    for (std::string text; std::getline(in, text);) {
      const Json line = Json::parse(text, nullptr, false);
      if (!line.is_object()) continue;
      const std::string type = line.value("type", "");
      if (type == "config") higher = line["metric"]["better"] == "higher";
      if (type == "evaluation") {
        const bool validated = line.contains("valid_metric"), picks = validated || by_best;
        const Json value = line[validated ? "valid_metric" : "test_metric"];
        const std::optional<double> now = value.is_number() ? std::optional(value.get<double>()) : std::nullopt;
        if (!picks || !metric || (now && (higher ? *now > *metric : *now < *metric))) metric = now;
      }
      if (type == "end") finished = line["status"] == "finished";
    }
    if (finished && metric && (!best || (higher ? *metric > best->metric : *metric < best->metric)))
      best = {i, *metric};
  }
  return best;
}

}  // namespace adabelief::trials
