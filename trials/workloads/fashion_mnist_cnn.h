// SPDX-License-Identifier: MIT
// Fashion-MNIST by a small convolutional network: a real task that a core trains in half a minute.
#pragma once

#include "classification.h"

namespace adabelief::trials {

/// Two strided convolutions and two linear layers, 106,122 weights, torch's default initialization, no augmentation.
struct FashionMnistCnn final : Classification {
  static constexpr std::string_view name = "fashion_mnist_cnn";
  static constexpr std::string_view summary = "Fashion-MNIST by a convolutional network of 106 thousand weights";

  explicit FashionMnistCnn(const Setup& setup)
      : Classification(setup, "fashion_mnist", model(), {.epochs = 6, .batch = 128}) {}

  static torch::nn::Sequential model() {
    namespace nn = torch::nn;
    return nn::Sequential(nn::Conv2d(nn::Conv2dOptions(1, 16, 5).stride(2).padding(2)), nn::ReLU(),   // (N, 16, 14, 14)
                          nn::Conv2d(nn::Conv2dOptions(16, 32, 3).stride(2).padding(1)), nn::ReLU(),  // (N, 32, 7, 7)
                          nn::Flatten(), nn::Linear(32 * 7 * 7, 64), nn::ReLU(), nn::Linear(64, 10));
  }
};

}  // namespace adabelief::trials
