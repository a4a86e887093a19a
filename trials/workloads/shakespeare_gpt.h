// SPDX-License-Identifier: MIT
// Tiny Shakespeare, character by character, by a small GPT.
#pragma once

#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <stdexcept>
#include <string>

#include "clock.h"
#include "data/text.h"
#include "models/gpt.h"
#include "random.h"
#include "workload.h"

namespace adabelief::trials {

/// Four layers of four heads, 128 wide, over 128 characters. An epoch takes the training text once, cut into pieces of
/// 128 characters from a start that differs from epoch to epoch.
struct ShakespeareGpt final : Workload {
  static constexpr std::string_view name = "shakespeare_gpt";
  static constexpr std::string_view summary = "tiny Shakespeare by characters: a GPT of 0.8 million weights";

  explicit ShakespeareGpt(const Setup& setup)
      : seed_(static_cast<std::uint64_t>(setup.seed)),
        epochs_(setup.epochs > 0 ? setup.epochs : 20),
        batch_(setup.batch > 0 ? setup.batch : 32) {
    if (setup.bfloat16 || setup.channels_last)
      throw std::invalid_argument("shakespeare_gpt takes no bfloat16 and no channels_last");
    data::Corpus corpus = data::load_tiny_shakespeare(setup.data_root);
    if (setup.tuning) {  // the last ninth of the training text takes the place of the test
      const auto from = corpus.train.end() - std::ssize(corpus.train) / 9;
      corpus.test.assign(from, corpus.train.end());
      corpus.train.erase(from, corpus.train.end());
    }
    if (setup.train > 0) {  // both parts are cut to the same share
      check_range("train", setup.train, std::ssize(corpus.train));
      corpus.test.resize(std::max<std::size_t>(context + 1, corpus.test.size() * setup.train / corpus.train.size()));
      corpus.train.resize(setup.train);
    }
    train_ = tensor(corpus.train);
    test_ = tensor(corpus.test);
    check_range("batch", batch_, (train_.size(0) - context) / context);
    model_ = Gpt(GptOptions{.vocabulary = std::ssize(corpus.vocabulary),
                            .context = context,
                            .width = heads * scaled(128 / heads, setup.width)});
    sha256_ = corpus.sha256;
  }

  std::vector<torch::Tensor> parameters() override { return model_->parameters(); }
  std::int64_t epochs() const override { return epochs_; }
  std::int64_t batch() const override { return batch_; }
  std::int64_t steps_per_epoch() const override { return (train_.size(0) - context) / context / batch_; }

  double backward(std::int64_t t) override {
    const std::int64_t epoch = (t - 1) / steps_per_epoch(), first = (t - 1) % steps_per_epoch() * batch_;
    if (epoch != shuffled_) {
      start_ = static_cast<std::int64_t>(Random(seed_, start_key, epoch).below(context));
      order_ = permutation((train_.size(0) - context) / context, Random(seed_, shuffle_key, epoch));
      shuffled_ = epoch;
    }
    const Clock clock;
    std::vector<torch::Tensor> pieces;
    for (std::int64_t i = first; i < first + batch_; ++i)
      pieces.push_back(train_.narrow(0, start_ + order_[i] * context, context + 1));
    const torch::Tensor batch = torch::stack(pieces);
    data_seconds_ = clock.seconds();
    const torch::Tensor loss = loss_on(batch);
    loss.backward();
    return loss.item<double>();
  }

  Evaluation evaluate() override {
    const torch::NoGradGuard no_grad;
    const torch::Tensor pieces = test_.unfold(0, context + 1, context);
    constexpr std::int64_t chunk = 64;
    double sum = 0;
    for (std::int64_t first = 0; first < pieces.size(0); first += chunk) {
      const std::int64_t count = std::min(chunk, pieces.size(0) - first);
      sum += loss_on(pieces.narrow(0, first, count)).item<double>() * static_cast<double>(count);
    }
    const double loss = sum / static_cast<double>(pieces.size(0));
    return {.loss = loss, .metric = loss / std::numbers::ln2};
  }

  Metric metric() const override { return {"bits per character", "", false}; }
  std::string data_name() const override { return "tinyshakespeare"; }
  std::string data_sha256() const override { return sha256_; }

 private:
  static constexpr std::int64_t context = 128, heads = 4;
  static constexpr std::uint64_t shuffle_key = 1, start_key = 2;

  static torch::Tensor tensor(const data::Tokens& tokens) {
    return torch::tensor(at::ArrayRef<std::int32_t>(tokens), torch::kInt64);
  }

  // Of pieces (N, context + 1).
  torch::Tensor loss_on(const torch::Tensor& pieces) {
    return model_->forward(pieces.narrow(1, 0, context), pieces.narrow(1, 1, context));
  }

  std::uint64_t seed_;
  std::int64_t epochs_, batch_;
  torch::Tensor train_, test_;
  Gpt model_{nullptr};
  std::string sha256_;
  std::vector<std::int64_t> order_;
  std::int64_t start_ = 0, shuffled_ = -1;  // the epoch that order_ and start_ are of
};

}  // namespace adabelief::trials
