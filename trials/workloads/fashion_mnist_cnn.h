// SPDX-License-Identifier: MIT
// Fashion-MNIST by a small convolutional network: a real task that a core trains in half a minute.
#pragma once

#include "tasks/classification.h"

namespace adabelief::trials {

/// Two strided convolutions and two linear layers, 106,122 weights, torch's default initialization, no augmentation.
struct FashionMnistCnn final : Classification {
  static constexpr std::string_view name = "fashion_mnist_cnn";
  static constexpr std::string_view summary = "Fashion-MNIST by a convolutional network of 106 thousand weights";

  explicit FashionMnistCnn(const Setup& setup)
      : Classification(setup, "fashion_mnist", model(setup.width), {.epochs = 6, .batch = 128}) {}

  static torch::nn::Sequential model(double width) {
    namespace nn = torch::nn;
    const std::int64_t a = scaled(16, width), b = scaled(32, width), c = scaled(64, width);
    return nn::Sequential(nn::Conv2d(nn::Conv2dOptions(1, a, 5).stride(2).padding(2)), nn::ReLU(),  // (N, a, 14, 14)
                          nn::Conv2d(nn::Conv2dOptions(a, b, 3).stride(2).padding(1)), nn::ReLU(),  // (N, b, 7, 7)
                          nn::Flatten(), nn::Linear(b * 7 * 7, c), nn::ReLU(), nn::Linear(c, 10));
  }
};

}  // namespace adabelief::trials
