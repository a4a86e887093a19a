// SPDX-License-Identifier: MIT
// AdaBelief without a framework: the minimum of f(x, y) = (x - 3)^2 + 10 (y + 1)^2.
#include <adabelief/adabelief.h>

#include <cstdio>
#include <vector>

int main() {
  std::vector<float> x{0, 0}, gradient(2);
  adabelief::Optimizer optimizer(adabelief::AdaBelief{.lr = 0.1}, x);
  for (int t = 0; t < 500; ++t) {
    gradient = {2 * (x[0] - 3), 20 * (x[1] + 1)};
    optimizer.step(gradient);
  }
  std::printf("x = %.3f, y = %.3f after %lld steps\n", x[0], x[1], static_cast<long long>(optimizer.steps()));
}
