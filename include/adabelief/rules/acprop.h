// SPDX-License-Identifier: MIT
// ACProp: step by the gradient over the spread that was known before it.
#pragma once

#include <array>

#include "adabelief/rule.h"

namespace adabelief {

/// Zhuang et al., NeurIPS 2021, arXiv:2110.05454: AdaBelief's s, but the step divides by the s of the step before, and
/// has the gradient itself above it, not its mean. The first step has no s yet: its denominator is 1 + eps, as in
/// optax.contrib.acprop, which makes it a step of SGD. Defaults: lr and betas of the paper, eps 1e-16 of optax.
struct ACProp final {
  double lr = 1e-3, beta1 = 0.9, beta2 = 0.999, eps = 1e-16;

  static constexpr std::string_view name = "acprop";
  static constexpr std::string_view summary = "step by g over AdaBelief's spread as it was before g";
  static constexpr std::string_view source = "Zhuang et al., NeurIPS 2021, arXiv:2110.05454";
  static constexpr std::array<std::string_view, 2> states{"exp_avg", "exp_avg_var"};

  static constexpr auto options() {
    return std::tuple{Option{"lr", &ACProp::lr, at_least_zero, "step size"},
                      Option{"beta1", &ACProp::beta1, zero_to_below_one, "decay of m, the mean of the gradient"},
                      Option{"beta2", &ACProp::beta2, zero_to_below_one, "decay of s, the spread around m"},
                      Option{"eps", &ACProp::eps, at_least_zero, "added to s at every step, and to its root"}};
  }

  template <class S>
  struct Scalars {
    S beta1, one_beta1, beta2, one_beta2, eps, lr, root, floor;
  };

  template <class S>
  static Scalars<S> scalars(S lr, S beta1, S beta2, S eps, S t) {
    const bool first = t == 1;
    return {beta1,
            1 - beta1,
            beta2,
            1 - beta2,
            eps,
            lr,
            first ? 0 : 1 / sqrt(1 - pow(beta2, t - 1)),
            first ? 1 + eps : eps};
  }

  template <class S, class V>
  static void update(const Scalars<S>& c, V& x, const V& g, V& m, V& s) {
    x = x - c.lr * g / (sqrt(s) * c.root + c.floor);
    m = c.beta1 * m + c.one_beta1 * g;
    const V surprise = g - m;
    s = c.beta2 * s + c.one_beta2 * (surprise * surprise) + c.eps;
  }
};

}  // namespace adabelief
