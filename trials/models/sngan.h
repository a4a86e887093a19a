// SPDX-License-Identifier: MIT
// The residual generator and discriminator of SN-GAN for 32 x 32 images of several classes: Miyato et al., ICLR 2018,
// arXiv:1802.05957, table 4, with the projection of Miyato and Koyama, ICLR 2018, arXiv:1802.05637. Initialization and
// the place of the classes are those of PyTorch-StudioGAN, with which the AdaBelief paper's runs were made.
#pragma once

#include <torch/torch.h>

#include <vector>

namespace adabelief::trials {

/// A weight of any shape divided by its largest singular value as a matrix (shape[0], the rest): in training, one step
/// of power iteration from the vector u that the last one left.
struct SpectralWeightImpl : torch::nn::Module {
  explicit SpectralWeightImpl(torch::IntArrayRef shape) {
    weight_ = register_parameter("weight", torch::nn::init::orthogonal_(torch::empty(shape)));
    u_ = register_buffer("u", torch::nn::functional::normalize(torch::randn({shape[0]}),
                                                               torch::nn::functional::NormalizeFuncOptions().dim(0)));
  }

  torch::Tensor forward() {
    const torch::Tensor matrix = weight_.flatten(1);
    const auto normalize = [](const torch::Tensor& vector) { return vector / vector.norm().clamp_min(1e-6); };
    torch::Tensor u, v;
    {
      const torch::NoGradGuard no_grad;  // u and v are constants of the gradient
      v = normalize(torch::mv(matrix.t(), u_));
      u = normalize(torch::mv(matrix, v));
      if (is_training()) u_.copy_(u);
    }
    return weight_ / torch::dot(u, torch::mv(matrix, v));
  }

 private:
  torch::Tensor weight_, u_;
};
TORCH_MODULE(SpectralWeight);

/// A convolution of odd size that keeps height and width, with a spectrally normalized weight.
struct SpectralConvImpl : torch::nn::Module {
  SpectralConvImpl(std::int64_t in, std::int64_t out, std::int64_t size) : padding_(size / 2) {
    weight_ = register_module("weight", SpectralWeight(torch::IntArrayRef{out, in, size, size}));
    bias_ = register_parameter("bias", torch::zeros({out}));
  }

  torch::Tensor forward(const torch::Tensor& x) { return torch::conv2d(x, weight_(), bias_, 1, padding_); }

 private:
  std::int64_t padding_;
  SpectralWeight weight_{nullptr};
  torch::Tensor bias_;
};
TORCH_MODULE(SpectralConv);

/// Batch norm whose scale, 1 + gain, and shift are those of an image's class.
struct ConditionalBatchNormImpl : torch::nn::Module {
  ConditionalBatchNormImpl(std::int64_t channels, std::int64_t classes) {
    norm_ = register_module("norm",
                            torch::nn::BatchNorm2d(torch::nn::BatchNorm2dOptions(channels).eps(1e-4).affine(false)));
    gain_ = register_parameter("gain", torch::nn::init::orthogonal_(torch::empty({classes, channels})));
    shift_ = register_parameter("shift", torch::nn::init::orthogonal_(torch::empty({classes, channels})));
  }

  torch::Tensor forward(const torch::Tensor& x, const torch::Tensor& y) {
    const auto of_class = [&](const torch::Tensor& table) {
      return table.index_select(0, y).unsqueeze(-1).unsqueeze(-1);
    };
    return torch::addcmul(of_class(shift_), norm_(x), 1 + of_class(gain_));
  }

 private:
  torch::nn::BatchNorm2d norm_{nullptr};
  torch::Tensor gain_, shift_;
};
TORCH_MODULE(ConditionalBatchNorm);

inline torch::Tensor twice_as_large(const torch::Tensor& x) {
  return torch::upsample_nearest2d(x, std::vector<std::int64_t>{2 * x.size(2), 2 * x.size(3)});
}

/// (N, C, H, W) -> (N, C, 2H, 2W).
struct GeneratorBlockImpl : torch::nn::Module {
  GeneratorBlockImpl(std::int64_t channels, std::int64_t classes) {
    const auto conv = [&](std::int64_t size) {
      return torch::nn::Conv2d(torch::nn::Conv2dOptions(channels, channels, size).padding(size / 2));
    };
    norm1_ = register_module("norm1", ConditionalBatchNorm(channels, classes));
    norm2_ = register_module("norm2", ConditionalBatchNorm(channels, classes));
    conv1_ = register_module("conv1", conv(3));
    conv2_ = register_module("conv2", conv(3));
    shortcut_ = register_module("shortcut", conv(1));
  }

  torch::Tensor forward(const torch::Tensor& x, const torch::Tensor& y) {
    const torch::Tensor h = conv1_(twice_as_large(torch::relu(norm1_(x, y))));
    // A convolution of one pixel commutes with the copying of pixels, and has a quarter of them before it.
    return conv2_(torch::relu(norm2_(h, y))) + twice_as_large(shortcut_(x));
  }

 private:
  ConditionalBatchNorm norm1_{nullptr}, norm2_{nullptr};
  torch::nn::Conv2d conv1_{nullptr}, conv2_{nullptr}, shortcut_{nullptr};
};
TORCH_MODULE(GeneratorBlock);

/// (N, latent) and classes (N) -> images (N, 3, 32, 32) in [-1, 1]. 4,304,387 weights for latent = 128, channels = 256,
/// classes = 10.
struct SnganGeneratorImpl : torch::nn::Module {
  SnganGeneratorImpl(std::int64_t latent, std::int64_t channels, std::int64_t classes) : channels_(channels) {
    linear_ = register_module("linear", torch::nn::Linear(latent, channels * 4 * 4));
    for (int i = 0; i < 3; ++i) blocks_->push_back(GeneratorBlock(channels, classes));
    register_module("blocks", blocks_);
    norm_ = register_module("norm", torch::nn::BatchNorm2d(torch::nn::BatchNorm2dOptions(channels).eps(1e-4)));
    conv_ = register_module("conv", torch::nn::Conv2d(torch::nn::Conv2dOptions(channels, 3, 3).padding(1)));
    for (auto& module : modules(false)) {
      const auto initialize = [](torch::Tensor& weight, torch::Tensor& bias) {
        torch::nn::init::orthogonal_(weight);
        torch::nn::init::zeros_(bias);
      };
      if (auto* conv = module->as<torch::nn::Conv2d>()) initialize(conv->weight, conv->bias);
      if (auto* linear = module->as<torch::nn::Linear>()) initialize(linear->weight, linear->bias);
    }
  }

  torch::Tensor forward(const torch::Tensor& z, const torch::Tensor& y) {
    torch::Tensor x = linear_(z).view({-1, channels_, 4, 4});
    for (auto& block : *blocks_) x = block->as<GeneratorBlock>()->forward(x, y);
    return torch::tanh(conv_(torch::relu(norm_(x))));
  }

 private:
  std::int64_t channels_;
  torch::nn::Linear linear_{nullptr};
  torch::nn::ModuleList blocks_;
  torch::nn::BatchNorm2d norm_{nullptr};
  torch::nn::Conv2d conv_{nullptr};
};
TORCH_MODULE(SnganGenerator);

/// (N, C, H, W) -> the same, or half of height and width. The first one of a network takes pixels, which it doesn't
/// rectify; the others rectify what they take for the shortcut too, as StudioGAN does, whose ReLU works in place, where
/// SN-GAN's own shortcut takes it as it is.
struct DiscriminatorBlockImpl : torch::nn::Module {
  DiscriminatorBlockImpl(std::int64_t in, std::int64_t out, bool halves, bool first) : halves_(halves), first_(first) {
    conv1_ = register_module("conv1", SpectralConv(in, out, 3));
    conv2_ = register_module("conv2", SpectralConv(out, out, 3));
    if (halves || in != out) shortcut_ = register_module("shortcut", SpectralConv(in, out, 1));
  }

  torch::Tensor forward(const torch::Tensor& given) {
    const torch::Tensor x = first_ ? given : torch::relu(given), h = conv2_(torch::relu(conv1_(x)));
    const auto pooled = [&](const torch::Tensor& images) { return halves_ ? torch::avg_pool2d(images, 2) : images; };
    // As above, a convolution of one pixel commutes with the mean of four.
    return pooled(h) + (shortcut_ ? shortcut_(pooled(x)) : x);
  }

 private:
  bool halves_, first_;
  SpectralConv conv1_{nullptr}, conv2_{nullptr}, shortcut_{nullptr};
};
TORCH_MODULE(DiscriminatorBlock);

/// Images (N, 3, 32, 32) and classes (N) -> values (N). 1,055,105 weights for channels = 128, classes = 10.
struct SnganDiscriminatorImpl : torch::nn::Module {
  SnganDiscriminatorImpl(std::int64_t channels, std::int64_t classes) {
    for (int i = 0; i < 4; ++i) blocks_->push_back(DiscriminatorBlock(i == 0 ? 3 : channels, channels, i < 2, i == 0));
    register_module("blocks", blocks_);
    linear_ = register_module("linear", SpectralWeight(torch::IntArrayRef{1, channels}));
    bias_ = register_parameter("bias", torch::zeros({1}));
    embedding_ = register_module("embedding", SpectralWeight(torch::IntArrayRef{classes, channels}));
  }

  torch::Tensor forward(const torch::Tensor& x, const torch::Tensor& y) {
    const torch::Tensor h = torch::relu(blocks_->forward(x)).sum({2, 3});
    return (h * (linear_() + embedding_().index_select(0, y))).sum(1) + bias_;
  }

 private:
  torch::nn::Sequential blocks_;
  SpectralWeight linear_{nullptr}, embedding_{nullptr};
  torch::Tensor bias_;
};
TORCH_MODULE(SnganDiscriminator);

}  // namespace adabelief::trials
