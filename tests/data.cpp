// SPDX-License-Identifier: MIT
// Tests of trials/data: the real Fashion-MNIST and CIFAR-10 where they are found, small files in their formats, every
// refusal, and fetching from file:// addresses. tests/python/test_data.py has the downloads over HTTP.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <unistd.h>

#include <array>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "data/cifar10.h"
#include "data/cifar100.h"
#include "data/dataset.h"
#include "data/download.h"
#include "data/fashion_mnist.h"
#include "folder.h"

namespace adabelief::trials::data {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

const auto refusal = [](const auto& call) { return tests::refusal<std::runtime_error>(call); };

void write(const fs::path& path, const std::string& content) {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << content;
}

std::string content(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void run(const std::string& command) { ASSERT_EQ(std::system(command.c_str()), 0) << command; }

std::string sha256(const std::string& text) {
  Sha256 sum;
  sum.update({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
  return sum.digits();
}

/// An idx file of unsigned bytes.
std::string idx(const std::vector<unsigned>& shape, const std::string& bytes) {
  std::string text{0, 0, 8, static_cast<char>(shape.size())};
  for (const unsigned size : shape) {
    for (const int shift : {24, 16, 8, 0}) text += static_cast<char>(size >> shift);
  }
  return text + bytes;
}

std::vector<int> histogram(const Images& images, int classes) {
  std::vector<int> counts(static_cast<std::size_t>(classes));
  for (const std::uint8_t label : images.labels) ++counts.at(label);
  return counts;
}

/// A folder of its own, and an environment in which nothing is found by itself.
class Data : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* variable : {"ADABELIEF_DATA", "XDG_CACHE_HOME", "HOME"}) {
      const char* value = std::getenv(variable);
      before[variable] = value ? std::optional<std::string>(value) : std::nullopt;
    }
    unsetenv("ADABELIEF_DATA");
    unsetenv("XDG_CACHE_HOME");
    setenv("HOME", (folder / "home").c_str(), 1);
  }

  void TearDown() override {
    for (const auto& [variable, value] : before) {
      if (value) {
        setenv(variable.c_str(), value->c_str(), 1);
      } else {
        unsetenv(variable.c_str());
      }
    }
  }

  const tests::Folder own;
  const fs::path folder = own.path;

 private:
  std::map<std::string, std::optional<std::string>> before;
};

// The real data sets.

TEST(RealData, FashionMnistIsAsItsAuthorsDescribeIt) {
  if (!fs::exists(FashionMnist::debian_folder)) GTEST_SKIP() << "needs Debian's dataset-fashion-mnist";
  const ImageData data = FashionMnist::load(FashionMnist::debian_folder);
  EXPECT_EQ(data.classes, 10);
  EXPECT_EQ(data.train.count, 60'000u);
  EXPECT_EQ(data.test.count, 10'000u);
  for (const Images& images : {std::cref(data.train), std::cref(data.test)}) {
    EXPECT_EQ(images.channels, 1u);
    EXPECT_EQ(images.height, 28u);
    EXPECT_EQ(images.width, 28u);
    EXPECT_EQ(images.pixels.size(), images.count * 28 * 28);
    EXPECT_EQ(histogram(images, 10), std::vector<int>(10, static_cast<int>(images.count / 10)));
  }
  ASSERT_EQ(data.mean.size(), 1u);
  EXPECT_NEAR(data.mean[0], 0.2860, 1e-4);
  EXPECT_NEAR(data.std[0], 0.3530, 1e-4);
  EXPECT_EQ(data.found_in, FashionMnist::debian_folder);
}

TEST(RealData, Cifar10IsAsItsAuthorsDescribeIt) {
  fs::path folder;
  try {
    folder = find(dataset_of<Cifar10>);
  } catch (const std::runtime_error& e) {
    GTEST_SKIP() << e.what();
  }
  const ImageData data = Cifar10::load(folder);
  EXPECT_EQ(data.classes, 10);
  EXPECT_EQ(data.train.count, 50'000u);
  EXPECT_EQ(data.test.count, 10'000u);
  for (const Images& images : {std::cref(data.train), std::cref(data.test)}) {
    EXPECT_EQ(images.pixels.size(), images.count * 3 * 32 * 32);
    EXPECT_EQ(histogram(images, 10), std::vector<int>(10, static_cast<int>(images.count / 10)));
  }
  const std::array mean{0.49140, 0.48216, 0.44653}, std{0.24703, 0.24349, 0.26159};
  for (std::size_t c = 0; c < 3; ++c) {
    EXPECT_NEAR(data.mean.at(c), mean[c], 1e-5);
    EXPECT_NEAR(data.std.at(c), std[c], 1e-5);
  }
}

TEST(RealData, Cifar100IsAsItsAuthorsDescribeIt) {
  fs::path folder;
  try {
    folder = find(dataset_of<Cifar100>);
  } catch (const std::runtime_error& e) {
    GTEST_SKIP() << e.what();
  }
  const ImageData data = Cifar100::load(folder);
  for (const Images& images : {std::cref(data.train), std::cref(data.test)}) {
    EXPECT_EQ(images.pixels.size(), images.count * 3 * 32 * 32);
    EXPECT_EQ(histogram(images, 100), std::vector<int>(100, static_cast<int>(images.count / 100)));
  }
  const std::array mean{0.50708, 0.48655, 0.44092}, std{0.26733, 0.25644, 0.27615};
  for (std::size_t c = 0; c < 3; ++c) {
    EXPECT_NEAR(data.mean.at(c), mean[c], 1e-4);
    EXPECT_NEAR(data.std.at(c), std[c], 1e-4);
  }
}

// The idx format of Fashion-MNIST.

class Idx : public Data {
 protected:
  static constexpr std::size_t area = 28 * 28;

  /// Three images of 10, 20, 30 and two of 40, 50, with labels 7, 8, 9 and 0, 1.
  void SetUp() override {
    Data::SetUp();
    write(folder / "train-images-idx3-ubyte",
          idx({3, 28, 28}, std::string(area, 10) + std::string(area, 20) + std::string(area, 30)));
    write(folder / "train-labels-idx1-ubyte", idx({3}, {7, 8, 9}));
    write(folder / "t10k-images-idx3-ubyte", idx({2, 28, 28}, std::string(area, 40) + std::string(area, 50)));
    write(folder / "t10k-labels-idx1-ubyte", idx({2}, std::string{0, 1}));
  }

  ImageData read() const { return FashionMnist::read(folder, 3, 2); }
  std::string refused() const {
    return refusal([&] { read(); });
  }
};

TEST_F(Idx, SmallFilesAreReadInTheirOrder) {
  fs::resize_file(folder / "train-images-idx3-ubyte", 16 + 3 * area);
  std::fstream(folder / "train-images-idx3-ubyte", std::ios::in | std::ios::out).seekp(16 + area + 28 * 5 + 3).put(77);
  const ImageData data = read();
  EXPECT_EQ(data.train.labels, (std::vector<std::uint8_t>{7, 8, 9}));
  EXPECT_EQ(data.test.labels, (std::vector<std::uint8_t>{0, 1}));
  EXPECT_EQ(data.train.pixels.at(0), 10);
  EXPECT_EQ(data.train.pixels.at(area + 28 * 5 + 3), 77);  // image 1, row 5, column 3
  EXPECT_EQ(data.train.pixels.back(), 30);
  EXPECT_EQ(data.test.pixels.at(area - 1), 40);
  EXPECT_EQ(data.test.pixels.at(area), 50);
}

TEST_F(Idx, MeanAndStdAreThoseOfTheTrainingImages) {
  const ImageData data = read();
  ASSERT_EQ(data.mean.size(), 1u);
  EXPECT_FLOAT_EQ(data.mean[0], 20.f / 255);
  EXPECT_FLOAT_EQ(data.std[0], std::sqrt(200.f / 3) / 255);
}

TEST_F(Idx, CompressedFilesGiveTheSameDataAndChecksum) {
  const ImageData plain = read();
  EXPECT_EQ(plain.sha256,
            sha256(content(folder / "train-images-idx3-ubyte") + content(folder / "train-labels-idx1-ubyte") +
                   content(folder / "t10k-images-idx3-ubyte") + content(folder / "t10k-labels-idx1-ubyte")));
  run("gzip " + (folder / "t*").string());
  ASSERT_TRUE(fs::exists(folder / "t10k-labels-idx1-ubyte.gz"));
  const ImageData compressed = read();
  EXPECT_EQ(plain.sha256, compressed.sha256);
  EXPECT_EQ(plain.train.pixels, compressed.train.pixels);
  EXPECT_EQ(plain.test.labels, compressed.test.labels);
}

TEST_F(Idx, ACutFileIsRefused) {
  const fs::path path = folder / "train-images-idx3-ubyte";
  fs::resize_file(path, 1234);
  EXPECT_EQ(refused(),
            "fashion_mnist: " + path.string() + ": expected 3 images of 28 x 28 (2368 bytes), found 1234 bytes");
  fs::resize_file(path, 0);
  EXPECT_THAT(refused(), EndsWith("found 0 bytes"));
}

TEST_F(Idx, AFileThatIsTooLongIsRefused) {
  fs::resize_file(folder / "t10k-labels-idx1-ubyte", 11);
  EXPECT_EQ(refused(), "fashion_mnist: " + (folder / "t10k-labels-idx1-ubyte").string() +
                           ": expected 2 labels (10 bytes), found more");
}

TEST_F(Idx, LabelsInThePlaceOfImagesAreRefused) {
  fs::copy_file(folder / "train-labels-idx1-ubyte", folder / "train-images-idx3-ubyte",
                fs::copy_options::overwrite_existing);
  EXPECT_THAT(refused(), EndsWith("expected the idx number 0x00000803 at its start, found 0x00000801"));
}

TEST_F(Idx, AnotherShapeIsRefused) {
  fs::copy_file(folder / "t10k-images-idx3-ubyte", folder / "train-images-idx3-ubyte",
                fs::copy_options::overwrite_existing);
  EXPECT_THAT(refused(), EndsWith("train-images-idx3-ubyte: expected 3 x 28 x 28, found 2 x 28 x 28"));
}

TEST_F(Idx, ALabelAboveNineIsRefused) {
  write(folder / "train-labels-idx1-ubyte", idx({3}, {7, 10, 9}));
  EXPECT_THAT(refused(), EndsWith("train-labels-idx1-ubyte: expected labels from 0 to 9, found 10 at image 1"));
}

TEST_F(Idx, ACutGzipFileIsRefused) {
  run("gzip " + (folder / "train-labels-idx1-ubyte").string());
  const fs::path path = folder / "train-labels-idx1-ubyte.gz";
  fs::resize_file(path, fs::file_size(path) - 9);
  EXPECT_THAT(refused(), AllOf(StartsWith("fashion_mnist: " + path.string()), HasSubstr("damaged or cut gzip file")));
}

TEST_F(Idx, ADamagedGzipFileIsRefused) {
  run("gzip " + (folder / "train-labels-idx1-ubyte").string());
  const fs::path path = folder / "train-labels-idx1-ubyte.gz";
  // The last eight bytes are the checksum and the length: the content itself is whole.
  std::fstream(path, std::ios::in | std::ios::out).seekp(-8, std::ios::end).put('x').put('y');
  EXPECT_THAT(refused(), AllOf(StartsWith("fashion_mnist: " + path.string()), HasSubstr("damaged or cut gzip file")));
}

TEST_F(Idx, AFolderInThePlaceOfAFileIsRefused) {
  fs::remove(folder / "train-labels-idx1-ubyte");
  fs::create_directory(folder / "train-labels-idx1-ubyte");
  EXPECT_THAT(refused(), EndsWith("train-labels-idx1-ubyte: expected a file, found a folder or something else"));
}

TEST_F(Idx, AnUnreadableFileIsRefused) {
  fs::permissions(folder / "train-labels-idx1-ubyte", fs::perms::none);
  fs::permissions(folder, fs::perms(0755));
  const uid_t root = geteuid();  // who may read everything
  if (root == 0) {
    ASSERT_EQ(seteuid(65534), 0);
  }
  const std::string why = refused();
  if (root == 0) {
    ASSERT_EQ(seteuid(0), 0);
  }
  EXPECT_THAT(why, EndsWith("train-labels-idx1-ubyte: Permission denied"));
}

TEST_F(Idx, OtherImagesOfTheSameSizesAreRefused) {
  write(folder / "train-images-idx3-ubyte", idx({60'000, 28, 28}, std::string(60'000 * area, 0)));
  write(folder / "train-labels-idx1-ubyte", idx({60'000}, std::string(60'000, 0)));
  write(folder / "t10k-images-idx3-ubyte", idx({10'000, 28, 28}, std::string(10'000 * area, 0)));
  write(folder / "t10k-labels-idx1-ubyte", idx({10'000}, std::string(10'000, 0)));
  EXPECT_THAT(refusal([&] { FashionMnist::load(folder); }),
              StartsWith("fashion_mnist: " + folder.string() + ": these files are not Fashion-MNIST"));
}

// The binary records of CIFAR-10.

class Records : public Data {
 protected:
  /// Two records a file: file k has labels k and 9 - k and planes of 10 k + 1, 2, 3 (image 0) or 4, 5, 6 (image 1).
  void SetUp() override {
    Data::SetUp();
    for (char k = 0; k < 6; ++k) {
      std::string text;
      for (char image = 0; image < 2; ++image) {
        text += image == 0 ? k : static_cast<char>(9 - k);
        for (char c = 1; c <= 3; ++c) text += std::string(1024, static_cast<char>(10 * k + 3 * image + c));
      }
      write(folder / Cifar10::files[static_cast<std::size_t>(k)], text);
    }
  }

  std::string refused() const {
    return refusal([&] { Cifar10::read(folder, 2); });
  }
};

TEST_F(Records, SmallFilesAreReadInTheirOrder) {
  const ImageData data = Cifar10::read(folder, 2);
  EXPECT_EQ(data.train.labels, (std::vector<std::uint8_t>{0, 9, 1, 8, 2, 7, 3, 6, 4, 5}));
  EXPECT_EQ(data.test.labels, (std::vector<std::uint8_t>{5, 4}));
  EXPECT_EQ(data.train.count, 10u);
  ASSERT_EQ(data.train.pixels.size(), 10u * 3 * 1024);
  EXPECT_EQ(data.train.pixels[0], 1);
  EXPECT_EQ(data.train.pixels[1023], 1);
  EXPECT_EQ(data.train.pixels[1024], 2);
  EXPECT_EQ(data.train.pixels[(3 * 3 + 2) * 1024], 16);  // image 3, blue
  EXPECT_EQ(data.test.pixels[0], 51);
  ASSERT_EQ(data.mean.size(), 3u);
  for (std::size_t c = 0; c < 3; ++c) {
    EXPECT_FLOAT_EQ(data.mean[c], (22.5f + static_cast<float>(c)) / 255);  // 20 + 1.5 + 1 + c
    EXPECT_FLOAT_EQ(data.std[c], std::sqrt(202.25f) / 255);                // 100 (1 + 1 + 4 + 4) / 5 + 1.5 squared
  }
}

TEST_F(Records, ACutFileIsRefused) {
  fs::resize_file(folder / "data_batch_3.bin", 6145);
  EXPECT_EQ(refused(), "cifar10: " + (folder / "data_batch_3.bin").string() +
                           ": expected 2 images of 3 x 32 x 32 (6146 bytes), found 6145 bytes");
}

TEST_F(Records, AFileThatIsTooLongIsRefused) {
  fs::resize_file(folder / "test_batch.bin", 6147);
  EXPECT_THAT(refused(), EndsWith("expected 2 images of 3 x 32 x 32 (6146 bytes), found more"));
}

TEST_F(Records, ALabelAboveNineIsRefused) {
  std::fstream(folder / "data_batch_2.bin", std::ios::in | std::ios::out).seekp(3073).put(10);
  EXPECT_THAT(refused(), EndsWith("data_batch_2.bin: expected labels from 0 to 9, found 10 at image 1"));
}

TEST_F(Records, AMissingFileIsRefused) {
  fs::remove(folder / "data_batch_5.bin");
  EXPECT_THAT(refused(), EndsWith("data_batch_5.bin: no such file, with or without .gz"));
}

TEST_F(Records, TheFilesOfTheDataSetHaveTenThousandRecords) {
  for (const std::string_view file : Cifar10::files) fs::resize_file(folder / file, 30'730'000);
  EXPECT_EQ(Cifar10::load(folder).train.labels.size(), 50'000u);
  fs::resize_file(folder / "test_batch.bin", 30'729'999);
  EXPECT_THAT(refusal([&] { Cifar10::load(folder); }),
              EndsWith("expected 10000 images of 3 x 32 x 32 (30730000 bytes), found 30729999 bytes"));
}

// The records of CIFAR-100, of two labels.

class TwoLabels : public Data {
 protected:
  /// A record of superclass `coarse` and class `fine`, with planes of 1, 2, 3.
  static std::string record(char coarse, char fine) {
    std::string text{coarse, fine};
    for (char c = 1; c <= 3; ++c) text += std::string(1024, c);
    return text;
  }

  void SetUp() override {
    Data::SetUp();
    write(folder / "train.bin", record(3, 99) + record(19, 0) + record(0, 50));
    write(folder / "test.bin", record(7, 20));
  }

  std::string refused() const {
    return refusal([&] { Cifar100::read(folder, 3, 1); });
  }
};

TEST_F(TwoLabels, TheSecondIsTheClassAndThePixelsFollow) {
  const ImageData data = Cifar100::read(folder, 3, 1);
  EXPECT_EQ(data.classes, 100);
  EXPECT_EQ(data.train.labels, (std::vector<std::uint8_t>{99, 0, 50}));
  EXPECT_EQ(data.test.labels, (std::vector<std::uint8_t>{20}));
  ASSERT_EQ(data.train.pixels.size(), 3u * 3 * 1024);
  for (std::size_t plane = 0; plane < 9; ++plane) {
    EXPECT_EQ(data.train.pixels[plane * 1024], plane % 3 + 1);
    EXPECT_EQ(data.train.pixels[plane * 1024 + 1023], plane % 3 + 1);
  }
}

TEST_F(TwoLabels, AClassAboveNinetyNineIsRefused) {
  write(folder / "train.bin", record(3, 99) + record(19, 100) + record(0, 50));
  EXPECT_THAT(refused(), EndsWith("train.bin: expected labels from 0 to 99, found 100 at image 1"));
}

TEST_F(TwoLabels, ACutFileIsRefused) {
  fs::resize_file(folder / "test.bin", 3073);  // as long as a record of CIFAR-10
  EXPECT_EQ(refused(), "cifar100: " + (folder / "test.bin").string() +
                           ": expected 1 images of 3 x 32 x 32 (3074 bytes), found 3073 bytes");
}

TEST_F(TwoLabels, AMissingDataSetIsToldWithItsCommand) {
  EXPECT_THAT(refusal([&] { find(dataset_of<Cifar100>, folder / "home"); }), HasSubstr("adabelief data cifar100"));
}

// Where data is looked for, and fetched to. This data set has two files, of which "a" must say "right".

class Places : public Data {
 protected:
  static constexpr std::array<std::string_view, 2> folders{"tiny-data", "tiny"}, files{"a", "b"};

  static ImageData load_tiny(const fs::path& folder) {
    if (content(folder / "a") != "right") throw std::runtime_error("tiny: " + (folder / "a").string() + ": wrong");
    return {};
  }

  void SetUp() override {
    Data::SetUp();
    tiny.name = "tiny";
    tiny.summary = "two files";
    tiny.licence = "none";
    tiny.folders = folders;
    tiny.files = files;
    tiny.base = "file:///nowhere/";
    tiny.load = load_tiny;
    options.data_root = folder / "data";
    options.quiet = true;
    fs::create_directory(folder / "data");
  }

  void fill(const fs::path& path) {
    write(path / "a", "right");
    write(path / "b", "");
  }

  /// Makes folder/mirror/tiny.tar.gz, the archive of the data set, with `a`.
  void make_archive(const std::string& a = "right") {
    write(folder / "mirror/tiny-data/a", a);
    write(folder / "mirror/tiny-data/b", "");
    run("tar -czf " + (folder / "mirror/tiny.tar.gz").string() + " -C " + (folder / "mirror").string() + " tiny-data");
    offer("tiny.tar.gz");
  }

  /// The mirror's file is what the data set expects.
  void offer(std::string_view file) {
    const std::string text = content(folder / "mirror" / file);
    sum = sha256(text);
    remote = {{{file, text.size(), sum}}};
    tiny.remotes = remote;
    options.from = "file://" + (folder / "mirror").string();
  }

  std::string fetch_refused() {
    return refusal([&] { fetch(tiny, options); });
  }

  /// The names in folder/data.
  std::vector<std::string> left() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder / "data")) names.push_back(entry.path().filename().string());
    return names;
  }

  Dataset tiny{};
  FetchOptions options;
  std::string sum;
  std::array<Remote, 1> remote{};
};

TEST_F(Places, TheFlagComesBeforeTheEnvironmentBeforeTheCacheBeforeDebian) {
  const fs::path flag = folder / "flag", env = folder / "env", home = folder / "home/.cache/adabelief",
                 debian = folder / "debian";
  const std::string debian_text = debian.string();
  tiny.debian_folder = debian_text;
  fs::create_directory(flag);
  fs::create_directory(env);
  setenv("ADABELIEF_DATA", env.c_str(), 1);
  fill(debian);
  EXPECT_EQ(find(tiny, flag), debian);
  fill(home / "tiny");
  EXPECT_EQ(find(tiny, flag), home / "tiny");
  fill(env / "tiny-data");
  EXPECT_EQ(find(tiny, flag), env / "tiny-data");
  fill(flag);
  EXPECT_EQ(find(tiny, flag), flag);
}

TEST_F(Places, TheCacheFollowsXdg) {
  fill(folder / "cache/adabelief/tiny-data");
  setenv("XDG_CACHE_HOME", (folder / "cache").c_str(), 1);
  EXPECT_EQ(find(tiny), folder / "cache/adabelief/tiny-data");
  setenv("XDG_CACHE_HOME", "cache", 1);  // relative: to be ignored
  EXPECT_THAT(refusal([&] { find(tiny); }), HasSubstr((folder / "home/.cache/adabelief").string()));
}

TEST_F(Places, DataSetsAreLoadedByName) {
  EXPECT_THAT(refusal([&] { load("cifar10", folder / "data"); }),
              StartsWith("cifar10: no data_batch_1.bin[.gz] under "));
  EXPECT_EQ(refusal([&] { load("cifar11", folder / "data"); }), "no data set named 'cifar11'");
}

TEST_F(Places, FilesMayBeCompressed) {
  write(folder / "data/tiny/a.gz", "");
  write(folder / "data/tiny/b", "");
  EXPECT_EQ(find(tiny, folder / "data"), folder / "data/tiny");
}

TEST_F(Places, MissingDataSaysWhereItLookedAndWhatToDo) {
  const std::string data = (folder / "data").string(), home = (folder / "home/.cache/adabelief").string();
  EXPECT_EQ(refusal([&] { find(tiny, data); }),
            "tiny: no a[.gz] under " + data + ", " + home + "; run: adabelief data tiny --data " + data);
  tiny.debian_folder = "/nowhere";
  tiny.debian_package = "dataset-tiny";
  EXPECT_EQ(refusal([&] { find(tiny); }),
            "tiny: no a[.gz] under " + home + ", /nowhere; run: adabelief data tiny, or install Debian's dataset-tiny");
}

TEST_F(Places, IncompleteDataNamesTheFileThatIsMissing) {
  write(folder / "data/tiny/a", "right");
  EXPECT_THAT(refusal([&] { find(tiny, folder / "data"); }), StartsWith("tiny: no b[.gz] under "));
}

TEST_F(Places, ANamedFolderMustExist) {
  const fs::path none = folder / "none";
  fill(folder / "home/.cache/adabelief/tiny");
  EXPECT_THAT(refusal([&] { find(tiny, none); }),
              StartsWith("tiny: --data " + none.string() + ": no such folder; run"));
  setenv("ADABELIEF_DATA", none.c_str(), 1);
  EXPECT_THAT(refusal([&] { find(tiny); }), StartsWith("tiny: ADABELIEF_DATA " + none.string() + ": no such folder"));
}

TEST_F(Places, FetchingUnpacksAnArchiveAndLeavesOnlyTheFolder) {
  make_archive();
  options.data_root = folder / "data: of mine/new";  // a colon and a space, and it isn't there yet
  fetch(tiny, options);
  EXPECT_EQ(find(tiny, options.data_root), options.data_root / "tiny-data");
  EXPECT_EQ(content(options.data_root / "tiny-data/a"), "right");
  EXPECT_EQ(std::distance(fs::directory_iterator(options.data_root), {}), 1);
}

TEST_F(Places, FetchingGoesToTheEnvironmentsFolderThenTheCache) {
  make_archive();
  options.data_root.clear();
  fetch(tiny, options);
  EXPECT_TRUE(fs::exists(folder / "home/.cache/adabelief/tiny-data/a"));
  fs::remove_all(folder / "home");
  setenv("ADABELIEF_DATA", (folder / "env").c_str(), 1);
  fetch(tiny, options);
  EXPECT_TRUE(fs::exists(folder / "env/tiny-data/a"));
  EXPECT_FALSE(fs::exists(folder / "home"));
}

TEST_F(Places, FetchingWhatIsThereNeedsNoNetwork) {
  fill(folder / "data/tiny");
  ::testing::internal::CaptureStdout();
  fetch(tiny, options);  // its address leads nowhere
  EXPECT_EQ(::testing::internal::GetCapturedStdout(), (folder / "data/tiny").string() + "\n");
}

TEST_F(Places, FetchingLooksIntoTheNamedFolderOnly) {
  fill(folder / "home/.cache/adabelief/tiny");
  make_archive();
  fetch(tiny, options);
  EXPECT_TRUE(fs::exists(folder / "data/tiny-data/a"));
}

TEST_F(Places, FetchingSaysThatWhatIsThereIsWrong) {
  fill(folder / "data/tiny");
  write(folder / "data/tiny/a", "not right");
  EXPECT_EQ(fetch_refused(),
            "tiny: " + (folder / "data/tiny/a").string() + ": wrong; remove or replace it, then run this again");
}

TEST_F(Places, AnArchiveThatTheUserPutThereIsUsedAndKept) {
  make_archive();
  fs::copy_file(folder / "mirror/tiny.tar.gz", folder / "data/tiny.tar.gz");
  options.from = "file:///nowhere";
  fetch(tiny, options);
  EXPECT_TRUE(fs::exists(folder / "data/tiny-data/a"));
  EXPECT_TRUE(fs::exists(folder / "data/tiny.tar.gz"));
}

TEST_F(Places, AWrongArchiveThatTheUserPutThereIsRefusedAndKept) {
  make_archive();
  write(folder / "data/tiny.tar.gz", "something else");
  EXPECT_THAT(fetch_refused(), AllOf(StartsWith("tiny: " + (folder / "data/tiny.tar.gz").string()), HasSubstr(sum),
                                     HasSubstr(sha256("something else"))));
  EXPECT_EQ(content(folder / "data/tiny.tar.gz"), "something else");
}

TEST_F(Places, AnIncompleteFolderIsRefusedBeforeAnythingIsFetched) {
  make_archive();
  write(folder / "data/tiny-data/a", "right");
  EXPECT_EQ(fetch_refused(), "tiny: " + (folder / "data/tiny-data").string() +
                                 ": it lacks some of the files; remove it and run this again");
  EXPECT_EQ(left(), std::vector<std::string>{"tiny-data"});
}

TEST_F(Places, AnArchiveThatTarCannotReadLeavesNoFolder) {
  write(folder / "mirror/tiny.tar.gz", "no archive");
  offer("tiny.tar.gz");
  ::testing::internal::CaptureStderr();  // tar's own words
  EXPECT_THAT(fetch_refused(), HasSubstr("tiny.tar.gz: tar could not unpack it"));
  EXPECT_THAT(::testing::internal::GetCapturedStderr(), HasSubstr("gzip"));
  EXPECT_EQ(left(), std::vector<std::string>{"tiny.tar.gz"});
}

TEST_F(Places, AnArchiveWithWrongContentLeavesNoFolder) {
  make_archive("wrong");
  EXPECT_THAT(fetch_refused(), HasSubstr("wrong"));
  EXPECT_EQ(left(), std::vector<std::string>{"tiny.tar.gz"});
}

TEST_F(Places, AWrongChecksumRemovesTheDownload) {
  make_archive();
  const std::string found = sum;
  sum = std::string(64, '0');
  remote[0].sha256 = sum;
  EXPECT_THAT(fetch_refused(), HasSubstr("SHA-256 expected " + sum + ", found " + found));
  EXPECT_TRUE(left().empty());
}

TEST_F(Places, APartThatIsTooLongStartsAnew) {
  make_archive();
  write(folder / "data/tiny.tar.gz.part", std::string(100'000, 'x'));
  fetch(tiny, options);
  EXPECT_EQ(content(folder / "data/tiny-data/a"), "right");
}

TEST_F(Places, ASecondDownloadOfTheSameFileIsRefused) {
  make_archive();
  const int other = open((folder / "data/tiny.tar.gz.part").c_str(), O_RDWR | O_CREAT, 0666);
  ASSERT_EQ(flock(other, LOCK_EX), 0);
  EXPECT_THAT(fetch_refused(), HasSubstr("tiny.tar.gz.part: another program is downloading it"));
  close(other);
}

TEST_F(Places, AFileInThePlaceOfTheFolderIsRefused) {
  make_archive();
  options.data_root = folder / "mirror/tiny-data/a";
  EXPECT_EQ(fetch_refused(), "tiny: " + options.data_root.string() + ": not a folder");
}

TEST_F(Places, WithoutAHomeThePlaceMustBeNamed) {
  make_archive();
  unsetenv("HOME");
  options.data_root.clear();
  EXPECT_EQ(fetch_refused(), "tiny: no place for it: give --data DIR");
}

TEST(Datasets, NamesAreUniqueAndEveryOneDescribesItself) {
  std::map<std::string_view, int> names;
  for (const Dataset& set : datasets()) {
    EXPECT_EQ(++names[set.name], 1) << set.name;
    EXPECT_FALSE(set.summary.empty()) << set.name;
    EXPECT_FALSE(set.licence.empty()) << set.name;
    EXPECT_FALSE(set.files.empty()) << set.name;
    EXPECT_THAT(std::string(set.base), EndsWith("/"));
    for (const Remote& remote : set.remotes) EXPECT_EQ(remote.sha256.size(), 64u) << remote.file;
  }
}

}  // namespace
}  // namespace adabelief::trials::data
