// SPDX-License-Identifier: MIT
// A small residual network that learns CIFAR-10 in few epochs.
#pragma once

#include <torch/torch.h>

#include <algorithm>
#include <vector>

#include "workload.h"

namespace adabelief::trials {

/// (N, in, H, W) -> (N, out, H / 2, W / 2): a 3 x 3 convolution, the maximum over 2 x 2 pixels, batch norm and ReLU;
/// then such a convolution, batch norm and ReLU beside a shortcut. The first convolution begins by passing its input on
/// in its first channels.
struct PooledStageImpl : torch::nn::Module {
  PooledStageImpl(std::int64_t in, std::int64_t out) {
    namespace nn = torch::nn;
    const auto conv = [](std::int64_t from, std::int64_t to) {
      return nn::Conv2d(nn::Conv2dOptions(from, to, 3).padding(1).bias(false));
    };
    pooled_ =
        register_module("pooled", nn::Sequential(conv(in, out), nn::MaxPool2d(2), nn::BatchNorm2d(out), nn::ReLU()));
    const torch::NoGradGuard no_grad;
    nn::init::dirac_(pooled_->at<nn::Conv2dImpl>(0).weight.narrow(0, 0, std::min(in, out)));
    residual_ = register_module("residual", nn::Sequential(conv(out, out), nn::BatchNorm2d(out), nn::ReLU()));
  }

  torch::Tensor forward(const torch::Tensor& x) {
    const torch::Tensor y = pooled_->forward(x);
    return y + residual_->forward(y);
  }

 private:
  torch::nn::Sequential pooled_{nullptr}, residual_{nullptr};
};
TORCH_MODULE(PooledStage);

/// (N, 3, 32, 32) -> logits (N, classes): a fixed convolution that whitens 2 x 2 patches (Jordan, arXiv:2404.00498,
/// section 3.1), a stage for each of `channels`, the maximum over what is left of the image, a linear layer. Torch's
/// default initialization. The logits are divided by 8, as the maxima are large at first.
struct WhitenedResNetImpl : torch::nn::Module {
  WhitenedResNetImpl(const std::vector<std::int64_t>& channels, std::int64_t classes) {
    std::int64_t in = 2 * patch;
    whitening_ = register_buffer("whitening", torch::zeros({in, 3, 2, 2}));
    bias_ = register_parameter("bias", torch::zeros({in}));
    for (const std::int64_t out : channels) {
      stages_->push_back(PooledStage(in, out));
      in = out;
    }
    register_module("stages", stages_);
    linear_ = register_module("linear", torch::nn::Linear(torch::nn::LinearOptions(in, classes).bias(false)));
  }

  /// Sets the whitening to the eigenvectors of the patches of these images, each over the root of its eigenvalue, and
  /// their negatives, which ReLU would lose. images (N, 3, H, W), normalized.
  void whiten(const torch::Tensor& images) {
    const torch::Tensor patches =
        images.unfold(2, 2, 1).unfold(3, 2, 1).permute({0, 2, 3, 1, 4, 5}).reshape({-1, patch});
    const auto [values, vectors] = torch::linalg_eigh(patches.t().mm(patches) / patches.size(0));
    const torch::Tensor half = (vectors / (values + 1e-3).sqrt()).t().reshape({patch, 3, 2, 2});
    whitening_.copy_(torch::cat({half, -half}));
  }

  torch::Tensor forward(const torch::Tensor& x) {
    const torch::Tensor y = stages_->forward(torch::relu(torch::conv2d(x, whitening_, bias_)));
    return linear_(y.amax({2, 3})) / 8;
  }

 private:
  static constexpr std::int64_t patch = 3 * 2 * 2;
  torch::Tensor whitening_, bias_;
  torch::nn::Sequential stages_;
  torch::nn::Linear linear_{nullptr};
};
TORCH_MODULE(WhitenedResNet);

/// 656,472 weights for classes = 10, width = 1, beside the whitening.
inline WhitenedResNet whitened_resnet(std::int64_t classes, double width) {
  return WhitenedResNet(std::vector{scaled(48, width), scaled(96, width), scaled(192, width)}, classes);
}

}  // namespace adabelief::trials
