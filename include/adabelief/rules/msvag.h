// SPDX-License-Identifier: MIT
// M-SVAG: momentum, each weight's step damped by the variance of its gradient.
#pragma once

#include <array>

#include "adabelief/rule.h"

namespace adabelief {

/// Balles and Hennig, ICML 2018, arXiv:1705.07774, M-SVAG. m and v have the same beta and the bias correction that
/// goes with it; the AdaBelief repository's later one, 1 - beta2^t for a v of beta1, does not.
///
/// rho is 1 at the first step and the variance unknown: the step is whole, where the authors' code cuts rho at 0.999. A
/// weight that never had a gradient stays where it is. There is no eps. beta is the paper's, lr that of the AdaBelief
/// paper's runs on CIFAR.
struct MSVAG final {
  double lr = 0.1, beta = 0.9;

  static constexpr std::string_view name = "msvag";
  static constexpr std::string_view summary = "step by the mean of g, damped where its variance is large";
  static constexpr std::string_view source = "Balles and Hennig, ICML 2018, arXiv:1705.07774";
  static constexpr std::array<std::string_view, 2> states{"exp_avg", "exp_avg_sq"};

  static constexpr auto options() {
    return std::tuple{Option{"lr", &MSVAG::lr, at_least_zero, "step size"},
                      Option{"beta", &MSVAG::beta, zero_to_below_one, "decay of m and v, the means of g and g^2"}};
  }

  template <class S>
  struct Scalars {
    S beta, one_beta, correction, noise, lr;
  };

  // noise is rho / (1 - rho) for rho = (1 - beta) (1 + beta^t) / ((1 + beta) (1 - beta^t)), without cancellation.
  template <class S>
  static Scalars<S> scalars(S lr, S beta, S t) {
    const S power = pow(beta, t);
    const S noise = beta == power ? 0 : (1 - beta) * (1 + power) / (2 * (beta - power));
    return {beta, 1 - beta, 1 / (1 - power), noise, lr};
  }

  template <class S, class V>
  static void update(const Scalars<S>& c, V& x, const V& g, V& m, V& v) {
    m = c.beta * m + c.one_beta * g;
    v = c.beta * v + c.one_beta * (g * g);
    const V mean = m * c.correction, square = mean * mean, variance = max(V(0.0), v * c.correction - square);
    const V factor = max(square / (square + c.noise * variance), V(0.0));  // 0, not NaN, where all is 0
    x = x - c.lr * (factor * mean);
  }
};

}  // namespace adabelief
