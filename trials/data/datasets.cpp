// SPDX-License-Identifier: MIT
// The data sets that the trials know.
#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

#include "cifar10.h"
#include "cifar100.h"
#include "dataset.h"
#include "fashion_mnist.h"

namespace adabelief::trials::data {

std::span<const Dataset> datasets() {
  static constexpr std::array all{dataset_of<Cifar10>, dataset_of<Cifar100>, dataset_of<FashionMnist>};
  return all;
}

ImageData load(std::string_view name, const std::filesystem::path& data_root) {
  const auto sets = datasets();
  const auto found = std::find_if(sets.begin(), sets.end(), [&](const Dataset& set) { return set.name == name; });
  if (found == sets.end()) throw std::runtime_error(fmt::format("no data set named '{}'", name));
  return found->load(find(*found, data_root));
}

}  // namespace adabelief::trials::data
