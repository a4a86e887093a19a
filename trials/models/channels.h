// SPDX-License-Identifier: MIT
// How a network is made narrower.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace adabelief::trials {

/// The channels of a layer in a network that is `width` times as wide as its paper's.
inline std::int64_t scaled(std::int64_t channels, double width) {
  return std::max<std::int64_t>(1, std::llround(static_cast<double>(channels) * width));
}

}  // namespace adabelief::trials
