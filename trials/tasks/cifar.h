// SPDX-License-Identifier: MIT
// CIFAR-10 and CIFAR-100 as the AdaBelief paper trains them.
#pragma once

#include "tasks/classification.h"

namespace adabelief::trials {

/// Zhuang et al., NeurIPS 2020, section 4, who took the training from AdaBound's authors: batches of 128, 4 pixels of
/// padding with random crops, flips, 200 epochs. Where this differs the experiment cifar10 says it.
struct PaperCifar : Classification {
  PaperCifar(const Setup& setup, std::string_view data_name, Network network)
      : Classification(setup, data_name, std::move(network),
                       {.epochs = 200, .batch = 128, .pad = 4, .flip = Flip::random}) {}
};

}  // namespace adabelief::trials
