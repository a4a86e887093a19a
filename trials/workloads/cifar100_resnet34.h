// SPDX-License-Identifier: MIT
// CIFAR-100 by ResNet-34.
#pragma once

#include "models/resnet.h"
#include "tasks/cifar.h"

namespace adabelief::trials {

struct Cifar100ResNet34 final : PaperCifar {
  static constexpr std::string_view name = "cifar100_resnet34";
  static constexpr std::string_view summary = "CIFAR-100 by ResNet-34, as in the AdaBelief paper";

  explicit Cifar100ResNet34(const Setup& setup) : PaperCifar(setup, "cifar100", resnet34(100, setup.width)) {}
};

}  // namespace adabelief::trials
