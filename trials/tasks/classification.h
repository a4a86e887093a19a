// SPDX-License-Identifier: MIT
// Image classification: batches from memory, crop and flip, cross-entropy, test accuracy.
#pragma once

#include <torch/torch.h>

#include <array>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "clock.h"
#include "data/dataset.h"
#include "random.h"
#include "tasks/examples.h"
#include "tensors.h"
#include "workload.h"

namespace adabelief::trials {

/// Whether training images are mirrored: never; each time with a chance of one half; or in every second epoch, each
/// image from its own at random, so that two epochs show both (Jordan, arXiv:2404.00498, section 3.6).
enum class Flip { never, random, alternate };

/// What a classification workload adds to its model.
struct ClassificationOptions {
  std::int64_t epochs, batch;  ///< the workload's own
  std::int64_t pad = 0;        ///< pixels of zero padding around an image, from which a random crop is taken
  Flip flip = Flip::never;
  double label_smoothing = 0;  ///< share of a training image's label that all classes have alike
  /// {share of training that is done, from which on training images are resized; to so many pixels a side}, by rising
  /// share: small images take less time, and the last steps see the size that is evaluated.
  std::vector<std::pair<double, std::int64_t>> sizes = {};
  bool both_sides = false;  ///< evaluate by the mean of the logits of each image and of its mirror image
};

/// A network of any type: images (N, C, H, W) -> logits (N, classes).
struct Network {
  template <class Holder>
  Network(Holder network)
      : module(network.ptr()), forward([network](const torch::Tensor& x) mutable { return network->forward(x); }) {}

  std::shared_ptr<torch::nn::Module> module;
  std::function<torch::Tensor(const torch::Tensor&)> forward;
};

class Classification : public Workload {
 public:
  Classification(const Setup& setup, std::string_view data_name, Network network, ClassificationOptions options)
      : setup_(setup),
        data_name_(data_name),
        images_(data::load(data_name, setup.data_root)),
        network_(std::move(network)),
        options_(options) {
    if (setup.epochs > 0) options_.epochs = setup.epochs;
    if (setup.batch > 0) options_.batch = setup.batch;
    choose_images();
    check_range("batch", options_.batch, std::ssize(train_));
    if (setup.channels_last) put_channels_last(parameters());
    for (std::size_t c = 0; c < images_.train.channels; ++c) {
      for (int v = 0; v < 256; ++v) {
        table_[c][v] = (static_cast<float>(v) / 255 - images_.mean[c]) / images_.std[c];
      }
    }
  }

  std::vector<torch::Tensor> parameters() override { return network_.module->parameters(); }
  std::int64_t epochs() const override { return options_.epochs; }
  std::int64_t batch() const override { return options_.batch; }
  /// The last batch of an epoch is left out where it would not be whole, as each step is to weigh alike.
  std::int64_t steps_per_epoch() const override { return std::ssize(train_) / options_.batch; }
  std::vector<torch::Tensor> state() override { return network_.module->buffers(); }  // batch norm's

  double backward(std::int64_t t) override {
    const Clock clock;
    const std::int64_t epoch = (t - 1) / steps_per_epoch(), first = (t - 1) % steps_per_epoch() * options_.batch;
    if (epoch != shuffled_) {
      order_.clear();
      for (const auto i : permutation(std::ssize(train_), Random(seed(), shuffle_key, epoch))) {
        order_.push_back(train_[i]);
      }
      shuffled_ = epoch;
    }
    auto [x, y] = gather(images_.train, std::span(order_).subspan(first, options_.batch), epoch, true);
    x = resized(x, static_cast<double>(t - 1) / static_cast<double>(steps_per_epoch() * options_.epochs));
    data_seconds_ = clock.seconds();
    network_.module->train();
    const auto smoothing = torch::nn::CrossEntropyLossOptions().label_smoothing(options_.label_smoothing);
    const torch::Tensor loss = torch::nn::functional::cross_entropy(forward(x), y, smoothing);
    loss.backward();
    return loss.item<double>();
  }

  Evaluation evaluate() override {
    const torch::NoGradGuard no_grad;
    network_.module->eval();
    constexpr std::int64_t chunk = 500;
    const data::Images& images = setup_.tuning ? images_.train : images_.test;
    double loss = 0, right = 0;
    for (std::int64_t first = 0; first < std::ssize(test_); first += chunk) {
      const auto n = std::min<std::int64_t>(chunk, std::ssize(test_) - first);
      auto [x, y] = gather(images, std::span(test_).subspan(first, n), 0, false);
      torch::Tensor logits = forward(x);
      if (options_.both_sides) logits = (logits + forward(x.flip(3))) / 2;
      loss +=
          torch::nn::functional::cross_entropy(logits, y, torch::nn::CrossEntropyLossOptions().reduction(torch::kSum))
              .item<double>();
      right += (logits.argmax(1) == y).sum().item<double>();
    }
    return {loss / static_cast<double>(test_.size()), 100 * right / static_cast<double>(test_.size())};
  }

  /// At least as many images are trained on between two evaluations as are evaluated, each of which costs a third as
  /// much.
  bool evaluates_after(std::int64_t t) override {
    const std::int64_t n = std::ssize(test_) / options_.batch;
    return steps_per_epoch() >= 2 * n ? Workload::evaluates_after(t) : t / n != (t - 1) / n;
  }

  Metric metric() const override { return {"accuracy", "%", true}; }
  std::string data_name() const override { return data_name_; }
  std::string data_sha256() const override { return images_.sha256; }

 protected:
  /// The first n training images as they are evaluated, normalized: (n, C, H, W).
  torch::Tensor training_images(std::int64_t n) const {
    return gather(images_.train, std::span(train_).first(std::min(n, std::ssize(train_))), 0, false).first;
  }

 private:
  static constexpr std::uint64_t shuffle_key = 1, augment_key = 2, choice_key = 3, flip_key = 4;

  static std::int64_t count(const data::Images& images) { return static_cast<std::int64_t>(images.count); }
  std::uint64_t seed() const { return static_cast<std::uint64_t>(setup_.seed); }

  // The images to train on and to evaluate on. Not more test images are taken than training images, the first of them,
  // as they would cost most of a short trial's time.
  void choose_images() {
    auto [train, valid] = choose_examples(setup_, count(images_.train), Random(0, choice_key, 0));
    train_ = std::move(train), test_ = std::move(valid);
    if (setup_.tuning) return;
    test_.resize(setup_.train > 0 ? std::min(setup_.train, count(images_.test)) : count(images_.test));
    std::iota(test_.begin(), test_.end(), 0);
  }

  torch::Tensor forward(const torch::Tensor& x) {
    return computed(setup_.bfloat16, [&] { return network_.forward(x); });
  }

  torch::Tensor resized(const torch::Tensor& x, double done) const {
    std::int64_t size = x.size(2);
    for (const auto& [from, to] : options_.sizes) size = from <= done ? to : size;
    if (size == x.size(2)) return x;
    return at::_upsample_bilinear2d_aa(x, {size, size}, false);
  }

  // The images of these indices, normalized: x (N, C, H, W) float32, y (N) int64. An image's augmentation depends on
  // seed, epoch and index alone.
  std::pair<torch::Tensor, torch::Tensor> gather(const data::Images& images, std::span<const std::int64_t> indices,
                                                 std::int64_t epoch, bool augment) const {
    const auto n = std::ssize(indices), channels = std::int64_t(images.channels), height = std::int64_t(images.height),
               width = std::int64_t(images.width), area = height * width, pad = augment ? options_.pad : 0;
    const auto format = setup_.channels_last ? torch::MemoryFormat::ChannelsLast : torch::MemoryFormat::Contiguous;
    torch::Tensor x = torch::empty({n, channels, height, width}, torch::TensorOptions().memory_format(format));
    torch::Tensor y = torch::empty({n}, torch::kInt64);
    const std::int64_t step_c = x.stride(1), step_w = x.stride(3);
    for (std::int64_t i = 0; i < n; ++i) {
      const std::int64_t index = indices[i];
      std::int64_t down = 0, right = 0;
      bool flip = false;
      if (augment && (pad > 0 || options_.flip != Flip::never)) {
        Random random(seed(), augment_key, static_cast<std::uint64_t>(epoch * count(images) + index));
        down = std::int64_t(random.below(2 * pad + 1)) - pad;
        right = std::int64_t(random.below(2 * pad + 1)) - pad;
        flip = options_.flip == Flip::random && random.below(2) == 1;
        if (options_.flip == Flip::alternate)
          flip = (Random(seed(), flip_key, static_cast<std::uint64_t>(index)).below(2) + epoch) % 2 == 1;
      }
      y.mutable_data_ptr<std::int64_t>()[i] = images.labels[index];
      for (std::int64_t c = 0; c < channels; ++c) {
        const auto& value = table_[c];
        const std::uint8_t* from = images.pixels.data() + (index * channels + c) * area;
        float* to = x.mutable_data_ptr<float>() + i * channels * area + c * step_c;
        for (std::int64_t h = 0; h < height; ++h) {
          const std::int64_t source = h + down;
          const bool inside = source >= 0 && source < height;
          for (std::int64_t w = 0; w < width; ++w) {
            const std::int64_t column = (flip ? width - 1 - w : w) + right;
            // The padding is zero after normalization, which is the mean colour.
            *to = inside && column >= 0 && column < width ? value[from[source * width + column]] : 0.f;
            to += step_w;
          }
        }
      }
    }
    return {x, y};
  }

  Setup setup_;
  std::string data_name_;
  data::ImageData images_;
  Network network_;
  ClassificationOptions options_;
  std::array<std::array<float, 256>, 3> table_;  // (channel, pixel) -> normalized value
  std::vector<std::int64_t> train_, test_;       // indices of images_.train, and of images_.test or, for tuning, .train
  std::vector<std::int64_t> order_;              // train_, shuffled
  std::int64_t shuffled_ = -1;                   // the epoch that order_ is of
};

}  // namespace adabelief::trials
