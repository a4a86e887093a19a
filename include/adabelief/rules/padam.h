// SPDX-License-Identifier: MIT
// Padam: AMSGrad with a smaller power of the second moment than its root.
#pragma once

#include <array>

#include "adabelief/rule.h"

namespace adabelief {

/// Chen et al., IJCAI 2020, arXiv:1806.06763, Algorithm 1, in the form of the authors' code, whose defaults these are:
/// with Adam's bias corrections, of which sqrt(1 - beta2^t) is not raised to the power, and eps added before it.
/// partial is the paper's p: 1/2 is AMSGrad, towards 0 it becomes SGD with momentum.
struct Padam final {
  double lr = 0.1, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, partial = 0.25;

  static constexpr std::string_view name = "padam";
  static constexpr std::string_view summary = "AMSGrad, only partially adaptive";
  static constexpr std::string_view source = "Chen et al., IJCAI 2020, arXiv:1806.06763, Algorithm 1";
  static constexpr std::array<std::string_view, 3> states{"exp_avg", "exp_avg_sq", "max_exp_avg_sq"};

  static constexpr auto options() {
    return std::tuple{Option{"lr", &Padam::lr, at_least_zero, "step size"},
                      Option{"beta1", &Padam::beta1, zero_to_below_one, "decay of m, the mean of the gradient"},
                      Option{"beta2", &Padam::beta2, zero_to_below_one, "decay of v, the mean of its square"},
                      Option{"eps", &Padam::eps, at_least_zero, "added to the root of the largest v"},
                      Option{"partial", &Padam::partial, Interval{0, 0.5, false, true}, "power of the largest v"}};
  }

  template <class S>
  struct Scalars {
    S beta1, one_beta1, beta2, one_beta2, eps, step, power;
  };

  template <class S>
  static Scalars<S> scalars(S lr, S beta1, S beta2, S eps, S partial, S t) {
    const S step = lr * sqrt(1 - pow(beta2, t)) / (1 - pow(beta1, t));
    return {beta1, 1 - beta1, beta2, 1 - beta2, eps, step, 2 * partial};
  }

  template <class S, class V>
  static void update(const Scalars<S>& c, V& x, const V& g, V& m, V& v, V& largest) {
    m = c.beta1 * m + c.one_beta1 * g;
    v = c.beta2 * v + c.one_beta2 * (g * g);
    largest = max(largest, v);
    x = x - c.step * m / powr(sqrt(largest) + c.eps, V(c.power));
  }
};

}  // namespace adabelief
