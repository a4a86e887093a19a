// SPDX-License-Identifier: MIT
// The way of a photograph into a batch: decoded at about the size that is needed, cropped, resized, mirrored.
#pragma once

#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "data/jpeg.h"
#include "random.h"

namespace adabelief::trials {

/// A part of a photograph in pixels of its file, and whether it is mirrored.
struct Crop {
  std::int64_t top, left, height, width;
  bool flip = false;
};

/// A random part of 8 to 100 % of the area, of an aspect between 3:4 and 4:3, mirrored half the time: Szegedy et al.,
/// CVPR 2015, arXiv:1409.4842, section 6, as torchvision's RandomResizedCrop has it: after ten tries the largest part
/// in the middle whose aspect is allowed.
inline Crop random_crop(std::int64_t height, std::int64_t width, Random random) {
  const double area = static_cast<double>(height * width), least = std::log(3. / 4);
  const bool flip = random.below(2) == 1;
  for (int i = 0; i < 10; ++i) {
    const double wanted = area * random.uniform(0.08, 1), aspect = std::exp(random.uniform(least, -least));
    const std::int64_t w = std::llround(std::sqrt(wanted * aspect)), h = std::llround(std::sqrt(wanted / aspect));
    if (w < 1 || h < 1 || w > width || h > height) continue;
    return {static_cast<std::int64_t>(random.below(height - h + 1)),
            static_cast<std::int64_t>(random.below(width - w + 1)), h, w, flip};
  }
  const std::int64_t h = std::min<std::int64_t>(height, std::llround(width / 0.75)),
                     w = std::min<std::int64_t>(width, std::llround(height / 0.75));
  return {(height - h) / 2, (width - w) / 2, h, w, flip};
}

/// The middle: of the picture with 256 pixels on its shorter side the middle 224, or the same share of it.
inline Crop centre_crop(std::int64_t height, std::int64_t width) {
  const std::int64_t side =
      std::max<std::int64_t>(1, std::llround(static_cast<double>(std::min(height, width)) * 224 / 256));
  return {(height - side) / 2, (width - side) / 2, side, side};
}

/// A file's part as uint8 (3, side, side), resized bilinearly with the filter widened where it shrinks. Decodes at
/// half, a quarter or an eighth of the size where the part keeps `side` pixels then. `choose` gives the part for the
/// height and the width in the file. Throws what read_jpeg throws.
template <class Choose>
torch::Tensor read_crop(const std::filesystem::path& file, std::int64_t side, Choose choose) {
  Crop crop{};
  const data::Picture picture = data::read_jpeg(file, [&](std::size_t height, std::size_t width) {
    crop = choose(static_cast<std::int64_t>(height), static_cast<std::int64_t>(width));
    int denominator = 1;
    while (denominator < 8 && std::min(crop.height, crop.width) >= 2 * denominator * side) denominator *= 2;
    return denominator;
  });
  const auto height = static_cast<std::int64_t>(picture.height), width = static_cast<std::int64_t>(picture.width),
             d = std::int64_t{picture.denominator};
  const std::int64_t top = std::min(crop.top / d, height - 1), left = std::min(crop.left / d, width - 1);
  torch::Tensor x =
      torch::from_blob(const_cast<std::uint8_t*>(picture.pixels.data()), {1, height, width, 3}, torch::kUInt8)
          .permute({0, 3, 1, 2})
          .narrow(2, top, std::clamp<std::int64_t>((crop.height + d / 2) / d, 1, height - top))
          .narrow(3, left, std::clamp<std::int64_t>((crop.width + d / 2) / d, 1, width - left));
  x = at::_upsample_bilinear2d_aa(x, {side, side}, false)[0];
  return crop.flip ? x.flip(2) : x;
}

}  // namespace adabelief::trials
