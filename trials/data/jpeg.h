// SPDX-License-Identifier: MIT
// Photographs from JPEG files.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <vector>

namespace adabelief::trials::data {

struct Picture final {
  std::size_t height = 0, width = 0;
  std::vector<std::uint8_t> pixels;  ///< (height, width, 3): red, green, blue
  int denominator = 1;               ///< height and width are the file's divided by it, rounded up
};

/// Reads a JPEG file of any kind (grey, RGB, CMYK as Adobe writes it). `choose` is asked once, with the height and the
/// width in the file, for a denominator of 1, 2, 4 or 8: reduced pictures are decoded faster. May be called from
/// several threads. Throws std::runtime_error that names the file if it can't be read, is cut, or is no JPEG.
Picture read_jpeg(const std::filesystem::path& file,
                  const std::function<int(std::size_t height, std::size_t width)>& choose = {});

}  // namespace adabelief::trials::data
