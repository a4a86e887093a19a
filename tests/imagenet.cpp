// SPDX-License-Identifier: MIT
// Tests of the photographs' way from JPEG files into batches, and of the network that they train, on folders made here.
#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <string>
#include <vector>

#include "data/jpeg.h"
#include "folder.h"
#include "models/resnet18.h"
#include "tasks/loader.h"
#include "tasks/photographs.h"
#include "workloads/imagenet_resnet18.h"

// clang-format off: jpeglib.h needs <cstdio>
#include <jpeglib.h>
// clang-format on

namespace adabelief::trials {
namespace {

namespace fs = std::filesystem;

using tests::Folder;
using tests::refusal;

// A picture whose red grows to the right, green downwards, and whose blue is the same everywhere.
std::vector<std::uint8_t> slopes(int height, int width, int blue) {
  std::vector<std::uint8_t> pixels;
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      for (const int value : {255 * x / width, 255 * y / height, blue})
        pixels.push_back(static_cast<std::uint8_t>(value));
    }
  }
  return pixels;
}

void write_jpeg(const fs::path& file, int height, int width, std::vector<std::uint8_t> pixels,
                J_COLOR_SPACE space = JCS_RGB) {
  fs::create_directories(file.parent_path());
  const int samples = space == JCS_CMYK ? 4 : space == JCS_GRAYSCALE ? 1 : 3;
  jpeg_compress_struct info;
  jpeg_error_mgr errors;
  info.err = jpeg_std_error(&errors);
  jpeg_create_compress(&info);
  std::FILE* out = std::fopen(file.c_str(), "wb");
  jpeg_stdio_dest(&info, out);
  info.image_width = static_cast<JDIMENSION>(width), info.image_height = static_cast<JDIMENSION>(height);
  info.input_components = samples, info.in_color_space = space;
  jpeg_set_defaults(&info);
  jpeg_set_quality(&info, 95, TRUE);
  jpeg_start_compress(&info, TRUE);
  for (int y = 0; y < height; ++y) {
    JSAMPROW row = &pixels[static_cast<std::size_t>(y * width * samples)];
    jpeg_write_scanlines(&info, &row, 1);
  }
  jpeg_finish_compress(&info);
  jpeg_destroy_compress(&info);
  std::fclose(out);
}

// Two classes, of dark blue and of bright blue, eight photographs each to train on and two to validate.
void write_photographs(const fs::path& root) {
  for (const auto& [split, count] : {std::pair("train", 8), std::pair("val", 2)}) {
    for (int label = 0; label < 2; ++label) {
      for (int i = 0; i < count; ++i) {
        write_jpeg(root / "imagenet" / split / (label == 0 ? "n01" : "n02") / (std::to_string(i) + ".JPEG"), 40 + 3 * i,
                   60 - 2 * i, slopes(40 + 3 * i, 60 - 2 * i, label == 0 ? 30 : 220));
      }
    }
  }
}

Setup setup_of(const fs::path& root) {
  Setup setup{};
  setup.data_root = root, setup.seed = 1, setup.epochs = 4, setup.batch = 4, setup.width = 1. / 16;
  return setup;
}

TEST(Jpeg, IsReadInItsColoursAndAtAPartOfItsSize) {
  const Folder folder;
  const fs::path file = folder.path / "a.JPEG";
  write_jpeg(file, 48, 80, slopes(48, 80, 200));
  const data::Picture whole = data::read_jpeg(file);
  ASSERT_EQ(whole.height, 48u);
  ASSERT_EQ(whole.width, 80u);
  const std::vector<std::uint8_t> drawn = slopes(48, 80, 200);
  ASSERT_EQ(whole.pixels.size(), drawn.size());
  for (std::size_t i = 0; i < drawn.size(); ++i) ASSERT_NEAR(whole.pixels[i], drawn[i], 12) << i;

  const data::Picture part = data::read_jpeg(file, [](std::size_t height, std::size_t width) {
    EXPECT_EQ(height, 48u);
    EXPECT_EQ(width, 80u);
    return 4;
  });
  EXPECT_EQ(part.height, 12u);
  EXPECT_EQ(part.width, 20u);
  EXPECT_NEAR(part.pixels[3 * 19], 242, 12);
}

TEST(Jpeg, MayBeGreyOrAdobesCmyk) {
  const Folder folder;
  write_jpeg(folder.path / "grey.jpg", 16, 16, std::vector<std::uint8_t>(16 * 16, 90), JCS_GRAYSCALE);
  const data::Picture grey = data::read_jpeg(folder.path / "grey.jpg");
  ASSERT_EQ(grey.pixels.size(), 16u * 16 * 3);
  for (const auto value : grey.pixels) ASSERT_NEAR(value, 90, 2);
  std::vector<std::uint8_t> cmyk;
  for (int i = 0; i < 16 * 16; ++i) cmyk.insert(cmyk.end(), {255, 128, 0, 200});
  write_jpeg(folder.path / "cmyk.jpg", 16, 16, cmyk, JCS_CMYK);
  const data::Picture colours = data::read_jpeg(folder.path / "cmyk.jpg");
  ASSERT_EQ(colours.pixels.size(), 16u * 16 * 3);
  EXPECT_NEAR(colours.pixels[0], 200, 3);
  EXPECT_NEAR(colours.pixels[1], 100, 3);
  EXPECT_NEAR(colours.pixels[2], 0, 3);
}

TEST(Jpeg, IsRefusedWithItsNameWhereItIsCutOrNone) {
  const Folder folder;
  const fs::path file = folder.path / "a.JPEG";
  write_jpeg(file, 64, 64, slopes(64, 64, 0));
  fs::resize_file(file, fs::file_size(file) / 2);
  EXPECT_EQ(refusal([&] { data::read_jpeg(file); }),
            file.string() + ": Premature end of JPEG file; put a JPEG in its place");
  std::ofstream(folder.path / "b.jpg") << "GIF89a";
  EXPECT_NE(refusal([&] { data::read_jpeg(folder.path / "b.jpg"); }).find("b.jpg: Not a JPEG file"), std::string::npos);
  EXPECT_NE(refusal([&] { data::read_jpeg(folder.path / "c.jpg"); }).find("No such file"), std::string::npos);
}

TEST(RandomCrop, HasAnAreaAndAnAspectWithinItsBoundsAndReachesEverywhere) {
  double smallest = 1, largest = 0, top = 1, bottom = 0;
  int flips = 0;
  for (std::uint64_t i = 0; i < 2000; ++i) {
    const Crop c = random_crop(300, 400, Random(1, 2, i));
    ASSERT_GE(c.top, 0);
    ASSERT_GE(c.left, 0);
    ASSERT_LE(c.top + c.height, 300);
    ASSERT_LE(c.left + c.width, 400);
    const double area = static_cast<double>(c.height * c.width) / (300 * 400),
                 aspect = double(c.width) / double(c.height);
    ASSERT_GT(aspect, 0.73);
    ASSERT_LT(aspect, 1.37);
    smallest = std::min(smallest, area), largest = std::max(largest, area);
    top = std::min(top, c.top / 300.), bottom = std::max(bottom, (c.top + c.height) / 300.);
    flips += c.flip;
  }
  EXPECT_NEAR(smallest, 0.08, 0.01);
  EXPECT_GT(largest, 0.93);
  EXPECT_EQ(top, 0);
  EXPECT_EQ(bottom, 1);
  EXPECT_NEAR(flips, 1000, 100);
  const Crop narrow = random_crop(400, 10, Random(1, 2, 3));  // no allowed aspect fits but by luck
  EXPECT_LE(narrow.width, 10);
  EXPECT_NEAR(double(narrow.width) / double(narrow.height), 0.75, 0.1);
}

TEST(ReadCrop, ShowsThePartThatWasChosenAtAnySize) {
  const Folder folder;
  const fs::path file = folder.path / "a.JPEG";
  write_jpeg(file, 512, 768, slopes(512, 768, 99));
  for (const std::int64_t side : {16, 64, 200}) {  // at an eighth, a quarter and all of the size
    const Crop part{.top = 128, .left = 384, .height = 256, .width = 256};
    const torch::Tensor x = read_crop(file, side, [&](auto...) { return part; }).to(torch::kFloat);
    ASSERT_EQ(x.sizes(), (std::vector<std::int64_t>{3, side, side}));
    EXPECT_NEAR(x[0].mean().item<float>(), 255 * 512. / 768, 3) << side;
    EXPECT_NEAR(x[1].mean().item<float>(), 255 * 256. / 512, 3) << side;
    EXPECT_NEAR(x[2].mean().item<float>(), 99, 3) << side;
    EXPECT_LT(x[0][0][0].item<float>(), x[0][0][side - 1].item<float>());
    Crop mirrored = part;
    mirrored.flip = true;
    EXPECT_TRUE(torch::equal(read_crop(file, side, [&](auto...) { return mirrored; }).flip(2).to(torch::kFloat), x));
  }
}

TEST(Loader, GivesTheSameBatchesForAnyNumberOfThreads) {
  const auto batches = [](int threads) {
    Loader loader(
        threads, 5, 24, 2, [](std::int64_t batch) { return batch == 24 ? 3 : 8; },
        [](std::int64_t batch, std::int64_t place, Batch& into) {
          std::this_thread::sleep_for(std::chrono::microseconds(place * batch % 7 * 100));
          into.x[place].fill_(batch * 10 + place);
          into.y[place] = place;
        });
    std::vector<torch::Tensor> all;
    for (int i = 5; i <= 24; ++i) {
      EXPECT_EQ(loader.next(), i);
      const Batch batch = loader.take();
      all.push_back(batch.x.flatten());
      all.push_back(batch.y);
    }
    return torch::cat(all);
  };
  const torch::Tensor one = batches(1);
  EXPECT_EQ(one.numel(), 19 * 8 * 13 + 3 * 13);
  EXPECT_TRUE(torch::equal(batches(4), one));
}

TEST(Loader, HandsOnWhatAThreadThrewAndEndsWithBatchesUntaken) {
  const auto size = [](std::int64_t) { return std::int64_t{4}; };
  {
    Loader loader(3, 0, 100, 1, size, [](std::int64_t batch, std::int64_t, Batch&) {
      if (batch == 2) throw std::runtime_error("a.JPEG: damaged");
    });
    EXPECT_EQ(refusal([&] {
                for (int i = 0; i < 5; ++i) loader.take();
              }),
              "a.JPEG: damaged");
  }
  Loader untaken(2, 0, 100, 1, size, [](std::int64_t, std::int64_t, Batch&) {});
}

TEST(Loader, KeepsTorchInItsThreads) {
  at::set_num_threads(2);
  std::atomic<int> most = 0;
  {
    Loader loader(
        2, 0, 3, 1, [](std::int64_t) { return std::int64_t{4}; },
        [&](std::int64_t, std::int64_t, Batch&) { most = std::max<int>(most, at::get_num_threads()); });
    for (int i = 0; i <= 3; ++i) loader.take();
  }
  EXPECT_EQ(most, 1);
  EXPECT_EQ(at::get_num_threads(), 2);
}

TEST(ResNet18, HasTorchvisionsSize) {
  std::int64_t weights = 0;
  ResNet18 network(1000);
  for (const auto& p : network->parameters()) weights += p.numel();
  EXPECT_EQ(weights, 11'689'512);
  const torch::NoGradGuard no_grad;
  EXPECT_EQ(network(torch::zeros({2, 3, 64, 64})).sizes(), (std::vector<std::int64_t>{2, 1000}));
}

TEST(ImageNet, LearnsTwoColoursAndRepeatsItself) {
  const Folder folder;
  write_photographs(folder.path);
  at::set_num_threads(1);
  const auto train = [&](std::int64_t first, std::int64_t last, ImagenetResnet18& workload) {
    std::vector<double> losses;
    torch::optim::SGD sgd(workload.parameters(), torch::optim::SGDOptions(0.05));
    for (std::int64_t t = first; t <= last; ++t) {
      sgd.zero_grad();
      losses.push_back(workload.backward(t));
      sgd.step();
    }
    return losses;
  };
  torch::manual_seed(1);
  ImagenetResnet18 a(setup_of(folder.path));
  torch::manual_seed(1);
  ImagenetResnet18 b(setup_of(folder.path));
  EXPECT_EQ(a.steps_per_epoch(), 4);
  const auto losses = train(1, 16, a);
  EXPECT_LT(losses.back(), losses.front());
  EXPECT_EQ(train(1, 9, b), std::vector<double>(losses.begin(), losses.begin() + 9));
  b.evaluate();
  EXPECT_EQ(train(10, 16, b), std::vector<double>(losses.begin() + 9, losses.end()))
      << "an evaluation changed training";
  EXPECT_EQ(a.evaluate().metric, 100);
  EXPECT_EQ(a.evaluate().loss, b.evaluate().loss);
}

TEST(ImageNet, MayBeComputedInBfloat16WithWeightsInFloat) {
  const Folder folder;
  write_photographs(folder.path);
  const auto first = [&](bool bfloat16) {
    trials::Setup setup = setup_of(folder.path);
    setup.bfloat16 = bfloat16;
    torch::manual_seed(1);
    ImagenetResnet18 workload(setup);
    const double loss = workload.backward(1);
    for (const torch::Tensor& p : workload.parameters()) EXPECT_EQ(p.grad().dtype(), torch::kFloat32);
    EXPECT_FALSE(at::autocast::is_autocast_enabled(at::kCPU));
    return loss;
  };
  const double exact = first(false), rounded = first(true);
  EXPECT_NE(exact, rounded);
  EXPECT_NEAR(exact, rounded, 0.1);
}

TEST(ImageNet, IsTestedOnNoMoreImagesThanItIsTrainedOn) {
  const Folder folder;
  write_photographs(folder.path);
  trials::Setup setup = setup_of(folder.path);
  setup.train = 3, setup.batch = 3;
  ImagenetResnet18 workload(setup);
  const double right = 3 * workload.evaluate().metric / 100;  // in whole images, of three
  EXPECT_NEAR(right, std::round(right), 1e-9);
}

TEST(ImageNet, IsRefusedUntilItsPngIsAJpeg) {
  const Folder folder;
  write_photographs(folder.path);
  for (const char* split : {"train", "val"})
    fs::rename(folder / "imagenet" / split / "n01", folder / "imagenet" / split / "n02105855");
  const fs::path file = folder / "imagenet/train/n02105855/n02105855_2933.JPEG";
  std::ofstream(file) << "\x89PNG\r\n\x1a\n";
  EXPECT_EQ(refusal([&] { data::find_image_folder("imagenet", folder.path); }),
            "imagenet: " + file.string() +
                ": a PNG, as ImageNet has it; convert it in place, as by ImageMagick's `convert " + file.string() +
                " jpeg:" + file.string() + "`");
  write_jpeg(file, 16, 16, slopes(16, 16, 0));
  EXPECT_EQ(data::find_image_folder("imagenet", folder.path).train.size(), 17u);
}

TEST(ImageNet, IsRefusedWithWhatItsFolderMustHold) {
  const Folder folder;
  const auto message = [&] { return refusal([&] { ImagenetResnet18 workload(setup_of(folder.path)); }); };
  EXPECT_NE(message().find("imagenet: no folder imagenet with train/CLASS/*.JPEG"), std::string::npos) << message();
  write_photographs(folder.path);
  fs::remove_all(folder.path / "imagenet/val/n02");
  EXPECT_NE(message().find("train has 2 classes and val 1"), std::string::npos) << message();
  fs::create_directories(folder.path / "imagenet/val/n02");
  fs::remove_all(folder.path / "imagenet/train/n01");
  fs::remove_all(folder.path / "imagenet/val/n01");
  EXPECT_NE(message().find("no .JPEG or .jpg in the folders of classes under val"), std::string::npos) << message();
}

}  // namespace
}  // namespace adabelief::trials
