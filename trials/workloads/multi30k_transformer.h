// SPDX-License-Identifier: MIT
// Multi30k, German to English, by a transformer.
#pragma once

#include "tasks/translation.h"

namespace adabelief::trials {

/// 29,000 descriptions of pictures (Elliott et al. 2016), lower-cased and tokenized, by words.
struct Multi30kTransformer final : Translation {
  static constexpr std::string_view name = "multi30k_transformer";
  static constexpr std::string_view summary = "Multi30k, German to English, by a transformer; BLEU of the test of 2016";

  explicit Multi30kTransformer(const Setup& setup)
      : Translation(setup, "multi30k", data::load_multi30k(setup.data_root)) {}
};

}  // namespace adabelief::trials
