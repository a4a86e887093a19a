// SPDX-License-Identifier: MIT
// Words for messages.
#include "adabelief/text.h"

#include <algorithm>
#include <charconv>
#include <vector>

namespace adabelief {

std::string text(double value) {
  char buffer[32];
  return {buffer, std::to_chars(buffer, buffer + sizeof buffer, value).ptr};
}

std::string text(const Interval& range) {
  std::string all(1, range.holds_low ? '[' : '(');
  return all.append(text(range.low)).append(", ").append(text(range.high)) + (range.holds_high ? ']' : ')');
}

std::string join(std::span<const std::string_view> names) {
  std::string all;
  for (const auto name : names) all.append(all.empty() ? "" : ", ").append(name);
  return all;
}

std::string_view nearest(std::string_view name, std::span<const std::string_view> names) {
  const auto distance = [](std::string_view a, std::string_view b) {  // Levenshtein's, one row at a time
    std::vector<std::size_t> row(b.size() + 1);
    for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
    for (std::size_t i = 0; i < a.size(); ++i) {
      std::size_t diagonal = row[0];
      row[0] = i + 1;
      for (std::size_t j = 0; j < b.size(); ++j) {
        const std::size_t replaced = diagonal + (a[i] != b[j]);
        diagonal = row[j + 1];
        row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
      }
    }
    return row[b.size()];
  };
  std::string_view best;
  // Not as many edits as letters: any two-letter word is two edits from "lr".
  std::size_t least = std::min(std::max<std::size_t>(2, name.size() / 2) + 1, name.size());
  for (const auto candidate : names) {
    // "beta" means beta1 and "fashion" means fashion_mnist_cnn, however far it is by edits.
    const std::size_t d = candidate.starts_with(name) ? 0 : distance(name, candidate);
    if (d < least) least = d, best = candidate;
  }
  return best;
}

std::string unknown(std::string_view what, std::string_view name, std::span<const std::string_view> names) {
  std::string message = "no " + std::string(what) + " named '" + std::string(name) + "'";
  const auto meant = nearest(name, names);
  message += meant.empty() ? "." : "; did you mean " + std::string(meant) + "?";
  return message + " There are: " + join(names);
}

}  // namespace adabelief
