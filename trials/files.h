// SPDX-License-Identifier: MIT
// Files that are whole or not there, whatever ends the program or the machine: written as NAME.part, synced, renamed.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <initializer_list>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

namespace adabelief::trials {

/// A file to write, closed at the end of its scope. What fails throws std::runtime_error that names it.
class OutputFile {
 public:
  /// `flags` are those of open() beside the usual ones.
  explicit OutputFile(std::filesystem::path path, int flags = O_TRUNC)
      : path_(std::move(path)), number_(open(path_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0666)) {
    check(number_ >= 0);
  }
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;
  ~OutputFile() { close(number_); }

  int number() const { return number_; }

  void write(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n = ::write(number_, bytes.data(), bytes.size());
      check(n >= 0 || errno == EINTR);
      if (n > 0) bytes.remove_prefix(static_cast<std::size_t>(n));
    }
  }

  /// Empties it.
  void clear() { check(ftruncate(number_, 0) == 0 && lseek(number_, 0, SEEK_SET) == 0); }

  /// Gives it the name `path`, in the same folder. When this returns, content and name are on the disk.
  void rename(const std::filesystem::path& path) {
    check(fsync(number_) == 0);
    std::filesystem::rename(path_, path);
    const std::filesystem::path folder = path.has_parent_path() ? path.parent_path() : ".";
    const int opened = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (opened < 0) return;
    fsync(opened);  // some file systems cannot, for folders
    close(opened);
  }

 private:
  void check(bool good) const {
    if (!good) throw std::runtime_error(path_.string() + ": cannot write: " + std::strerror(errno));
  }

  std::filesystem::path path_;
  int number_;
};

/// Writes these parts one after another. Throws what OutputFile throws, and then the file is as it was.
inline void write_whole(const std::filesystem::path& path, std::initializer_list<std::string_view> parts) {
  const std::filesystem::path part = path.string() + ".part";
  try {
    OutputFile file(part);
    for (const std::string_view bytes : parts) file.write(bytes);
    file.rename(path);
  } catch (...) {
    std::error_code ignored;
    std::filesystem::remove(part, ignored);
    throw;
  }
}

}  // namespace adabelief::trials
