// SPDX-License-Identifier: MIT
// Looking through folders of photographs.
#include "image_folder.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <fstream>
#include <span>
#include <stdexcept>

#include "dataset.h"

namespace adabelief::trials::data {
namespace {

namespace fs = std::filesystem;

bool is_jpeg(const fs::path& file) {
  std::string end = file.extension().string();
  std::transform(end.begin(), end.end(), end.begin(), [](unsigned char c) { return std::tolower(c); });
  return end == ".jpeg" || end == ".jpg";
}

std::vector<std::string> classes_in(const fs::path& folder) {
  std::vector<std::string> classes;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.is_directory()) classes.push_back(entry.path().filename());
  }
  std::sort(classes.begin(), classes.end());
  return classes;
}

std::vector<ImageFile> images_in(const fs::path& folder, const std::vector<std::string>& classes, Sha256& sha256) {
  std::vector<ImageFile> images;
  for (std::size_t label = 0; label < classes.size(); ++label) {
    std::vector<fs::path> files;
    for (const auto& entry : fs::directory_iterator(folder / classes[label])) {
      if (is_jpeg(entry.path())) files.push_back(entry.path());
    }
    std::sort(files.begin(), files.end());
    for (fs::path& file : files) {
      const std::string name =
          fmt::format("{}/{}/{}\n", folder.filename().string(), classes[label], file.filename().string());
      sha256.update({reinterpret_cast<const std::uint8_t*>(name.data()), name.size()});
      images.push_back({std::move(file), static_cast<std::int64_t>(label)});
    }
  }
  return images;
}

// ILSVRC2012 has one PNG among its photographs, under the name of a JPEG: training would end there, hours later.
void refuse_png(std::string_view name, const fs::path& folder) {
  const fs::path file = folder / "train/n02105855/n02105855_2933.JPEG";
  std::array<char, 4> start{};
  std::ifstream(file, std::ios::binary).read(start.data(), start.size());
  if (std::string_view(start.data(), start.size()) != "\x89PNG") return;
  throw std::runtime_error(
      fmt::format("{}: {}: a PNG, as ImageNet has it; convert it in place, as by ImageMagick's `convert {} jpeg:{}`",
                  name, file.string(), file.string(), file.string()));
}

ImageFolder read(std::string_view name, const fs::path& folder) {
  refuse_png(name, folder);
  ImageFolder found;
  found.classes = classes_in(folder / "train");
  if (const auto of_val = classes_in(folder / "val"); of_val != found.classes) {
    throw std::runtime_error(fmt::format(
        "{}: {}: train has {} classes and val {}, and they must be the same folders; the validation images of ImageNet "
        "come in one folder, and must be sorted into their classes",
        name, folder.string(), found.classes.size(), of_val.size()));
  }
  Sha256 sha256;
  found.train = images_in(folder / "train", found.classes, sha256);
  found.val = images_in(folder / "val", found.classes, sha256);
  if (found.train.empty() || found.val.empty()) {
    throw std::runtime_error(fmt::format("{}: {}: no .JPEG or .jpg in the folders of classes under {}", name,
                                         folder.string(), found.train.empty() ? "train" : "val"));
  }
  found.sha256 = sha256.digits();
  return found;
}

}  // namespace

ImageFolder find_image_folder(std::string_view name, const fs::path& data_root) {
  std::string looked;
  for (const Root& root : roots(data_root)) {
    for (const fs::path& folder : {root.path / name, root.path}) {
      if (fs::is_directory(folder / "train") && fs::is_directory(folder / "val")) return read(name, folder);
    }
    looked += (looked.empty() ? "" : ", ") + root.path.string();
  }
  throw std::runtime_error(fmt::format(
      "{}: no folder {} with train/CLASS/*.JPEG and val/CLASS/*.JPEG under {}; put it or a link to it there, or "
      "name the folder that holds it by --data",
      name, name, looked));
}

}  // namespace adabelief::trials::data
