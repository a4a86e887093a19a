// SPDX-License-Identifier: MIT
// Reading and numbering text.
#include "text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <unordered_map>
#include <utility>

#include "dataset.h"

namespace adabelief::trials::data {
namespace fs = std::filesystem;
namespace {

std::string content_of(std::string_view name, const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream content;
  if (in.peek() != std::ifstream::traits_type::eof()) content << in.rdbuf();
  if (!in || !content) throw std::runtime_error(fmt::format("{}: {}: cannot read it", name, path.string()));
  return std::move(content).str();
}

// Each without its end, which on Windows is "\r\n": a reference with '\r' at its end would agree with no translation.
template <class Use>
void each_line(std::string_view text, Use use) {
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    use(line);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

template <class Use>
void each_word(std::string_view line, Use use) {
  constexpr std::string_view blanks = " \t\r\f\v";
  for (auto start = line.find_first_not_of(blanks); start != std::string_view::npos;) {
    const auto end = std::min(line.find_first_of(blanks, start), line.size());
    use(line.substr(start, end - start));
    start = line.find_first_not_of(blanks, end);
  }
}

// Words and their numbers, in the order in which they were added.
class Vocabulary {
 public:
  std::int32_t add(std::string_view word) {
    const auto [at, added] = number_.try_emplace(std::string(word), static_cast<std::int32_t>(words_.size()));
    if (added) words_.emplace_back(word);
    return at->second;
  }
  std::int32_t find(std::string_view word, std::int32_t otherwise) const {
    const auto at = number_.find(std::string(word));
    return at == number_.end() ? otherwise : at->second;
  }
  std::vector<std::string> take() { return std::move(words_); }

 private:
  std::unordered_map<std::string, std::int32_t> number_;
  std::vector<std::string> words_;
};

// The marks, then the words of the text that are frequent enough.
Vocabulary frequent(std::string_view text, int minimum) {
  std::unordered_map<std::string, int> counts;
  each_line(text, [&](std::string_view line) {
    each_word(line, [&](std::string_view word) { ++counts[std::string(word)]; });
  });
  std::vector<std::pair<std::string, int>> order(counts.begin(), counts.end());
  std::sort(order.begin(), order.end(), [](const auto& a, const auto& b) {
    return a.second != b.second ? a.second > b.second : a.first < b.first;
  });
  Vocabulary vocabulary;
  for (const std::string_view mark : {"<pad>", "<unk>", "<s>", "</s>"}) vocabulary.add(mark);
  for (const auto& [word, count] : order) {
    if (count >= minimum) vocabulary.add(word);
  }
  return vocabulary;
}

std::vector<Tokens> sentences(std::string_view text, const Vocabulary& vocabulary) {
  std::vector<Tokens> all;
  each_line(text, [&](std::string_view line) {
    each_word(line, [&, &sentence = all.emplace_back()](std::string_view word) {
      sentence.push_back(vocabulary.find(word, unknown_word));
    });
  });
  return all;
}

}  // namespace

Texts read_texts(const TextFiles& files, const fs::path& data_root) {
  std::string looked;
  std::size_t most = 0;  // files in the fullest folder: the next one is the one to name
  for (const auto& [root, given_by] : roots(data_root)) {
    if (!given_by.empty() && !fs::is_directory(root)) {
      throw std::runtime_error(
          fmt::format("{}: {} {}: no such folder; {}", files.name, given_by, root.string(), files.advice));
    }
    for (const fs::path& folder : {root / files.name, root}) {
      const auto missing = std::find_if(files.files.begin(), files.files.end(),
                                        [&](std::string_view file) { return !fs::is_regular_file(folder / file); });
      if (missing != files.files.end()) {
        most = std::max(most, static_cast<std::size_t>(missing - files.files.begin()));
        looked += (looked.empty() ? "" : ", ") + folder.string();
        continue;
      }
      Texts texts{{}, folder, {}};
      Sha256 sum;
      for (const std::string_view file : files.files) {
        texts.contents.push_back(content_of(files.name, folder / file));
        const std::string& content = texts.contents.back();
        sum.update({reinterpret_cast<const std::uint8_t*>(content.data()), content.size()});
      }
      texts.sha256 = sum.digits();
      return texts;
    }
  }
  throw std::runtime_error(fmt::format("{}: no {} under {}; {}", files.name, files.files[most], looked, files.advice));
}

Corpus words(std::string_view train, std::string_view valid, std::string_view test) {
  Corpus corpus;
  Vocabulary vocabulary;
  for (const auto& [text, tokens] : {std::pair(train, &corpus.train), {valid, &corpus.valid}, {test, &corpus.test}}) {
    each_line(text, [&, tokens = tokens](std::string_view line) {
      each_word(line, [&](std::string_view word) { tokens->push_back(vocabulary.add(word)); });
      tokens->push_back(vocabulary.add("<eos>"));
    });
  }
  corpus.vocabulary = vocabulary.take();
  return corpus;
}

Corpus load_ptb(const fs::path& data_root) {
  static constexpr std::array<std::string_view, 3> files{"ptb.train.txt", "ptb.valid.txt", "ptb.test.txt"};
  const Texts texts = read_texts(
      {"ptb", files,
       "the text is under LDC's licence (Treebank-3, LDC99T42), so nothing is downloaded: put the three files of "
       "Mikolov's preprocessing there (simple-examples/data of www.fit.vutbr.cz/~imikolov/rnnlm/simple-examples.tgz)"},
      data_root);
  Corpus corpus = words(texts.contents[0], texts.contents[1], texts.contents[2]);
  const auto expect = [&](std::string_view what, std::size_t found, std::size_t expected) {
    if (found == expected) return;
    throw std::runtime_error(
        fmt::format("ptb: {}: expected {} {}, found {}: this is not Mikolov's Penn Treebank; the workload words_lstm3 "
                    "takes any text",
                    texts.folder.string(), expected, what, found));
  };
  expect("tokens in ptb.train.txt", corpus.train.size(), 929'589);
  expect("tokens in ptb.valid.txt", corpus.valid.size(), 73'760);
  expect("tokens in ptb.test.txt", corpus.test.size(), 82'430);
  expect("different words", corpus.vocabulary.size(), 10'000);
  corpus.sha256 = texts.sha256;
  return corpus;
}

Corpus load_words(const fs::path& data_root) {
  static constexpr std::array<std::string_view, 3> files{"train.txt", "valid.txt", "test.txt"};
  const Texts texts = read_texts(
      {"words", files, "put any text there, one sentence a line, words between blanks, in three files of these names"},
      data_root);
  Corpus corpus = words(texts.contents[0], texts.contents[1], texts.contents[2]);
  for (std::size_t i = 0; i < files.size(); ++i) {
    if (texts.contents[i].empty())
      throw std::runtime_error(fmt::format("words: {}: no text in it", (texts.folder / files[i]).string()));
  }
  corpus.sha256 = texts.sha256;
  return corpus;
}

Corpus load_tiny_shakespeare(const fs::path& data_root) {
  static constexpr std::array<std::string_view, 1> files{"input.txt"};
  constexpr std::size_t size = 1'115'394;
  const Texts texts =
      read_texts({"tinyshakespeare", files,
                  "get it from github.com/karpathy/char-rnn, data/tinyshakespeare/input.txt (in the public domain)"},
                 data_root);
  const std::string& text = texts.contents[0];
  if (text.size() != size) {
    throw std::runtime_error(fmt::format("tinyshakespeare: {}: expected {} characters, found {}",
                                         (texts.folder / files[0]).string(), size, text.size()));
  }
  Corpus corpus;
  std::array<std::int32_t, 256> number;
  number.fill(-1);
  for (const char c : text) number[static_cast<unsigned char>(c)] = 0;
  for (std::size_t c = 0; c < number.size(); ++c) {
    if (number[c] < 0) continue;
    number[c] = static_cast<std::int32_t>(corpus.vocabulary.size());
    corpus.vocabulary.emplace_back(1, static_cast<char>(c));
  }
  for (std::size_t i = 0; i < size; ++i)
    (i < size * 9 / 10 ? corpus.train : corpus.test).push_back(number[static_cast<unsigned char>(text[i])]);
  corpus.sha256 = texts.sha256;
  return corpus;
}

ParallelCorpus pairs(std::span<const std::string> texts, int minimum, bool joined) {
  ParallelCorpus corpus;
  Vocabulary source = frequent(joined ? texts[0] + '\n' + texts[3] : texts[0], minimum),
             target = joined ? source : frequent(texts[3], minimum);
  const std::array parts{&corpus.train, &corpus.valid, &corpus.test};
  for (std::size_t part = 0; part < parts.size(); ++part) {
    Pairs& of = *parts[part];
    of.source = sentences(texts[part], source);
    of.target = sentences(texts[3 + part], target);
    each_line(texts[3 + part], [&](std::string_view line) { of.references.emplace_back(line); });
    if (of.source.empty() || of.source.size() != of.target.size()) {
      throw std::invalid_argument(fmt::format("{}: {} sentences of the source and {} of the target",
                                              std::array{"train", "valid", "test"}[part], of.source.size(),
                                              of.target.size()));
    }
  }
  corpus.source_vocabulary = source.take();
  corpus.target_vocabulary = target.take();
  return corpus;
}

namespace {

ParallelCorpus load_pairs(const TextFiles& files, const fs::path& data_root, int minimum, bool joined = false) {
  const Texts texts = read_texts(files, data_root);
  try {
    ParallelCorpus corpus = pairs(texts.contents, minimum, joined);
    corpus.sha256 = texts.sha256;
    return corpus;
  } catch (const std::invalid_argument& e) {
    throw std::runtime_error(fmt::format("{}: {}: {}", files.name, texts.folder.string(), e.what()));
  }
}

}  // namespace

ParallelCorpus load_multi30k(const fs::path& data_root) {
  static constexpr std::array<std::string_view, 6> files{
      "train.lc.norm.tok.de", "val.lc.norm.tok.de", "test_2016_flickr.lc.norm.tok.de",
      "train.lc.norm.tok.en", "val.lc.norm.tok.en", "test_2016_flickr.lc.norm.tok.en"};
  const TextFiles set{"multi30k", files,
                      "get it from github.com/multi30k/dataset, data/task1/tok (asks to cite Elliott et al. 2016)"};
  ParallelCorpus corpus = load_pairs(set, data_root, 2);
  const auto found = std::array{corpus.train.source.size(), corpus.valid.source.size(), corpus.test.source.size()};
  if (found != std::array<std::size_t, 3>{29'000, 1'014, 1'000}) {
    throw std::runtime_error(fmt::format("multi30k: expected 29000, 1014 and 1000 pairs of sentences, found {}, {}, {}",
                                         found[0], found[1], found[2]));
  }
  return corpus;
}

ParallelCorpus load_iwslt14(const fs::path& data_root) {
  static constexpr std::array<std::string_view, 6> files{"train.de", "valid.de", "test.de",
                                                         "train.en", "valid.en", "test.en"};
  return load_pairs({"iwslt14", files, "run fairseq's examples/translation/prepare-iwslt14.sh, which writes them"},
                    data_root, 1, true);
}

}  // namespace adabelief::trials::data
