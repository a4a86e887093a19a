// SPDX-License-Identifier: MIT
// The networks whose features distances between sets of images are taken over, and what is kept of them between trials.
#pragma once

#include <torch/torch.h>

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "data/dataset.h"

namespace adabelief::trials {

/// A network as a function of images: uint8 (N, 3, S, S), S = 32 or 64, -> features float32 (N, F).
struct Features {
  std::string name;    ///< as a metric names it: distances over other features are other numbers
  std::string sha256;  ///< of its weights, or of its file
  std::function<torch::Tensor(const torch::Tensor&)> of;
};

/// The file that makes FID and KID those of Inception, looked for in every data root.
inline constexpr std::string_view inception_file = "inception-2015-12-05.pt";

/// A TorchScript module in `inception_file`, from uint8 images (N, 3, S, S) to features (N, F): NVIDIA's of this name,
/// whose forward() has an argument return_features, or one without such an argument. Without this file
/// train_classifier.
Features find_features(const std::filesystem::path& data_root, const data::ImageData& images);

/// A residual network of 8 layers after `epochs` passes over images.train, always from the same seed: 64 features. Its
/// weights are kept in the user's cache.
Features train_classifier(const data::ImageData& images, int epochs = 4);

/// The tensors of the file NAME.pt in the user's cache, or else those that `make` returns, which are then kept there.
/// Of several processes that ask for one file at once, one makes it. A damaged file is made again; where nothing can be
/// kept, nothing is.
std::vector<torch::Tensor> cached(const std::string& name, const std::function<std::vector<torch::Tensor>()>& make);

/// The images as a tensor (count, C, H, W) uint8, which shares their memory.
torch::Tensor view_of(const data::Images& images);

}  // namespace adabelief::trials
