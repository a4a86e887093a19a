// SPDX-License-Identifier: MIT
// Fashion-MNIST: 60,000 and 10,000 grey images of clothes, 28 x 28, of 10 classes, in the idx format of MNIST.
#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <utility>

#include "dataset.h"

namespace adabelief::trials::data {

struct FashionMnist final {
  static constexpr std::string_view name = "fashion_mnist";
  static constexpr std::string_view summary = "70,000 grey images of clothes, 28 x 28, 10 classes; 30 MB";
  static constexpr std::string_view licence =
      "MIT, Zalando SE. Cite Xiao, Rasul and Vollgraf 2017, Fashion-MNIST, arXiv:1708.07747";
  /// The last is torchvision's.
  static constexpr std::array<std::string_view, 3> folders{"fashion-mnist", "fashion_mnist", "FashionMNIST/raw"};
  static constexpr std::array<std::string_view, 4> files{"train-images-idx3-ubyte", "train-labels-idx1-ubyte",
                                                         "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"};
  static constexpr std::string_view base = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/";
  /// Sizes and SHA-256 as recorded by TensorFlow Datasets (url_checksums/fashion_mnist.txt).
  static constexpr std::array<Remote, 4> remotes{{
      {"train-images-idx3-ubyte.gz", 26'421'880, "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"},
      {"train-labels-idx1-ubyte.gz", 29'515, "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"},
      {"t10k-images-idx3-ubyte.gz", 4'422'102, "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"},
      {"t10k-labels-idx1-ubyte.gz", 5'148, "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"},
  }};
  static constexpr std::string_view debian_folder = "/usr/share/datasets/fashion-mnist";
  static constexpr std::string_view debian_package = "dataset-fashion-mnist";

  /// Throws if it is another data set: MNIST's files have the same names and sizes.
  static ImageData load(const std::filesystem::path& folder) {
    ImageData data = read(folder, 60'000, 10'000);
    if (data.sha256 != content_sha256) {
      throw std::runtime_error(
          fmt::format("{}: {}: these files are not Fashion-MNIST: SHA-256 of their content expected {}, found {}", name,
                      folder.string(), content_sha256, data.sha256));
    }
    return data;
  }

  /// Reads files that must hold so many images.
  static ImageData read(const std::filesystem::path& folder, std::size_t train, std::size_t test) {
    Reader reader(name, folder);
    Images train_images = read_split(reader, files[0], files[1], train);
    Images test_images = read_split(reader, files[2], files[3], test);
    return reader.finish(std::move(train_images), std::move(test_images), classes);
  }

 private:
  static constexpr int classes = 10;
  static constexpr std::size_t side = 28;
  /// Of the four files decompressed, in the order of `files`.
  static constexpr std::string_view content_sha256 = "14410854cf7a289477dcfc7df3f8ec24741e281cdcc425ede0d9a748ca630214";

  static Images read_split(Reader& reader, std::string_view images, std::string_view labels, std::size_t count) {
    Images split{.count = count, .channels = 1, .height = side, .width = side, .pixels = {}, .labels = {}};
    split.pixels = read_idx(reader, images, {count, side, side});
    split.labels = read_idx(reader, labels, {count});
    reader.expect_labels(split.labels, classes);
    return split;
  }

  /// As text: 60000 x 28 x 28.
  static std::string product(const std::vector<std::size_t>& shape) {
    std::string text;
    for (const std::size_t size : shape) text += (text.empty() ? "" : " x ") + std::to_string(size);
    return text;
  }

  /// An idx file of unsigned bytes: the number 0x0800 + dimensions, the size of each, all big-endian in 32 bits, then
  /// the bytes.
  static std::vector<std::uint8_t> read_idx(Reader& reader, std::string_view file, std::vector<std::size_t> shape) {
    const std::size_t header = 4 + 4 * shape.size();
    std::size_t bytes = 1;
    for (const std::size_t size : shape) bytes *= size;
    bytes += header;
    std::vector<std::uint8_t> content = reader.read(file, bytes);

    const auto number = [&](std::size_t at) {
      return std::size_t{content[at]} << 24 | std::size_t{content[at + 1]} << 16 | std::size_t{content[at + 2]} << 8 |
             content[at + 3];
    };
    if (const std::size_t magic = 0x0800 + shape.size(); content.size() >= 4 && number(0) != magic) {
      reader.fail(fmt::format("expected the idx number 0x{:08x} at its start, found 0x{:08x}", magic, number(0)));
    }
    if (content.size() >= header) {
      std::vector<std::size_t> found;
      for (std::size_t at = 4; at < header; at += 4) found.push_back(number(at));
      if (found != shape) reader.fail(fmt::format("expected {}, found {}", product(shape), product(found)));
    }
    reader.expect_size(content.size(), bytes,
                       shape.size() == 1 ? fmt::format("{} labels", shape[0])
                                         : fmt::format("{} images of {} x {}", shape[0], shape[1], shape[2]));
    content.erase(content.begin(), content.begin() + static_cast<std::ptrdiff_t>(header));
    return content;
  }
};

}  // namespace adabelief::trials::data
