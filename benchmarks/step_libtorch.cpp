// SPDX-License-Identifier: MIT
// The step's time for users of LibTorch, beside its own AdamW. Names are as in step.cpp.
#include <adabelief/libtorch.h>
#include <torch/torch.h>

#include "shapes.h"

namespace {

using namespace adabelief::benchmarks;

template <class Optimizer, class Options>
void step(benchmark::State& state, const Sizes& sizes, const Options& options) {
  torch::manual_seed(1);
  std::vector<torch::Tensor> weights;
  for (const std::size_t n : sizes) {
    torch::Tensor& weight = weights.emplace_back(torch::randn(static_cast<std::int64_t>(n)));
    weight.set_requires_grad(true).mutable_grad() = torch::randn_like(weight);
  }
  Optimizer optimizer(weights, options);
  optimizer.step();
  for (auto _ : state) optimizer.step();
}

}  // namespace

int main(int argc, char** argv) {
  for_every_shape("adabelief/float32", step<adabelief::libtorch::Optimizer<adabelief::AdaBelief>, adabelief::AdaBelief>,
                  adabelief::AdaBelief{});
  for_every_shape("torch_adamw/float32", step<torch::optim::AdamW, torch::optim::AdamWOptions>,
                  torch::optim::AdamWOptions{});
  return run(argc, argv);
}
