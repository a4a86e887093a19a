// SPDX-License-Identifier: MIT
// CIFAR-10 by the AdaBelief paper's WGAN: Arjovsky et al., ICML 2017, arXiv:1701.07875.
#pragma once

#include "tasks/wgan.h"

namespace adabelief::trials {

/// As the authors' script has it: the critic ends in a sigmoid, has batch norm, and every weight of it, norms' scales
/// included, is clipped to [-0.01, 0.01].
struct Cifar10Wgan final : Wgan {
  static constexpr std::string_view name = "cifar10_wgan";
  static constexpr std::string_view summary = "CIFAR-10 by a WGAN with clipped weights (AdaBelief paper, figure 6)";

  explicit Cifar10Wgan(const Setup& setup) : Cifar10Wgan(setup, data::load("cifar10", setup.data_root)) {}
  Cifar10Wgan(const Setup& setup, data::ImageData images) : Wgan(setup, std::move(images), CriticEnd::sigmoid) {}

  void after(const libtorch::AnyOptimizer&) override {
    const torch::NoGradGuard no_grad;
    for (torch::Tensor& p : critic().parameters()) p.clamp_(-0.01, 0.01);
  }
};

}  // namespace adabelief::trials
