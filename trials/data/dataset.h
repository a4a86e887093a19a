// SPDX-License-Identifier: MIT
// What a data set is to the trials: where its files are found, how they are read and checked, and the images in memory.
// Each data set is one file that describes itself (fashion_mnist.h is an example); datasets.cpp lists them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

struct evp_md_ctx_st;

namespace adabelief::trials::data {

/// The images of one split.
struct Images final {
  std::size_t count = 0, channels = 0, height = 0, width = 0;
  std::vector<std::uint8_t> pixels;  ///< (count, channels, height, width), 0..255
  std::vector<std::uint8_t> labels;  ///< (count), 0..classes-1
};

struct ImageData final {
  Images train, test;
  int classes = 0;
  std::vector<float> mean, std;    ///< (channels): of the pixels of train / 255; std divides by their number
  std::string sha256;              ///< of the content of all files in the data set's order, decompressed
  std::filesystem::path found_in;  ///< the folder that the files were read from
};

/// A file as its address serves it.
struct Remote final {
  std::string_view file;
  std::uint64_t bytes;
  std::string_view sha256;
};

/// A data set as a value, which dataset_of makes from the struct that describes one.
struct Dataset final {
  std::string_view name;
  std::string_view summary;
  std::string_view licence;                   ///< and what to cite
  std::span<const std::string_view> folders;  ///< beside the root itself; `adabelief data` makes the first
  std::span<const std::string_view> files;    ///< what such a folder holds, each as it is or with .gz
  std::string_view base;                      ///< the official address, up to the file's name
  std::span<const Remote> remotes;            ///< the files to fetch: `files` with .gz, or one .tar.gz of the folder
  std::string_view debian_folder;             ///< where Debian's package puts the files; empty if there is none
  std::string_view debian_package;
  ImageData (*load)(const std::filesystem::path& folder);  ///< throws as load below does
};

template <class D>
inline constexpr Dataset dataset_of{
    .name = D::name,
    .summary = D::summary,
    .licence = D::licence,
    .folders = D::folders,
    .files = D::files,
    .base = D::base,
    .remotes = D::remotes,
    .debian_folder = D::debian_folder,
    .debian_package = D::debian_package,
    .load = D::load,
};

/// A place that may hold data sets.
struct Root final {
  std::filesystem::path path;
  std::string_view given_by;  ///< "--data" or "ADABELIEF_DATA", and then it must exist; otherwise empty
};

/// The user's places, best first: `data_root` unless empty (the flag --data), the environment's ADABELIEF_DATA, the
/// user's cache ($XDG_CACHE_HOME/adabelief or ~/.cache/adabelief).
std::vector<Root> roots(const std::filesystem::path& data_root = {});

/// The folder with all files of the data set: the root itself or one of the data set's folders in it.
/// Throws std::runtime_error if a place can't be looked into.
std::optional<std::filesystem::path> find_under(const std::filesystem::path& root, const Dataset& dataset);

/// The first folder that has them, among the roots and then Debian's. Throws std::runtime_error that says where it
/// looked and what to do.
std::filesystem::path find(const Dataset& dataset, const std::filesystem::path& data_root = {});

/// Every data set, by name.
std::span<const Dataset> datasets();

/// Finds a data set by its name and reads it. Throws std::runtime_error that names the file, what was expected and what
/// was found.
ImageData load(std::string_view name, const std::filesystem::path& data_root = {});

class Sha256 final {
 public:
  Sha256();
  void update(std::span<const std::uint8_t> bytes);
  /// Of all bytes so far, as 64 hexadecimal digits. Ends the computation.
  std::string digits();

 private:
  struct Free {
    void operator()(evp_md_ctx_st* context) const;
  };
  std::unique_ptr<evp_md_ctx_st, Free> context_;
};

/// Reads the files of one data set, in its order.
class Reader final {
 public:
  Reader(std::string_view dataset, std::filesystem::path folder);

  /// The content of folder/file, or of folder/file.gz decompressed. Reads one byte beyond `bytes` at most, so that a
  /// file that is too long shows. Throws if there is no such file or it can't be read or is damaged.
  std::vector<std::uint8_t> read(std::string_view file, std::size_t bytes);

  /// Each of these throws an error that names the data set and the file read last.
  void expect_size(std::size_t found, std::size_t bytes, std::string_view what) const;
  void expect_labels(std::span<const std::uint8_t> labels, int classes) const;
  [[noreturn]] void fail(std::string_view why) const;

  /// Completes what was read: mean, std, sha256, found_in. Last use of the reader.
  ImageData finish(Images train, Images test, int classes);

 private:
  std::string dataset_;
  std::filesystem::path folder_, path_;
  Sha256 sha256_;
};

}  // namespace adabelief::trials::data
