// SPDX-License-Identifier: MIT
// What a person at a terminal sees: colours, bars, durations, and lines that are drawn over.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace adabelief::trials::terminal {

/// Whether file descriptor 1 or 2 is a terminal that takes cursor movements (TERM is not "dumb").
bool live(int descriptor);

/// The text in a colour (31 red, 32 green, 33 yellow, 36 cyan, 1 bold, 2 faint), or plain where `live` is not, or
/// NO_COLOR is set (no-color.org).
std::string paint(std::string_view text, int colour, bool live);

/// A bar of `width` cells of which `share` in [0, 1] is filled.
std::string bar(double share, int width);

/// With `decimals` of them, or by three digits where that would show none of the number or too much.
std::string number(double value, int decimals);

/// "accuracy 88.61 %", or "" where there is no value yet.
std::string metric(std::string_view name, std::optional<double> value, std::string_view unit);

/// "8 s", "1:05 min", "2:10 h".
std::string duration(double seconds);

/// Lines at the bottom of the terminal on `descriptor` that each draw() writes over the last one.
class Board {
 public:
  explicit Board(int descriptor) : descriptor_(descriptor) {}
  ~Board();

  /// Rows that fit on the terminal.
  int rows() const;

  /// Each line is cut to the terminal's width.
  void draw(const std::vector<std::string>& lines);

 private:
  int descriptor_, drawn_ = 0;
};

}  // namespace adabelief::trials::terminal
