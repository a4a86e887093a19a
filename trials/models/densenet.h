// SPDX-License-Identifier: MIT
// DenseNet-121 for 32 x 32 images: Huang et al., CVPR 2017, arXiv:1608.06993.
#pragma once

#include <torch/torch.h>

#include "workload.h"

namespace adabelief::trials {

/// (N, in, H, W) -> (N, in + growth, H, W): `growth` new channels by way of 4 growth, before the old ones.
struct DenseLayerImpl : torch::nn::Module {
  DenseLayerImpl(std::int64_t in, std::int64_t growth) {
    namespace nn = torch::nn;
    bn1_ = register_module("bn1", nn::BatchNorm2d(in));
    conv1_ = register_module("conv1", nn::Conv2d(nn::Conv2dOptions(in, 4 * growth, 1).bias(false)));
    bn2_ = register_module("bn2", nn::BatchNorm2d(4 * growth));
    conv2_ = register_module("conv2", nn::Conv2d(nn::Conv2dOptions(4 * growth, growth, 3).padding(1).bias(false)));
  }

  torch::Tensor forward(const torch::Tensor& x) {
    return torch::cat({conv2_(torch::relu(bn2_(conv1_(torch::relu(bn1_(x)))))), x}, 1);
  }

 private:
  torch::nn::BatchNorm2d bn1_{nullptr}, bn2_{nullptr};
  torch::nn::Conv2d conv1_{nullptr}, conv2_{nullptr};
};
TORCH_MODULE(DenseLayer);

/// (N, 3, 32, 32) -> logits (N, classes): a 3 x 3 stem without pooling, growth 32, blocks of 6, 12, 24 and 16 layers,
/// between which channels and sides are halved, as the AdaBelief paper trains it. Torch's default initialization.
/// 6,956,298 weights for classes = 10, width = 1.
struct DenseNet121Impl : torch::nn::Module {
  DenseNet121Impl(std::int64_t classes, double width) {
    namespace nn = torch::nn;
    const std::int64_t growth = scaled(32, width);
    std::int64_t channels = 2 * growth;
    layers_->push_back(nn::Conv2d(nn::Conv2dOptions(3, channels, 3).padding(1).bias(false)));
    for (const int layers : {6, 12, 24, 16}) {
      for (int i = 0; i < layers; ++i, channels += growth) layers_->push_back(DenseLayer(channels, growth));
      layers_->push_back(nn::BatchNorm2d(channels));
      layers_->push_back(nn::ReLU());
      if (layers == 16) break;
      layers_->push_back(nn::Conv2d(nn::Conv2dOptions(channels, channels / 2, 1).bias(false)));
      layers_->push_back(nn::AvgPool2d(2));
      channels /= 2;
    }
    register_module("layers", layers_);
    linear_ = register_module("linear", nn::Linear(channels, classes));
  }

  torch::Tensor forward(const torch::Tensor& x) { return linear_(layers_->forward(x).mean({2, 3})); }

 private:
  torch::nn::Sequential layers_;
  torch::nn::Linear linear_{nullptr};
};
TORCH_MODULE(DenseNet121);

}  // namespace adabelief::trials
