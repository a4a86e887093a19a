// SPDX-License-Identifier: MIT
// The AdaBelief paper's figure 3c: a smooth valley across the axes.
#pragma once

#include "tasks/toy.h"

namespace adabelief::trials {

struct ToySquareRotated final : Toy {
  static constexpr std::string_view name = "toy_square_rotated";
  static constexpr std::string_view summary = "(x + y)^2 + (x - y)^2 / 10 from (2.5, 0) (AdaBelief paper, figure 3c)";

  explicit ToySquareRotated(const Setup& setup)
      : Toy(setup, {.formula = "(x + y)² + (x − y)² / 10",
                    .value = [](Dual x, Dual y) { return square(x + y) + 0.1 * square(x - y); },
                    .start = {2.5, 0},
                    .optimum = {0, 0},
                    .low = {-1, -2},
                    .high = {3, 2}}) {}
};

}  // namespace adabelief::trials
