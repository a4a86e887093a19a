// SPDX-License-Identifier: MIT
// Beam search.
#pragma once

#include <torch/torch.h>

#include <vector>

#include "data/text.h"
#include "models/transformer.h"

namespace adabelief::trials {

/// The best translations of source (N, S), as fairseq's generate finds them with a length penalty of 1: of `beam` that
/// have ended, the one whose mean log-probability of a word is largest, its end among the words. After `longest` words
/// it must end.
inline std::vector<data::Tokens> translate(Transformer& model, const torch::Tensor& source, std::int64_t beam,
                                           std::int64_t longest) {
  const torch::NoGradGuard no_grad;
  const std::int64_t n = source.size(0), rows = n * beam;
  const double never = -std::numeric_limits<double>::infinity();
  const auto seen = model->encode(source).select(torch::arange(n).repeat_interleave(beam));
  std::vector<AttentionImpl::Memory> past;

  struct Ended {
    double score;
    data::Tokens words;
  };
  std::vector<std::vector<Ended>> ended(n);
  std::vector<data::Tokens> open(rows);  // row i * beam + j: the j-th of sentence i
  torch::Tensor scores = torch::full({n, beam}, never, torch::kFloat32);
  scores.select(1, 0).zero_();  // all rows are the same at first
  torch::Tensor words = torch::full({rows}, data::begin, torch::kInt64);
  for (std::int64_t length = 1; length <= longest + 1; ++length) {
    torch::Tensor p = torch::log_softmax(model->decode_next(seen, words, past), 1);
    for (const auto mark : {data::padding, data::begin}) p.select(1, mark).fill_(never);
    const std::int64_t vocabulary = p.size(1);
    if (length > longest) {
      const torch::Tensor last = p.select(1, data::end).clone();
      p.fill_(never).select(1, data::end).copy_(last);
    }
    // At most `beam` of twice as many end here, so that enough go on.
    const auto best = (p.view({n, beam, vocabulary}) + scores.unsqueeze(2)).view({n, -1}).topk(2 * beam, 1);
    const torch::Tensor best_scores = std::get<0>(best), best_places = std::get<1>(best);
    const auto score_of = best_scores.accessor<float, 2>();
    const auto place_of = best_places.accessor<std::int64_t, 2>();
    std::vector<data::Tokens> next(rows);
    torch::Tensor from = torch::arange(rows);
    scores.fill_(never);
    auto score_to = scores.accessor<float, 2>();
    auto from_to = from.accessor<std::int64_t, 1>(), word_to = words.accessor<std::int64_t, 1>();
    bool done = true;
    for (std::int64_t i = 0; i < n; ++i) {
      std::int64_t j = 0;
      for (std::int64_t rank = 0; rank < 2 * beam && j < beam; ++rank) {
        if (std::ssize(ended[i]) >= beam || score_of[i][rank] == never) break;
        const std::int64_t row = i * beam + place_of[i][rank] / vocabulary;
        const auto word = static_cast<std::int32_t>(place_of[i][rank] % vocabulary);
        if (word == data::end) {
          if (rank < beam) ended[i].push_back({score_of[i][rank] / static_cast<double>(length), open[row]});
          continue;
        }
        next[i * beam + j] = open[row];
        next[i * beam + j].push_back(word);
        from_to[i * beam + j] = row;
        word_to[i * beam + j] = word;
        score_to[i][j++] = score_of[i][rank];
      }
      done = done && std::ssize(ended[i]) >= beam;
    }
    if (done) break;
    open = std::move(next);
    for (auto& [keys, values] : past) keys = keys.index_select(0, from), values = values.index_select(0, from);
  }
  std::vector<data::Tokens> translations;
  for (auto& of : ended) {
    const auto best = std::max_element(of.begin(), of.end(), [](auto& a, auto& b) { return a.score < b.score; });
    translations.push_back(best == of.end() ? data::Tokens{} : best->words);
  }
  return translations;
}

}  // namespace adabelief::trials
