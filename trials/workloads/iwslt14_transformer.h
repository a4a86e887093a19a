// SPDX-License-Identifier: MIT
// IWSLT 2014, German to English, by a transformer.
#pragma once

#include "tasks/translation.h"

namespace adabelief::trials {

/// The AdaBelief paper's translation: 160,000 sentences of talks in pieces of BPE, as fairseq prepares them, and the
/// model of the authors' scripts.
struct Iwslt14Transformer final : Translation {
  static constexpr std::string_view name = "iwslt14_transformer";
  static constexpr std::string_view summary = "IWSLT 2014, German to English, by a transformer (fairseq's files)";

  explicit Iwslt14Transformer(const Setup& setup)
      : Translation(setup, "iwslt14", data::load_iwslt14(setup.data_root),
                    {.attention_dropout = 0.1, .inner_dropout = 0.1, .norm_first = true, .joined_vocabulary = true}) {}
};

}  // namespace adabelief::trials
