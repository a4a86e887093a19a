// SPDX-License-Identifier: MIT
// VGG for 32 x 32 images: Simonyan and Zisserman, ICLR 2015, arXiv:1409.1556, table 1.
#pragma once

#include <torch/torch.h>

#include <cmath>

#include "workload.h"

namespace adabelief::trials {

/// (N, 3, 32, 32) -> logits (N, classes). Configuration A without batch norm, with two hidden layers of 512 and dropout
/// of one half before each, as the AdaBelief paper trains it. Convolutions are initialized by the normal law of
/// variance 2 / (9 outputs) with biases of 0, linear layers by torch's default. 9,750,922 weights for classes = 10,
/// width = 1.
struct Vgg11Impl : torch::nn::Module {
  Vgg11Impl(std::int64_t classes, double width) {
    namespace nn = torch::nn;
    std::int64_t in = 3;
    for (const auto& [channels, pooled] : {std::pair{64, true},
                                           {128, true},
                                           {256, false},
                                           {256, true},
                                           {512, false},
                                           {512, true},
                                           {512, false},
                                           {512, true}}) {
      const std::int64_t out = scaled(channels, width);
      nn::Conv2d conv(nn::Conv2dOptions(in, out, 3).padding(1));
      nn::init::normal_(conv->weight, 0, std::sqrt(2. / static_cast<double>(9 * out)));
      nn::init::zeros_(conv->bias);
      layers_->push_back(conv);
      layers_->push_back(nn::ReLU());
      if (pooled) layers_->push_back(nn::MaxPool2d(2));
      in = out;
    }
    layers_->push_back(nn::Flatten());  // (N, in): the side has become 1
    for (int hidden = 0; hidden < 2; ++hidden) {
      layers_->push_back(nn::Dropout());
      layers_->push_back(nn::Linear(in, in));
      layers_->push_back(nn::ReLU());
    }
    layers_->push_back(nn::Linear(in, classes));
    register_module("layers", layers_);
  }

  torch::Tensor forward(const torch::Tensor& x) { return layers_->forward(x); }

 private:
  torch::nn::Sequential layers_;
};
TORCH_MODULE(Vgg11);

}  // namespace adabelief::trials
