// SPDX-License-Identifier: MIT
// CIFAR-10 by DenseNet-121.
#pragma once

#include "models/densenet.h"
#include "tasks/cifar.h"

namespace adabelief::trials {

struct Cifar10DenseNet121 final : PaperCifar {
  static constexpr std::string_view name = "cifar10_densenet121";
  static constexpr std::string_view summary = "CIFAR-10 by DenseNet-121, as in the AdaBelief paper";

  explicit Cifar10DenseNet121(const Setup& setup) : PaperCifar(setup, "cifar10", DenseNet121(10, setup.width)) {}
};

}  // namespace adabelief::trials
