// SPDX-License-Identifier: MIT
// Which of a data set's training examples a trial trains on, and which it is judged by in tuning.
#pragma once

#include <cstdint>
#include <numeric>
#include <vector>

#include "random.h"
#include "workload.h"

namespace adabelief::trials {

/// Their places among the `all` that there are.
struct Examples {
  std::vector<std::int64_t> train, valid;
};

/// Where setup asks for fewer than all, or tunes, the first of a permutation, which `random` should make the same for
/// every seed. In tuning its last tenth is held back, the same for any number of training examples. Throws
/// std::invalid_argument where setup.train is more than there are.
inline Examples choose_examples(const Setup& setup, std::int64_t all, const Random& random) {
  const std::int64_t held_back = setup.tuning ? all / 10 : 0;
  if (setup.train > 0) check_range("train", setup.train, all - held_back);
  Examples examples;
  if (setup.train > 0 || setup.tuning) {
    examples.train = permutation(all, random);
    examples.valid.assign(examples.train.end() - held_back, examples.train.end());
    examples.train.resize(static_cast<std::size_t>(setup.train > 0 ? setup.train : all - held_back));
  } else {
    examples.train.resize(static_cast<std::size_t>(all));
    std::iota(examples.train.begin(), examples.train.end(), 0);
  }
  return examples;
}

}  // namespace adabelief::trials
