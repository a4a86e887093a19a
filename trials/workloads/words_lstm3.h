// SPDX-License-Identifier: MIT
// Any text of words, such as WikiText-2, by an LSTM of three layers.
#pragma once

#include "tasks/word_language.h"

namespace adabelief::trials {

/// The model and the training of ptb_lstm3 on train.txt, valid.txt and test.txt of the user's.
struct WordsLstm3 final : WordLanguage {
  static constexpr std::string_view name = "words_lstm3";
  static constexpr std::string_view summary =
      "text of your own (train.txt, valid.txt, test.txt) by AWD-LSTM of three layers";

  explicit WordsLstm3(const Setup& setup) : WordLanguage(setup, "words", data::load_words(setup.data_root), 3) {}
};

}  // namespace adabelief::trials
