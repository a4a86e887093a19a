// SPDX-License-Identifier: MIT
// Images of a tensor in one picture.
#pragma once

#include <torch/torch.h>

#include <algorithm>
#include <filesystem>
#include <string>

#include "data/png.h"

namespace adabelief::trials {

/// Of a step, so that names of files are sorted as the steps are.
inline std::string six_digits(std::int64_t step) {
  const std::string digits = std::to_string(step);
  return std::string(6 - std::min<std::size_t>(6, digits.size()), '0') + digits;
}

/// Writes images uint8 (N, 3, H, W) as a PNG of so many columns, row by row, two white pixels apart. Throws
/// std::runtime_error if the file can't be written.
inline void write_grid(const std::filesystem::path& file, const torch::Tensor& images, std::int64_t columns) {
  const std::int64_t rows = (images.size(0) + columns - 1) / columns, h = images.size(2), w = images.size(3), gap = 2;
  torch::Tensor grid = torch::full({rows * (h + gap) - gap, columns * (w + gap) - gap, 3}, 255, torch::kUInt8);
  for (std::int64_t i = 0; i < images.size(0); ++i) {
    grid.narrow(0, i / columns * (h + gap), h)
        .narrow(1, i % columns * (w + gap), w)
        .copy_(images[i].permute({1, 2, 0}));
  }
  data::write_png(file, static_cast<std::uint32_t>(grid.size(1)), static_cast<std::uint32_t>(grid.size(0)),
                  {grid.const_data_ptr<std::uint8_t>(), grid.nbytes()});
}

}  // namespace adabelief::trials
