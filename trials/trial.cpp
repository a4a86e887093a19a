// SPDX-License-Identifier: MIT
// What a trial is, apart from running it.
#include "trial.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "adabelief/cpu.h"
#include "adabelief/text.h"

namespace adabelief::trials {

double Schedule::operator()(std::int64_t t, std::int64_t steps, std::int64_t steps_per_epoch) const {
  const double epoch = static_cast<double>(t - 1) / static_cast<double>(steps_per_epoch);
  const double rise = warmup * static_cast<double>(steps_per_epoch);
  if (static_cast<double>(t) < rise) return static_cast<double>(t) / rise;
  if (kind == "steps") {
    const auto passed = std::count_if(at.begin(), at.end(), [&](double e) { return epoch >= e; });
    return std::pow(factor, static_cast<double>(passed));
  }
  if (kind == "cosine" || kind == "linear") {
    const double left = static_cast<double>(steps) - rise, past = static_cast<double>(t - 1) - rise;
    const double along = std::clamp(past / std::max(1.0, left), 0.0, 1.0);
    return kind == "linear" ? 1 - along : 0.5 * (1 + std::cos(std::numbers::pi * along));
  }
  if (kind == "inverse_sqrt") return std::sqrt(std::max(1.0, rise) / static_cast<double>(t));
  return 1;
}

void Schedule::check() const {
  if (std::find(kinds.begin(), kinds.end(), kind) == kinds.end())
    throw Error("schedule: " + unknown("kind", kind, kinds));
  const auto refuse = [](std::string_view field, std::string_view range, double value) {
    throw Error(fmt::format("schedule: {} must lie in {}, got {}", field, range, text(value)));
  };
  if (!(warmup >= 0 && std::isfinite(warmup))) refuse("warmup", "[0, inf)", warmup);
  if (!(factor > 0 && std::isfinite(factor))) refuse("factor", "(0, inf)", factor);
  if (!(beta1_decay > 0 && beta1_decay <= 1)) refuse("beta1_decay", "(0, 1]", beta1_decay);
  for (const double e : at) {
    if (!(e >= 0 && std::isfinite(e))) refuse("at", "[0, inf)", e);
  }
  if (kind == "steps" && at.empty()) throw Error("schedule: steps needs at, the epochs at which lr falls, such as 150");
  if (kind != "steps" && (!at.empty() || factor != Schedule{}.factor))
    throw Error(fmt::format("schedule: {0} is for steps, not for {1}; take steps, or leave {0}",
                            at.empty() ? "factor" : "at", kind));
}

Json Schedule::json() const {
  Json json{{"kind", kind}, {"warmup", warmup}};
  if (kind == "steps") json["at"] = at, json["factor"] = factor;
  if (beta1_decay != 1) json["beta1_decay"] = beta1_decay;
  return json;
}

namespace {

// A label as a part of a file's name.
std::string plain(std::string_view label) {
  std::string name;
  for (const char c : label) {
    const char lower = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    const bool kept = (lower >= 'a' && lower <= 'z') || (lower >= '0' && lower <= '9');
    if (kept || (!name.empty() && name.back() != '-')) name += kept ? lower : '-';
  }
  while (name.ends_with('-')) name.pop_back();
  return name;
}

}  // namespace

std::string Trial::run() const {
  return fmt::format("{}{}{}-s{}", names_workload ? workload + "-" : "", plain(label),
                     point > 0 ? fmt::format("-t{:02}", point) : "", seed);
}

std::string Trial::title() const {
  return fmt::format("{}{}{}", names_workload ? workload + " " : "", label,
                     point > 0 ? fmt::format(" t{:02}", point) : "");
}

void Trial::check() const {
  schedule.check();
  if (std::find(precisions.begin(), precisions.end(), precision) == precisions.end())
    throw Error(unknown("precision", precision, precisions));
  if (std::find(state_type_names.begin(), state_type_names.end(), states) == state_type_names.end())
    throw Error(unknown("form of states", states, state_type_names));
  if (std::find(weight_forms.begin(), weight_forms.end(), weights) == weight_forms.end())
    throw Error(unknown("form of weights", weights, weight_forms));
  if (!(width > 0 && std::isfinite(width))) throw Error(fmt::format("width must lie in (0, inf), got {}", text(width)));
  const auto refuse = [&](std::string_view why) { throw Error(fmt::format("label '{}': {}", label, why)); };
  const auto control = [](unsigned char c) { return c < ' ' || c == 127; };
  if (std::any_of(label.begin(), label.end(), control)) throw Error("label: a control character is in it");
  if (label.size() > 200) refuse("longer than 200 bytes");
  if (plain(label).empty()) refuse("a letter or digit of a-z, 0-9 must be in it, as it names the record's file");
}

std::vector<std::string> Trial::arguments() const {
  const Trial standard;
  std::vector<std::string> words{"train", workload, "--rule", rule};
  const auto add = [&](std::string_view option, const std::string& value, bool wanted = true) {
    if (wanted) words.insert(words.end(), {std::string(option), value});
  };
  for (const auto& [name, value] : settings) add("--set", name + "=" + value);
  add("--schedule", schedule.kind, schedule.kind != standard.schedule.kind);
  add("--warmup", text(schedule.warmup), schedule.warmup != 0);
  if (schedule.kind == "steps") {
    for (const double e : schedule.at) add("--at", text(e));
    add("--factor", text(schedule.factor));
  }
  add("--beta1-decay", text(schedule.beta1_decay), schedule.beta1_decay != 1);
  add("--seed", std::to_string(seed));
  add("--epochs", std::to_string(epochs), epochs != 0);
  add("--batch", std::to_string(batch), batch != 0);
  add("--steps", std::to_string(max_steps), max_steps != 0);
  add("--threads", std::to_string(threads));
  add("--precision", precision, precision != standard.precision);
  add("--states", states, states != standard.states);
  add("--weights", weights, weights != standard.weights);
  if (channels_last) words.emplace_back("--channels-last");
  add("--train", std::to_string(train), train != 0);
  add("--width", text(width), width != 1);
  if (tuning) words.emplace_back("--tuning");
  if (average) words.emplace_back("--average");
  add("--label", label, !label.empty());
  add("--experiment", experiment, !experiment.empty());
  if (names_workload) words.emplace_back("--name-workload");
  if (reduced) words.emplace_back("--reduced");
  add("--point", std::to_string(point), point != 0);
  return words;
}

}  // namespace adabelief::trials
