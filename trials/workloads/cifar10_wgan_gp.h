// SPDX-License-Identifier: MIT
// CIFAR-10 by the AdaBelief paper's WGAN-GP: Gulrajani et al., NeurIPS 2017, arXiv:1704.00028.
#pragma once

#include "tasks/wgan.h"

namespace adabelief::trials {

/// As the authors' script has it: the critic keeps its batch norm, which Gulrajani et al. advise against, since the
/// penalty is on single images.
struct Cifar10WganGp final : Wgan {
  static constexpr std::string_view name = "cifar10_wgan_gp";
  static constexpr std::string_view summary = "CIFAR-10 by a WGAN with gradient penalty (AdaBelief paper, figure 6)";

  explicit Cifar10WganGp(const Setup& setup) : Cifar10WganGp(setup, data::load("cifar10", setup.data_root)) {}
  Cifar10WganGp(const Setup& setup, data::ImageData images) : Wgan(setup, std::move(images), CriticEnd::linear) {}

 protected:
  torch::Tensor critic_penalty(const torch::Tensor& real, const torch::Tensor& fake, std::int64_t t) override {
    at::Generator numbers = random(penalty_key, t);
    const torch::Tensor between =
        torch::lerp(fake, real, torch::rand({real.size(0), 1, 1, 1}, numbers)).requires_grad_();
    const torch::Tensor gradient = torch::autograd::grad({value(between).sum()}, {between}, {}, true, true)[0];
    return 10 * (gradient.flatten(1).norm(2, 1) - 1).square().mean();
  }
};

}  // namespace adabelief::trials
