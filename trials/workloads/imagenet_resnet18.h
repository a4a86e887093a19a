// SPDX-License-Identifier: MIT
// ImageNet, or any folders of photographs in its layout, by ResNet-18.
#pragma once

#include <memory>
#include <mutex>

#include "clock.h"
#include "data/image_folder.h"
#include "models/resnet18.h"
#include "random.h"
#include "tasks/examples.h"
#include "tasks/loader.h"
#include "tasks/photographs.h"
#include "tensors.h"
#include "workload.h"

namespace adabelief::trials {

/// The AdaBelief paper's table 2: batches of 256, 90 epochs, random crops of 224 pixels, flips; a single crop in the
/// middle of the validation images. Photographs are decoded while the network trains.
struct ImagenetResnet18 final : Workload {
  static constexpr std::string_view name = "imagenet_resnet18";
  static constexpr std::string_view summary = "ImageNet by ResNet-18 (AdaBelief paper, table 2)";

  explicit ImagenetResnet18(const Setup& setup)
      : setup_(setup),
        folder_(data::find_image_folder("imagenet", setup.data_root)),
        network_(static_cast<std::int64_t>(folder_.classes.size()), setup.width) {
    if (setup.epochs > 0) epochs_ = setup.epochs;
    if (setup.batch > 0) batch_ = setup.batch;
    choose_images();
    check_range("batch", batch_, std::ssize(train_));
    if (setup.channels_last) put_channels_last(parameters());
  }

  std::vector<torch::Tensor> parameters() override { return network_->parameters(); }
  std::vector<torch::Tensor> state() override { return network_->buffers(); }
  std::int64_t epochs() const override { return epochs_; }
  std::int64_t batch() const override { return batch_; }
  std::int64_t steps_per_epoch() const override { return std::ssize(train_) / batch_; }

  double backward(std::int64_t t) override {
    const Clock clock;
    if (!loader_ || loader_->next() != t) {
      loader_ = std::make_unique<Loader>(
          threads(), t, steps_per_epoch() * epochs_, side, [this](std::int64_t) { return batch_; },
          [this](std::int64_t t, std::int64_t place, Batch& batch) { fill(t, place, batch); });
    }
    const Batch batch = loader_->take();
    const torch::Tensor x = normalized(batch.x);
    data_seconds_ = clock.seconds();  // of waiting
    network_->train();
    const torch::Tensor loss = torch::nn::functional::cross_entropy(forward(x), batch.y);
    loss.backward();
    return loss.item<double>();
  }

  Evaluation evaluate() override {
    const torch::NoGradGuard no_grad;
    network_->eval();
    constexpr std::int64_t chunk = 100;
    const std::int64_t chunks = (std::ssize(test_) + chunk - 1) / chunk;
    const auto size = [&](std::int64_t i) { return std::min(chunk, std::ssize(test_) - i * chunk); };
    Loader loader(threads(), 0, chunks - 1, side, size, [&](std::int64_t i, std::int64_t place, Batch& batch) {
      const data::ImageFile& image = test_[i * chunk + place];
      batch.x[place].copy_(read_crop(image.file, side, centre_crop));
      batch.y[place] = image.label;
    });
    double loss = 0, right = 0;
    for (std::int64_t i = 0; i < chunks; ++i) {
      const Batch batch = loader.take();
      const torch::Tensor logits = forward(normalized(batch.x));
      loss += torch::nn::functional::cross_entropy(
                  logits, batch.y, torch::nn::functional::CrossEntropyFuncOptions().reduction(torch::kSum))
                  .item<double>();
      right += (logits.argmax(1) == batch.y).sum().item<double>();
    }
    return {loss / static_cast<double>(test_.size()), 100 * right / static_cast<double>(test_.size())};
  }

  Metric metric() const override { return {"accuracy", "%", true}; }
  std::string data_name() const override { return "imagenet"; }
  std::string data_sha256() const override { return folder_.sha256; }

 private:
  static constexpr std::int64_t side = 224;
  static constexpr std::uint64_t shuffle_key = 1, augment_key = 2, choice_key = 3;

  std::uint64_t seed() const { return static_cast<std::uint64_t>(setup_.seed); }
  // Those that train wait for none of these: what they decode is needed several steps later.
  static int threads() { return std::max(2, at::get_num_threads()); }

  // Not more test images than training images, which are any of them, as folders lie class by class.
  void choose_images() {
    const auto [train, valid] = choose_examples(setup_, std::ssize(folder_.train), Random(0, choice_key, 0));
    train_ = taken(folder_.train, train), test_ = setup_.tuning ? taken(folder_.train, valid) : folder_.val;
    if (setup_.train == 0 || setup_.tuning || std::ssize(train_) >= std::ssize(test_)) return;
    auto some = permutation(std::ssize(test_), Random(0, choice_key, 1));
    some.resize(train_.size());
    test_ = taken(folder_.val, some);
  }
  static std::vector<data::ImageFile> taken(const std::vector<data::ImageFile>& from,
                                            const std::vector<std::int64_t>& places) {
    std::vector<data::ImageFile> images;
    for (const std::int64_t i : places) images.push_back(from[i]);
    return images;
  }

  // Called by the threads of the loader, for places in any order.
  void fill(std::int64_t t, std::int64_t place, Batch& batch) {
    const std::int64_t epoch = (t - 1) / steps_per_epoch(), at = (t - 1) % steps_per_epoch() * batch_ + place;
    const std::int64_t index = order_of(epoch)->at(at);
    const data::ImageFile& image = train_[index];
    batch.x[place].copy_(read_crop(image.file, side, [&](std::int64_t height, std::int64_t width) {
      return random_crop(height, width, Random(seed(), augment_key, epoch * std::ssize(train_) + index));
    }));
    batch.y[place] = image.label;
  }

  // An epoch's order; two epochs meet where batches are made ahead.
  std::shared_ptr<const std::vector<std::int64_t>> order_of(std::int64_t epoch) {
    const std::lock_guard lock(mutex_);
    auto& [of, order] = orders_[epoch % 2];
    if (!order || of != epoch) {
      order = std::make_shared<std::vector<std::int64_t>>(
          permutation(std::ssize(train_), Random(seed(), shuffle_key, epoch)));
      of = epoch;
    }
    return order;
  }

  // By the mean and the standard deviation of ImageNet's pixels that torchvision uses.
  torch::Tensor normalized(const torch::Tensor& x) const {
    static const torch::Tensor mean = torch::tensor({0.485f, 0.456f, 0.406f}).view({3, 1, 1}) * 255,
                               scale = 1 / (torch::tensor({0.229f, 0.224f, 0.225f}).view({3, 1, 1}) * 255);
    const auto format = setup_.channels_last ? torch::MemoryFormat::ChannelsLast : torch::MemoryFormat::Contiguous;
    return x.to(torch::kFloat, false, false, format).sub_(mean).mul_(scale);
  }

  torch::Tensor forward(const torch::Tensor& x) {
    return computed(setup_.bfloat16, [&] { return network_(x); });
  }

  Setup setup_;
  data::ImageFolder folder_;
  ResNet18 network_;
  std::int64_t epochs_ = 90, batch_ = 256;
  std::vector<data::ImageFile> train_, test_;
  std::mutex mutex_;
  std::pair<std::int64_t, std::shared_ptr<std::vector<std::int64_t>>> orders_[2];
  std::unique_ptr<Loader> loader_;  // last, as its threads use the others
};

}  // namespace adabelief::trials
