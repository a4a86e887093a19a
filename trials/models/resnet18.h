// SPDX-License-Identifier: MIT
// ResNet-18 for ImageNet: He et al., CVPR 2016, arXiv:1512.03385, table 1, initialized as torchvision does.
#pragma once

#include <torch/torch.h>

#include "workload.h"

namespace adabelief::trials {

/// Two 3 x 3 convolutions with batch norm beside a shortcut, which where sizes differ is a 1 x 1 convolution with batch
/// norm (option B).
struct ProjectedBlockImpl : torch::nn::Module {
  ProjectedBlockImpl(std::int64_t in, std::int64_t out, std::int64_t stride) {
    const auto conv = [](std::int64_t from, std::int64_t to, std::int64_t size, std::int64_t stride) {
      return torch::nn::Conv2d(torch::nn::Conv2dOptions(from, to, size).stride(stride).padding(size / 2).bias(false));
    };
    conv1_ = register_module("conv1", conv(in, out, 3, stride));
    bn1_ = register_module("bn1", torch::nn::BatchNorm2d(out));
    conv2_ = register_module("conv2", conv(out, out, 3, 1));
    bn2_ = register_module("bn2", torch::nn::BatchNorm2d(out));
    if (stride != 1 || in != out) {
      shortcut_ =
          register_module("shortcut", torch::nn::Sequential(conv(in, out, 1, stride), torch::nn::BatchNorm2d(out)));
    }
  }

  torch::Tensor forward(const torch::Tensor& x) {
    const torch::Tensor y = bn2_(conv2_(torch::relu(bn1_(conv1_(x)))));
    return torch::relu(y + (shortcut_ ? shortcut_->forward(x) : x));
  }

 private:
  torch::nn::Conv2d conv1_{nullptr}, conv2_{nullptr};
  torch::nn::BatchNorm2d bn1_{nullptr}, bn2_{nullptr};
  torch::nn::Sequential shortcut_{nullptr};
};
TORCH_MODULE(ProjectedBlock);

/// (N, 3, S, S), S a multiple of 32 -> logits (N, classes). 11,689,512 weights for 1,000 classes at a width of 1.
struct ResNet18Impl : torch::nn::Module {
  explicit ResNet18Impl(std::int64_t classes, double width = 1) {
    namespace nn = torch::nn;
    std::int64_t in = scaled(64, width), out = in;
    layers_->push_back(nn::Conv2d(nn::Conv2dOptions(3, in, 7).stride(2).padding(3).bias(false)));
    layers_->push_back(nn::BatchNorm2d(in));
    layers_->push_back(nn::ReLU(nn::ReLUOptions(true)));
    layers_->push_back(nn::MaxPool2d(nn::MaxPool2dOptions(3).stride(2).padding(1)));
    for (int stage = 0; stage < 4; ++stage, out *= 2) {
      layers_->push_back(ProjectedBlock(in, out, stage == 0 ? 1 : 2));
      layers_->push_back(ProjectedBlock(out, out, 1));
      in = out;
    }
    register_module("layers", layers_);
    linear_ = register_module("linear", nn::Linear(in, classes));
    for (auto& module : modules(false)) {  // of linear_ torch's own
      if (auto* conv = module->as<nn::Conv2d>())
        nn::init::kaiming_normal_(conv->weight, 0, torch::kFanOut, torch::kReLU);
    }
  }

  torch::Tensor forward(const torch::Tensor& x) { return linear_(layers_->forward(x).mean({2, 3})); }

 private:
  torch::nn::Sequential layers_;
  torch::nn::Linear linear_{nullptr};
};
TORCH_MODULE(ResNet18);

}  // namespace adabelief::trials
