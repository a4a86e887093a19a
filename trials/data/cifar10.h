// SPDX-License-Identifier: MIT
// CIFAR-10: 50,000 and 10,000 colour photographs, 32 x 32, of 10 classes, in the binary version of its authors.
#pragma once

#include <utility>

#include "cifar.h"

namespace adabelief::trials::data {

struct Cifar10 final {
  static constexpr std::string_view name = "cifar10";
  static constexpr std::string_view summary = "60,000 colour photographs, 32 x 32, 10 classes; 170 MB";
  static constexpr std::string_view licence = cifar_licence;
  static constexpr std::array<std::string_view, 1> folders{"cifar-10-batches-bin"};
  static constexpr std::array<std::string_view, 6> files{"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin",
                                                         "data_batch_4.bin", "data_batch_5.bin", "test_batch.bin"};
  static constexpr std::string_view base = cifar_base;
  /// Size and SHA-256 as recorded by TensorFlow Datasets (url_checksums/cifar10.txt).
  static constexpr std::array<Remote, 1> remotes{{
      {"cifar-10-binary.tar.gz", 170'052'171, "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"},
  }};
  static constexpr std::string_view debian_folder = "";
  static constexpr std::string_view debian_package = "";

  /// Copies with their records in another order are in use, so sizes and labels are checked, not a checksum.
  static ImageData load(const std::filesystem::path& folder) { return read(folder, 10'000); }

  /// Reads files that must hold so many images each.
  static ImageData read(const std::filesystem::path& folder, std::size_t records) {
    Reader reader(name, folder);
    Images train, test;
    for (const std::string_view file : files)
      read_cifar(reader, file, records, 1, 10, file == files.back() ? test : train);
    return reader.finish(std::move(train), std::move(test), 10);
  }
};

}  // namespace adabelief::trials::data
