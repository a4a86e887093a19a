// SPDX-License-Identifier: MIT
// CIFAR-10 by a residual network of 20 layers.
#pragma once

#include "models/resnet.h"
#include "tasks/classification.h"

namespace adabelief::trials {

/// He et al., CVPR 2016, section 4.2: batches of 128, 4 pixels of padding with random crops, flips. He et al.
/// reach 91.25 % after 164 epochs of SGD at lr 0.1, divided by 10 at epochs 82 and 123, weight decay 1e-4.
struct Cifar10ResNet20 final : Classification {
  static constexpr std::string_view name = "cifar10_resnet20";
  static constexpr std::string_view summary = "CIFAR-10 by ResNet-20, crops and flips (He et al., 2016, section 4.2)";

  explicit Cifar10ResNet20(const Setup& setup)
      : Classification(setup, "cifar10", resnet_cifar(3, 10, setup.width),
                       {.epochs = 164, .batch = 128, .pad = 4, .flip = Flip::random}) {}
};

}  // namespace adabelief::trials
