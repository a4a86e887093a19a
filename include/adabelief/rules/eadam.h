// SPDX-License-Identifier: MIT
// EAdam: Adam with eps where AdaBelief has it.
#pragma once

#include <array>

#include "adabelief/rule.h"

namespace adabelief {

/// Yuan and Gao 2020, arXiv:2011.02150, as in the authors' code: eps enters v at every step and stays in
/// it, as in AdaBelief, and nothing is added outside the root. The floor of the denominator is sqrt(eps / (1 - beta2)),
/// 3.2e-3 at the defaults, which are the paper's.
struct EAdam final {
  double lr = 1e-3, beta1 = 0.9, beta2 = 0.999, eps = 1e-8;

  static constexpr std::string_view name = "eadam";
  static constexpr std::string_view summary = "Adam with eps inside its second moment, as AdaBelief has it";
  static constexpr std::string_view source = "Yuan and Gao 2020, arXiv:2011.02150";
  static constexpr std::array<std::string_view, 2> states{"exp_avg", "exp_avg_sq"};

  static constexpr auto options() {
    return std::tuple{Option{"lr", &EAdam::lr, at_least_zero, "step size"},
                      Option{"beta1", &EAdam::beta1, zero_to_below_one, "decay of m, the mean of the gradient"},
                      Option{"beta2", &EAdam::beta2, zero_to_below_one, "decay of v, the mean of its square"},
                      Option{"eps", &EAdam::eps, at_least_zero, "added to v at every step"}};
  }

  template <class S>
  struct Scalars {
    S beta1, one_beta1, beta2, one_beta2, eps, step;
  };

  template <class S>
  static Scalars<S> scalars(S lr, S beta1, S beta2, S eps, S t) {
    return {beta1, 1 - beta1, beta2, 1 - beta2, eps, lr * sqrt(1 - pow(beta2, t)) / (1 - pow(beta1, t))};
  }

  template <class S, class V>
  static void update(const Scalars<S>& c, V& x, const V& g, V& m, V& v) {
    m = c.beta1 * m + c.one_beta1 * g;
    v = c.beta2 * v + c.one_beta2 * (g * g) + c.eps;
    x = x - c.step * m / sqrt(v);
  }
};

}  // namespace adabelief
