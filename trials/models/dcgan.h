// SPDX-License-Identifier: MIT
// The generator and the critic of the AdaBelief paper's WGAN and WGAN-GP: those of Radford et al., ICLR 2016,
// arXiv:1511.06434, for 64 x 64 images, as PyTorch's example writes them.
#pragma once

#include <torch/torch.h>

#include "workload.h"

namespace adabelief::trials {

/// Weights of convolutions from N(0, 0.02^2), scales of batch norm from N(1, 0.02^2), shifts zero.
inline void initialize_dcgan(torch::nn::Module& network) {
  for (auto& module : network.modules(false)) {
    if (auto* conv = module->as<torch::nn::Conv2d>()) torch::nn::init::normal_(conv->weight, 0, 0.02);
    if (auto* conv = module->as<torch::nn::ConvTranspose2d>()) torch::nn::init::normal_(conv->weight, 0, 0.02);
    if (auto* norm = module->as<torch::nn::BatchNorm2d>()) {
      torch::nn::init::normal_(norm->weight, 1, 0.02);
      torch::nn::init::zeros_(norm->bias);
    }
  }
}

/// (N, latent) -> images (N, 3, 64, 64) in [-1, 1]. 3,576,704 weights for latent = 100, channels = 64.
struct DcganGeneratorImpl : torch::nn::Module {
  DcganGeneratorImpl(std::int64_t latent, std::int64_t channels) {
    const auto up = [&](std::int64_t in, std::int64_t out, std::int64_t stride, std::int64_t padding) {
      layers_->push_back(torch::nn::ConvTranspose2d(
          torch::nn::ConvTranspose2dOptions(in, out, 4).stride(stride).padding(padding).bias(false)));
    };
    std::int64_t in = latent, out = 8 * channels;
    for (int i = 0; i < 4; ++i) {  // 4, 8, 16, 32 pixels a side
      up(in, out, i == 0 ? 1 : 2, i == 0 ? 0 : 1);
      layers_->push_back(torch::nn::BatchNorm2d(out));
      layers_->push_back(torch::nn::ReLU(torch::nn::ReLUOptions(true)));
      in = out, out /= 2;
    }
    up(in, 3, 2, 1);
    layers_->push_back(torch::nn::Tanh());
    register_module("layers", layers_);
    initialize_dcgan(*this);
  }

  torch::Tensor forward(const torch::Tensor& z) { return layers_->forward(z.view({z.size(0), z.size(1), 1, 1})); }

 private:
  torch::nn::Sequential layers_;
};
TORCH_MODULE(DcganGenerator);

/// How a critic's features (8 channels, 4, 4) become its value: by a convolution and a sigmoid (the authors' WGAN: its
/// values lie in (0, 1), which no definition of the Wasserstein distance asks for), or by a linear layer (WGAN-GP).
enum class CriticEnd { sigmoid, linear };

/// Images (N, 3, 64, 64) -> values (N). For channels = 64: 2,765,568 weights, and one more with a linear end.
struct DcganCriticImpl : torch::nn::Module {
  DcganCriticImpl(std::int64_t channels, CriticEnd end) {
    const auto down = [&](std::int64_t in, std::int64_t out, std::int64_t stride, std::int64_t padding) {
      layers_->push_back(
          torch::nn::Conv2d(torch::nn::Conv2dOptions(in, out, 4).stride(stride).padding(padding).bias(false)));
    };
    std::int64_t in = 3, out = channels;
    for (int i = 0; i < 4; ++i) {  // 32, 16, 8, 4 pixels a side
      down(in, out, 2, 1);
      if (i > 0) layers_->push_back(torch::nn::BatchNorm2d(out));
      layers_->push_back(torch::nn::LeakyReLU(torch::nn::LeakyReLUOptions().negative_slope(0.2).inplace(true)));
      in = out, out *= 2;
    }
    if (end == CriticEnd::sigmoid) {
      down(in, 1, 1, 0);
      layers_->push_back(torch::nn::Sigmoid());
    } else {
      layers_->push_back(torch::nn::Flatten());
      layers_->push_back(torch::nn::Linear(in * 4 * 4, 1));
    }
    register_module("layers", layers_);
    initialize_dcgan(*this);
  }

  torch::Tensor forward(const torch::Tensor& x) { return layers_->forward(x).flatten(); }

 private:
  torch::nn::Sequential layers_;
};
TORCH_MODULE(DcganCritic);

}  // namespace adabelief::trials
