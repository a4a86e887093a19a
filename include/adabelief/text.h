// SPDX-License-Identifier: MIT
// Words for messages: numbers as short as they can be read back, intervals, and the name that was meant.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "adabelief/rule.h"

namespace adabelief {

/// The shortest decimal that reads back as the same double: "0.001", "1e-08", "inf".
std::string text(double value);

/// "[0, 1)".
std::string text(const Interval& range);

/// "a, b, c".
std::string join(std::span<const std::string_view> names);

/// The name nearest to `name` by edit distance, or "" where none is near enough to have been meant.
std::string_view nearest(std::string_view name, std::span<const std::string_view> names);

/// "no WHAT named 'adabelif'; did you mean adabelief? There are: a, b, c".
std::string unknown(std::string_view what, std::string_view name, std::span<const std::string_view> names);

}  // namespace adabelief
