// SPDX-License-Identifier: MIT
// The language model AWD-LSTM: Merity, Keskar and Socher, ICLR 2018, arXiv:1708.02182; sizes, order of the layers and
// initialization as in github.com/salesforce/awd-lstm-lm.
#pragma once

#include <torch/torch.h>

#include <cmath>
#include <tuple>
#include <vector>

#include "cross_entropy.h"

namespace adabelief::trials {

/// Defaults: the AdaBelief paper's settings on Penn Treebank.
struct AwdLstmOptions {
  std::int64_t vocabulary, layers;
  std::int64_t embedding = 400, hidden = 1150;
  double output_dropout = 0.4;     ///< of the last layer's output
  double hidden_dropout = 0.25;    ///< between layers
  double input_dropout = 0.4;      ///< of the embedded words
  double embedding_dropout = 0.1;  ///< of whole words
  double weight_drop = 0.5;        ///< of the hidden-to-hidden weights
  double activation = 2;           ///< AR: times the mean square of the last layer's output, after its dropout
  double change = 1;               ///< TAR: times the mean square of its change from word to word, before dropout
};

/// Embedding and softmax share their weights; the last layer is as wide as these, the others are of `hidden` units.
/// 5,293,200 weights with one layer, 13,632,400 with two and 24,221,600 with three, for 10,000 words.
struct AwdLstmImpl : torch::nn::Module {
  explicit AwdLstmImpl(const AwdLstmOptions& options) : options_(options) {
    embedding_ =
        register_parameter("embedding", torch::empty({options.vocabulary, options.embedding}).uniform_(-0.1, 0.1));
    bias_ = register_parameter("bias", torch::zeros({options.vocabulary}));
    for (std::int64_t l = 0; l < options.layers; ++l) {
      const std::int64_t in = l == 0 ? options.embedding : options.hidden, out = width(l);
      const double bound = 1 / std::sqrt(static_cast<double>(out));  // as torch.nn.LSTM
      const auto weight = [&](const char* name, at::IntArrayRef shape) {
        return register_parameter(name + std::to_string(l), torch::empty(shape).uniform_(-bound, bound));
      };
      layers_.push_back({weight("weight_ih_", {4 * out, in}), weight("weight_hh_", {4 * out, out}),
                         weight("bias_ih_", {4 * out}), weight("bias_hh_", {4 * out})});
    }
  }

  /// What the layers carry from one batch to the next: h and c (1, B, width) of each in turn. Zero at first.
  std::vector<torch::Tensor> initial_state(std::int64_t batch) const {
    std::vector<torch::Tensor> state;
    for (std::int64_t l = 0; l < 2 * options_.layers; ++l) state.push_back(torch::zeros({1, batch, width(l / 2)}));
    return state;
  }

  struct Loss {
    torch::Tensor words;    ///< mean cross-entropy of a word, nats
    torch::Tensor penalty;  ///< AR and TAR
  };

  /// words, next (T, B) of int64: the text and what follows each word of it. Leaves in `state` what it ends with,
  /// without the way there.
  Loss forward(const torch::Tensor& words, const torch::Tensor& next, std::vector<torch::Tensor>& state) {
    torch::Tensor x = torch::embedding(embedding_, words);
    if (is_training()) x = x * keep({embedding_.size(0), 1}, options_.embedding_dropout).index({words});
    x = locked_dropout(x, options_.input_dropout);
    torch::Tensor raw;
    for (std::int64_t l = 0; l < options_.layers; ++l) {
      const Layer& w = layers_[l];
      const torch::Tensor hh = torch::dropout(w.hh, options_.weight_drop, is_training());
      torch::Tensor h, c;
      std::tie(raw, h, c) = torch::lstm(x, {state[2 * l], state[2 * l + 1]}, {w.ih, hh, w.bias_ih, w.bias_hh}, true, 1,
                                        0, is_training(), false, false);
      state[2 * l] = h.detach();
      state[2 * l + 1] = c.detach();
      x = locked_dropout(raw, l + 1 < options_.layers ? options_.hidden_dropout : options_.output_dropout);
    }
    const std::int64_t steps = words.size(0);
    torch::Tensor penalty = options_.activation * x.square().mean();
    if (steps > 1)
      penalty = penalty + options_.change * (raw.narrow(0, 1, steps - 1) - raw.narrow(0, 0, steps - 1)).square().mean();
    return {linear_cross_entropy(x.reshape({-1, x.size(2)}), embedding_, bias_, next.reshape({-1}))[0], penalty};
  }

 private:
  struct Layer {
    torch::Tensor ih, hh, bias_ih, bias_hh;
  };

  std::int64_t width(std::int64_t layer) const {
    return layer + 1 == options_.layers ? options_.embedding : options_.hidden;
  }

  // A mask that keeps with probability 1 - p, and scales to the same mean.
  static torch::Tensor keep(at::IntArrayRef shape, double p) {
    return torch::empty(shape).bernoulli_(1 - p).div_(1 - p);
  }

  // Variational dropout: one mask (1, B, E) for all words of the batch.
  torch::Tensor locked_dropout(const torch::Tensor& x, double p) const {
    return is_training() ? x * keep({1, x.size(1), x.size(2)}, p) : x;
  }

  AwdLstmOptions options_;
  torch::Tensor embedding_, bias_;
  std::vector<Layer> layers_;
};
TORCH_MODULE(AwdLstm);

}  // namespace adabelief::trials
