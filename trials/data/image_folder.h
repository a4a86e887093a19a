// SPDX-License-Identifier: MIT
// Photographs in folders of classes, as ImageNet's are laid out: train/CLASS/*.JPEG and val/CLASS/*.JPEG.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace adabelief::trials::data {

struct ImageFile final {
  std::filesystem::path file;
  std::int64_t label;  ///< the place of its class among all, sorted by name
};

struct ImageFolder final {
  std::vector<ImageFile> train, val;  ///< sorted by class, then by name
  std::vector<std::string> classes;
  std::string sha256;  ///< of the names of all files, each with its class, not of their content
};

/// Looks through the folder NAME in the places of data/dataset.h, or through such a place itself. Throws
/// std::runtime_error that says where it looked and what a folder must hold, or that ImageNet's one PNG is among them.
ImageFolder find_image_folder(std::string_view name, const std::filesystem::path& data_root);

}  // namespace adabelief::trials::data
