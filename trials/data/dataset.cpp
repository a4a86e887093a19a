// SPDX-License-Identifier: MIT
// Finding, reading and checking the files of data sets.
#include "dataset.h"

#include <fmt/format.h>
#include <openssl/evp.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <system_error>
#include <utility>

namespace adabelief::trials::data {
namespace fs = std::filesystem;
namespace {

bool is_there(const fs::path& path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (status.type() == fs::file_type::none) {
    throw std::runtime_error(fmt::format("{}: {}", path.string(), error.message()));
  }
  return fs::exists(status);
}

/// folder/file or folder/file.gz.
std::optional<fs::path> plain_or_gz(const fs::path& folder, std::string_view file) {
  for (const char* end : {"", ".gz"}) {
    const fs::path path = folder / (std::string(file) + end);
    if (is_there(path)) return path;
  }
  return std::nullopt;
}

/// The root itself, then the data set's folders in it.
std::vector<fs::path> folders_under(const fs::path& root, const Dataset& dataset) {
  std::vector<fs::path> folders{root};
  for (const std::string_view folder : dataset.folders) folders.push_back(root / folder);
  return folders;
}

/// How many of the data set's files are there before the first that isn't.
std::size_t present(const fs::path& folder, const Dataset& dataset) {
  const auto missing = std::find_if(dataset.files.begin(), dataset.files.end(),
                                    [&](std::string_view file) { return !plain_or_gz(folder, file); });
  return static_cast<std::size_t>(missing - dataset.files.begin());
}

std::string_view environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

}  // namespace

std::vector<Root> roots(const fs::path& data_root) {
  std::vector<Root> roots;
  if (!data_root.empty()) roots.push_back({data_root, "--data"});
  if (const auto path = environment("ADABELIEF_DATA"); !path.empty()) roots.push_back({path, "ADABELIEF_DATA"});
  // The XDG base directory specification has relative paths ignored.
  if (const fs::path cache = environment("XDG_CACHE_HOME"); cache.is_absolute()) {
    roots.push_back({cache / "adabelief", ""});
  } else if (const fs::path home = environment("HOME"); !home.empty()) {
    roots.push_back({home / ".cache" / "adabelief", ""});
  }
  return roots;
}

std::optional<fs::path> find_under(const fs::path& root, const Dataset& dataset) {
  for (const fs::path& folder : folders_under(root, dataset)) {
    if (present(folder, dataset) == dataset.files.size()) return folder;
  }
  return std::nullopt;
}

fs::path find(const Dataset& dataset, const fs::path& data_root) {
  std::string advice = fmt::format("run: adabelief data {}", dataset.name);
  if (!data_root.empty()) advice += " --data " + data_root.string();
  std::vector<Root> places = roots(data_root);
  if (!dataset.debian_folder.empty()) {
    places.push_back({dataset.debian_folder, ""});
    advice += fmt::format(", or install Debian's {}", dataset.debian_package);
  }
  std::string looked;
  std::size_t most = 0;  // files in the fullest folder: the next one is the one to name
  try {
    for (const auto& [root, given_by] : places) {
      if (!given_by.empty() && !fs::is_directory(root)) {
        throw std::runtime_error(fmt::format("{} {}: no such folder; {}", given_by, root.string(), advice));
      }
      if (auto folder = find_under(root, dataset)) return *std::move(folder);
      for (const fs::path& folder : folders_under(root, dataset)) most = std::max(most, present(folder, dataset));
      looked += (looked.empty() ? "" : ", ") + root.string();
    }
  } catch (const std::exception& e) {
    throw std::runtime_error(fmt::format("{}: {}", dataset.name, e.what()));
  }
  throw std::runtime_error(
      fmt::format("{}: no {}[.gz] under {}; {}", dataset.name, dataset.files[most], looked, advice));
}

Sha256::Sha256() : context_(EVP_MD_CTX_new()) {
  if (!context_ || !EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr)) {
    throw std::runtime_error("OpenSSL has no SHA-256");
  }
}

void Sha256::Free::operator()(evp_md_ctx_st* context) const { EVP_MD_CTX_free(context); }

void Sha256::update(std::span<const std::uint8_t> bytes) {
  EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size());
}

std::string Sha256::digits() {
  std::array<std::uint8_t, 32> digest;
  EVP_DigestFinal_ex(context_.get(), digest.data(), nullptr);
  std::string digits;
  for (const std::uint8_t byte : digest) digits += fmt::format("{:02x}", byte);
  return digits;
}

Reader::Reader(std::string_view dataset, fs::path folder) : dataset_(dataset), folder_(std::move(folder)) {}

void Reader::fail(std::string_view why) const {
  throw std::runtime_error(fmt::format("{}: {}: {}", dataset_, path_.string(), why));
}

std::vector<std::uint8_t> Reader::read(std::string_view file, std::size_t bytes) {
  path_ = folder_ / file;
  const auto found = plain_or_gz(folder_, file);
  if (!found) fail("no such file, with or without .gz");
  path_ = *found;
  if (!fs::is_regular_file(path_)) fail("expected a file, found a folder or something else");

  // zlib reads a file that isn't gzip as it is.
  const std::unique_ptr<gzFile_s, int (*)(gzFile)> in(gzopen(path_.c_str(), "rb"), gzclose);
  if (!in) fail(std::strerror(errno));
  gzbuffer(in.get(), 1 << 18);
  std::vector<std::uint8_t> content(bytes + 1);
  std::size_t size = 0;
  while (size < content.size()) {
    const auto chunk = static_cast<unsigned>(std::min<std::size_t>(content.size() - size, 1 << 30));
    const int n = gzread(in.get(), content.data() + size, chunk);
    if (n < 0) break;
    size += static_cast<std::size_t>(n);
    if (n == 0) break;
  }
  int status = Z_OK;
  const char* text = gzerror(in.get(), &status);
  if (status == Z_ERRNO) fail(std::strerror(errno));
  if (status != Z_OK && status != Z_STREAM_END) {
    fail(fmt::format("damaged or cut gzip file after {} bytes of content, expected {} ({})", size, bytes, text));
  }
  content.resize(size);
  sha256_.update(content);
  return content;
}

void Reader::expect_size(std::size_t found, std::size_t bytes, std::string_view what) const {
  if (found > bytes) fail(fmt::format("expected {} ({} bytes), found more", what, bytes));
  if (found < bytes) fail(fmt::format("expected {} ({} bytes), found {} bytes", what, bytes, found));
}

void Reader::expect_labels(std::span<const std::uint8_t> labels, int classes) const {
  const auto bad = std::find_if(labels.begin(), labels.end(), [&](int label) { return label >= classes; });
  if (bad != labels.end()) {
    fail(fmt::format("expected labels from 0 to {}, found {} at image {}", classes - 1, *bad, bad - labels.begin()));
  }
}

ImageData Reader::finish(Images train, Images test, int classes) {
  ImageData data;
  data.train = std::move(train);
  data.test = std::move(test);
  data.classes = classes;
  data.found_in = folder_;
  const std::size_t channels = data.train.channels, plane = data.train.height * data.train.width;
  std::vector<std::uint64_t> sum(channels), squares(channels);
  for (std::size_t n = 0; n < data.train.count; ++n) {
    for (std::size_t c = 0; c < channels; ++c) {
      const std::uint8_t* pixels = &data.train.pixels[(n * channels + c) * plane];
      std::uint32_t s = 0, q = 0;  // enough for 66,000 pixels, and vectorized where 64 bits are not
      for (std::size_t i = 0; i < plane; ++i) {
        s += pixels[i];
        q += std::uint32_t{pixels[i]} * pixels[i];
      }
      sum[c] += s;
      squares[c] += q;
    }
  }
  const double number = static_cast<double>(data.train.count * plane);
  for (std::size_t c = 0; c < channels; ++c) {
    const double mean = static_cast<double>(sum[c]) / number;
    data.mean.push_back(static_cast<float>(mean / 255));
    data.std.push_back(
        static_cast<float>(std::sqrt(std::max(0.0, static_cast<double>(squares[c]) / number - mean * mean)) / 255));
  }
  data.sha256 = sha256_.digits();
  return data;
}

}  // namespace adabelief::trials::data
