// SPDX-License-Identifier: MIT
// AdaBelief in LibTorch: a small network learns the sine. Beside torch::optim::Adam two lines differ.
#include <adabelief/libtorch.h>
#include <torch/torch.h>

#include <cstdio>

int main() {
  torch::manual_seed(1);
  torch::nn::Sequential model(torch::nn::Linear(1, 32), torch::nn::Tanh(), torch::nn::Linear(32, 1));
  const torch::Tensor x = torch::linspace(-3, 3, 100).unsqueeze(1), y = x.sin();

  adabelief::libtorch::Optimizer optimizer(model->parameters(), adabelief::AdaBelief{.lr = 1e-2});
  for (int t = 0; t < 1000; ++t) {
    optimizer.zero_grad();
    torch::mse_loss(model->forward(x), y).backward();
    optimizer.step();
  }
  const double loss = torch::mse_loss(model->forward(x), y).item<double>();
  std::printf("mean squared error %s 0.001\n", loss < 1e-3 ? "below" : "above");
}
