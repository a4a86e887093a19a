// SPDX-License-Identifier: MIT
// ResNet-18 for ImageNet: He et al., CVPR 2016, arXiv:1512.03385, table 1, initialized as torchvision does.
#pragma once

#include <torch/torch.h>

#include "models/resnet.h"

namespace adabelief::trials {

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
      layers_->push_back(BasicBlock(in, out, stage == 0 ? 1 : 2, Shortcut::projection));
      layers_->push_back(BasicBlock(out, out, 1, Shortcut::projection));
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
