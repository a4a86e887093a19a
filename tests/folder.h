// SPDX-License-Identifier: MIT
// A folder of a test's own, and the words of a refusal.
#pragma once

#include <cstdlib>
#include <exception>
#include <filesystem>
#include <stdexcept>
#include <string>

namespace adabelief::tests {

/// Empty at first, gone with all that is in it at its end.
struct Folder {
  std::filesystem::path path;

  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "adabelief-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) throw std::runtime_error(name + ": cannot be made");
    path = name;
  }
  Folder(const Folder&) = delete;
  ~Folder() { std::filesystem::remove_all(path); }

  std::filesystem::path operator/(const std::string& name) const { return path / name; }
};

/// The message of what `call` throws, an Error; a test that expects one and gets none fails by its content.
template <class Error = std::exception, class F>
std::string refusal(F call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "nothing was refused";
}

}  // namespace adabelief::tests
