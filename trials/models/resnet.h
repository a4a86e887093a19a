// SPDX-License-Identifier: MIT
// The residual networks of basic blocks for 32 x 32 images: He et al., CVPR 2016, arXiv:1512.03385.
#pragma once

#include <torch/torch.h>

#include <vector>

#include "workload.h"

namespace adabelief::trials {

/// How a shortcut gets past a change of shape, options A and B of section 3.3: by every other pixel with new channels
/// zero, or by a 1 x 1 convolution with batch norm.
enum class Shortcut { zeros, projection };

/// Two 3 x 3 convolutions with batch norm beside a shortcut.
struct BasicBlockImpl : torch::nn::Module {
  BasicBlockImpl(std::int64_t in, std::int64_t out, std::int64_t stride, Shortcut shortcut)
      : stride_(stride), more_(out - in) {
    const auto conv = [](std::int64_t from, std::int64_t to, std::int64_t side, std::int64_t stride) {
      return torch::nn::Conv2d(torch::nn::Conv2dOptions(from, to, side).stride(stride).padding(side / 2).bias(false));
    };
    conv1_ = register_module("conv1", conv(in, out, 3, stride));
    bn1_ = register_module("bn1", torch::nn::BatchNorm2d(out));
    conv2_ = register_module("conv2", conv(out, out, 3, 1));
    bn2_ = register_module("bn2", torch::nn::BatchNorm2d(out));
    if (shortcut == Shortcut::projection && (more_ != 0 || stride != 1)) {
      projection_ =
          register_module("shortcut", torch::nn::Sequential(conv(in, out, 1, stride), torch::nn::BatchNorm2d(out)));
    }
  }

  torch::Tensor forward(const torch::Tensor& x) {
    return torch::relu(bn2_(conv2_(torch::relu(bn1_(conv1_(x))))) + shortcut(x));
  }

 private:
  torch::Tensor shortcut(const torch::Tensor& x) {
    using torch::indexing::Slice;
    if (projection_) return projection_->forward(x);
    if (more_ == 0) return x;
    const torch::Tensor every = x.index({Slice(), Slice(), Slice(0, {}, stride_), Slice(0, {}, stride_)});
    return torch::constant_pad_nd(every, {0, 0, 0, 0, more_ / 2, more_ - more_ / 2});
  }

  std::int64_t stride_, more_;
  torch::nn::Conv2d conv1_{nullptr}, conv2_{nullptr};
  torch::nn::BatchNorm2d bn1_{nullptr}, bn2_{nullptr};
  torch::nn::Sequential projection_{nullptr};
};
TORCH_MODULE(BasicBlock);

/// (N, 3, 32, 32) -> logits (N, classes), torch's default initialization.
struct ResNetImpl : torch::nn::Module {
  /// `blocks` of each stage; the first stage has `channels`, each of the others twice as many on half the side.
  ResNetImpl(const std::vector<std::int64_t>& blocks, std::int64_t channels, Shortcut shortcut, std::int64_t classes) {
    layers_->push_back(torch::nn::Conv2d(torch::nn::Conv2dOptions(3, channels, 3).padding(1).bias(false)));
    layers_->push_back(torch::nn::BatchNorm2d(channels));
    layers_->push_back(torch::nn::ReLU());
    std::int64_t in = channels;
    for (std::size_t stage = 0; stage < blocks.size(); ++stage) {
      const std::int64_t out = channels << stage;
      for (std::int64_t i = 0; i < blocks[stage]; ++i) {
        layers_->push_back(BasicBlock(in, out, i == 0 && stage > 0 ? 2 : 1, shortcut));
        in = out;
      }
    }
    register_module("layers", layers_);
    linear_ = register_module("linear", torch::nn::Linear(in, classes));
  }

  torch::Tensor forward(const torch::Tensor& x) { return linear_(features(x)); }

  /// What the logits are linear in: (N, channels of the last stage).
  torch::Tensor features(const torch::Tensor& x) { return layers_->forward(x).mean({2, 3}); }

 private:
  torch::nn::Sequential layers_;
  torch::nn::Linear linear_{nullptr};
};
TORCH_MODULE(ResNet);

/// Section 4.2: three stages of `blocks` from 16 channels on, 6 * blocks + 2 layers, initialized as in He et al., ICCV
/// 2015, arXiv:1502.01852, equation 10. 269,722 weights for blocks = 3, classes = 10, width = 1.
inline ResNet resnet_cifar(std::int64_t blocks, std::int64_t classes, double width) {
  ResNet net(std::vector(3, blocks), scaled(16, width), Shortcut::zeros, classes);
  for (auto& module : net->modules(false)) {
    if (auto* conv = module->as<torch::nn::Conv2d>()) torch::nn::init::kaiming_normal_(conv->weight);
    if (auto* linear = module->as<torch::nn::Linear>()) {
      torch::nn::init::kaiming_normal_(linear->weight);
      torch::nn::init::zeros_(linear->bias);
    }
  }
  return net;
}

/// ResNet-34 with a stem for small images, 3 x 3 without pooling, as the AdaBelief paper trains it: 21,282,122 weights
/// for classes = 10, width = 1.
inline ResNet resnet34(std::int64_t classes, double width) {
  return ResNet(std::vector<std::int64_t>{3, 4, 6, 3}, scaled(64, width), Shortcut::projection, classes);
}

}  // namespace adabelief::trials
