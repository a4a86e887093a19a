// SPDX-License-Identifier: MIT
// How far SGD, Adam and AdaBelief step: on a plateau, in a valley and on a slope of one curve, and on |x| + |y|.
#include <adabelief/adabelief.h>

#include <cmath>
#include <cstdio>
#include <vector>

namespace {

constexpr double lr = 1e-3;

// The derivative of a curve that falls slowly until x = -2, then steeply until x = 0, and rises from there.
double slope(double x) { return x < -2 ? -0.01 : x < 0 ? -1 : 1; }

// The mean length of steps 51 to 100 from `start`, in learning rates.
double step_length(const char* rule, double start) {
  std::vector<double> x{start};
  auto optimizer = adabelief::make(rule, {{"lr", lr}});
  optimizer.add(x);
  double sum = 0;
  for (int t = 1; t <= 100; ++t) {
    const double before = x[0];
    optimizer.step(std::vector{slope(before)});
    if (t > 50) sum += std::abs(x[0] - before);
  }
  return sum / 50 / lr;
}

void print_lengths(const char* place, double start) {
  std::printf("%-17s", place);
  for (const char* rule : {"sgd", "adam", "adabelief"}) std::printf("  %9.3f", step_length(rule, start));
  std::puts("");
}

// An optimizer on its way down |x| + |y|.
struct Descent {
  const char* state;  // what it divides by the root of: v or s
  adabelief::AnyOptimizer optimizer;
  std::vector<double> x{-2.5, lr / 2};

  Descent(const char* rule, const char* state) : state(state), optimizer(adabelief::make(rule, {{"lr", lr}})) {
    optimizer.add(x);
  }
  void step() { optimizer.step(std::vector{std::copysign(1., x[0]), std::copysign(1., x[1])}); }
  void print() const {
    const auto* of = static_cast<const double*>(optimizer.state(state).data);
    const double correction = 1 - std::pow(0.999, static_cast<double>(optimizer.steps()));
    std::printf("  %8.3f  %8.3f  %8.3f", of[0] / correction, of[1] / correction, x[0]);
  }
};

}  // namespace

int main() {
  std::puts("steps / lr               SGD       Adam  AdaBelief");
  print_lengths("1 on the plateau", -5);
  print_lengths("2 in the valley", lr / 2);
  print_lengths("3 on the slope", -1.9);

  Descent adam("adam", "exp_avg_sq"), belief("adabelief", "exp_avg_var");
  std::puts("\n           Adam                          AdaBelief");
  std::puts("step       v_x       v_y         x       s_x       s_y         x");
  for (const int last : {1, 2, 5, 10, 20, 50, 100, 200}) {
    while (adam.optimizer.steps() < last) adam.step(), belief.step();
    std::printf("%4d ", last);
    adam.print();
    belief.print();
    std::puts("");
  }
}
