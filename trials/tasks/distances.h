// SPDX-License-Identifier: MIT
// Distances between two sets of images by their features (N, F): Frechet's and the kernel distance, in double.
#pragma once

#include <torch/torch.h>

#include <algorithm>
#include <stdexcept>

namespace adabelief::trials {

/// The mean and the covariance of features that come in parts.
class Moments {
 public:
  void add(const torch::Tensor& features) {
    const torch::Tensor x = features.to(torch::kDouble);
    if (count_ == 0)
      origin_ = x.mean(0), sum_ = torch::zeros_like(origin_),
      squares_ = torch::zeros({x.size(1), x.size(1)}, x.options());
    const torch::Tensor moved =
        x - origin_;  // so that squares and their sum's square are not large numbers, nearly equal
    sum_ += moved.sum(0);
    squares_.addmm_(moved.t(), moved);
    count_ += x.size(0);
  }

  std::int64_t count() const { return count_; }
  torch::Tensor mean() const { return origin_ + sum_ / count_; }
  /// With count - 1 in the denominator.
  torch::Tensor covariance() const { return (squares_ - torch::outer(sum_, sum_) / count_) / (count_ - 1); }

 private:
  std::int64_t count_ = 0;
  torch::Tensor origin_, sum_, squares_;
};

/// The squared Frechet distance between normal laws of these means (F) and covariances (F, F), all double:
/// |m1 - m2|^2 + tr(C1 + C2 - 2 (C1^1/2 C2 C1^1/2)^1/2). Of the features of Inception it is the FID of Heusel et al.,
/// NeurIPS 2017, arXiv:1706.08500.
inline double frechet_distance(const torch::Tensor& m1, const torch::Tensor& c1, const torch::Tensor& m2,
                               const torch::Tensor& c2) {
  const auto [values, vectors] = torch::linalg_eigh(c1);
  const torch::Tensor root = (vectors * values.clamp_min(0).sqrt()).matmul(vectors.t());
  const torch::Tensor between = torch::linalg_eigvalsh(root.matmul(c2).matmul(root)).clamp_min(0).sqrt().sum();
  return ((m1 - m2).square().sum() + c1.trace() + c2.trace() - 2 * between).item<double>();
}

/// The unbiased estimate of the squared maximum mean discrepancy with the kernel (x.y / F + 1)^3, the KID of Binkowski
/// et al., ICLR 2018, arXiv:1801.01401: the mean over blocks of up to `block` rows, each row used once. Where x and y
/// have different numbers of rows, the last ones of the longer are not used.
inline double kernel_distance(const torch::Tensor& x, const torch::Tensor& y, std::int64_t block = 1000) {
  const std::int64_t rows = std::min(x.size(0), y.size(0));
  block = std::min(block, rows);
  if (block < 2) throw std::invalid_argument("a kernel distance needs two rows of features at least");
  const auto kernel = [](const torch::Tensor& a, const torch::Tensor& b) {
    return (a.matmul(b.t()) / a.size(1) + 1).pow(3);
  };
  double sum = 0;
  for (std::int64_t i = 0; i < rows / block; ++i) {
    const torch::Tensor a = x.narrow(0, i * block, block).to(torch::kDouble),
                        b = y.narrow(0, i * block, block).to(torch::kDouble);
    const auto among = [&](const torch::Tensor& k) {
      return (k.sum() - k.trace()).item<double>() / (block * (block - 1));
    };
    sum += among(kernel(a, a)) + among(kernel(b, b)) - 2 * kernel(a, b).mean().item<double>();
  }
  return sum / (rows / block);
}

}  // namespace adabelief::trials
