// SPDX-License-Identifier: MIT
// The binary format that CIFAR-10 and CIFAR-100 share: images as records of labels and pixels.
#pragma once

#include <fmt/format.h>

#include "dataset.h"

namespace adabelief::trials::data {

inline constexpr std::string_view cifar_base = "https://www.cs.toronto.edu/~kriz/";
inline constexpr std::string_view cifar_licence =
    "none stated. Cite Krizhevsky 2009, Learning Multiple Layers of Features from Tiny Images";

/// Appends the images of a file that must hold `records` of them: label bytes, of which the last is the class, then the
/// planes of red, green and blue, 32 x 32 each.
inline void read_cifar(Reader& reader, std::string_view file, std::size_t records, std::size_t label_bytes, int classes,
                       Images& images) {
  constexpr std::size_t side = 32, pixels = 3 * side * side;
  const std::size_t record = label_bytes + pixels, before = images.count;
  const std::vector<std::uint8_t> content = reader.read(file, records * record);
  reader.expect_size(content.size(), records * record, fmt::format("{} images of 3 x 32 x 32", records));
  images.channels = 3, images.height = images.width = side;
  images.count += records;
  images.pixels.reserve(images.count * pixels);
  for (auto at = content.begin(); at != content.end(); at += record) {
    images.labels.push_back(at[label_bytes - 1]);
    images.pixels.insert(images.pixels.end(), at + label_bytes, at + record);
  }
  reader.expect_labels(std::span(images.labels).subspan(before), classes);
}

}  // namespace adabelief::trials::data
