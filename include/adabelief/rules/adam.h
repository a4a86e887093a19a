// SPDX-License-Identifier: MIT
// Adam: step by the mean of the gradient over its root mean square.
#pragma once

#include <array>

#include "adabelief/rule.h"

namespace adabelief {

/// Kingma and Ba, ICLR 2015, arXiv:1412.6980, Algorithm 1. With decoupled weight decay it is AdamW (rules/adamw.h).
struct Adam final {
  double lr = 1e-3, beta1 = 0.9, beta2 = 0.999, eps = 1e-8;

  static constexpr std::string_view name = "adam";
  static constexpr std::string_view summary = "step by the mean of g over its root mean square";
  static constexpr std::string_view source = "Kingma and Ba, ICLR 2015, arXiv:1412.6980, Algorithm 1";
  static constexpr std::array<std::string_view, 2> states{"exp_avg", "exp_avg_sq"};

  static constexpr auto options() {
    return std::tuple{Option{"lr", &Adam::lr, at_least_zero, "step size"},
                      Option{"beta1", &Adam::beta1, zero_to_below_one, "decay of m, the mean of the gradient"},
                      Option{"beta2", &Adam::beta2, zero_to_below_one, "decay of v, the mean of its square"},
                      Option{"eps", &Adam::eps, at_least_zero, "added to the root of v"}};
  }

  template <class S>
  struct Scalars {
    S beta1, one_beta1, beta2, one_beta2, eps, step, root;
  };

  template <class S>
  static Scalars<S> scalars(S lr, S beta1, S beta2, S eps, S t) {
    return {beta1, 1 - beta1, beta2, 1 - beta2, eps, lr / (1 - pow(beta1, t)), 1 / sqrt(1 - pow(beta2, t))};
  }

  template <class S, class V>
  static void update(const Scalars<S>& c, V& x, const V& g, V& m, V& v) {
    m = c.beta1 * m + c.one_beta1 * g;
    v = c.beta2 * v + c.one_beta2 * (g * g);
    x = x - c.step * m / (sqrt(v) * c.root + c.eps);
  }
};

}  // namespace adabelief
