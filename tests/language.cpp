// SPDX-License-Identifier: MIT
// Tests of the trials' text, its models beside LibTorch's own parts, beam search beside a search of everything, and
// BLEU beside sacrebleu.
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "data/text.h"
#include "folder.h"
#include "models/awd_lstm.h"
#include "models/cross_entropy.h"
#include "models/gpt.h"
#include "models/transformer.h"
#include "tasks/average.h"
#include "tasks/beam.h"
#include "tasks/bleu.h"
#include "tasks/word_language.h"

namespace adabelief::trials {
namespace {

namespace fs = std::filesystem;
using data::Tokens;
using tests::refusal;

// Small work, and many tests at once.
[[maybe_unused]] const bool one_thread = (at::set_num_threads(1), true);

std::int64_t weights(const torch::nn::Module& model) {
  std::int64_t count = 0;
  for (const auto& p : model.parameters()) count += p.numel();
  return count;
}

void expect_close(const torch::Tensor& a, const torch::Tensor& b, double tolerance) {
  ASSERT_EQ(a.sizes(), b.sizes());
  EXPECT_LE((a - b).abs().max().item<double>(), tolerance);
}

/// A data root of its own, and an environment in which nothing is found elsewhere.
class Root : public tests::Folder {
 public:
  Root() {
    for (auto& [variable, value] : before_) {
      if (const char* now = std::getenv(variable)) value = now;
      setenv(variable, "", 1);
    }
  }
  ~Root() {
    for (const auto& [variable, value] : before_) setenv(variable, value.c_str(), 1);
  }
  void write(const std::string& file, const std::string& content) const {
    fs::create_directories((path / file).parent_path());
    std::ofstream(path / file, std::ios::binary) << content;
  }

 private:
  std::map<const char*, std::string> before_{{"ADABELIEF_DATA", ""}, {"XDG_CACHE_HOME", ""}, {"HOME", ""}};
};

// Text.

TEST(Text, WordsAreNumberedAsTheyAppearAndEachLineEnds) {
  const data::Corpus corpus = data::words(" the cat \n\nsat the\n", "the dog", "a\n");
  EXPECT_EQ(corpus.vocabulary, (std::vector<std::string>{"the", "cat", "<eos>", "sat", "dog", "a"}));
  EXPECT_EQ(corpus.train, (Tokens{0, 1, 2, 2, 3, 0, 2}));
  EXPECT_EQ(corpus.valid, (Tokens{0, 4, 2}));
  EXPECT_EQ(corpus.test, (Tokens{5, 2}));
}

TEST(Text, RareWordsAreUnknownAndFrequentOnesComeFirst) {
  const std::vector<std::string> texts{"b a\na c\n", "a x\n", "b\n", "d e\ne d\n", "e\n", "f\n"};
  const data::ParallelCorpus corpus = data::pairs(texts, 2);
  EXPECT_EQ(corpus.source_vocabulary, (std::vector<std::string>{"<pad>", "<unk>", "<s>", "</s>", "a"}));
  EXPECT_EQ(corpus.target_vocabulary, (std::vector<std::string>{"<pad>", "<unk>", "<s>", "</s>", "d", "e"}));
  EXPECT_EQ(corpus.train.source, (std::vector<Tokens>{{1, 4}, {4, 1}}));
  EXPECT_EQ(corpus.valid.source, (std::vector<Tokens>{{4, 1}}));
  EXPECT_EQ(corpus.test.target, (std::vector<Tokens>{{1}}));
  EXPECT_EQ(corpus.test.references, std::vector<std::string>{"f"});
}

TEST(Text, TwoLanguagesMayHaveOneVocabulary) {
  const std::vector<std::string> texts{"b a\na c", "a x\n", "b\n", "d a\nb d\n", "d\n", "f\n"};
  const data::ParallelCorpus corpus = data::pairs(texts, 2, true);
  EXPECT_EQ(corpus.source_vocabulary, (std::vector<std::string>{"<pad>", "<unk>", "<s>", "</s>", "a", "b", "d"}));
  EXPECT_EQ(corpus.target_vocabulary, corpus.source_vocabulary);
  EXPECT_EQ(corpus.train.source, (std::vector<Tokens>{{5, 4}, {4, 1}}));
  EXPECT_EQ(corpus.train.target, (std::vector<Tokens>{{6, 4}, {5, 6}}));
}

TEST(Text, LinesMayEndAsOnWindows) {
  const std::vector<std::string> texts{"a b\r\n", "a\r\n", "b\r\n\r\na", "c d\r\n", "c\r\n", "c d\r\n\r\nd"};
  const data::ParallelCorpus corpus = data::pairs(texts, 1);
  EXPECT_EQ(corpus.test.references, (std::vector<std::string>{"c d", "", "d"}));
  EXPECT_EQ(corpus.test.target, (std::vector<Tokens>{{4, 5}, {}, {5}}));
}

TEST(Text, LanguagesOfDifferentLengthAreRefused) {
  const std::vector<std::string> texts{"a\nb\n", "a\n", "a\n", "a\n", "a\n", "a\n"};
  EXPECT_EQ(refusal([&] { data::pairs(texts, 1); }), "train: 2 sentences of the source and 1 of the target");
}

TEST(Text, AMissingCorpusIsRefusedWithThePlaceAndTheWayToGetIt) {
  const Root root;
  root.write("ptb/ptb.train.txt", "a\n");
  const std::string message = refusal([&] { data::load_ptb(root.path); });
  EXPECT_EQ(message.find("ptb: no ptb.valid.txt under " + (root.path / "ptb").string()), 0u) << message;
  EXPECT_NE(message.find("LDC99T42"), message.npos);
  EXPECT_NE(refusal([&] { data::load_multi30k(root.path); }).find("github.com/multi30k"), message.npos);
}

TEST(Text, AnotherCorpusIsNotTakenForThePennTreebank) {
  const Root root;
  for (const char* part : {"train", "valid", "test"}) root.write(std::string("ptb/ptb.") + part + ".txt", "a b\n");
  const std::string message = refusal([&] { data::load_ptb(root.path); });
  EXPECT_NE(message.find("expected 929589 tokens in ptb.train.txt, found 3"), message.npos) << message;
}

TEST(Text, AnEmptyPartIsRefused) {
  const Root root;
  root.write("train.txt", "a b\n");
  root.write("valid.txt", "");
  root.write("test.txt", "a\n");
  EXPECT_NE(refusal([&] { data::load_words(root.path); }).find("valid.txt: no text in it"), std::string::npos);
}

TEST(RealText, ThePublishedCorporaAreAsTheyAreDescribed) {
  const char* root = std::getenv("ADABELIEF_DATA");
  if (root == nullptr || !fs::exists(fs::path(root) / "ptb")) GTEST_SKIP() << "needs ptb under $ADABELIEF_DATA";
  const data::Corpus ptb = data::load_ptb(root);  // which checks the numbers
  EXPECT_EQ(ptb.vocabulary[ptb.train[24]], "<eos>");
  const data::Corpus shakespeare = data::load_tiny_shakespeare(root);
  EXPECT_EQ(shakespeare.vocabulary.size(), 65u);
  EXPECT_EQ(shakespeare.train.size(), 1'003'854u);
  EXPECT_EQ(shakespeare.test.size(), 111'540u);
  const data::ParallelCorpus multi30k = data::load_multi30k(root);
  EXPECT_EQ(multi30k.test.references.size(), 1'000u);
}

// Models.

TEST(CrossEntropy, InOnePieceItEqualsTorchsWithItsGradients) {
  torch::manual_seed(1);
  for (const double smoothing : {0., 0.1}) {
    for (const bool with_bias : {true, false}) {
      // More rows than are taken at a time.
      std::vector<torch::Tensor> ours{torch::randn({300, 8}), torch::randn({50, 8}), torch::randn({50})}, theirs;
      for (auto& tensor : ours) {
        theirs.push_back(tensor.clone().requires_grad_());
        tensor.requires_grad_();
      }
      const torch::Tensor y = torch::randint(50, {300}, torch::kInt64);
      const torch::Tensor loss =
          linear_cross_entropy(ours[0], ours[1], with_bias ? std::optional(ours[2]) : std::nullopt, y, smoothing);
      const torch::Tensor logits = torch::linear(theirs[0], theirs[1]) + (with_bias ? theirs[2] : torch::zeros({1}));
      const torch::Tensor expected = torch::cross_entropy_loss(logits, y, {}, at::Reduction::Mean, -100, smoothing);
      EXPECT_NEAR(loss[0].item<double>(), expected.item<double>(), 1e-5);
      EXPECT_NEAR(loss[1].item<double>(), torch::cross_entropy_loss(logits, y).item<double>(), 1e-5);
      (3 * loss[0]).backward();
      (3 * expected).backward();
      for (const int i : {0, 1}) expect_close(ours[i].grad(), theirs[i].grad(), 1e-6);
      if (with_bias) expect_close(ours[2].grad(), theirs[2].grad(), 1e-6);
    }
  }
}

TEST(AwdLstm, ItsWeightsAreAsManyAsItsAuthorsAndBeginAsTheirs) {
  torch::manual_seed(1);
  const std::map<std::int64_t, std::int64_t> counts{{1, 5'293'200}, {2, 13'632'400}, {3, 24'221'600}};
  for (const auto& [layers, count] : counts) {
    const AwdLstm model(AwdLstmOptions{.vocabulary = 10'000, .layers = layers});
    EXPECT_EQ(weights(*model), count);
    const auto named = model->named_parameters();
    EXPECT_NEAR(named["embedding"].std().item<double>(), 0.1 / std::sqrt(3), 1e-4);
    const double width = layers == 1 ? 400 : 1150;
    EXPECT_NEAR(named["weight_hh_0"].std().item<double>(), 1 / std::sqrt(3 * width), 1e-4);
    EXPECT_EQ(named["bias"].abs().max().item<double>(), 0);
  }
}

TEST(AwdLstm, AtFirstItGuessesAmongAllWords) {
  torch::manual_seed(1);
  AwdLstm model(AwdLstmOptions{.vocabulary = 10'000, .layers = 3, .embedding = 40, .hidden = 115});
  auto state = model->initial_state(4);
  const auto loss = model->forward(torch::randint(10'000, {20, 4}, torch::kInt64),
                                   torch::randint(10'000, {20, 4}, torch::kInt64), state);
  EXPECT_NEAR(loss.words.item<double>(), std::log(10'000), 0.02);
}

TEST(AwdLstm, WithoutDropoutItEqualsTorchsLayers) {
  torch::manual_seed(1);
  const AwdLstmOptions options{.vocabulary = 30, .layers = 2, .embedding = 6, .hidden = 9};
  AwdLstm model(options);
  model->eval();
  torch::nn::LSTM first(6, 9), second(9, 6);
  const torch::NoGradGuard no_grad;
  const auto ours = model->named_parameters();
  for (const auto& [lstm, l] : {std::pair(first, "0"), {second, "1"}}) {
    for (auto& p : lstm->named_parameters()) {  // weight_ih_l0 ... bias_hh_l0
      p.value().copy_(ours[p.key().substr(0, p.key().size() - 2) + l]);
    }
  }
  const torch::Tensor words = torch::randint(30, {7, 3}, torch::kInt64),
                      next = torch::randint(30, {7, 3}, torch::kInt64);
  auto state = model->initial_state(3);
  const auto loss = model->forward(words, next, state);
  const auto [x, state1] = first->forward(torch::embedding(ours["embedding"], words));
  const auto [y, state2] = second->forward(x);
  const torch::Tensor logits = torch::linear(y, ours["embedding"], ours["bias"]);
  EXPECT_NEAR(loss.words.item<double>(), torch::cross_entropy_loss(logits.flatten(0, 1), next.flatten()).item<double>(),
              1e-6);
  const torch::Tensor change = y.slice(0, 1) - y.slice(0, 0, -1);
  EXPECT_NEAR(loss.penalty.item<double>(), (2 * y.square().mean() + change.square().mean()).item<double>(), 1e-6);
  expect_close(state[1], std::get<1>(state1), 1e-6);
  expect_close(state[2], std::get<0>(state2), 1e-6);
}

TEST(AwdLstm, StatesGoOnWhereTheTextWasCut) {
  torch::manual_seed(1);
  AwdLstm model(AwdLstmOptions{.vocabulary = 30, .layers = 3, .embedding = 6, .hidden = 9});
  model->eval();
  const torch::NoGradGuard no_grad;
  const torch::Tensor words = torch::randint(30, {10, 2}, torch::kInt64);
  auto whole = model->initial_state(2), cut = model->initial_state(2);
  model->forward(words, words, whole);
  model->forward(words.slice(0, 0, 4), words.slice(0, 0, 4), cut);
  model->forward(words.slice(0, 4), words.slice(0, 4), cut);
  for (std::size_t i = 0; i < whole.size(); ++i) expect_close(whole[i], cut[i], 1e-6);
}

/// 2,000 words in each part, of 12.
WordLanguage word_language(std::int64_t seed) {
  std::string text;
  for (int i = 0; i < 2'000; ++i) text.append(1, static_cast<char>('a' + i * i % 11)).append(i % 10 == 9 ? "\n" : " ");
  return WordLanguage({.data_root = {},
                       .seed = seed,
                       .epochs = 0,
                       .batch = 4,
                       .bfloat16 = false,
                       .channels_last = false,
                       .width = 0.02},
                      "words", data::words(text, text, text), 2);
}

TEST(WordLanguage, ItsStepsAreSeventyRowsOrHalfOfThatAndTheRateFollows) {
  WordLanguage workload = word_language(1), other = word_language(2), late = word_language(1);
  EXPECT_EQ(late.lr_factor(500), workload.lr_factor(500));  // whatever was asked before
  double sum = 0;
  int halves = 0, differ = 0;
  for (std::int64_t t = 1; t <= 2'000; ++t) {
    const double rows = 70 * workload.lr_factor(t);
    EXPECT_NEAR(rows, std::round(rows), 1e-9);
    EXPECT_GE(rows, 5);
    sum += rows;
    halves += rows < 52;
    differ += rows != 70 * other.lr_factor(t);
  }
  EXPECT_NEAR(sum / 2'000, 68.25 - 0.5, 1);  // the fraction of a row is cut off
  EXPECT_NEAR(halves, 100, 30);
  EXPECT_GT(differ, 1'800);
}

TEST(WordLanguage, APartWithoutTwoRowsForItsEvaluationIsRefusedByName) {
  const std::string text(40, '\n');
  const auto made = [](const std::string& train, const std::string& valid, const std::string& test, bool tuning) {
    trials::Setup setup{};
    setup.seed = 1, setup.batch = 4, setup.width = 0.02, setup.tuning = tuning;
    return refusal([&] { WordLanguage(setup, "words", data::words(train, valid, test), 1); });
  };
  const std::string few = "a b\nc d e f\n",
                    why = " text has 8 words and ends of lines, and must have at least 20; make it longer";
  EXPECT_EQ(made(few, text, text, false), "words: the training" + why);
  EXPECT_EQ(made(text, few, text, false), "words: the validation" + why);
  EXPECT_EQ(made(text, text, few, false), "words: the test" + why);
  EXPECT_EQ(made(text, text, few, true), "nothing was refused");
}

TEST(WordLanguage, GradientsAreClippedAndStatesGoOnButForThoseOfANewPass) {
  WordLanguage workload = word_language(1);
  // 550 rows: a pass takes about 8 steps, and the state at its begin is zero.
  torch::manual_seed(1);
  std::vector<double> sizes;
  for (std::int64_t t = 1; t <= 12; ++t) {
    for (auto& p : workload.parameters()) p.mutable_grad() = torch::Tensor();
    workload.backward(t);
    double squares = 0;
    for (const auto& p : workload.parameters()) squares += p.grad().square().sum().item<double>();
    EXPECT_LE(std::sqrt(squares), 0.2501);
    EXPECT_GT(workload.state()[0].abs().sum().item<double>(), 0);
  }
  EXPECT_EQ(workload.steps_per_epoch(), 8);
  EXPECT_EQ(workload.evaluate().loss, workload.evaluate().loss);
}

TEST(Average, ItIsTheMeanSinceTheLossRoseAboveTheOldBest) {
  const torch::Tensor weight = torch::zeros({3});
  Average average({weight});
  const auto shown = [&] {
    average.exchange();
    const double value = weight[0].item<double>();
    average.exchange();
    return value;
  };
  double value = 0;
  for (const double loss : {5., 4., 4.5, 4.5, 4.5, 4.5, 4.5}) {  // above 4, but that is among the last five
    weight.fill_(++value);
    average.step();
    average.saw(loss);
    EXPECT_EQ(shown(), value);
  }
  average.saw(4.1);
  for (const double expected : {10., 10.5, 11.}) {
    weight.fill_(expected == 10 ? 10 : expected == 10.5 ? 11 : 12);
    average.step();
    EXPECT_NEAR(shown(), expected, 1e-6);
  }
  EXPECT_EQ(weight[0].item<double>(), 12);
}

TEST(Gpt, ItHasSoManyWeightsAndGuessesAmongAllCharactersAtFirst) {
  torch::manual_seed(1);
  Gpt model(GptOptions{.vocabulary = 65, .context = 128});
  EXPECT_EQ(weights(*model), 818'113);
  const torch::Tensor tokens = torch::randint(65, {4, 128}, torch::kInt64);
  const torch::Tensor next = torch::randint(65, {4, 128}, torch::kInt64);
  EXPECT_NEAR(model->forward(tokens, next).item<double>(), std::log(65), 0.05);
}

TEST(Gpt, ACharacterSeesOnlyWhatIsBeforeIt) {
  torch::manual_seed(1);
  Gpt model(GptOptions{.vocabulary = 20, .context = 8, .layers = 2, .heads = 2, .width = 16});
  const torch::NoGradGuard no_grad;
  const torch::Tensor tokens = torch::randint(20, {1, 8}, torch::kInt64);
  torch::Tensor other = tokens.clone();
  other[0][5] = (other[0][5] + 1) % 20;
  const auto loss = [&](const torch::Tensor& text, std::int64_t length) {
    return model->forward(text.slice(1, 0, length), tokens.slice(1, 0, length)).item<double>();
  };
  EXPECT_EQ(loss(tokens, 5), loss(other, 5));
  EXPECT_NE(loss(tokens, 6), loss(other, 6));
}

TransformerOptions small(std::int64_t words) {
  return {
      .source_words = words, .target_words = words, .padding = 0, .width = 16, .inner = 24, .heads = 2, .layers = 2};
}

TEST(Transformer, OfIwsltItHasAsManyWeightsAsFairseqs) {
  // 6 x (4 x (512^2 + 512) + 2 x 512 x 1024 + 1024 + 512 + 2 x 1024) in the encoder, 4 x (512^2 + 512) + 1024 more in
  // each layer of the decoder; fairseq logs 39469056 for its 8,848 and 6,632 pieces.
  const Transformer model(TransformerOptions{.source_words = 8848, .target_words = 6632, .padding = 0});
  EXPECT_EQ(weights(*model), 39'469'056);
  // The authors': one embedding of what both languages have, and two layer norms more.
  TransformerOptions joined{.source_words = 10152, .target_words = 10152, .padding = 0};
  joined.norm_first = joined.joined_vocabulary = true;
  EXPECT_EQ(weights(*Transformer(joined)), 39'469'056 - (8848 + 6632 - 10152) * 512 + 4 * 512);
}

TEST(Transformer, ItsEncoderEqualsTorchs) {
  torch::manual_seed(1);
  const TransformerOptions options = small(30);
  TransformerLayer ours(options, false);
  torch::nn::TransformerEncoderLayer theirs(
      torch::nn::TransformerEncoderLayerOptions(16, 2).dim_feedforward(24).activation(torch::kReLU));
  ours->eval();
  theirs->eval();
  const torch::NoGradGuard no_grad;
  for (auto& p : theirs->parameters()) p.normal_(0, 0.3);
  const auto from = theirs->named_parameters();
  const std::map<std::string, std::string> names{{"self.out", "self_attn.out_proj"},
                                                 {"self_norm", "norm1"},
                                                 {"up", "linear1"},
                                                 {"down", "linear2"},
                                                 {"norm", "norm2"}};
  for (auto& p : ours->named_parameters()) {
    const auto dot = p.key().rfind('.');
    const std::string part = p.key().substr(0, dot), kind = p.key().substr(dot + 1);
    const std::map<std::string, int> packed{{"self.query", 0}, {"self.key", 1}, {"self.value", 2}};
    p.value().copy_(packed.contains(part) ? from["self_attn.in_proj_" + kind].chunk(3)[packed.at(part)]
                                          : from[names.at(part) + "." + kind]);
  }
  const torch::Tensor x = torch::randn({3, 5, 16});
  torch::Tensor padding = torch::zeros({3, 5}, torch::kBool);
  padding[1][4] = true;
  const torch::Tensor y = ours->forward(x, padding.logical_not().view({3, 1, 1, 5}), false);
  const torch::Tensor z = theirs->forward(x.transpose(0, 1), {}, padding).transpose(0, 1);
  expect_close(y, z, 1e-5);
}

TEST(Transformer, WithLayerNormBeforeEachPartItsLayerIsTorchsParts) {
  torch::manual_seed(1);
  TransformerOptions options = small(30);
  options.norm_first = true;
  TransformerLayer ours(options, true);
  ours->eval();
  const torch::NoGradGuard no_grad;
  for (auto& p : ours->parameters()) p.normal_(0, 0.3);
  const auto of = ours->named_parameters();
  const auto norm = [&](const std::string& name, const torch::Tensor& x) {
    return torch::layer_norm(x, {16}, of[name + ".weight"], of[name + ".bias"]);
  };
  const auto attention = [&](const std::string& name, const torch::Tensor& x, const torch::Tensor& seen, bool causal) {
    torch::nn::MultiheadAttention theirs(torch::nn::MultiheadAttentionOptions(16, 2));
    const auto packed = theirs->named_parameters();
    for (const std::string kind : {"weight", "bias"}) {
      auto parts = packed["in_proj_" + kind].chunk(3);
      parts[0].copy_(of[name + ".query." + kind]);
      parts[1].copy_(of[name + ".key." + kind]);
      parts[2].copy_(of[name + ".value." + kind]);
      packed["out_proj." + kind].copy_(of[name + ".out." + kind]);
    }
    const torch::Tensor hidden = causal ? torch::full({5, 5}, -INFINITY).triu(1) : torch::Tensor();
    const auto rows = [](const torch::Tensor& t) { return t.transpose(0, 1); };
    return rows(std::get<0>(theirs->forward(rows(x), rows(seen), rows(seen), {}, false, hidden)));
  };
  const auto linear = [&](const std::string& name, const torch::Tensor& x) {
    return torch::linear(x, of[name + ".weight"], of[name + ".bias"]);
  };
  const torch::Tensor x = torch::randn({3, 5, 16}), source = torch::randn({3, 4, 16});
  torch::Tensor z = norm("self_norm", x);
  z = x + attention("self", z, z, true);
  z = z + attention("cross", norm("cross_norm", z), source, false);
  z = z + linear("down", torch::relu(linear("up", norm("norm", z))));
  expect_close(ours->forward(x, {}, true, ours->cross->memory(source)), z, 1e-5);
}

TEST(Transformer, EachDropoutIsOfTrainingAlone) {
  torch::manual_seed(1);
  const torch::NoGradGuard no_grad;
  const torch::Tensor x = torch::randn({3, 5, 16});
  for (double TransformerOptions::*share :
       {&TransformerOptions::dropout, &TransformerOptions::attention_dropout, &TransformerOptions::inner_dropout}) {
    TransformerOptions options = small(30);
    options.dropout = 0;
    for (const double p : {0., 0.5}) {
      options.*share = p;
      TransformerLayer layer(options, false);
      const auto out = [&] { return layer->forward(x, {}, false); };
      layer->eval();
      const torch::Tensor all = out();
      layer->train();
      EXPECT_EQ(torch::equal(out(), all), p == 0);
    }
  }
}

struct TransformerOfEachKind : testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(NormFirst, TransformerOfEachKind, testing::Bool());

TEST_P(TransformerOfEachKind, WordByWordItEqualsAllAtOnceAndPaddingIsNotSeen) {
  torch::manual_seed(1);
  TransformerOptions options = small(30);
  options.norm_first = options.joined_vocabulary = GetParam();
  Transformer model(options);
  model->eval();
  const torch::NoGradGuard no_grad;
  const torch::Tensor source = torch::randint(4, 30, {3, 6}, torch::kInt64),
                      target = torch::randint(4, 30, {3, 5}, torch::kInt64);
  const auto seen = model->encode(source);
  const torch::Tensor whole = torch::linear(model->decode(seen, target), model->named_parameters()["target"]);
  std::vector<AttentionImpl::Memory> past;
  for (std::int64_t t = 0; t < 5; ++t)
    expect_close(model->decode_next(seen, target.select(1, t), past), whole.select(1, t), 1e-5);
  const auto padded = model->encode(torch::constant_pad_nd(source, {0, 2}, 0));
  expect_close(torch::linear(model->decode(padded, target), model->named_parameters()["target"]), whole, 1e-5);
}

TEST(BeamSearch, AWideBeamFindsTheBestOfAllTranslations) {
  torch::manual_seed(3);
  Transformer model(small(6));
  model->eval();
  const torch::NoGradGuard no_grad;
  for (auto& p : model->parameters()) p.mul_(1.5);  // farther from even odds
  model->named_parameters()["target"].mul_(0.4);
  const torch::Tensor source = torch::tensor({{4, 5, 3}, {5, 3, 0}}, torch::kInt64);
  const auto found = translate(model, source, 100, 3);
  for (std::int64_t n = 0; n < 2; ++n) {
    const auto seen = model->encode(source.narrow(0, n, 1));
    double best = -INFINITY;
    Tokens best_words;
    // Every translation of up to three words.
    for (int code = 0; code < 1 + 3 + 9 + 27; ++code) {
      Tokens words;
      int rest = code, length = 0;
      for (int of_length = 1; rest >= of_length; of_length *= 3) rest -= of_length, ++length;
      for (int i = 0; i < length; ++i) words.push_back(std::array{1, 4, 5}[rest % 3]), rest /= 3;
      torch::Tensor in = torch::full({1, length + 1}, data::begin, torch::kInt64);
      for (int i = 0; i < length; ++i) in[0][i + 1] = words[i];
      torch::Tensor p =
          torch::log_softmax(torch::linear(model->decode(seen, in), model->named_parameters()["target"]), 2);
      double sum = 0;
      for (int i = 0; i <= length; ++i) sum += p[0][i][i < length ? words[i] : data::end].item<double>();
      if (sum / (length + 1) > best) best = sum / (length + 1), best_words = words;
    }
    EXPECT_EQ(found[n], best_words);
  }
}

// The numbers are those of sacrebleu 2.6.0: corpus_bleu(translations, [references], tokenize="none", force=True).score.
TEST(Bleu, ItEqualsSacrebleus) {
  struct Case {
    std::vector<std::string> translations, references;
    double expected;
  };
  const std::vector<Case> cases{
      {{"a man in an orange hat starring at something .",
        "a boston terrier is running on lush green grass in front of a white fence ."},
       {"a man in an orange hat staring at something .", "a boston terrier runs over the green grass ."},
       31.490649961971215},
      {{"the the the the the the the", "two dogs"}, {"the cat is on the mat", "two dogs run"}, 14.113991930789782},
      {{"a b c d", "e f"}, {"d c b a", "f e x"}, 17.795086200957464},
      {{"the cat"}, {"the cat"}, 0},  // no row of four words
      {{"nothing agrees here at all"}, {"some other words are wanted"}, 0},
      {{"", "a small dog is here ."}, {"a dog .", "a small dog is there ."}, 32.58798048281462},
  };
  for (const Case& c : cases) EXPECT_NEAR(bleu(c.translations, c.references), c.expected, 1e-9) << c.translations[0];
}

}  // namespace
}  // namespace adabelief::trials
