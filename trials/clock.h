// SPDX-License-Identifier: MIT
// Time that has passed.
#pragma once

#include <chrono>

namespace adabelief::trials {

/// Runs from its making.
class Clock {
 public:
  double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace adabelief::trials
