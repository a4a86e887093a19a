// SPDX-License-Identifier: MIT
// Translation by a transformer: batches by their number of words, label smoothing, beam search, BLEU.
#pragma once

#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

#include "clock.h"
#include "data/text.h"
#include "models/transformer.h"
#include "random.h"
#include "tasks/beam.h"
#include "tasks/bleu.h"
#include "workload.h"

namespace adabelief::trials {

/// Training as fairseq's on IWSLT 2014: sentences of like length in batches of up to 4,096 words, padding included, in
/// another order each epoch; label smoothing of 0.1. The loss is a word's cross-entropy without smoothing.
class Translation : public Workload {
 public:
  /// `options` without sizes and words.
  Translation(const Setup& setup, std::string name, data::ParallelCorpus corpus, TransformerOptions options = {})
      : name_(std::move(name)),
        corpus_(std::move(corpus)),
        seed_(static_cast<std::uint64_t>(setup.seed)),
        epochs_(setup.epochs > 0 ? setup.epochs : 55),
        batch_(setup.batch > 0 ? setup.batch : 4096) {
    if (setup.bfloat16 || setup.channels_last)
      throw std::invalid_argument(name_ + ": the transformer takes no bfloat16 and no channels_last");
    const auto all = std::ssize(corpus_.train.source), wanted = setup.train > 0 ? setup.train : all;
    check_range("train", wanted, all);
    auto order = permutation(all, Random(0, subset_key, 0));
    order.resize(wanted);
    in_batches(order);
    for (data::Pairs* part : {&corpus_.valid, &corpus_.test}) {  // cut to the same share
      const std::size_t keep = std::max<std::size_t>(1, part->source.size() * wanted / all);
      part->source.resize(keep), part->target.resize(keep), part->references.resize(keep);
    }
    options.source_words = std::ssize(corpus_.source_vocabulary);
    options.target_words = std::ssize(corpus_.target_vocabulary);
    options.padding = data::padding;
    options.width = 8 * scaled(64, setup.width);  // which the heads and positions divide
    options.inner = scaled(1024, setup.width);
    model_ = Transformer(options);
    tuning_ = setup.tuning;
  }

  std::vector<torch::Tensor> parameters() override { return model_->parameters(); }
  std::int64_t epochs() const override { return epochs_; }
  std::int64_t batch() const override { return batch_; }
  std::int64_t steps_per_epoch() const override { return std::ssize(batches_); }
  bool evaluates_after(std::int64_t t) override { return t % steps_per_epoch() == 0; }

  double backward(std::int64_t t) override {
    const std::int64_t epoch = (t - 1) / steps_per_epoch();
    if (epoch != shuffled_) {
      order_ = permutation(steps_per_epoch(), Random(seed_, shuffle_key, epoch));
      shuffled_ = epoch;
    }
    trained_ = true;
    model_->train();
    const torch::Tensor loss = loss_on(corpus_.train, batches_[order_[(t - 1) % steps_per_epoch()]]);
    loss[0].backward();
    return loss[1].item<double>();
  }

  Evaluation evaluate() override {
    const auto [valid, valid_bleu] = measure(corpus_.valid);
    const auto [test, test_bleu] = tuning_ ? std::pair(valid, valid_bleu) : measure(corpus_.test);
    return {.loss = test, .metric = test_bleu, .valid_loss = valid, .valid_metric = valid_bleu};
  }

  Metric metric() const override { return {"BLEU", "", true}; }
  std::string data_name() const override { return name_; }
  std::string data_sha256() const override { return corpus_.sha256; }

 private:
  using Indices = std::vector<std::int64_t>;
  static constexpr std::uint64_t subset_key = 1, shuffle_key = 2;
  static constexpr double smoothing = 0.1;

  // Words and the mark at the end or the beginning.
  static std::int64_t length(const data::Tokens& sentence) { return std::ssize(sentence) + 1; }

  // Makes batches_ of these sentences.
  void in_batches(Indices order) {
    const data::Pairs& of = corpus_.train;
    const auto longer = [&](std::int64_t i) { return std::max(length(of.source[i]), length(of.target[i])); };
    std::stable_sort(order.begin(), order.end(), [&](std::int64_t a, std::int64_t b) {
      return std::pair(of.target[a].size(), of.source[a].size()) < std::pair(of.target[b].size(), of.source[b].size());
    });
    std::int64_t longest = 0;
    for (const std::int64_t i : order) longest = std::max(longest, longer(i));
    if (longest > batch_)
      throw std::invalid_argument("batch counts words: it must be at least " + std::to_string(longest) +
                                  ", the longest sentence, got " + std::to_string(batch_));
    longest = 0;
    for (const std::int64_t i : order) {
      longest = std::max(longest, longer(i));
      if (batches_.empty() || (std::ssize(batches_.back()) + 1) * longest > batch_) {
        batches_.emplace_back();
        longest = longer(i);
      }
      batches_.back().push_back(i);
    }
  }

  // Sentences (N, T), padded, each with a mark before it or after it or neither: -1.
  static torch::Tensor padded(const std::vector<data::Tokens>& sentences, const Indices& indices, std::int32_t before,
                              std::int32_t after) {
    std::int64_t longest = 0;
    for (const std::int64_t i : indices) longest = std::max(longest, length(sentences[i]));
    torch::Tensor all = torch::full({std::ssize(indices), longest}, data::padding, torch::kInt64);
    std::int64_t* row = all.mutable_data_ptr<std::int64_t>();
    for (const std::int64_t i : indices) {
      std::int64_t* to = row;
      if (before >= 0) *to++ = before;
      to = std::copy(sentences[i].begin(), sentences[i].end(), to);
      if (after >= 0) *to = after;
      row += longest;
    }
    return all;
  }

  torch::Tensor loss_on(const data::Pairs& of, const Indices& indices) {
    const Clock clock;
    const torch::Tensor source = padded(of.source, indices, -1, data::end),
                        target = padded(of.target, indices, data::begin, -1),
                        next = padded(of.target, indices, -1, data::end);
    data_seconds_ = clock.seconds();
    return model_->loss(source, target, next, smoothing);
  }

  // The loss of a word, and BLEU, which is left undefined before the first step: to search among equals takes longest.
  std::pair<double, double> measure(const data::Pairs& of) {
    const torch::NoGradGuard no_grad;
    model_->eval();
    Indices order(of.source.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(),
                     [&](std::int64_t a, std::int64_t b) { return of.source[a].size() < of.source[b].size(); });
    double loss = 0, words = 0;
    std::vector<std::string> translations(order.size());
    constexpr std::int64_t chunk = 50;
    for (std::int64_t first = 0; first < std::ssize(order); first += chunk) {
      const Indices some(order.begin() + first, order.begin() + std::min(first + chunk, std::ssize(order)));
      double here = 0;
      for (const std::int64_t i : some) here += static_cast<double>(length(of.target[i]));
      loss += here * loss_on(of, some)[1].item<double>();
      words += here;
      if (!trained_) continue;
      const torch::Tensor source = padded(of.source, some, -1, data::end);
      const auto best = translate(model_, source, 5, 2 * source.size(1) + 10);
      for (std::size_t i = 0; i < some.size(); ++i) translations[some[i]] = text(best[i]);
    }
    if (!trained_) return {loss / words, std::numeric_limits<double>::quiet_NaN()};
    std::vector<std::string> references;
    for (const std::string& reference : of.references) references.push_back(joined(reference));
    return {loss / words, bleu(translations, references)};
  }

  std::string text(const data::Tokens& words) const {
    std::string text;
    for (const std::int32_t word : words) text += (text.empty() ? "" : " ") + corpus_.target_vocabulary[word];
    return joined(text);
  }

  // Pieces of words that end in @@ are joined to what follows, as subword-nmt's are.
  static std::string joined(std::string text) {
    for (auto at = text.find("@@ "); at != text.npos; at = text.find("@@ ", at)) text.erase(at, 3);
    return text;
  }

  std::string name_;
  data::ParallelCorpus corpus_;
  std::uint64_t seed_;
  std::int64_t epochs_, batch_;
  bool tuning_ = false, trained_ = false;
  Transformer model_{nullptr};
  std::vector<Indices> batches_;
  Indices order_;
  std::int64_t shuffled_ = -1;  // the epoch that order_ is of
};

}  // namespace adabelief::trials
