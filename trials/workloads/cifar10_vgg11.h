// SPDX-License-Identifier: MIT
// CIFAR-10 by VGG11 without batch norm.
#pragma once

#include "models/vgg.h"
#include "tasks/cifar.h"

namespace adabelief::trials {

struct Cifar10Vgg11 final : PaperCifar {
  static constexpr std::string_view name = "cifar10_vgg11";
  static constexpr std::string_view summary = "CIFAR-10 by VGG11 without batch norm, as in the AdaBelief paper";

  explicit Cifar10Vgg11(const Setup& setup) : PaperCifar(setup, "cifar10", Vgg11(10, setup.width)) {}
};

}  // namespace adabelief::trials
