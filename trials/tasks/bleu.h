// SPDX-License-Identifier: MIT
// BLEU: Papineni et al., ACL 2002.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace adabelief::trials {

/// Of translations, each with one reference, in percent: as `sacrebleu --tokenize none` gives it (Post 2018,
/// arXiv:1804.08771). Words are what stands between blanks; up to four of them in a row are compared. A length of which
/// nothing agrees counts as half an agreement, the next such one as a quarter, and so on.
inline double bleu(std::span<const std::string> translations, std::span<const std::string> references) {
  constexpr std::size_t longest = 4;
  using Counts = std::map<std::vector<std::string_view>, std::int64_t>;
  const auto words_of = [](std::string_view text) {
    std::vector<std::string_view> words;
    for (auto start = text.find_first_not_of(" \t"); start != text.npos; start = text.find_first_not_of(" \t", start)) {
      const auto end = std::min(text.find_first_of(" \t", start), text.size());
      words.push_back(text.substr(start, end - start));
      start = end;
    }
    return words;
  };
  const auto in_a_row = [](const std::vector<std::string_view>& words, std::size_t n) {
    Counts counts;
    for (std::size_t i = 0; i + n <= words.size(); ++i) ++counts[{words.begin() + i, words.begin() + i + n}];
    return counts;
  };
  std::array<double, longest> right{}, all{};
  double length = 0, reference_length = 0;
  for (std::size_t i = 0; i < translations.size(); ++i) {
    const auto words = words_of(translations[i]), reference = words_of(references[i]);
    length += static_cast<double>(words.size());
    reference_length += static_cast<double>(reference.size());
    for (std::size_t n = 1; n <= std::min(longest, words.size()); ++n) {
      const Counts wanted = in_a_row(reference, n);
      for (const auto& [row, count] : in_a_row(words, n)) {
        const auto found = wanted.find(row);
        if (found != wanted.end()) right[n - 1] += static_cast<double>(std::min(count, found->second));
      }
      all[n - 1] += static_cast<double>(words.size() + 1 - n);
    }
  }
  if (right[0] == 0) return 0;
  double log_sum = 0, smaller = 1;
  for (std::size_t n = 0; n < longest; ++n) {
    if (all[n] == 0) return 0;
    log_sum += std::log((right[n] > 0 ? right[n] : 1 / (smaller *= 2)) / all[n]);
  }
  const double brevity = length < reference_length ? std::exp(1 - reference_length / length) : 1;
  return 100 * brevity * std::exp(log_sum / longest);
}

}  // namespace adabelief::trials
