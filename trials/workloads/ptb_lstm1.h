// SPDX-License-Identifier: MIT
// Penn Treebank by an LSTM of one layer.
#pragma once

#include "tasks/word_language.h"

namespace adabelief::trials {

/// The AdaBelief paper, section 3 and figure 5: AWD-LSTM of 5.3 million weights for 200 epochs, lr divided by 10 twice.
struct PtbLstm1 final : WordLanguage {
  static constexpr std::string_view name = "ptb_lstm1";
  static constexpr std::string_view summary = "Penn Treebank by AWD-LSTM of one layer (Merity et al., 2018)";

  explicit PtbLstm1(const Setup& setup) : WordLanguage(setup, "ptb", data::load_ptb(setup.data_root), 1) {}
};

}  // namespace adabelief::trials
