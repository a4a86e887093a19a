// SPDX-License-Identifier: MIT
// What trials do with the tensors of a network.
#pragma once

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
