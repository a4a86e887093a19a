// SPDX-License-Identifier: MIT
// Tests of the generative networks: sizes against PyTorch's and the authors', distances against SciPy, whose step is
// whose, and the pictures.
#include <gtest/gtest.h>
#include <zlib.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "data/png.h"
#include "folder.h"
#include "models/dcgan.h"
#include "models/sngan.h"
#include "pictures.h"
#include "tasks/distances.h"
#include "tasks/image_features.h"
#include "workloads/cifar10_sngan.h"
#include "workloads/cifar10_wgan.h"
#include "workloads/cifar10_wgan_gp.h"

namespace adabelief::trials {
namespace {

namespace fs = std::filesystem;

std::int64_t weights(const std::vector<torch::Tensor>& parameters) {
  std::int64_t sum = 0;
  for (const torch::Tensor& p : parameters) sum += p.numel();
  return sum;
}

// What a test keeps in the cache goes to a folder of its own.
fs::path cache() {
  static const tests::Folder folder;
  return folder.path;
}
struct Cache : ::testing::Environment {
  void SetUp() override {
    setenv("XDG_CACHE_HOME", cache().c_str(), 1);
    unsetenv("ADABELIEF_DATA");
    at::set_num_threads(1);
  }
};
const ::testing::Environment* const environment = ::testing::AddGlobalTestEnvironment(new Cache);

// Images of one brightness each, which grows with the class, under noise.
data::Images images_of(std::size_t count) {
  data::Images images{.count = count, .channels = 3, .height = 32, .width = 32, .pixels = {}, .labels = {}};
  Random random(7, count, 0);
  for (std::size_t i = 0; i < count; ++i) {
    images.labels.push_back(static_cast<std::uint8_t>(i % 10));
    for (int p = 0; p < 3 * 32 * 32; ++p) {
      images.pixels.push_back(static_cast<std::uint8_t>(20 * (i % 10) + random.below(50)));
    }
  }
  return images;
}

data::ImageData small_cifar() {
  return {.train = images_of(40),
          .test = images_of(40),
          .classes = 10,
          .mean = {0.45f, 0.45f, 0.45f},
          .std = {0.25f, 0.25f, 0.25f},
          .sha256 = std::string(64, 'a'),
          .found_in = {}};
}

Setup setup_of(std::int64_t seed = 1) {
  Setup setup{};
  setup.seed = seed, setup.epochs = 2, setup.batch = 8, setup.width = 1. / 16;
  return setup;
}

template <class W>
struct Made {
  explicit Made(const Setup& setup = setup_of()) {
    torch::manual_seed(setup.seed);
    workload = std::make_unique<W>(setup, small_cifar());
    optimizer = libtorch::make(workload->parameters(), Options(find_rule("adam"), {{"lr", "1e-3"}, {"beta1", "0.5"}}));
  }

  double step(std::int64_t t) {
    optimizer->zero_grad();
    const double loss = workload->backward(t);
    optimizer->step();
    workload->after(*optimizer);
    return loss;
  }

  std::unique_ptr<Workload> workload;
  std::unique_ptr<libtorch::AnyOptimizer> optimizer;
};

template <class W>
class EveryGan : public ::testing::Test {};
using Gans = ::testing::Types<Cifar10Wgan, Cifar10WganGp, Cifar10Sngan>;
TYPED_TEST_SUITE(EveryGan, Gans);

TEST(Networks, HaveAsManyWeightsAsTheAuthors) {
  EXPECT_EQ(weights(DcganGenerator(100, 64)->parameters()), 3'576'704);
  EXPECT_EQ(weights(DcganCritic(64, CriticEnd::sigmoid)->parameters()), 2'765'568);
  EXPECT_EQ(weights(DcganCritic(64, CriticEnd::linear)->parameters()), 2'765'569);
  EXPECT_EQ(weights(SnganGenerator(128, 256, 10)->parameters()), 4'304'387);  // as StudioGAN counts them
  EXPECT_EQ(weights(SnganDiscriminator(128, 10)->parameters()), 1'055'105);
}

TEST(Networks, TurnLatentVectorsIntoImagesAndImagesIntoValues) {
  const torch::NoGradGuard no_grad;
  const torch::Tensor y = torch::tensor({3, 1, 3}), z = torch::randn({3, 20});
  const torch::Tensor large = DcganGenerator(20, 2)(z), small = SnganGenerator(20, 4, 10)(z, y);
  EXPECT_EQ(large.sizes(), (std::vector<std::int64_t>{3, 3, 64, 64}));
  EXPECT_EQ(small.sizes(), (std::vector<std::int64_t>{3, 3, 32, 32}));
  EXPECT_LE(large.abs().max().item<float>(), 1);
  const torch::Tensor value = DcganCritic(2, CriticEnd::sigmoid)(large);
  EXPECT_EQ(value.sizes(), (std::vector<std::int64_t>{3}));
  EXPECT_TRUE(((value > 0) & (value < 1)).all().item<bool>());
  EXPECT_EQ(DcganCritic(2, CriticEnd::linear)(large).sizes(), (std::vector<std::int64_t>{3}));
  EXPECT_EQ(SnganDiscriminator(4, 10)(small, y).sizes(), (std::vector<std::int64_t>{3}));
}

// PyTorch-StudioGAN's ReLU changes in place what the shortcut takes next, too.
TEST(Networks, RectifyWhatADiscriminatorsLaterBlocksTakeForBothBranches) {
  const torch::NoGradGuard no_grad;
  torch::manual_seed(1);
  const torch::Tensor x = torch::randn({2, 3, 8, 8});
  for (const bool halves : {false, true}) {
    DiscriminatorBlock first(3, 3, halves, true), later(3, 3, halves, false);
    first->eval(), later->eval();
    EXPECT_FALSE(torch::equal(first(x), first(torch::relu(x))));
    EXPECT_TRUE(torch::equal(later(x), later(torch::relu(x))));
  }
}

TEST(SpectralNorm, BringsTheLargestSingularValueToOne) {
  torch::manual_seed(1);
  SpectralWeight weight(torch::IntArrayRef{6, 4, 3, 3});
  const torch::NoGradGuard no_grad;
  weight->parameters()[0].copy_(torch::randn({6, 4, 3, 3}));
  torch::Tensor normalized;
  for (int i = 0; i < 200; ++i) normalized = weight();
  EXPECT_NEAR(torch::linalg_svdvals(normalized.flatten(1))[0].item<double>(), 1, 1e-5);

  const torch::Tensor u = weight->buffers()[0].clone();
  weight->eval();
  weight->parameters()[0].copy_(torch::randn({6, 4, 3, 3}));
  weight();
  EXPECT_TRUE(torch::equal(weight->buffers()[0], u)) << "an evaluation moved u";
  weight->train();
  weight();
  EXPECT_FALSE(torch::equal(weight->buffers()[0], u)) << "training left u where it was";
}

// sin(a 0.37 (i + 1) (j + 1) + 0.11 i^2) + 0.1 j (a - 1), rounded to float.
torch::Tensor features_of(std::int64_t rows, double a) {
  const torch::Tensor i = torch::arange(rows, torch::kDouble).unsqueeze(1), j = torch::arange(6, torch::kDouble);
  return ((a * 0.37 * (i + 1) * (j + 1) + 0.11 * i * i).sin() + 0.1 * j * (a - 1)).to(torch::kFloat);
}

TEST(Distances, AreTheOnesThatScipyAndNumpyCalculate) {
  Moments x, y;
  x.add(features_of(50, 1).narrow(0, 0, 20));
  x.add(features_of(50, 1).narrow(0, 20, 30));
  y.add(features_of(40, 1.3));
  // By scipy.linalg.sqrtm(c1 @ c2) of numpy.cov's covariances; and by sums over numpy's kernel matrices.
  EXPECT_NEAR(frechet_distance(x.mean(), x.covariance(), y.mean(), y.covariance()), 0.2397103084734124, 1e-9);
  EXPECT_NEAR(kernel_distance(features_of(50, 1), features_of(40, 1.3)), -0.058958310420164306, 1e-12);
  EXPECT_NEAR(kernel_distance(features_of(50, 1), features_of(40, 1.3), 20), -0.15384097657379492, 1e-12);
}

TEST(Distances, OfASetFromItselfIsZeroEvenWithFewerRowsThanFeatures) {
  Moments x;
  x.add(features_of(4, 1));
  EXPECT_NEAR(frechet_distance(x.mean(), x.covariance(), x.mean(), x.covariance()), 0, 1e-6);
}

TYPED_TEST(EveryGan, GivesGradientsToTheNetworkWhoseTurnItIsAndLeavesTheOtherAlone) {
  Made<TypeParam> made;
  const bool generator_second = !std::is_same_v<TypeParam, Cifar10Sngan>;
  for (std::int64_t t = 1; t <= 12; ++t) {
    made.optimizer->zero_grad();
    ASSERT_TRUE(std::isfinite(made.workload->backward(t)));
    const bool generators = (t - 1) % 6 == (generator_second ? 1 : 5);
    const auto all = made.workload->parameters();
    EXPECT_EQ(all.front().grad().defined(), generators) << "step " << t;
    EXPECT_EQ(all.back().grad().defined(), !generators) << "step " << t;
    std::vector<torch::Tensor> before;
    for (const auto& p : all) before.push_back(p.clone());
    made.optimizer->step();
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (!all[i].grad().defined()) {
        EXPECT_TRUE(torch::equal(all[i], before[i]));
      }
    }
    EXPECT_FALSE(torch::equal(all[generators ? 0 : all.size() - 2], before[generators ? 0 : all.size() - 2]));
  }
}

TYPED_TEST(EveryGan, RepeatsItsStepsAndEvaluationsBitByBit) {
  Made<TypeParam> a, b;
  for (std::int64_t t = 1; t <= 7; ++t) EXPECT_EQ(a.step(t), b.step(t));
  b.workload->evaluate();
  EXPECT_EQ(a.workload->evaluate().metric, b.workload->evaluate().metric);
  EXPECT_TRUE(torch::equal(a.workload->samples().images, b.workload->samples().images));
  Made<TypeParam> other(setup_of(2));
  EXPECT_NE(a.step(8), other.step(8));
}

TEST(Sngan, PassesRealImagesAndFakesOneAfterTheOtherWithAPowerIterationEach) {
  Made<Cifar10Sngan> made;
  const auto weights = made.workload->parameters(), state = made.workload->state();
  const torch::NoGradGuard no_grad;
  const auto unit = [](const torch::Tensor& v) { return v.dim() == 1 && std::abs(v.norm().item<double>() - 1) < 1e-5; };
  const torch::Tensor u = *std::find_if(state.begin(), state.end(), unit);  // the discriminator's first
  const auto weight = std::find_if(weights.begin(), weights.end(), [&](const torch::Tensor& w) {
    return w.dim() == 4 && w.size(0) == u.size(0) && w.size(1) == 3 && w.size(2) == 3;
  });
  ASSERT_NE(weight, weights.end());
  torch::Tensor expected = u.clone();
  for (int i = 0; i < 2; ++i) {
    const torch::Tensor matrix = weight->flatten(1), v = torch::mv(matrix.t(), expected);
    expected = torch::mv(matrix, v / v.norm());
    expected /= expected.norm();
  }
  {
    const torch::AutoGradMode grad(true);
    made.workload->backward(1);
  }
  EXPECT_TRUE(torch::allclose(u, expected, 1e-4, 1e-5));
}

TYPED_TEST(EveryGan, GoesOnFromItsWeightsAndStateAsIfUnbroken) {
  Made<TypeParam> a, b(setup_of(1));
  for (std::int64_t t = 1; t <= 9; ++t) a.step(t);
  const torch::NoGradGuard no_grad;
  const auto copy = [](std::vector<torch::Tensor> to, const std::vector<torch::Tensor>& from) {
    ASSERT_EQ(to.size(), from.size());
    for (std::size_t i = 0; i < to.size(); ++i) to[i].copy_(from[i]);
  };
  copy(b.workload->parameters(), a.workload->parameters());
  copy(b.workload->state(), a.workload->state());
  for (std::int64_t t = 10; t <= 14; ++t) {
    for (auto* made : {&a, &b}) {
      const torch::AutoGradMode grad(true);
      made->optimizer->zero_grad();
      made->workload->backward(t);
    }
    const auto of_a = a.workload->parameters(), of_b = b.workload->parameters();
    for (std::size_t i = 0; i < of_a.size(); ++i) {
      ASSERT_EQ(of_a[i].grad().defined(), of_b[i].grad().defined());
      if (of_a[i].grad().defined()) {
        EXPECT_TRUE(torch::equal(of_a[i].grad(), of_b[i].grad())) << "step " << t;
      }
    }
  }
}

TYPED_TEST(EveryGan, MeasuresOverNamedFeaturesAndShowsTenColumns) {
  Made<TypeParam> made;
  EXPECT_EQ(made.workload->metric().name, "FID (own CIFAR-10 classifier)");
  EXPECT_EQ(made.workload->metric().split, "");
  const Workload::Evaluation e = made.workload->evaluate();
  EXPECT_TRUE(std::isfinite(e.loss));
  EXPECT_GT(e.metric, 0);
  ASSERT_EQ(e.more.size(), 2u);
  EXPECT_EQ(e.more[0].first, "KID");
  EXPECT_EQ(e.more[1].first, "spread");
  EXPECT_GT(e.more[1].second, 0);
  const auto samples = made.workload->samples();
  EXPECT_EQ(samples.images.size(0), 100);
  EXPECT_EQ(samples.images.scalar_type(), torch::kUInt8);
  EXPECT_EQ(samples.columns, 10);
}

TYPED_TEST(EveryGan, SeesFiveSixthsAsManyBatchesAsItHasSteps) {
  Made<TypeParam> made;
  EXPECT_EQ(made.workload->steps_per_epoch(), 40 / 8 * 6 / 5);
  Setup setup = setup_of();
  setup.train = 24;
  EXPECT_EQ(Made<TypeParam>(setup).workload->steps_per_epoch(), 24 / 8 * 6 / 5);
}

TYPED_TEST(EveryGan, HoldsATenthOfTheImagesBackForTuningAndIsJudgedByIt) {
  Setup setup = setup_of();
  setup.tuning = true;
  Made<TypeParam> tuning(setup), usual;
  EXPECT_EQ(tuning.workload->steps_per_epoch(), 36 / 8 * 6 / 5);
  const auto judged = tuning.workload->evaluate(), usually = usual.workload->evaluate();
  EXPECT_NE(judged.metric, usually.metric);
  EXPECT_NE(judged.loss, usually.loss);
  setup.train = 36;
  EXPECT_EQ(Made<TypeParam>(setup).workload->steps_per_epoch(), 36 / 8 * 6 / 5);
  setup.train = 37;
  EXPECT_EQ(tests::refusal([&] { Made<TypeParam>{setup}; }), "train must lie in [1, 36], got 37");
}

TEST(Wgan, KeepsEveryWeightOfTheCriticWithinItsBounds) {
  Made<Cifar10Wgan> made;
  made.step(1);
  const auto all = made.workload->parameters();
  const auto critic = weights(DcganCritic(4, CriticEnd::sigmoid)->parameters());
  std::int64_t seen = 0;
  for (auto p = all.rbegin(); seen < critic; ++p) {
    EXPECT_LE(p->abs().max().item<float>(), 0.01f);
    seen += p->numel();
  }
  EXPECT_GT(all.front().abs().max().item<float>(), 0.01f) << "the generator was clipped too";
}

TEST(Features, AreTrainedOnceAndTakenFromTheCacheThen) {
  const data::ImageData images = small_cifar();
  const Features first = find_features({}, images), second = find_features({}, images);
  EXPECT_EQ(first.sha256, second.sha256);
  const torch::Tensor x = view_of(images.test).narrow(0, 0, 4),
                      larger = x.repeat_interleave(2, 2).repeat_interleave(2, 3);
  EXPECT_EQ(first.of(x).sizes(), (std::vector<std::int64_t>{4, 64}));
  EXPECT_TRUE(torch::allclose(first.of(x), first.of(larger), 1e-4, 1e-4)) << "a larger copy has other features";

  for (const auto& entry : fs::directory_iterator(cache() / "adabelief")) {
    if (entry.path().extension() == ".pt") std::ofstream(entry.path()) << "damaged";
  }
  EXPECT_EQ(find_features({}, images).sha256, first.sha256) << "a damaged file was not made again";
}

TEST(Features, LeaveTorchsGeneratorAsItWas) {
  torch::manual_seed(5);
  const torch::Tensor without = torch::rand(4);
  torch::manual_seed(5);
  train_classifier(small_cifar(), 1);
  EXPECT_TRUE(torch::equal(torch::rand(4), without));
}

// A PNG's height, width and pixels, whose rows all have the filter that data/png.cpp gives them.
struct Png {
  std::uint32_t width = 0, height = 0;
  std::vector<std::uint8_t> pixels;
};

Png read_png(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  const std::string png{std::istreambuf_iterator<char>(in), {}};
  EXPECT_EQ(png.substr(0, 8), "\x89PNG\r\n\x1a\n");
  const auto number = [&](std::size_t at) {
    std::uint32_t n = 0;
    for (int i = 0; i < 4; ++i) n = n << 8 | static_cast<std::uint8_t>(png[at + i]);
    return n;
  };
  Png read;
  std::string packed;
  std::vector<std::string> types;
  for (std::size_t at = 8; at < png.size(); at += 12 + number(at)) {
    const std::string sealed = png.substr(at + 4, 4 + number(at));
    types.push_back(sealed.substr(0, 4));
    EXPECT_EQ(number(at + 8 + number(at)), crc32(0, reinterpret_cast<const Bytef*>(sealed.data()), sealed.size()));
    if (types.back() == "IHDR") {
      read.width = number(at + 8), read.height = number(at + 12);
      EXPECT_EQ(sealed.substr(12), std::string("\x08\x02\0\0\0", 5));
    }
    if (types.back() == "IDAT") packed = sealed.substr(4);
  }
  EXPECT_EQ(types, (std::vector<std::string>{"IHDR", "IDAT", "IEND"}));
  const std::size_t row = 3 * read.width;
  std::vector<std::uint8_t> rows(read.height * (row + 1));
  uLongf size = rows.size();
  EXPECT_EQ(uncompress(rows.data(), &size, reinterpret_cast<const Bytef*>(packed.data()), packed.size()), Z_OK);
  for (std::size_t y = 0; y < read.height; ++y) {
    EXPECT_EQ(rows[(row + 1) * y], 1);
    for (std::size_t x = 0; x < row; ++x) {
      read.pixels.push_back(
          static_cast<std::uint8_t>(rows[(row + 1) * y + 1 + x] + (x < 3 ? 0 : read.pixels[row * y + x - 3])));
    }
  }
  return read;
}

TEST(APng, HoldsThePixels) {
  std::vector<std::uint8_t> pixels;
  for (int i = 0; i < 5 * 3 * 3; ++i) pixels.push_back(static_cast<std::uint8_t>(i * 37));
  const fs::path file = cache() / "pictures" / "a.png";
  data::write_png(file, 5, 3, pixels);
  const Png read = read_png(file);
  EXPECT_EQ(read.width, 5u);
  EXPECT_EQ(read.height, 3u);
  EXPECT_EQ(read.pixels, pixels);
  EXPECT_THROW(data::write_png(file, 5, 4, pixels), std::invalid_argument);
}

TEST(AGrid, HasItsImagesRowByRowTwoPixelsApart) {
  const fs::path file = cache() / "pictures" / ("grid" + six_digits(70) + ".png");
  const torch::Tensor images = torch::arange(5 * 3 * 2 * 4).view({5, 3, 2, 4}).to(torch::kUInt8);
  write_grid(file, images, 3);
  EXPECT_EQ(file.filename(), "grid000070.png");
  const Png read = read_png(file);
  EXPECT_EQ(read.width, 3 * 4 + 2 * 2u);
  EXPECT_EQ(read.height, 2 * 2 + 2u);
  const auto at = [&](std::size_t y, std::size_t x, std::size_t c) {
    return read.pixels[(y * read.width + x) * 3 + c];
  };
  EXPECT_EQ(at(1, 3, 2), images[0][2][1][3].item<int>());
  EXPECT_EQ(at(0, 6, 0), images[1][0][0][0].item<int>());
  EXPECT_EQ(at(5, 9, 1), images[4][1][1][3].item<int>());
  EXPECT_EQ(at(0, 4, 0), 255) << "between two images";
  EXPECT_EQ(at(5, 15, 0), 255) << "where a sixth image would be";
}

}  // namespace
}  // namespace adabelief::trials
