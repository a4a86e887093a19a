// SPDX-License-Identifier: MIT
// What a rule does with its options, measured.
#include "adabelief/advise.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "adabelief/text.h"

namespace adabelief {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

// One weight of double, its states, and the scalars of one step until at() takes those of another.
class Weight {
 public:
  double x = 0;

  Weight(const Options& options, double t, Options::Decayed decayed = {0, 0})
      : job_(options.rule().job(Type::float64)) {
    job_.n = 1;
    job_.coupled = decayed.coupled, job_.lost = decayed.lost;
    at(options, t);
  }

  void at(const Options& options, double t) { scalars_ = options.rule().scalars(options.values().data(), t); }

  void step(double g) {
    cpu::Job job = job_;  // here, since a copy of this must not point to the original
    job.weights = &x, job.gradient = &g, job.squares = squares_.data(), job.scalars = scalars_;
    for (std::size_t k = 0; k < states_.size(); ++k) job.states[k] = &states_[k];
    cpu::run({&job, 1}, cpu::serial);
  }

 private:
  cpu::Job job_;
  std::array<double, cpu::max_scalars> scalars_;
  std::array<double, cpu::max_states> states_{};
  std::array<double, cpu::squares_of(1)> squares_{};
};

constexpr double late = 1e6;  // a step at which bias corrections are over

// Steps of the same gradient from x, each from there again, until they have settled; how far the last one went.
double settle(Weight& weight, double x, double g) {
  double moved = 0, before = 0;
  for (int n = 1; n <= 1'000'000; ++n) {
    weight.x = x;
    weight.step(g);
    if (n % 1000 != 0) continue;
    before = std::exchange(moved, x - weight.x);
    if (std::abs(moved - before) <= 1e-13 * std::abs(moved)) break;
  }
  return moved;
}

constexpr double faint = 1e-150;  // a gradient whose square, which some rules divide by, is above 0

}  // namespace

double effective_eps(const Options& options) {
  Options of_one = options;
  of_one.set("lr", 1);
  Weight weight(of_one, late);
  return faint / settle(weight, 0, faint);
}

double stable_curvature(const Options& options) {
  Weight settled(options, late, options.decayed());
  settle(settled, 0, faint);
  // From so near that squares of gradients vanish beside eps, where a rule has it, the step is linear in x.
  constexpr double start = 1e-100, far = 1e-60;
  const auto attracts = [&](double curvature) {
    Weight weight = settled;
    weight.x = start;
    double half = 0, end = 0;  // the largest |x| in the second and in the last quarter
    for (int t = 0; t < 4000; ++t) {
      weight.step(curvature * weight.x);
      if (!(std::abs(weight.x) < far)) return false;
      double& largest = t < 2000 ? half : end;
      if (t % 2000 >= 1000) largest = std::max(largest, std::abs(weight.x));
    }
    return end <= half;
  };
  double low = 1e-30, high = 1e30;
  if (!attracts(low)) return 0;
  if (attracts(high)) return infinity;
  while (high / low > 1 + 1e-6) {
    const double middle = std::sqrt(low) * std::sqrt(high);
    (attracts(middle) ? low : high) = middle;
  }
  return low;
}

double first_step(const Options& options) {
  Weight weight(options, 1);
  weight.x = 1;
  weight.step(1);
  return std::abs(1 - weight.x);
}

double steady_step(const Options& options) {
  Weight weight(options, late);
  return std::abs(settle(weight, 1, 1));
}

std::vector<std::string> warnings(const RuleInfo& rule, const Settings& settings) {
  const Options options(rule, settings);
  std::vector<std::string> all;
  const bool belief = std::find(rule.states.begin(), rule.states.end(), "exp_avg_var") != rule.states.end();

  if (belief && options.has("beta1") && options.get("beta1") == 0) {
    all.push_back(
        "beta1 = 0 leaves no belief: m is g, so that g - m is always 0 and each step is lr g / effective eps; "
        "take beta1 above 0, or sgd");
  }
  const double eps = options.has("eps") ? options.get("eps") : infinity;
  if (eps == 0) {
    Weight still(options, 1);
    still.step(0);
    still.at(options, late);  // where a rectified start is over
    still.step(0);
    if (std::isnan(still.x)) {
      all.push_back(
          "eps = 0 makes NaN of a float weight whose gradient is 0 from the first step on; take 1e-16 or more");
    }
  } else if (static_cast<float>(eps) == 0) {
    all.push_back("eps = " + text(eps) + " is 0 in float: the same as eps = 0 there; take 1e-45 or more");
  }
  const double first = first_step(options), steady = steady_step(options);
  if (steady > 1000 * first && eps != 0) {
    all.push_back("a gradient that hardly changes gets steps of up to " + text(std::round(steady / first)) +
                  " times the first: one that is clipped by value or a sign, or that of a loss without noise; clip by "
                  "the norm, or raise eps");
  }
  for (const auto& [name, value] : settings) {
    if (name != "preset") continue;
    const Options preset(rule, {{name, value}});
    if (preset.get("decay") != options.get("decay") && options.get("weight_decay") != 0) {
      all.push_back("weight decay is " + preset.text("decay") + " in " + std::get<std::string>(value) + ", " +
                    options.text("decay") + " here: strengths of two kinds do not compare");
    }
  }
  const auto [coupled, lost] = options.decayed();
  if (lost >= 1) all.push_back("weight decay takes all of a weight in one step; lower lr or weight_decay");
  if (lost > 0 && lost < 1e-6) {
    all.push_back("weight decay halves a weight in " + text(std::round(std::log(2) / lost)) +
                  " steps: hardly at all. " + options.text("decay") + " decay wants larger strengths than coupled, " +
                  "such as 1e-2 at lr = 1e-3");
  }
  return all;
}

}  // namespace adabelief
