// SPDX-License-Identifier: MIT
// Numbers between their form in memory and the floats that a kernel works with.
#pragma once

#include "adabelief/cpu.h"

namespace adabelief::cpu::detail {

/// Room for a part of a job in floats; of a state of 8 bits for its whole groups.
struct Floats {
  float *weights, *gradient;
  std::array<float*, max_states> states;
};

/// What is float in memory already is left out. Elements [first, first + n), first a multiple of `group`, n at most a
/// block, or a piece where they are stored.
struct Converter {
  void (*load_gradient)(const Job& job, std::size_t first, std::size_t n, float* to);
  void (*load)(const Job& job, std::size_t first, std::size_t n, const Floats& to);
  void (*store)(const Job& job, std::size_t first, std::size_t n, const Floats& from);
};

/// That of the instruction set in use; each gives the same bits.
const Converter& converter();

/// The most elements that are stored at once: all arrays of so many stay in the nearest cache, and so do those of the
/// next piece, which are fetched meanwhile.
inline constexpr std::size_t piece = 512;

}  // namespace adabelief::cpu::detail
