// SPDX-License-Identifier: MIT
// CIFAR-100: 50,000 and 10,000 colour photographs, 32 x 32, of 100 classes, in the binary version of its authors.
#pragma once

#include <utility>

#include "cifar.h"

namespace adabelief::trials::data {

struct Cifar100 final {
  static constexpr std::string_view name = "cifar100";
  static constexpr std::string_view summary = "60,000 colour photographs, 32 x 32, 100 classes; 169 MB";
  static constexpr std::string_view licence = cifar_licence;
  static constexpr std::array<std::string_view, 1> folders{"cifar-100-binary"};
  static constexpr std::array<std::string_view, 2> files{"train.bin", "test.bin"};
  static constexpr std::string_view base = cifar_base;
  /// Size and SHA-256 as recorded by TensorFlow Datasets (url_checksums/cifar100.txt).
  static constexpr std::array<Remote, 1> remotes{{
      {"cifar-100-binary.tar.gz", 168'513'733, "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec"},
  }};
  static constexpr std::string_view debian_folder = "";
  static constexpr std::string_view debian_package = "";

  /// Sizes and labels are checked, not a checksum, as of CIFAR-10.
  static ImageData load(const std::filesystem::path& folder) { return read(folder, 50'000, 10'000); }

  /// Reads files that must hold so many images.
  static ImageData read(const std::filesystem::path& folder, std::size_t train_records, std::size_t test_records) {
    Reader reader(name, folder);
    Images train, test;
    read_cifar(reader, files[0], train_records, label_bytes, 100, train);
    read_cifar(reader, files[1], test_records, label_bytes, 100, test);
    return reader.finish(std::move(train), std::move(test), 100);
  }

 private:
  static constexpr std::size_t label_bytes = 2;  // the superclass, of 20, and the class
};

}  // namespace adabelief::trials::data
