// SPDX-License-Identifier: MIT
// AdaBelief: step by the belief in the observed gradient.
#pragma once

#include <array>

#include "adabelief/rule.h"

namespace adabelief {

/// Zhuang et al., NeurIPS 2020, arXiv:2010.07468, Algorithm 2, without the projection.
///
/// eps enters s at every step and stays in it, so that sqrt(s) / sqrt(1 - beta2^t) never falls below
/// sqrt(eps / (1 - beta2)): 3.2e-3 at the defaults. That floor, not eps, is what compares with Adam's eps.
struct AdaBelief final {
  double lr = 1e-3, beta1 = 0.9, beta2 = 0.999, eps = 1e-8;

  static constexpr std::string_view name = "adabelief";
  static constexpr std::string_view summary = "step by the belief in the gradient: m over the spread of g around m";
  static constexpr std::string_view source = "Zhuang et al., NeurIPS 2020, arXiv:2010.07468, Algorithm 2";
  static constexpr std::array<std::string_view, 2> states{"exp_avg", "exp_avg_var"};

  static constexpr auto options() {
    return std::tuple{Option{"lr", &AdaBelief::lr, at_least_zero, "step size"},
                      Option{"beta1", &AdaBelief::beta1, zero_to_below_one, "decay of m, the mean of the gradient"},
                      Option{"beta2", &AdaBelief::beta2, zero_to_below_one, "decay of s, the spread around m"},
                      Option{"eps", &AdaBelief::eps, at_least_zero, "added to s at every step, and to its root"}};
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
  static void update(const Scalars<S>& c, V& x, const V& g, V& m, V& s) {
    m = c.beta1 * m + c.one_beta1 * g;
    const V surprise = g - m;
    s = c.beta2 * s + c.one_beta2 * (surprise * surprise) + c.eps;
    x = x - c.step * m / (sqrt(s) * c.root + c.eps);
  }
};

}  // namespace adabelief
