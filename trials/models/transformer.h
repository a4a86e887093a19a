// SPDX-License-Identifier: MIT
// The transformer with encoder and decoder: Vaswani et al. 2017, arXiv:1706.03762; sizes, dropout and initialization as
// fairseq's transformer_iwslt_de_en, or with norm_first its transformer_iwslt_de_en_v2.
#pragma once

#include <torch/torch.h>

#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include "cross_entropy.h"

namespace adabelief::trials {

struct TransformerOptions {
  std::int64_t source_words = 0, target_words = 0;
  std::int64_t padding = 0;  ///< the id that stands for no word, in both vocabularies
  std::int64_t width = 512, inner = 1024, heads = 4, layers = 6;
  double dropout = 0.3;          ///< of embeddings, and of what each part of a layer adds to its input
  double attention_dropout = 0;  ///< of attention's weights
  double inner_dropout = 0;      ///< after relu
  bool norm_first = false;  ///< layer norm of each part's input, and of the last outputs, not of each part's output
  bool joined_vocabulary = false;  ///< of both languages, with one embedding
};

/// A linear layer as fairseq starts it: Xavier's uniform law, no bias at first.
inline torch::nn::Linear xavier_linear(std::int64_t in, std::int64_t out, double gain = 1) {
  torch::nn::Linear linear(in, out);
  torch::nn::init::xavier_uniform_(linear->weight, gain);
  torch::nn::init::zeros_(linear->bias);
  return linear;
}

/// Attention of several heads.
struct AttentionImpl : torch::nn::Module {
  AttentionImpl(std::int64_t width, std::int64_t heads, double dropout) : heads_(heads), dropout_(dropout) {
    const double gain = std::sqrt(0.5);
    query_ = register_module("query", xavier_linear(width, width, gain));
    key_ = register_module("key", xavier_linear(width, width, gain));
    value_ = register_module("value", xavier_linear(width, width, gain));
    out_ = register_module("out", xavier_linear(width, width));
  }

  /// Keys and values (N, heads, T, width / heads) of x (N, T, width).
  struct Memory {
    torch::Tensor keys, values;

    /// This, if there is any yet, and what follows it.
    Memory and_then(const Memory& next) const {
      if (!keys.defined()) return next;
      return {torch::cat({keys, next.keys}, 2), torch::cat({values, next.values}, 2)};
    }
  };
  Memory memory(const torch::Tensor& x) { return {in_heads(key_(x)), in_heads(value_(x))}; }

  /// x (N, T, width) -> the same shape. `mask`, unless undefined, is true where a query may look (N, 1, 1 or T, S);
  /// causal: query t looks at 0 ... t.
  torch::Tensor forward(const torch::Tensor& x, const Memory& memory, const torch::Tensor& mask, bool causal) {
    const std::optional<torch::Tensor> given = mask.defined() ? std::optional(mask) : std::nullopt;
    const torch::Tensor mixed = torch::scaled_dot_product_attention(in_heads(query_(x)), memory.keys, memory.values,
                                                                    given, is_training() ? dropout_ : 0, causal);
    return out_(mixed.transpose(1, 2).reshape(x.sizes()));
  }

 private:
  torch::Tensor in_heads(const torch::Tensor& x) const {
    return x.view({x.size(0), x.size(1), heads_, -1}).transpose(1, 2);
  }

  std::int64_t heads_;
  double dropout_;
  torch::nn::Linear query_{nullptr}, key_{nullptr}, value_{nullptr}, out_{nullptr};
};
TORCH_MODULE(Attention);

inline torch::nn::LayerNorm layer_norm(const TransformerOptions& options) {
  return torch::nn::LayerNorm(torch::nn::LayerNormOptions({options.width}));
}

/// A layer of the encoder, or with `crosses` of the decoder. Each part is added to its input, and layer norm follows or
/// comes before it.
struct TransformerLayerImpl : torch::nn::Module {
  TransformerLayerImpl(const TransformerOptions& o, bool crosses) : options_(o) {
    self = register_module("self", Attention(o.width, o.heads, o.attention_dropout));
    self_norm_ = register_module("self_norm", layer_norm(o));
    if (crosses) {
      cross = register_module("cross", Attention(o.width, o.heads, o.attention_dropout));
      cross_norm_ = register_module("cross_norm", layer_norm(o));
    }
    up_ = register_module("up", xavier_linear(o.width, o.inner));
    down_ = register_module("down", xavier_linear(o.inner, o.width));
    norm_ = register_module("norm", layer_norm(o));
  }

  /// x (N, T, width) looks at its own sequence, under own_mask or causally, and at what `past` has of before it, to
  /// which it is added; other: what the decoder looks at in the encoder's output, under other_mask.
  torch::Tensor forward(torch::Tensor x, const torch::Tensor& own_mask, bool causal,
                        const AttentionImpl::Memory& other = {}, const torch::Tensor& other_mask = {},
                        AttentionImpl::Memory* past = nullptr) {
    const auto add = [&](torch::nn::LayerNorm& norm, const auto& part) {
      const torch::Tensor added = dropped(part(options_.norm_first ? norm(x) : x), options_.dropout);
      x = options_.norm_first ? x + added : norm(x + added);
    };
    add(self_norm_, [&](const torch::Tensor& h) {
      AttentionImpl::Memory own = self->memory(h);
      if (past) own = *past = past->and_then(own);
      return self->forward(h, own, own_mask, causal);
    });
    if (cross) add(cross_norm_, [&](const torch::Tensor& h) { return cross->forward(h, other, other_mask, false); });
    add(norm_, [&](const torch::Tensor& h) { return down_(dropped(torch::relu(up_(h)), options_.inner_dropout)); });
    return x;
  }

  Attention self{nullptr}, cross{nullptr};

 private:
  torch::Tensor dropped(const torch::Tensor& x, double share) const { return torch::dropout(x, share, is_training()); }

  TransformerOptions options_;
  torch::nn::LayerNorm self_norm_{nullptr}, cross_norm_{nullptr}, norm_{nullptr};
  torch::nn::Linear up_{nullptr}, down_{nullptr};
};
TORCH_MODULE(TransformerLayer);

/// The decoder's embedding and softmax share their weights.
struct TransformerImpl : torch::nn::Module {
  explicit TransformerImpl(const TransformerOptions& options) : options_(options) {
    if (!options.joined_vocabulary) source_ = embedding("source", options.source_words);
    target_ = embedding("target", options.target_words);
    if (options.joined_vocabulary) source_ = target_;
    for (std::int64_t l = 0; l < options.layers; ++l) {
      encoder_.push_back(register_module("encoder" + std::to_string(l), TransformerLayer(options, false)));
      decoder_.push_back(register_module("decoder" + std::to_string(l), TransformerLayer(options, true)));
    }
    if (options.norm_first) {
      encoder_norm_ = register_module("encoder_norm", layer_norm(options));
      decoder_norm_ = register_module("decoder_norm", layer_norm(options));
    }
  }

  /// What the decoder looks at: the source, seen by each of its layers, and where it has words (N, 1, 1, S).
  struct Source {
    std::vector<AttentionImpl::Memory> layers;
    torch::Tensor mask;

    /// The sentences of these indices.
    Source select(const torch::Tensor& indices) const {
      Source some{{}, mask.index_select(0, indices)};
      for (const auto& [keys, values] : layers)
        some.layers.push_back({keys.index_select(0, indices), values.index_select(0, indices)});
      return some;
    }
  };

  /// source (N, S) of int64.
  Source encode(const torch::Tensor& source) {
    Source seen{{}, source.ne(options_.padding).view({source.size(0), 1, 1, -1})};
    torch::Tensor x = embed(source_, source, 0);
    for (auto& layer : encoder_) x = layer->forward(x, seen.mask, false);
    if (encoder_norm_) x = encoder_norm_(x);
    for (auto& layer : decoder_) seen.layers.push_back(layer->cross->memory(x));
    return seen;
  }

  /// target (N, T) of int64: the translation up to each word, padded at the end. Returns (N, T, width), whose softmax
  /// is of the word that follows.
  torch::Tensor decode(const Source& source, const torch::Tensor& target) {
    torch::Tensor x = embed(target_, target, 0);
    for (std::size_t l = 0; l < decoder_.size(); ++l) {
      x = decoder_[l]->forward(x, {}, true, source.layers[l], source.mask);
    }
    return decoder_norm_ ? decoder_norm_(x) : x;
  }

  /// The next words (N) of N translations whose earlier words `past` remembers, one entry a layer, empty at first.
  /// Returns logits (N, words).
  torch::Tensor decode_next(const Source& source, const torch::Tensor& words,
                            std::vector<AttentionImpl::Memory>& past) {
    torch::Tensor x = embed(target_, words.unsqueeze(1), past.empty() ? 0 : past[0].keys.size(2));
    past.resize(decoder_.size());
    for (std::size_t l = 0; l < decoder_.size(); ++l) {
      x = decoder_[l]->forward(x, {}, false, source.layers[l], source.mask, &past[l]);
    }
    if (decoder_norm_) x = decoder_norm_(x);
    return torch::linear(x.squeeze(1), target_);
  }

  /// The cross-entropy of a word of `next` (N, T) after `target` (N, T), with this label smoothing and without:
  /// see LinearCrossEntropy. Padding in `next` doesn't count.
  torch::Tensor loss(const torch::Tensor& source, const torch::Tensor& target, const torch::Tensor& next,
                     double smoothing) {
    const torch::Tensor x = decode(encode(source), target);
    const torch::Tensor flat = next.reshape({-1}), there = flat.ne(options_.padding).nonzero().squeeze(1);
    return linear_cross_entropy(x.reshape({-1, options_.width}).index_select(0, there), target_, std::nullopt,
                                flat.index_select(0, there), smoothing);
  }

 private:
  torch::Tensor embedding(const char* name, std::int64_t words) {
    torch::Tensor weight = torch::empty({words, options_.width}).normal_(0, 1 / std::sqrt(double(options_.width)));
    weight[options_.padding].zero_();
    return register_parameter(name, weight);
  }

  // Words (N, T), of which the first is number `start` of its sentence -> (N, T, width).
  torch::Tensor embed(const torch::Tensor& weight, const torch::Tensor& words, std::int64_t start) const {
    const std::int64_t half = options_.width / 2;
    const torch::Tensor position = torch::arange(start, start + words.size(1), torch::kFloat32).unsqueeze(1);
    const torch::Tensor angle =
        position * torch::exp(torch::arange(half, torch::kFloat32) * (-std::log(10'000.) / std::max(1., half - 1.)));
    const torch::Tensor x =
        torch::embedding(weight, words) * std::sqrt(double(options_.width)) + torch::cat({angle.sin(), angle.cos()}, 1);
    return torch::dropout(x, options_.dropout, is_training());
  }

  TransformerOptions options_;
  torch::Tensor source_, target_;
  std::vector<TransformerLayer> encoder_, decoder_;
  torch::nn::LayerNorm encoder_norm_{nullptr}, decoder_norm_{nullptr};
};
TORCH_MODULE(Transformer);

}  // namespace adabelief::trials
