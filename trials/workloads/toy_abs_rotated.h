// SPDX-License-Identifier: MIT
// The AdaBelief paper's figure 3b: a valley with a fold, across the axes.
#pragma once

#include "tasks/toy.h"

namespace adabelief::trials {

struct ToyAbsRotated final : Toy {
  static constexpr std::string_view name = "toy_abs_rotated";
  static constexpr std::string_view summary = "|x + y| + |x - y| / 10 from (2.5, 0) (AdaBelief paper, figure 3b)";

  explicit ToyAbsRotated(const Setup& setup)
      : Toy(setup, {.formula = "|x + y| + |x − y| / 10",
                    .value = [](Dual x, Dual y) { return abs(x + y) + 0.1 * abs(x - y); },
                    .start = {2.5, 0},
                    .optimum = {0, 0},
                    .low = {-1, -2},
                    .high = {3, 2}}) {}
};

}  // namespace adabelief::trials
