// SPDX-License-Identifier: MIT
// The residual networks of 6n + 2 layers for 32 x 32 images: He et al., CVPR 2016, arXiv:1512.03385, section 4.2.
#pragma once

#include <torch/torch.h>

#include "workload.h"

namespace adabelief::trials {

/// Two 3 x 3 convolutions with batch norm beside a shortcut without weights (option A: every other pixel, new channels
/// zero).
struct BasicBlockImpl : torch::nn::Module {
  BasicBlockImpl(std::int64_t in, std::int64_t out, std::int64_t stride) : stride_(stride), more_(out - in) {
    const auto conv = [](std::int64_t from, std::int64_t to, std::int64_t stride) {
      return torch::nn::Conv2d(torch::nn::Conv2dOptions(from, to, 3).stride(stride).padding(1).bias(false));
    };
    conv1_ = register_module("conv1", conv(in, out, stride));
    bn1_ = register_module("bn1", torch::nn::BatchNorm2d(out));
    conv2_ = register_module("conv2", conv(out, out, 1));
    bn2_ = register_module("bn2", torch::nn::BatchNorm2d(out));
  }

  torch::Tensor forward(const torch::Tensor& x) {
    using torch::indexing::Slice;
    const torch::Tensor y = bn2_(conv2_(torch::relu(bn1_(conv1_(x)))));
    if (more_ == 0) return torch::relu(y + x);
    const torch::Tensor every = x.index({Slice(), Slice(), Slice(0, {}, stride_), Slice(0, {}, stride_)});
    return torch::relu(y + torch::constant_pad_nd(every, {0, 0, 0, 0, more_ / 2, more_ - more_ / 2}));
  }

 private:
  std::int64_t stride_, more_;
  torch::nn::Conv2d conv1_{nullptr}, conv2_{nullptr};
  torch::nn::BatchNorm2d bn1_{nullptr}, bn2_{nullptr};
};
TORCH_MODULE(BasicBlock);

/// (N, 3, 32, 32) -> logits (N, classes). 6 * blocks + 2 layers; 269,722 weights for blocks = 3, classes = 10, width 1.
struct ResNetCifarImpl : torch::nn::Module {
  ResNetCifarImpl(std::int64_t blocks, std::int64_t classes, double width = 1) {
    const std::int64_t first = scaled(16, width);
    layers_->push_back(torch::nn::Conv2d(torch::nn::Conv2dOptions(3, first, 3).padding(1).bias(false)));
    layers_->push_back(torch::nn::BatchNorm2d(first));
    layers_->push_back(torch::nn::ReLU());
    std::int64_t in = first;
    for (const std::int64_t out : {first, 2 * first, 4 * first}) {
      for (std::int64_t i = 0; i < blocks; ++i) {
        layers_->push_back(BasicBlock(in, out, i == 0 && out != first ? 2 : 1));
        in = out;
      }
    }
    register_module("layers", layers_);
    linear_ = register_module("linear", torch::nn::Linear(in, classes));
    for (auto& module : modules(false)) {  // He et al., ICCV 2015, arXiv:1502.01852, equation 10
      if (auto* conv = module->as<torch::nn::Conv2d>()) torch::nn::init::kaiming_normal_(conv->weight);
      if (auto* linear = module->as<torch::nn::Linear>()) {
        torch::nn::init::kaiming_normal_(linear->weight);
        torch::nn::init::zeros_(linear->bias);
      }
    }
  }

  torch::Tensor forward(const torch::Tensor& x) { return linear_(features(x)); }

  /// What the logits are linear in: (N, 64).
  torch::Tensor features(const torch::Tensor& x) { return layers_->forward(x).mean({2, 3}); }

 private:
  torch::nn::Sequential layers_;
  torch::nn::Linear linear_{nullptr};
};
TORCH_MODULE(ResNetCifar);

}  // namespace adabelief::trials
