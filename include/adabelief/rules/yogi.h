// SPDX-License-Identifier: MIT
// Yogi: Adam whose second moment moves by the square of the gradient, however far it is from it.
#pragma once

#include <array>

#include "adabelief/rule.h"

namespace adabelief {

/// Zaheer et al., NeurIPS 2018, Adaptive Methods for Nonconvex Optimization, Algorithm 2, with Adam's bias corrections
/// as in every framework. lr and eps are the paper's. m and v start at initial_accumulator: 0, or the 1e-6 of
/// torch_optimizer, pytorch_optimizer and optax, with which the AdaBelief paper's runs were made; m starts there too,
/// so that a weight without a gradient then moves a little, and always downwards.
struct Yogi final {
  double lr = 1e-2, beta1 = 0.9, beta2 = 0.999, eps = 1e-3, initial_accumulator = 0;

  static constexpr std::string_view name = "yogi";
  static constexpr std::string_view summary = "Adam with a second moment that moves additively";
  static constexpr std::string_view source = "Zaheer et al., NeurIPS 2018, Algorithm 2";
  static constexpr std::array<std::string_view, 2> states{"exp_avg", "exp_avg_sq"};

  static constexpr auto options() {
    return std::tuple{
        Option{"lr", &Yogi::lr, at_least_zero, "step size"},
        Option{"beta1", &Yogi::beta1, zero_to_below_one, "decay of m, the mean of the gradient"},
        Option{"beta2", &Yogi::beta2, zero_to_below_one, "1 - beta2 is the share of g^2 by which v moves"},
        Option{"eps", &Yogi::eps, at_least_zero, "added to the root of v"},
        Option{"initial_accumulator", &Yogi::initial_accumulator, at_least_zero, "m and v before step 1"}};
  }

  static constexpr auto presets() {
    return std::array{Preset<Yogi>{
        "torch_optimizer",
        "torch_optimizer, optax, and pytorch_optimizer without its decoupled decay; with the first the AdaBelief "
        "paper's runs were made",
        {.initial_accumulator = 1e-6}}};
  }

  template <class S>
  struct Scalars {
    S beta1, one_beta1, one_beta2, eps, step, root, start_m, start_v;
  };

  template <class S>
  static Scalars<S> scalars(S lr, S beta1, S beta2, S eps, S initial_accumulator, S t) {
    const S start = t == 1 ? initial_accumulator : 0;  // states start at zero: the first step brings it
    return {beta1,         1 - beta1, 1 - beta2, eps, lr / (1 - pow(beta1, t)), 1 / sqrt(1 - pow(beta2, t)),
            beta1 * start, start};
  }

  template <class S, class V>
  static void update(const Scalars<S>& c, V& x, const V& g, V& m, V& v) {
    m = c.beta1 * m + c.one_beta1 * g + c.start_m;
    const V square = g * g;
    v = v + c.start_v;
    v = v - c.one_beta2 * (sign(v - square) * square);
    x = x - c.step * m / (sqrt(v) * c.root + c.eps);
  }
};

}  // namespace adabelief
