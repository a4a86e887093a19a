// SPDX-License-Identifier: MIT
// Tests of the batches that image classification is trained on, by a network that keeps what it sees.
#include "tasks/classification.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "folder.h"

namespace adabelief::trials {
namespace {

struct WitnessImpl : torch::nn::Module {
  torch::nn::Linear linear = register_module("linear", torch::nn::Linear(3, 10));
  torch::Tensor seen, before;

  // The logits are of the left half of the image, so that its mirror image has others.
  torch::Tensor forward(const torch::Tensor& x) {
    before = seen, seen = x.clone();
    return linear->forward(x.narrow(3, 0, x.size(3) / 2).mean({2, 3}));
  }
};
TORCH_MODULE(Witness);

// CIFAR-10's files. In every image red grows to the right and green downwards; blue is the image's number.
const std::filesystem::path& cifar() {
  static const tests::Folder folder;
  static const bool written = [] {
    std::filesystem::create_directory(folder / "cifar-10-batches-bin");
    for (int file = 0; file < 6; ++file) {
      std::string bytes;
      for (int i = 0; i < 10'000; ++i) {
        bytes += static_cast<char>(i % 10);
        for (int pixel = 0; pixel < 1024; ++pixel) bytes += static_cast<char>(pixel % 32);
        for (int pixel = 0; pixel < 1024; ++pixel) bytes += static_cast<char>(pixel / 32);
        bytes.append(1024, static_cast<char>(i % 256));
      }
      const std::string name = file < 5 ? "data_batch_" + std::to_string(file + 1) : "test_batch";
      std::ofstream(folder / ("cifar-10-batches-bin/" + name + ".bin"), std::ios::binary) << bytes;
    }
    return true;
  }();
  EXPECT_TRUE(written);
  return folder.path;
}

struct Images : testing::Test {
  Witness network;

  // Of 12 images in batches of 4.
  Classification workload(ClassificationOptions options) const {
    torch::manual_seed(1);
    return {trials::Setup{.data_root = cifar(),
                          .seed = 1,
                          .epochs = 4,
                          .batch = 4,
                          .bfloat16 = false,
                          .channels_last = false,
                          .train = 12},
            "cifar10", network, options};
  }

  // Whether each image, by its blue, is mirrored in an epoch.
  std::map<float, bool> mirrored(Classification& workload, std::int64_t epoch) {
    std::map<float, bool> found;
    for (std::int64_t t = 3 * epoch + 1; t <= 3 * epoch + 3; ++t) {
      workload.backward(t);
      for (const torch::Tensor& image : network->seen.unbind()) {
        const auto red = [&](int column) { return image[0][16][column].item<float>(); };
        found[image[2][0][0].item<float>()] = red(8) > red(24);
      }
    }
    EXPECT_EQ(found.size(), 12u);
    return found;
  }
};

std::int64_t count(const std::map<float, bool>& mirrored) {
  return std::count_if(mirrored.begin(), mirrored.end(), [](const auto& image) { return image.second; });
}

TEST_F(Images, AreSeenFromBothSidesInAnyTwoEpochsWhereFlipsAlternate) {
  auto images = workload({.epochs = 4, .batch = 4, .flip = Flip::alternate});
  const auto first = mirrored(images, 0);
  EXPECT_GT(count(first), 0);
  EXPECT_LT(count(first), 12);
  for (std::int64_t epoch = 1; epoch < 4; ++epoch) {
    for (const auto& [blue, is] : mirrored(images, epoch)) EXPECT_EQ(is, first.at(blue) != (epoch % 2 == 1));
  }
}

TEST_F(Images, AreMirroredAnewInEachEpochWhereFlipsAreRandomAndNeverElse) {
  auto random = workload({.epochs = 4, .batch = 4, .flip = Flip::random});
  const auto first = mirrored(random, 0), second = mirrored(random, 1);
  std::int64_t changed = 0;
  for (const auto& [blue, is] : second) changed += is != first.at(blue);
  EXPECT_GT(changed, 0);
  EXPECT_LT(changed, 12);
  auto never = workload({.epochs = 4, .batch = 4});
  EXPECT_EQ(count(mirrored(never, 0)), 0);
}

TEST_F(Images, GrowInTrainingAndAreWholeInEvaluation) {
  auto images = workload({.epochs = 4, .batch = 4, .sizes = {{0, 8}, {0.25, 16}, {0.75, 32}}});
  std::vector<std::int64_t> sizes;
  for (std::int64_t t = 1; t <= 12; ++t) {
    images.backward(t);
    sizes.push_back(network->seen.size(2));
    EXPECT_EQ(network->seen.size(3), sizes.back());
    const torch::Tensor red = network->seen.select(1, 0).mean(1);  // (N, columns), which still grows evenly
    const torch::Tensor rise = red.slice(1, 2, -1) - red.slice(1, 1, -2);
    EXPECT_TRUE(torch::allclose(rise, rise.mean(), 1e-2, 1e-5));
  }
  EXPECT_EQ(sizes, (std::vector<std::int64_t>{8, 8, 8, 16, 16, 16, 16, 16, 16, 32, 32, 32}));
  images.backward(1);
  images.evaluate();
  EXPECT_EQ(network->seen.size(2), 32);
}

TEST_F(Images, AreJudgedByTheMeanOfBothSidesWhereThatIsAsked) {
  const torch::NoGradGuard no_grad;
  auto once = workload({.epochs = 4, .batch = 4});
  const double one_side = once.evaluate().loss;
  auto twice = workload({.epochs = 4, .batch = 4, .both_sides = true});
  const double both_sides = twice.evaluate().loss;
  const torch::Tensor mirrored = network->seen, images = network->before;
  ASSERT_EQ(images.size(0), 12);
  EXPECT_TRUE(torch::equal(mirrored, images.flip(3)));

  const torch::Tensor labels = torch::arange(12) % 10;
  const auto loss = [&](const torch::Tensor& logits) {
    return torch::nn::functional::cross_entropy(logits, labels).item<double>();
  };
  const torch::Tensor left = network->forward(images), right = network->forward(mirrored);
  EXPECT_NEAR(one_side, loss(left), 1e-6);
  EXPECT_NEAR(both_sides, loss((left + right) / 2), 1e-6);
  EXPECT_GT(std::abs(both_sides - one_side), 1e-4);
}

}  // namespace
}  // namespace adabelief::trials
