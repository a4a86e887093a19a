// SPDX-License-Identifier: MIT
// The AdaBelief paper's figures 3g and 3h: Rosenbrock's function.
#pragma once

#include "tasks/toy.h"

namespace adabelief::trials {

struct ToyRosenbrock final : Toy {
  static constexpr std::string_view name = "toy_rosenbrock";
  static constexpr std::string_view summary =
      "Rosenbrock's function from (-4, -4) (AdaBelief paper, figures 3g and 3h)";

  explicit ToyRosenbrock(const Setup& setup)
      : Toy(setup, {.formula = "(1 − x)² + 100 (y − x²)²",
                    .value = [](Dual x, Dual y) { return square(1 - x) + 100 * square(y - x * x); },
                    .start = {-4, -4},
                    .optimum = {1, 1},
                    .low = {-4.5, -4.5},
                    .high = {2.5, 4.5}}) {}
};

}  // namespace adabelief::trials
