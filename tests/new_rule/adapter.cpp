// SPDX-License-Identifier: MIT
// Prints the rules that the LibTorch adapter knows, and where a step of the last of them takes a weight from 0.
#include <adabelief/libtorch.h>

#include <cstdio>

int main() {
  std::string_view last;
  adabelief::Rules::for_each([&]<class Rule>() {
    last = Rule::name;
    std::printf("%s ", Rule::name.data());
  });
  const std::vector<at::Tensor> weights{at::zeros(3)};
  weights[0].mutable_grad() = at::full(3, -2.0);
  adabelief::libtorch::make(last, weights, {{"lr", 0.5}})->step();
  std::printf("%g\n", weights[0][0].item<double>());
}
