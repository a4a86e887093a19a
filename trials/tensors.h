// SPDX-License-Identifier: MIT
// What trials do with the tensors of a network.
#pragma once

#include <ATen/autocast_mode.h>
#include <torch/torch.h>

#include <string>
#include <vector>

#include "data/dataset.h"

namespace adabelief::trials {

/// Brings 4-dimensional weights into the layout in which channels are last; the others stay as they are.
inline void put_channels_last(const std::vector<torch::Tensor>& weights) {
  for (torch::Tensor weight : weights) {
    if (weight.dim() == 4) weight.set_data(weight.contiguous(torch::MemoryFormat::ChannelsLast));
  }
}

/// What `forward` returns, in float32; computed under autocast where `bfloat16`: convolutions and linear layers in
/// bfloat16, with weights in float32.
template <class Forward>
torch::Tensor computed(bool bfloat16, Forward forward) {
  if (!bfloat16) return forward();
  struct Autocast {
    Autocast() {
      at::autocast::set_autocast_dtype(at::kCPU, at::kBFloat16);
      at::autocast::set_autocast_enabled(at::kCPU, true);
    }
    ~Autocast() {
      at::autocast::clear_cache();
      at::autocast::set_autocast_enabled(at::kCPU, false);
    }
  } autocast;
  return forward().to(torch::kFloat32);
}

/// Of the tensors' numbers, in their order and that of their indices.
inline std::string sha256_of(const std::vector<torch::Tensor>& tensors) {
  data::Sha256 sum;
  for (const torch::Tensor& tensor : tensors) {
    const torch::Tensor plain = tensor.detach().contiguous();
    sum.update({static_cast<const std::uint8_t*>(plain.const_data_ptr()), plain.nbytes()});
  }
  return sum.digits();
}

}  // namespace adabelief::trials
