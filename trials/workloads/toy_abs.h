// SPDX-License-Identifier: MIT
// The AdaBelief paper's figure 3a: all of the way along one axis.
#pragma once

#include "tasks/toy.h"

namespace adabelief::trials {

struct ToyAbs final : Toy {
  static constexpr std::string_view name = "toy_abs";
  static constexpr std::string_view summary = "|x| + |y| from (-2.5, 0) (AdaBelief paper, figure 3a)";

  explicit ToyAbs(const Setup& setup)
      : Toy(setup, {.formula = "|x| + |y|",
                    .value = [](Dual x, Dual y) { return abs(x) + abs(y); },
                    .start = {-2.5, 0},
                    .optimum = {0, 0},
                    .low = {-3, -2},
                    .high = {1, 2}}) {}
};

}  // namespace adabelief::trials
