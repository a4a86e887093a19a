// SPDX-License-Identifier: MIT
// CIFAR-100 by VGG11 without batch norm.
#pragma once

#include "models/vgg.h"
#include "tasks/cifar.h"

namespace adabelief::trials {

struct Cifar100Vgg11 final : PaperCifar {
  static constexpr std::string_view name = "cifar100_vgg11";
  static constexpr std::string_view summary = "CIFAR-100 by VGG11 without batch norm, as in the AdaBelief paper";

  explicit Cifar100Vgg11(const Setup& setup) : PaperCifar(setup, "cifar100", Vgg11(100, setup.width)) {}
};

}  // namespace adabelief::trials
