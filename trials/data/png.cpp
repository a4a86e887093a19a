// SPDX-License-Identifier: MIT
// The Portable Network Graphics format (RFC 2083), as much of it as RGB without interlacing needs.
#include "png.h"

#include <fmt/format.h>
#include <zlib.h>

#include <stdexcept>
#include <string>
#include <vector>

#include "files.h"

namespace adabelief::trials::data {
namespace {

std::string big_endian(std::uint32_t value) {
  return {static_cast<char>(value >> 24), static_cast<char>(value >> 16), static_cast<char>(value >> 8),
          static_cast<char>(value)};
}

std::string chunk(const std::string& type_and_content) {
  const auto* bytes = reinterpret_cast<const Bytef*>(type_and_content.data());
  return big_endian(static_cast<std::uint32_t>(type_and_content.size() - 4)) + type_and_content +
         big_endian(static_cast<std::uint32_t>(crc32(0, bytes, static_cast<uInt>(type_and_content.size()))));
}

}  // namespace

void write_png(const std::filesystem::path& file, std::uint32_t width, std::uint32_t height,
               std::span<const std::uint8_t> pixels) {
  const std::size_t row = 3 * std::size_t{width};
  if (width == 0 || height == 0 || pixels.size() != row * height) {
    throw std::invalid_argument(
        fmt::format("a picture of {} x {} has {} samples, got {}", width, height, row * height, pixels.size()));
  }
  std::vector<std::uint8_t> rows;  // each after the number of its filter, 1: samples less those of the pixel before
  for (std::size_t y = 0; y < height; ++y) {
    rows.push_back(1);
    for (std::size_t x = 0; x < row; ++x) {
      rows.push_back(static_cast<std::uint8_t>(pixels[y * row + x] - (x < 3 ? 0 : pixels[y * row + x - 3])));
    }
  }
  uLongf size = compressBound(rows.size());
  std::string packed(size, '\0');
  if (compress2(reinterpret_cast<Bytef*>(packed.data()), &size, rows.data(), rows.size(), 6) != Z_OK) {
    throw std::runtime_error(file.string() + ": zlib could not compress it");
  }
  packed.resize(size);
  const std::string eight_bits_of_rgb("\x08\x02\0\0\0", 5);

  std::filesystem::create_directories(file.parent_path());
  write_whole(file, {"\x89PNG\r\n\x1a\n", chunk("IHDR" + big_endian(width) + big_endian(height) + eight_bits_of_rgb),
                     chunk("IDAT" + packed), chunk("IEND")});
}

}  // namespace adabelief::trials::data
