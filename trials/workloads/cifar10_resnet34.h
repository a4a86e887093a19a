// SPDX-License-Identifier: MIT
// CIFAR-10 by ResNet-34.
#pragma once

#include "models/resnet.h"
#include "tasks/cifar.h"

namespace adabelief::trials {

struct Cifar10ResNet34 final : PaperCifar {
  static constexpr std::string_view name = "cifar10_resnet34";
  static constexpr std::string_view summary = "CIFAR-10 by ResNet-34, as in the AdaBelief paper";

  explicit Cifar10ResNet34(const Setup& setup) : PaperCifar(setup, "cifar10", resnet34(10, setup.width)) {}
};

}  // namespace adabelief::trials
