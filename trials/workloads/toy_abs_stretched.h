// SPDX-License-Identifier: MIT
// The AdaBelief paper's figure 3d: a fold along an axis.
#pragma once

#include "tasks/toy.h"

namespace adabelief::trials {

struct ToyAbsStretched final : Toy {
  static constexpr std::string_view name = "toy_abs_stretched";
  static constexpr std::string_view summary = "|x| / 10 + |y| from (0.5, -1.5) (AdaBelief paper, figure 3d)";

  explicit ToyAbsStretched(const Setup& setup)
      : Toy(setup, {.formula = "|x| / 10 + |y|",
                    .value = [](Dual x, Dual y) { return 0.1 * abs(x) + abs(y); },
                    .start = {0.5, -1.5},
                    .optimum = {0, 0},
                    .low = {-1, -2},
                    .high = {1, 1}}) {}
};

}  // namespace adabelief::trials
