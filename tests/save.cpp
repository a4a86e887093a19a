// SPDX-License-Identifier: MIT
// Saved state: a resumed run equals an unbroken one, and no file that does not fit changes anything.
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>

#include "every_rule.h"
#include "folder.h"

namespace adabelief::tests {
namespace {

namespace fs = std::filesystem;

std::string saved(const AnyOptimizer& optimizer) {
  std::ostringstream out;
  optimizer.save(out);
  return out.str();
}

void load(AnyOptimizer& optimizer, const std::string& file) {
  std::istringstream in(file);
  optimizer.load(in);
}

std::string read(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// An optimizer of a float and a double tensor in two groups, with its weights.
struct Model {
  std::vector<float> x = values<float>(5, 1);
  std::vector<double> y = values<double>(3, 2);
  AnyOptimizer optimizer;

  explicit Model(const RuleInfo& rule = find_rule("adabelief"), double weight_decay = 0.5)
      : optimizer(Options(rule, {{"lr", 0.125}})) {
    optimizer.add_group(Options(rule, {{"weight_decay", weight_decay}, {"decay", "decoupled"}}));
    optimizer.add(x);
    optimizer.add(y, 1);
  }
  Model(const Model&) = delete;

  void step(unsigned t) { optimizer.step({values<float>(5, 100 + t), values<double>(3, 200 + t)}); }
};

// The message with which a file is refused; nothing may have changed.
std::string refusal(Model& model, const std::function<void()>& load) {
  const std::string before = saved(model.optimizer);
  const std::string why = message<std::runtime_error>(load);
  EXPECT_EQ(saved(model.optimizer), before);
  return why;
}
std::string refusal(Model& model, const std::string& file) {
  return refusal(model, [&] { load(model.optimizer, file); });
}

// The bytes with a checksum that fits them, FNV-1a of 64 bits: a file that is wrong but undamaged.
std::string sign(std::string bytes) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char c : bytes) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return bytes.append(reinterpret_cast<const char*>(&hash), sizeof hash);
}

// Bytes in the file's layout.
class Bytes {
 public:
  template <class T>
  Bytes& number(T value) {
    all_.append(reinterpret_cast<const char*>(&value), sizeof value);
    return *this;
  }
  Bytes& count(std::uint64_t n) { return number(n); }
  Bytes& text(std::string_view text) {
    count(text.size());
    all_.append(text);
    return *this;
  }
  Bytes& raw(std::string_view bytes) {
    all_.append(bytes);
    return *this;
  }
  template <class T>
  Bytes& numbers(std::span<const T> numbers) {
    for (const T value : numbers) number(value);
    return *this;
  }
  std::string file() const { return sign(all_); }

 private:
  std::string all_;
};

template <class Rule>
struct EveryRuleSaved : testing::Test {};
TYPED_TEST_SUITE(EveryRuleSaved, RuleTypes, RuleName);

TYPED_TEST(EveryRuleSaved, AResumedRunEqualsAnUnbrokenOne) {
  const Folder folder;
  const RuleInfo& rule = RuleEntry<TypeParam>::info();
  Model unbroken(rule);
  for (unsigned t = 1; t <= 7; ++t) {
    if (t == 4) {
      unbroken.optimizer.set("lr", 0.0625, 1);
      unbroken.optimizer.save(folder / "state");
      Model saved_then(rule);
      saved_then.x = unbroken.x;
      saved_then.y = unbroken.y;
      saved_then.optimizer.load(folder / "state");
      for (unsigned s = 4; s <= 7; ++s) saved_then.step(s), unbroken.step(s);
      EXPECT_TRUE(same(saved_then.x, unbroken.x));
      EXPECT_TRUE(same(saved_then.y, unbroken.y));
      EXPECT_EQ(saved(saved_then.optimizer), saved(unbroken.optimizer));
      EXPECT_EQ(saved_then.optimizer.steps(1), 7);
      EXPECT_EQ(saved_then.optimizer.options(1).get("lr"), 0.0625);
      break;
    }
    unbroken.step(t);
  }
}

TEST(Save, WritesTheLayoutOfItsHead) {
  Model model;
  model.step(1);
  const AnyOptimizer& o = model.optimizer;
  Bytes expected;
  expected.raw("adabelief state\n").number<std::uint32_t>(1).text("adabelief").count(2);
  for (const auto& [lr, weight_decay, decay] : {std::array{0.125, 0., 0.}, std::array{1e-3, 0.5, 1.}}) {
    expected.count(8).text("lr").number(lr).text("beta1").number(0.9).text("beta2").number(0.999).text("eps").number(
        1e-8);
    expected.text("accumulate").number(1.).text("rectify").number(0.);
    expected.text("weight_decay").number(weight_decay).text("decay").number(decay);
  }
  expected.count(2);
  expected.count(0).text("float32").count(5).number<std::int64_t>(1).count(2);
  expected.text("exp_avg")
      .numbers(state<float>(o, "exp_avg"))
      .text("exp_avg_var")
      .numbers(state<float>(o, "exp_avg_var"));
  expected.count(1).text("float64").count(3).number<std::int64_t>(1).count(2);
  expected.text("exp_avg").numbers(state<double>(o, "exp_avg", 1));
  expected.text("exp_avg_var").numbers(state<double>(o, "exp_avg_var", 1));
  EXPECT_EQ(saved(o), expected.file());
}

TEST(Save, AFileCutAtAnyLengthIsRefusedAndChangesNothing) {
  Model model, other;
  model.step(1);
  const std::string file = saved(model.optimizer);
  for (std::size_t length = 0; length < file.size(); ++length) {
    ASSERT_EQ(refusal(other, file.substr(0, length)), "adabelief: cannot load the state: the file is cut short")
        << length << " of " << file.size() << " bytes";
  }
  load(other.optimizer, file);
  EXPECT_EQ(saved(other.optimizer), file);
}

TEST(Save, AFileWithAnyByteChangedIsRefusedAndChangesNothing) {
  Model model, other;
  model.step(1);
  const std::string file = saved(model.optimizer);
  for (std::size_t i = 0; i < file.size(); ++i) {
    for (const int flip : {1, 2, 4, 8, 16, 32, 64, 128, 255}) {
      std::string damaged = file;
      damaged[i] = static_cast<char>(damaged[i] ^ flip);
      ASSERT_TRUE(refusal(other, damaged).starts_with("adabelief: cannot load the state: ")) << "byte " << i;
    }
  }
}

TEST(Save, AForeignFileIsRefused) {
  Model model;
  for (const char* foreign : {"x", "PK\3\4 a zip", "adabelief status\n and more", "\n"}) {
    EXPECT_EQ(refusal(model, foreign), "adabelief: cannot load the state: not a state saved by this library");
  }
}

TEST(Save, AFileOfAnotherModelIsRefusedByWhatDiffers) {
  Model model;
  const std::string intro = "adabelief: cannot load the state: ";
  const auto of = [](const char* rule, auto... tensors) {
    AnyOptimizer optimizer = make(rule);
    optimizer.add_group(Options(find_rule(rule)));
    (optimizer.add(tensors), ...);
    return saved(optimizer);
  };
  std::vector<float> f5(5), f6(6);
  std::vector<double> d3(3), d5(5);
  const Weights five(f5), six(f6), three(d3), five_doubles(d5);
  EXPECT_EQ(refusal(model, of("adam", five, three)), intro + "the rule is adam in the file, adabelief here");
  EXPECT_EQ(refusal(model, of("adabelief", five)), intro + "the number of tensors is 1 in the file, 2 here");
  EXPECT_EQ(refusal(model, of("adabelief", five, three, six)),
            intro + "the number of tensors is 3 in the file, 2 here");
  EXPECT_EQ(refusal(model, of("adabelief", six, three)), intro + "the size of tensor 0 is 6 in the file, 5 here");
  EXPECT_EQ(refusal(model, of("adabelief", five_doubles, three)),
            intro + "the type of tensor 0 is float64 in the file, float32 here");
  AnyOptimizer one_group = make("adabelief");
  one_group.add(f5);
  one_group.add(d3);
  EXPECT_EQ(refusal(model, saved(one_group)), intro + "the number of groups is 1 in the file, 2 here");
}

TEST(Save, AFileOfANewerVersionIsRefusedByItsNumber) {
  Model model;
  const std::string file = Bytes().raw("adabelief state\n").number<std::uint32_t>(2).raw("what is to come").file();
  EXPECT_EQ(refusal(model, file), "adabelief: cannot load the state: the file's version is 2, this library reads 1");
}

// A signed file for an AdaBelief of one group and one float, with these parts.
std::string file_of(std::string_view option, double value, std::uint64_t group, std::int64_t steps,
                    std::string_view state) {
  return Bytes()
      .raw("adabelief state\n")
      .number<std::uint32_t>(1)
      .text("adabelief")
      .count(1)
      .count(1)
      .text(option)
      .number(value)
      .count(1)
      .count(group)
      .text("float32")
      .count(1)
      .number(steps)
      .count(2)
      .text("exp_avg")
      .number(0.5F)
      .text(state)
      .number(0.25F)
      .file();
}

TEST(Save, ASignedFileWithWrongContentsIsRefused) {
  std::vector<float> x{1};
  AnyOptimizer optimizer = make("adabelief");
  optimizer.add(x);
  const std::string before = saved(optimizer);
  const auto refusal = [&](const std::string& file) {
    const std::string why = message<std::runtime_error>([&] { load(optimizer, file); });
    EXPECT_EQ(saved(optimizer), before);
    return why;
  };
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_NE(refusal(file_of("lr", -1, 0, 1, "exp_avg_var")).find("lr must lie in [0, inf), got -1"), std::string::npos);
  EXPECT_NE(refusal(file_of("eps", nan, 0, 1, "exp_avg_var")).find("eps must lie in [0, inf), got nan"),
            std::string::npos);
  EXPECT_NE(refusal(file_of("nonesuch", 1, 0, 1, "exp_avg_var")).find("no option named 'nonesuch'"), std::string::npos);
  EXPECT_NE(refusal(file_of("decay", 0.5, 0, 1, "exp_avg_var")).find("decay must be one of"), std::string::npos);
  EXPECT_NE(refusal(file_of("lr", 1, 1, 1, "exp_avg_var")).find("the group of tensor 0 is 1 in the file, 0 here"),
            std::string::npos);
  EXPECT_NE(refusal(file_of("lr", 1, 0, -1, "exp_avg_var")).find("tensor 0 after -1 steps"), std::string::npos);
  EXPECT_NE(refusal(file_of("lr", 1, 0, 1, "exp_avg_sq"))
                .find("a state of tensor 0 is exp_avg_sq in the file, exp_avg_var here"),
            std::string::npos);

  load(optimizer, file_of("lr", 0.25, 0, 9, "exp_avg_var"));  // the same with nothing wrong
  EXPECT_EQ(optimizer.options().get("lr"), 0.25);
  EXPECT_EQ(optimizer.steps(), 9);
  EXPECT_EQ(state<float>(optimizer, "exp_avg")[0], 0.5F);
  EXPECT_EQ(state<float>(optimizer, "exp_avg_var")[0], 0.25F);
}

TEST(Save, StandsInAStreamBesideOtherThings) {
  Model model, other;
  model.step(1);
  std::stringstream stream;
  stream << "before";
  model.optimizer.save(stream);
  stream << "after";
  stream.ignore(6);
  other.optimizer.load(stream);
  std::string rest;
  stream >> rest;
  EXPECT_EQ(rest, "after");
  EXPECT_EQ(saved(other.optimizer), saved(model.optimizer));
}

TEST(Save, LeavesOneWholeFileAndReplacesAnOldOne) {
  const Folder folder;
  Model model;
  for (unsigned t = 1; t <= 2; ++t) {
    model.step(t);
    model.optimizer.save(folder / "state");
    EXPECT_EQ(read(folder / "state"), saved(model.optimizer));
  }
  EXPECT_EQ(std::distance(fs::directory_iterator(folder.path), {}), 1);
}

TEST(Save, ToAFullDiskSaysSoAndLeavesTheOldFile) {
  if (!fs::exists("/dev/full")) GTEST_SKIP() << "no /dev/full here";
  const Folder folder;
  for (const std::size_t n : {std::size_t(1), std::size_t(1) << 20}) {  // within the stream's buffer, and far beyond
    std::vector<float> x(n);
    AnyOptimizer optimizer = make("adam");
    optimizer.add(x);
    optimizer.save(folder / "state");
    const std::string before = read(folder / "state");
    optimizer.step(std::vector<float>(n, 1));
    fs::create_symlink("/dev/full", folder / "state.part");
    EXPECT_EQ(message<std::runtime_error>([&] { optimizer.save(folder / "state"); }),
              "adam: cannot save the state to " + (folder / "state.part").string() + ": No space left on device");
    EXPECT_EQ(read(folder / "state"), before);
    EXPECT_FALSE(fs::is_symlink(folder / "state.part"));
  }
  EXPECT_TRUE(fs::exists("/dev/full"));
}

TEST(Save, ToAPathThatCannotBeSaysSoAndLeavesNothing) {
  const Folder folder;
  const Model model;
  fs::create_directories(folder / "folder/inner");
  EXPECT_EQ(
      message<std::runtime_error>([&] { model.optimizer.save(folder / "none/state"); }),
      "adabelief: cannot save the state to " + (folder / "none/state.part").string() + ": No such file or directory");
  EXPECT_EQ(message<std::runtime_error>([&] { model.optimizer.save(folder / "folder"); }),
            "adabelief: cannot save the state to " + (folder / "folder").string() + ": Is a directory");
  EXPECT_EQ(std::distance(fs::directory_iterator(folder.path), {}), 1);
}

TEST(Save, LoadingSaysWhatTheFileLacks) {
  const Folder folder;
  Model model;
  const fs::path path = folder / "state";
  const auto why = [&] { return refusal(model, [&] { model.optimizer.load(path); }); };
  EXPECT_EQ(why(), "adabelief: cannot load the state from " + path.string() + ": No such file or directory");
  std::ofstream(path, std::ios::binary) << saved(model.optimizer).substr(0, 100);
  EXPECT_EQ(why(), "adabelief: cannot load the state from " + path.string() + ": the file is cut short");
  std::ofstream(path, std::ios::binary) << saved(model.optimizer) << "more";
  EXPECT_EQ(why(), "adabelief: cannot load the state from " + path.string() + ": the file goes on after its end");
  EXPECT_EQ(refusal(model, [&] { model.optimizer.load(folder.path); }),
            "adabelief: cannot load the state from " + folder.path.string() + ": Is a directory");
}

TEST(Save, AFailedStreamIsReported) {
  const Model model;
  std::ostringstream out;
  out.setstate(std::ios::badbit);
  EXPECT_EQ(message<std::runtime_error>([&] { model.optimizer.save(out); }),
            "adabelief: cannot save the state: writing failed");
}

}  // namespace
}  // namespace adabelief::tests
