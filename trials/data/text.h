// SPDX-License-Identifier: MIT
// Text for the trials: corpora of words or of characters, and pairs of sentences of two languages, from plain files
// that the user puts into a folder.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace adabelief::trials::data {

/// Token ids count from 0, in the order of `vocabulary`.
using Tokens = std::vector<std::int32_t>;

/// Text as one sequence of tokens a part.
struct Corpus final {
  Tokens train, valid, test;  ///< valid is empty where the data set has no such part
  std::vector<std::string> vocabulary;
  std::string sha256;  ///< of the files' content, in their order
};

/// Where a text is looked for, and what to tell a user who doesn't have it.
struct TextFiles final {
  std::string_view name;                    ///< of the data set, and of its folder in the data root
  std::span<const std::string_view> files;  ///< all of them in one folder: the root's folder `name`, or the root itself
  std::string_view advice;                  ///< how to get them
};

/// The content of the files, from the first of the places of dataset.h's roots() that has them all.
/// Throws std::runtime_error that says which file is missing, where it was looked for and how to get it.
struct Texts final {
  std::vector<std::string> contents;
  std::filesystem::path folder;
  std::string sha256;
};
Texts read_texts(const TextFiles& files, const std::filesystem::path& data_root);

/// The words of each line, split at blanks, and <eos> after each line. Words are numbered as they first appear, in the
/// order of the parts, as AWD-LSTM's data.py does it.
Corpus words(std::string_view train, std::string_view valid, std::string_view test);

/// Penn Treebank with Mikolov's preprocessing. Throws where the numbers of tokens aren't those that are published.
Corpus load_ptb(const std::filesystem::path& data_root);

/// Any corpus of words in files named train.txt, valid.txt and test.txt, such as WikiText-2 under these names.
Corpus load_words(const std::filesystem::path& data_root);

/// Tiny Shakespeare: the first 90 % of its characters are for training, the rest is the test.
Corpus load_tiny_shakespeare(const std::filesystem::path& data_root);

/// Pairs of sentences, as ids of words without marks of beginning and end.
struct Pairs final {
  std::vector<Tokens> source, target;
  std::vector<std::string> references;  ///< the target sentences as they are in the file
};

struct ParallelCorpus final {
  Pairs train, valid, test;
  std::vector<std::string> source_vocabulary, target_vocabulary;  ///< each begins with the marks
  std::string sha256;
};

/// The first entries of both vocabularies of a ParallelCorpus.
enum Mark : std::int32_t { padding = 0, unknown_word = 1, begin = 2, end = 3 };

/// From files of one sentence a line: train, valid and test of the source, then of the target. Words seen fewer than
/// `minimum` times in the training part are unknown_word; the others are numbered from the most frequent on, equals in
/// the order of their bytes. `joined`: both languages have one vocabulary, of the words of both. Throws
/// std::invalid_argument where the two languages have different numbers of lines.
ParallelCorpus pairs(std::span<const std::string> texts, int minimum, bool joined = false);

/// Multi30k, German to English, lower-cased and tokenized; words seen once are unknown. Throws where the numbers of
/// sentences aren't those that are published.
ParallelCorpus load_multi30k(const std::filesystem::path& data_root);

/// IWSLT 2014, German to English, as fairseq's prepare-iwslt14.sh writes it: {train,valid,test}.{de,en} of BPE pieces;
/// one vocabulary.
ParallelCorpus load_iwslt14(const std::filesystem::path& data_root);

}  // namespace adabelief::trials::data
