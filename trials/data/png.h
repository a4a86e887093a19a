// SPDX-License-Identifier: MIT
// Pictures as files.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>

namespace adabelief::trials::data {

/// Writes a PNG of 8 bits a sample: `pixels` (height, width, 3), rows from the top. The file appears whole or not at
/// all. Throws std::runtime_error if it can't be written.
void write_png(const std::filesystem::path& file, std::uint32_t width, std::uint32_t height,
               std::span<const std::uint8_t> pixels);

}  // namespace adabelief::trials::data
