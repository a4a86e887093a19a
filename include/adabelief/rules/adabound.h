// SPDX-License-Identifier: MIT
// AdaBound: Adam with bounds on each weight's step size that close in on SGD's.
#pragma once

#include <array>

#include "adabelief/rule.h"

namespace adabelief {

/// Luo et al., ICLR 2019, arXiv:1902.09843, Algorithm 2, in the form of the authors' package, whose defaults these are:
/// with eps and Adam's bias corrections, without the factor 1 / sqrt(t), and with gamma in place of 1 - beta2 in the
/// bounds.
///
/// A schedule changes lr, and the final step size is to follow: it is final_lr lr / base_lr. The package takes base_lr
/// from lr when it is made; here it is an option, so that a step depends on nothing but options and states. Set both
/// alike.
struct AdaBound final {
  double lr = 1e-3, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, final_lr = 0.1, gamma = 1e-3, base_lr = 1e-3;

  static constexpr std::string_view name = "adabound";
  static constexpr std::string_view summary = "Adam with step sizes clipped to bounds that close in on one";
  static constexpr std::string_view source = "Luo et al., ICLR 2019, arXiv:1902.09843, Algorithm 2";
  static constexpr std::array<std::string_view, 2> states{"exp_avg", "exp_avg_sq"};

  static constexpr auto options() {
    return std::tuple{Option{"lr", &AdaBound::lr, at_least_zero, "step size before bounds"},
                      Option{"beta1", &AdaBound::beta1, zero_to_below_one, "decay of m, the mean of the gradient"},
                      Option{"beta2", &AdaBound::beta2, zero_to_below_one, "decay of v, the mean of its square"},
                      Option{"eps", &AdaBound::eps, at_least_zero, "added to the root of v"},
                      Option{"final_lr", &AdaBound::final_lr, at_least_zero, "step size to which the bounds close in"},
                      Option{"gamma", &AdaBound::gamma, Interval{0, 1, false}, "how fast they do"},
                      Option{"base_lr", &AdaBound::base_lr, above_zero, "the lr for which final_lr is meant"}};
  }

  template <class S>
  struct Scalars {
    S beta1, one_beta1, beta2, one_beta2, eps, step, lower, upper;
  };

  template <class S>
  static Scalars<S> scalars(S lr, S beta1, S beta2, S eps, S final_lr, S gamma, S base_lr, S t) {
    const S last = final_lr * lr / base_lr, pace = gamma * t, step = lr * sqrt(1 - pow(beta2, t)) / (1 - pow(beta1, t));
    return {beta1, 1 - beta1, beta2, 1 - beta2, eps, step, last * (pace / (pace + 1)), last * ((pace + 1) / pace)};
  }

  template <class S, class V>
  static void update(const Scalars<S>& c, V& x, const V& g, V& m, V& v) {
    m = c.beta1 * m + c.one_beta1 * g;
    v = c.beta2 * v + c.one_beta2 * (g * g);
    const V rate = c.step / (sqrt(v) + c.eps);
    x = x - min(V(c.upper), max(V(c.lower), rate)) * m;
  }
};

}  // namespace adabelief
