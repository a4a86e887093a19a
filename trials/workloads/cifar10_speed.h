// SPDX-License-Identifier: MIT
// CIFAR-10 in minutes.
#pragma once

#include "models/whitened_resnet.h"
#include "tasks/classification.h"

namespace adabelief::trials {

/// A network of 0.08 GFLOP an image that whitens its input, few epochs, smoothed labels, crops from 2 pixels of
/// padding, and half of the time images of 24 pixels a side; an image is evaluated together with its mirror image.
struct Cifar10Speed final : Classification {
  static constexpr std::string_view name = "cifar10_speed";
  static constexpr std::string_view summary = "CIFAR-10 by a small residual network on whitened images, in minutes";

  explicit Cifar10Speed(const Setup& setup) : Cifar10Speed(setup, whitened_resnet(10, setup.width)) {}

 private:
  Cifar10Speed(const Setup& setup, WhitenedResNet network)
      : Classification(setup, "cifar10", network,
                       {.epochs = 10,
                        .batch = 128,
                        .pad = 2,
                        .flip = Flip::alternate,
                        .label_smoothing = 0.1,
                        .sizes = {{0, 24}, {0.5, 32}},
                        .both_sides = true}) {
    network->whiten(training_images(5000));
  }
};

}  // namespace adabelief::trials
