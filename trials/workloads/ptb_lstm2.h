// SPDX-License-Identifier: MIT
// Penn Treebank by an LSTM of two layers.
#pragma once

#include "tasks/word_language.h"

namespace adabelief::trials {

/// The AdaBelief paper, section 3 and figure 5: AWD-LSTM of 13.6 million weights for 200 epochs, lr divided by 10
/// twice.
struct PtbLstm2 final : WordLanguage {
  static constexpr std::string_view name = "ptb_lstm2";
  static constexpr std::string_view summary = "Penn Treebank by AWD-LSTM of two layers (Merity et al., 2018)";

  explicit PtbLstm2(const Setup& setup) : WordLanguage(setup, "ptb", data::load_ptb(setup.data_root), 2) {}
};

}  // namespace adabelief::trials
