// SPDX-License-Identifier: MIT
// What a rule does with its options, measured by its kernel on one weight, so that no rule has to say it.
#pragma once

#include <string>
#include <vector>

#include "adabelief/any.h"

namespace adabelief {

/// The floor of what a step divides by: lr g / step after many steps of a gradient g too small to matter. This, not
/// the option eps, is what compares between rules: AdaBelief's is sqrt(eps / (1 - beta2)) + eps, Adam's is eps, SGD's
/// 1 - momentum.
double effective_eps(const Options& options);

/// The curvature c up to which x = 0 attracts on f = c x^2 / 2, once bias corrections are over, to five digits:
/// AdaBelief's is 2 (1 + beta1) / (1 - beta1) / lr times its effective eps. 0 where no curvature does, since the steps
/// do not shrink with the gradient (Lion); infinity where each does (Fromage).
double stable_curvature(const Options& options);

/// How far a weight moves in its first step under a gradient of 1, without weight decay.
double first_step(const Options& options);

/// How far a weight moves in a step under a gradient that has always been 1, without weight decay: at most lr over the
/// effective eps. What AdaBelief takes for certain it follows ever faster; Adam's is lr.
double steady_step(const Options& options);

/// What of these settings of a rule has surprised users before, a sentence or two each; empty where nothing has.
/// Throws std::invalid_argument as Options does.
std::vector<std::string> warnings(const RuleInfo& rule, const Settings& settings);

}  // namespace adabelief
