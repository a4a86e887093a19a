// SPDX-License-Identifier: MIT
// Language modelling by AWD-LSTM: text in parallel columns, batches of uneven length, perplexity.
#pragma once

#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "data/text.h"
#include "models/awd_lstm.h"
#include "random.h"
#include "tasks/average.h"
#include "workload.h"

namespace adabelief::trials {

/// The training of Merity et al. 2018, section 5, as github.com/salesforce/awd-lstm-lm does it and the AdaBelief paper
/// after it. The text is laid out in 20 columns; a step takes the next rows of all of them, about 70 or, once in 20
/// times, about 35, with lr in proportion to their number, and hidden states go on from step to step. Gradients are
/// clipped to a norm of 0.25. An epoch is as many steps as the text takes on average: 681 on Penn Treebank.
class WordLanguage : public Workload {
 public:
  WordLanguage(const Setup& setup, std::string name, data::Corpus corpus, std::int64_t layers)
      : name_(std::move(name)),
        sha256_(std::move(corpus.sha256)),
        seed_(static_cast<std::uint64_t>(setup.seed)),
        epochs_(setup.epochs > 0 ? setup.epochs : 200),
        columns_(setup.batch > 0 ? setup.batch : 20),
        model_(AwdLstmOptions{.vocabulary = std::ssize(corpus.vocabulary),
                              .layers = layers,
                              .embedding = scaled(400, setup.width),
                              .hidden = scaled(1150, setup.width)}),
        state_(model_->initial_state(columns_)) {
    if (setup.bfloat16 || setup.channels_last)
      throw std::invalid_argument(name_ + ": an LSTM takes no bfloat16 and no channels_last");
    if (setup.average) average_.emplace(model_->parameters());
    check_length("training", corpus.train);
    check_length("validation", corpus.valid);
    if (!setup.tuning) check_length("test", corpus.test);
    if (setup.train > 0) check_range("train", setup.train, std::ssize(corpus.train));
    check_range("batch", columns_, std::ssize(corpus.train) / 2);
    const double share = setup.train > 0 ? static_cast<double>(setup.train) / std::ssize(corpus.train) : 1;
    text_ = in_columns(corpus.train, share, columns_);
    valid_ = in_columns(corpus.valid, share, evaluation_columns);
    if (!setup.tuning) test_ = in_columns(corpus.test, share, evaluation_columns);
  }

  std::vector<torch::Tensor> parameters() override { return model_->parameters(); }
  std::vector<torch::Tensor> state() override {
    auto all = state_;
    if (average_) {
      const auto more = average_->state();
      all.insert(all.end(), more.begin(), more.end());
    }
    return all;
  }
  std::int64_t epochs() const override { return epochs_; }
  std::int64_t batch() const override { return columns_; }
  std::int64_t steps_per_epoch() const override {
    return std::max<std::int64_t>(1, std::llround(static_cast<double>(text_.size(0) - 1) / mean_rows));
  }
  double lr_factor(std::int64_t t) override { return static_cast<double>(segment(t).rows) / rows; }
  bool evaluates_after(std::int64_t t) override { return t % steps_per_epoch() == 0; }

  double backward(std::int64_t t) override {
    const Segment now = segment(t);
    trained_ = true;
    if (now.first == 0) {
      for (torch::Tensor& tensor : state_) tensor.zero_();
    }
    model_->train();
    auto state = state_;
    const auto loss = take(text_, now.first, std::min(now.rows, text_.size(0) - 1 - now.first), state);
    (loss.words + loss.penalty).backward();
    for (std::size_t i = 0; i < state.size(); ++i) state_[i].copy_(state[i]);
    torch::nn::utils::clip_grad_norm_(parameters(), 0.25);
    return loss.words.item<double>();
  }

  void after(const libtorch::AnyOptimizer&) override {
    if (average_) average_->step();
  }

  Evaluation evaluate() override {
    if (average_) average_->exchange();
    const double valid = loss_on(valid_), test = test_.defined() ? loss_on(test_) : valid;  // none in tuning
    if (average_) {
      average_->exchange();
      if (trained_) average_->saw(valid);
    }
    return {.loss = test, .metric = std::exp(test), .valid_loss = valid, .valid_metric = std::exp(valid)};
  }

  bool averages() const override { return true; }
  Metric metric() const override { return {"perplexity", "", false}; }
  std::string data_name() const override { return name_; }
  std::string data_sha256() const override { return sha256_; }

 private:
  static constexpr double rows = 70, mean_rows = 0.95 * rows + 0.05 * rows / 2;
  static constexpr std::int64_t evaluation_columns = 10;
  static constexpr std::uint64_t length_key = 1;

  // Two rows of an evaluation, the least that has a next word.
  void check_length(const char* part, const data::Tokens& tokens) const {
    if (std::ssize(tokens) < 2 * evaluation_columns)
      throw std::invalid_argument(name_ + ": the " + part + " text has " + std::to_string(tokens.size()) +
                                  " words and ends of lines, and must have at least " +
                                  std::to_string(2 * evaluation_columns) + "; make it longer");
  }

  // (rows, columns) of int64: the first `share` of the tokens, but enough for two rows, down the columns one after
  // another; what fills no row is left out.
  static torch::Tensor in_columns(const data::Tokens& tokens, double share, std::int64_t columns) {
    const std::int64_t of_share = std::llround(share * static_cast<double>(tokens.size()));
    const std::int64_t count = std::min<std::int64_t>(std::max(of_share, 2 * columns), std::ssize(tokens));
    torch::Tensor all = torch::empty({count}, torch::kInt64);
    std::copy_n(tokens.begin(), count, all.mutable_data_ptr<std::int64_t>());
    return all.narrow(0, 0, count / columns * columns).view({columns, -1}).t().contiguous();
  }

  // The rows that a step takes; where they are more than the text has left, it takes these.
  struct Segment {
    std::int64_t first, rows;
  };

  // Of step t, which depends on the seed and t alone. After the last row the text begins anew.
  Segment segment(std::int64_t t) {
    while (std::ssize(segments_) < t) {
      Random random(seed_, length_key, segments_.size());
      const double mean = random.uniform(0, 1) < 0.95 ? rows : rows / 2;
      const auto length = std::max<std::int64_t>(5, static_cast<std::int64_t>(mean + 5 * random.normal()));
      const std::int64_t first = segments_.empty() ? 0 : segments_.back().first + segments_.back().rows;
      segments_.push_back({first < text_.size(0) - 1 ? first : 0, length});
    }
    return segments_[t - 1];
  }

  // The model's loss on these rows; the state goes on.
  AwdLstmImpl::Loss take(const torch::Tensor& text, std::int64_t first, std::int64_t count,
                         std::vector<torch::Tensor>& state) {
    return model_->forward(text.narrow(0, first, count), text.narrow(0, first + 1, count), state);
  }

  // Mean cross-entropy of a word.
  double loss_on(const torch::Tensor& text) {
    const torch::NoGradGuard no_grad;
    model_->eval();
    auto state = model_->initial_state(evaluation_columns);
    double sum = 0;
    const std::int64_t all = text.size(0) - 1;
    for (std::int64_t first = 0; first < all; first += static_cast<std::int64_t>(rows)) {
      const std::int64_t count = std::min<std::int64_t>(rows, all - first);
      sum += take(text, first, count, state).words.item<double>() * static_cast<double>(count);
    }
    return sum / static_cast<double>(all);
  }

  std::string name_, sha256_;
  std::uint64_t seed_;
  std::int64_t epochs_, columns_;
  AwdLstm model_;
  std::vector<torch::Tensor> state_;
  std::optional<Average> average_;
  bool trained_ = false;  // the evaluation before the first step says nothing of progress
  torch::Tensor text_, valid_, test_;
  std::vector<Segment> segments_;  // of the steps up to the latest that was asked for
};

}  // namespace adabelief::trials
