// SPDX-License-Identifier: MIT
// Generative adversarial networks on CIFAR-10: whose step it is, their data, FID, KID and pictures.
#pragma once

#include <ATen/CPUGeneratorImpl.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "clock.h"
#include "data/dataset.h"
#include "random.h"
#include "tasks/distances.h"
#include "tasks/examples.h"
#include "tasks/image_features.h"
#include "tensors.h"
#include "workload.h"

namespace adabelief::trials {

/// What a GAN adds to its networks and losses.
struct GanOptions {
  std::int64_t epochs;  ///< the workload's own, over the images that the critic sees
  std::int64_t latent;  ///< numbers of a latent vector
  std::int64_t side;    ///< of the images in pixels: 32, or 64 for CIFAR-10's enlarged bilinearly
  /// The place of the generator's step among the critic's five, 1 or 5: after the first of them and with its latent
  /// vectors, as in the AdaBelief paper's WGAN; or after the last and with vectors of its own, as in StudioGAN.
  std::int64_t generator_turn;
  bool flip = false;   ///< mirror every other image that the critic sees, at random
  std::int64_t fakes;  ///< an evaluation's; a trial of less width or images has 1,000 or its number of images at most
  /// Their distance is to the test images, not to the training images; in tuning to those held back.
  bool against_test;
  std::int64_t evaluations = 10;  ///< after step 0, at equal distances; in a trial of less width or images ten
};

/// A trial's step is a step of the critic or of the generator, six of which see five batches. Gradients are of the one
/// whose turn it is; the others are undefined, and the optimizer leaves their weights alone.
class Gan : public Workload {
 public:
  Gan(const Setup& setup, data::ImageData images, GanOptions options)
      : setup_(setup),
        images_(std::move(images)),
        options_(options),
        train_(view_of(images_.train)),
        test_(view_of(images_.test)),
        features_(find_features(setup.data_root, images_)) {
    if (setup.epochs > 0) options_.epochs = setup.epochs;
    if (setup.batch > 0) batch_ = setup.batch;
    if (setup.bfloat16) throw std::invalid_argument("GANs are trained in float32; leave precision");
    for (const std::uint8_t label : images_.train.labels) labels_.push_back(label);
    auto [used_images, held_back] = choose_examples(setup, train_.size(0), Random(0, subset_key, 0));
    used_ = std::move(used_images);
    if (setup.tuning) {
      const torch::Tensor places = torch::tensor(held_back);
      test_ = train_.index_select(0, places), test_y_ = torch::tensor(labels_).index_select(0, places);
    } else {
      test_y_ = torch::tensor(std::vector<std::int64_t>(images_.test.labels.begin(), images_.test.labels.end()));
    }
    if (batch_ > used() || batch_ < 2)
      throw std::invalid_argument("batch must lie in [2, " + std::to_string(used()) + "], got " +
                                  std::to_string(batch_));
    if (setup.width < 1 || setup.train > 0) {
      options_.fakes = std::min<std::int64_t>({options_.fakes, 1000, used()});
      options_.evaluations = 10;
    }
    const std::string part = setup.tuning ? "valid-" : options_.against_test ? "test-" : "train-";
    const auto kept = cached("moments-" + features_.sha256.substr(0, 16) + "-" + images_.sha256.substr(0, 16) + "-" +
                                 part + std::to_string(options_.side),
                             [&] { return moments_of(part == "train-" ? train_ : test_); });
    reference_mean_ = kept.at(0), reference_covariance_ = kept.at(1), reference_features_ = kept.at(2);
  }

  std::vector<torch::Tensor> parameters() override {
    auto all = generator().parameters();
    for (const torch::Tensor& p : critic().parameters()) all.push_back(p);
    return all;
  }

  /// Running moments of batch norm, vectors of spectral norm, and the critic's last loss.
  std::vector<torch::Tensor> state() override {
    std::vector<torch::Tensor> all{critic_loss_};
    for (torch::nn::Module* module : {&generator(), &critic()}) {
      for (const torch::Tensor& buffer : module->buffers()) all.push_back(buffer);
    }
    return all;
  }

  std::int64_t epochs() const override { return options_.epochs; }
  std::int64_t batch() const override { return batch_; }
  std::int64_t steps_per_epoch() const override { return batches_per_epoch() * cycle / critic_steps; }

  /// Returns the critic's loss, in the generator's steps that of the critic's last one.
  double backward(std::int64_t t) override {
    generator().train();
    critic().train();
    const std::int64_t turn = (t - 1) % cycle, done = (t - 1) / cycle * critic_steps;
    data_seconds_ = 0;
    if (turn == options_.generator_turn) {
      const auto [z, y] = latents(latent_key, options_.generator_turn == 1 ? t - 1 : t, batch_);
      generator_loss(generate(z, y), y).backward({}, std::nullopt, false, generator().parameters());
    } else {
      const Clock clock;
      const auto [x, real_y] = reals(done + (turn < options_.generator_turn ? turn : turn - 1));
      data_seconds_ = clock.seconds();
      const auto [z, y] = latents(latent_key, t, batch_);
      torch::Tensor fake;
      {
        const torch::NoGradGuard no_grad;
        fake = generate(z, y);
      }
      torch::Tensor loss = critic_loss(x, real_y, fake, y);
      critic_loss_.copy_(loss.detach());
      if (const torch::Tensor penalty = critic_penalty(x, fake, t); penalty.defined()) loss = loss + penalty;
      loss.backward({}, std::nullopt, false, critic().parameters());
    }
    return critic_loss_.item<double>();
  }

  bool evaluates_after(std::int64_t t) override {
    const std::int64_t steps = steps_per_epoch() * epochs(), n = options_.evaluations;
    return t * n / steps != (t - 1) * n / steps;
  }

  /// FID and KID of fakes from the same latent vectors each time, and their spread: the variance of their features as a
  /// share of the images', 0 where all fakes are the same. The loss is the critic's on test images and fakes. In tuning
  /// the last tenth of a permutation of the training images is held back and takes the test images' place.
  Evaluation evaluate() override {
    const torch::NoGradGuard no_grad;
    generator().eval();
    critic().eval();
    const std::int64_t n = std::min<std::int64_t>({chunk, test_.size(0), options_.fakes});
    const auto [z, y] = latents(evaluation_key, 0, n);
    const double loss =
        critic_loss(prepared(test_.narrow(0, 0, n)), test_y_.narrow(0, 0, n), generate(z, y), y).item<double>();
    if (!std::isfinite(loss)) return {loss, NAN};
    Moments moments;
    std::vector<torch::Tensor> kept;
    for (std::int64_t first = 0; first < options_.fakes; first += chunk) {
      const torch::Tensor f =
          features_.of(fakes(evaluation_key, first / chunk, std::min(chunk, options_.fakes - first)));
      moments.add(f);
      if (first < kernel_rows) kept.push_back(f);
    }
    const torch::Tensor covariance = moments.covariance();
    Evaluation evaluation{loss, frechet_distance(moments.mean(), covariance, reference_mean_, reference_covariance_)};
    evaluation.more.emplace_back("KID", kernel_distance(torch::cat(kept), reference_features_));
    evaluation.more.emplace_back("spread", (covariance.trace() / reference_covariance_.trace()).item<double>());
    return evaluation;
  }

  /// Fakes of fixed latent vectors, ten of them of each class where there are classes, a column a class.
  Samples samples() override {
    const torch::NoGradGuard no_grad;
    generator().eval();
    const auto [z, y] = latents(samples_key, 0, 100);
    return {bytes(generate(z, torch::arange(100) % 10)), 10};
  }

  Metric metric() const override { return {"FID (" + features_.name + ")", "", false, {}, ""}; }
  std::string data_name() const override { return "cifar10"; }
  std::string data_sha256() const override { return images_.sha256; }
  Json details() const override {
    return {{"features", {{"name", features_.name}, {"sha256", features_.sha256}}}, {"fakes", options_.fakes}};
  }

 protected:
  virtual torch::nn::Module& generator() = 0;
  virtual torch::nn::Module& critic() = 0;
  /// Latent vectors (N, latent) and classes (N) -> images (N, 3, S, S) in [-1, 1].
  virtual torch::Tensor generate(const torch::Tensor& z, const torch::Tensor& y) = 0;
  virtual torch::Tensor critic_loss(const torch::Tensor& real, const torch::Tensor& real_y, const torch::Tensor& fake,
                                    const torch::Tensor& fake_y) = 0;
  /// What training adds to the critic's loss; may be undefined.
  virtual torch::Tensor critic_penalty(const torch::Tensor&, const torch::Tensor&, std::int64_t) { return {}; }
  virtual torch::Tensor generator_loss(const torch::Tensor& fake, const torch::Tensor& y) = 0;

  static constexpr std::uint64_t shuffle_key = 1, flip_key = 2, latent_key = 3, evaluation_key = 4, samples_key = 5,
                                 penalty_key = 6, subset_key = 7;

  /// Numbers that depend on the seed, the key and `index` alone.
  at::Generator random(std::uint64_t key, std::int64_t index) const {
    return at::make_generator<at::CPUGeneratorImpl>(
        Random(static_cast<std::uint64_t>(setup_.seed), key, static_cast<std::uint64_t>(index)).next());
  }

  /// Brings 4-dimensional weights into the layout that was asked for. For constructors, once the networks are there.
  void lay_out() {
    if (setup_.channels_last) put_channels_last(parameters());
  }

 private:
  static constexpr std::int64_t critic_steps = 5, cycle = critic_steps + 1, chunk = 500, kernel_rows = 10'000;

  std::int64_t used() const { return std::ssize(used_); }
  std::int64_t batches_per_epoch() const { return used() / batch_; }

  // Latent vectors (n, latent) of the standard normal law and classes (n).
  std::pair<torch::Tensor, torch::Tensor> latents(std::uint64_t key, std::int64_t index, std::int64_t n) const {
    at::Generator generator = random(key, index);
    torch::Tensor z = torch::randn({n, options_.latent}, generator);
    return {z, torch::randint(0, images_.classes, {n}, generator, torch::kInt64)};
  }

  // uint8 (N, 3, 32, 32) -> float (N, 3, S, S) in [-1, 1].
  torch::Tensor prepared(const torch::Tensor& images) const {
    torch::Tensor x = images.to(torch::kFloat) / 127.5 - 1;
    if (setup_.channels_last) x = x.contiguous(torch::MemoryFormat::ChannelsLast);
    if (options_.side == x.size(2)) return x;
    return torch::upsample_bilinear2d(x, std::vector<std::int64_t>{options_.side, options_.side}, false);
  }

  static torch::Tensor bytes(const torch::Tensor& x) {
    return ((x + 1) * 127.5).round().clamp(0, 255).to(torch::kUInt8);
  }

  torch::Tensor fakes(std::uint64_t key, std::int64_t index, std::int64_t n) {
    const auto [z, y] = latents(key, index, n);
    return bytes(generate(z, y));
  }

  // The critic's batch of this number, counted from 0 over all epochs.
  std::pair<torch::Tensor, torch::Tensor> reals(std::int64_t number) {
    const std::int64_t epoch = number / batches_per_epoch(), first = number % batches_per_epoch() * batch_;
    const auto key = [&](std::uint64_t key, std::int64_t index) {
      return Random(static_cast<std::uint64_t>(setup_.seed), key, static_cast<std::uint64_t>(index));
    };
    if (epoch != shuffled_) {
      order_ = permutation(used(), key(shuffle_key, epoch));
      if (used() < train_.size(0)) {
        for (std::int64_t& i : order_) i = used_[i];
      }
      shuffled_ = epoch;
    }
    const std::vector<std::int64_t> indices(order_.begin() + first, order_.begin() + first + batch_);
    std::vector<std::int64_t> y;
    torch::Tensor flips = torch::zeros({batch_, 1, 1, 1}, torch::kBool);
    for (std::int64_t i = 0; i < batch_; ++i) {
      y.push_back(labels_[indices[i]]);
      if (options_.flip) flips.data_ptr<bool>()[i] = key(flip_key, epoch * train_.size(0) + indices[i]).below(2) == 1;
    }
    torch::Tensor x = train_.index_select(0, torch::tensor(indices));
    if (options_.flip) x = torch::where(flips, x.flip(3), x);
    return {prepared(x), torch::tensor(y)};
  }

  // Mean, covariance, and the features of up to 10,000 images. They pass through the same resizing as a batch.
  std::vector<torch::Tensor> moments_of(const torch::Tensor& images) {
    const torch::NoGradGuard no_grad;
    const auto order = permutation(images.size(0), Random(0, shuffle_key, 0));
    Moments moments;
    std::vector<torch::Tensor> kept;
    for (std::int64_t first = 0; first < images.size(0); first += chunk) {
      const std::int64_t n = std::min(chunk, images.size(0) - first);
      const std::vector<std::int64_t> indices(order.begin() + first, order.begin() + first + n);
      const torch::Tensor f = features_.of(bytes(prepared(images.index_select(0, torch::tensor(indices)))));
      moments.add(f);
      if (first < kernel_rows) kept.push_back(f);
    }
    return {moments.mean(), moments.covariance(), torch::cat(kept)};
  }

  Setup setup_;
  data::ImageData images_;
  GanOptions options_;
  torch::Tensor train_, test_;        // uint8 (N, 3, 32, 32): views of images_, but what was held back
  torch::Tensor test_y_;              // classes (N)
  std::vector<std::int64_t> labels_;  // of all training images
  std::vector<std::int64_t> used_;    // the places of those that are trained on
  Features features_;
  torch::Tensor reference_mean_, reference_covariance_, reference_features_;
  torch::Tensor critic_loss_ = torch::zeros({});
  std::int64_t batch_ = 64;
  std::vector<std::int64_t> order_;
  std::int64_t shuffled_ = -1;  // the epoch that order_ is of
};

}  // namespace adabelief::trials
