// SPDX-License-Identifier: MIT
// Penn Treebank by an LSTM of three layers.
#pragma once

#include "tasks/word_language.h"

namespace adabelief::trials {

/// The AdaBelief paper, section 3 and figure 5: AWD-LSTM of 24.2 million weights for 200 epochs, lr divided by 10
/// twice.
struct PtbLstm3 final : WordLanguage {
  static constexpr std::string_view name = "ptb_lstm3";
  static constexpr std::string_view summary = "Penn Treebank by AWD-LSTM of three layers (Merity et al., 2018)";

  explicit PtbLstm3(const Setup& setup) : WordLanguage(setup, "ptb", data::load_ptb(setup.data_root), 3) {}
};

}  // namespace adabelief::trials
