// SPDX-License-Identifier: MIT
// What the AdaBelief paper's WGAN and WGAN-GP share: DCGAN's networks, and means of the critic's values as losses.
#pragma once

#include "models/dcgan.h"
#include "tasks/gan.h"

namespace adabelief::trials {

class Wgan : public Gan {
 public:
  Wgan(const Setup& setup, data::ImageData images, CriticEnd end)
      : Gan(setup, std::move(images),
            {.epochs = 100, .latent = 100, .side = 64, .generator_turn = 1, .fakes = 64'000, .against_test = false}),
        generator_(100, scaled(64, setup.width)),
        critic_(scaled(64, setup.width), end) {
    lay_out();
  }

 protected:
  torch::nn::Module& generator() override { return *generator_; }
  torch::nn::Module& critic() override { return *critic_; }
  torch::Tensor generate(const torch::Tensor& z, const torch::Tensor&) override { return generator_(z); }
  torch::Tensor value(const torch::Tensor& x) { return critic_(x); }

  /// Real and fake images have a batch norm each.
  torch::Tensor critic_loss(const torch::Tensor& real, const torch::Tensor&, const torch::Tensor& fake,
                            const torch::Tensor&) override {
    const torch::Tensor of_real = value(real).mean();
    return value(fake).mean() - of_real;
  }
  torch::Tensor generator_loss(const torch::Tensor& fake, const torch::Tensor&) override { return -value(fake).mean(); }

 private:
  DcganGenerator generator_;
  DcganCritic critic_;
};

}  // namespace adabelief::trials
