// SPDX-License-Identifier: MIT
// Fetching data sets: `adabelief data NAME`.
#pragma once

#include <filesystem>
#include <string>

#include "dataset.h"

namespace adabelief::trials::data {

struct FetchOptions final {
  std::filesystem::path data_root;  ///< --data; if empty the first of roots()
  std::string from;                 ///< --from: the address to use instead of the official one, up to the file's name
  bool quiet = false;               ///< print the folder only
};

/// Sees to it that the data set is there, and prints the folder: under data_root if that is given, else in any place
/// where `find` finds it. Touches no network if it is. A broken download is resumed, in the same run or the next one.
/// Throws std::runtime_error that says what failed and what to do.
void fetch(const Dataset& dataset, const FetchOptions& options = {});

/// Fetches `url` into `target` by way of target.part, which is verified and renamed; a part that is there is resumed.
/// Throws std::runtime_error; the part stays unless its content is wrong.
void download(const std::string& url, const std::filesystem::path& target, const Remote& expected, bool quiet = false);

}  // namespace adabelief::trials::data
