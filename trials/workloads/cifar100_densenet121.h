// SPDX-License-Identifier: MIT
// CIFAR-100 by DenseNet-121.
#pragma once

#include "models/densenet.h"
#include "tasks/cifar.h"

namespace adabelief::trials {

struct Cifar100DenseNet121 final : PaperCifar {
  static constexpr std::string_view name = "cifar100_densenet121";
  static constexpr std::string_view summary = "CIFAR-100 by DenseNet-121, as in the AdaBelief paper";

  explicit Cifar100DenseNet121(const Setup& setup) : PaperCifar(setup, "cifar100", DenseNet121(100, setup.width)) {}
};

}  // namespace adabelief::trials
