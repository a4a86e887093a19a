// SPDX-License-Identifier: MIT
// CIFAR-10 by SN-GAN: Miyato et al., ICLR 2018, arXiv:1802.05957.
#pragma once

#include "models/sngan.h"
#include "tasks/gan.h"

namespace adabelief::trials {

/// As in the AdaBelief paper's runs with PyTorch-StudioGAN: of each class its own images, hinge loss, flips, 100,000
/// steps of the generator, FID against the test images after every 2,000 of them. Real images and fakes go through the
/// discriminator one after the other, each with a step of power iteration.
struct Cifar10Sngan final : Gan {
  static constexpr std::string_view name = "cifar10_sngan";
  static constexpr std::string_view summary = "CIFAR-10 by a spectrally normalized GAN (AdaBelief paper, table 3)";

  explicit Cifar10Sngan(const Setup& setup) : Cifar10Sngan(setup, data::load("cifar10", setup.data_root)) {}
  Cifar10Sngan(const Setup& setup, data::ImageData images)
      : Gan(setup, std::move(images),
            {.epochs = 640,
             .latent = 128,
             .side = 32,
             .generator_turn = 5,
             .flip = true,
             .fakes = 10'000,
             .against_test = true,
             .evaluations = 50}),
        generator_(128, scaled(256, setup.width), 10),
        discriminator_(scaled(128, setup.width), 10) {
    lay_out();
  }

 protected:
  torch::nn::Module& generator() override { return *generator_; }
  torch::nn::Module& critic() override { return *discriminator_; }
  torch::Tensor generate(const torch::Tensor& z, const torch::Tensor& y) override { return generator_(z, y); }

  torch::Tensor critic_loss(const torch::Tensor& real, const torch::Tensor& real_y, const torch::Tensor& fake,
                            const torch::Tensor& fake_y) override {
    const torch::Tensor of_real = discriminator_(real, real_y), of_fake = discriminator_(fake, fake_y);
    return torch::relu(1 - of_real).mean() + torch::relu(1 + of_fake).mean();
  }
  torch::Tensor generator_loss(const torch::Tensor& fake, const torch::Tensor& y) override {
    return -discriminator_(fake, y).mean();
  }

 private:
  SnganGenerator generator_;
  SnganDiscriminator discriminator_;
};

}  // namespace adabelief::trials
