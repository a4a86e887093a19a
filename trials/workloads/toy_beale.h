// SPDX-License-Identifier: MIT
// The AdaBelief paper's figures 3e and 3f: Beale's function.
#pragma once

#include "tasks/toy.h"

namespace adabelief::trials {

struct ToyBeale final : Toy {
  static constexpr std::string_view name = "toy_beale";
  static constexpr std::string_view summary = "Beale's function from (-2.5, -2.5) (AdaBelief paper, figures 3e and 3f)";

  explicit ToyBeale(const Setup& setup)
      : Toy(setup, {.formula = "(1.5 − x + xy)² + (2.25 − x + xy²)² + (2.625 − x + xy³)²",
                    .value =
                        [](Dual x, Dual y) {
                          return square(1.5 - x + x * y) + square(2.25 - x + x * y * y) +
                                 square(2.625 - x + x * y * y * y);
                        },
                    .start = {-2.5, -2.5},
                    .optimum = {3, 0.5},
                    .low = {-4, -4},
                    .high = {4, 4}}) {}
};

}  // namespace adabelief::trials
