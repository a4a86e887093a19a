// SPDX-License-Identifier: MIT
// A decoder-only transformer, as GPT-2 (Radford et al. 2019) but for dropout: layer norm before each part, GELU,
// learned positions, embedding and softmax with the same weights.
#pragma once

#include <torch/torch.h>

#include <cmath>

#include "cross_entropy.h"

namespace adabelief::trials {

struct GptOptions {
  std::int64_t vocabulary, context, layers = 4, heads = 4, width = 128;
};

/// x (N, T, width) -> the same shape; position t sees positions 0 ... t.
struct GptBlockImpl : torch::nn::Module {
  explicit GptBlockImpl(const GptOptions& options) : heads_(options.heads) {
    const std::int64_t width = options.width;
    norm1_ = register_module("norm1", torch::nn::LayerNorm(torch::nn::LayerNormOptions({width})));
    qkv_ = register_module("qkv", torch::nn::Linear(width, 3 * width));
    attended_ = register_module("attended", torch::nn::Linear(width, width));
    norm2_ = register_module("norm2", torch::nn::LayerNorm(torch::nn::LayerNormOptions({width})));
    up_ = register_module("up", torch::nn::Linear(width, 4 * width));
    down_ = register_module("down", torch::nn::Linear(4 * width, width));
    // GPT-2: 0.02, and less by the root of the number of parts that add to one sum.
    const double last = 0.02 / std::sqrt(2 * static_cast<double>(options.layers));
    for (const auto& [linear, std] : {std::pair(qkv_, 0.02), {up_, 0.02}, {attended_, last}, {down_, last}}) {
      torch::nn::init::normal_(linear->weight, 0, std);
      torch::nn::init::zeros_(linear->bias);
    }
  }

  torch::Tensor forward(const torch::Tensor& x) {
    const std::int64_t n = x.size(0), steps = x.size(1), width = x.size(2);
    const auto heads = qkv_(norm1_(x)).view({n, steps, 3, heads_, width / heads_}).permute({2, 0, 3, 1, 4}).unbind();
    const torch::Tensor mixed = torch::scaled_dot_product_attention(heads[0], heads[1], heads[2], {}, 0, true);
    const torch::Tensor y = x + attended_(mixed.transpose(1, 2).reshape({n, steps, width}));
    return y + down_(torch::gelu(up_(norm2_(y)), "tanh"));
  }

 private:
  std::int64_t heads_;
  torch::nn::LayerNorm norm1_{nullptr}, norm2_{nullptr};
  torch::nn::Linear qkv_{nullptr}, attended_{nullptr}, up_{nullptr}, down_{nullptr};
};
TORCH_MODULE(GptBlock);

/// 818,113 weights with the defaults for 65 characters and a context of 128.
struct GptImpl : torch::nn::Module {
  explicit GptImpl(const GptOptions& options) {
    embedding_ = register_parameter("embedding", torch::empty({options.vocabulary, options.width}).normal_(0, 0.02));
    positions_ = register_parameter("positions", torch::empty({options.context, options.width}).normal_(0, 0.02));
    for (std::int64_t l = 0; l < options.layers; ++l) blocks_->push_back(GptBlock(options));
    register_module("blocks", blocks_);
    norm_ = register_module("norm", torch::nn::LayerNorm(torch::nn::LayerNormOptions({options.width})));
    bias_ = register_parameter("bias", torch::zeros({options.vocabulary}));
  }

  /// tokens, next (N, T) of int64: texts and what follows each token. The mean cross-entropy of a token, nats.
  torch::Tensor forward(const torch::Tensor& tokens, const torch::Tensor& next) {
    const torch::Tensor x = torch::embedding(embedding_, tokens) + positions_.narrow(0, 0, tokens.size(1));
    const torch::Tensor y = norm_(blocks_->forward(x));
    return linear_cross_entropy(y.reshape({-1, y.size(2)}), embedding_, bias_, next.reshape({-1}))[0];
  }

 private:
  torch::Tensor embedding_, positions_, bias_;
  torch::nn::Sequential blocks_;
  torch::nn::LayerNorm norm_{nullptr};
};
TORCH_MODULE(Gpt);

}  // namespace adabelief::trials
