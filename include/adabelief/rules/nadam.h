// SPDX-License-Identifier: MIT
// NAdam: Adam with Nesterov's momentum.
#pragma once

#include <array>

#include "adabelief/rule.h"

namespace adabelief {

/// Dozat, ICLR 2016 workshop, Incorporating Nesterov Momentum into Adam, with the momentum schedule of
/// torch.optim.NAdam, whose defaults these are: mu_t = beta1 (1 - 0.96^(t momentum_decay) / 2). m itself decays by
/// beta1, as in torch; in the paper it decays by mu_t.
struct NAdam final {
  double lr = 2e-3, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, momentum_decay = 4e-3;

  static constexpr std::string_view name = "nadam";
  static constexpr std::string_view summary = "Adam with Nesterov's momentum";
  static constexpr std::string_view source = "Dozat, ICLR 2016 workshop, in the form of torch.optim.NAdam";
  static constexpr std::array<std::string_view, 2> states{"exp_avg", "exp_avg_sq"};

  static constexpr auto options() {
    return std::tuple{Option{"lr", &NAdam::lr, at_least_zero, "step size"},
                      Option{"beta1", &NAdam::beta1, zero_to_below_one, "decay of m, the mean of the gradient"},
                      Option{"beta2", &NAdam::beta2, zero_to_below_one, "decay of v, the mean of its square"},
                      Option{"eps", &NAdam::eps, at_least_zero, "added to the root of v"},
                      Option{"momentum_decay", &NAdam::momentum_decay, at_least_zero, "how fast mu rises to beta1"}};
  }

  template <class S>
  struct Scalars {
    S beta1, one_beta1, beta2, one_beta2, eps, step_g, step_m, root;
  };

  template <class S>
  static Scalars<S> scalars(S lr, S beta1, S beta2, S eps, S momentum_decay, S t) {
    const auto mu_at = [&](S step) { return beta1 * (1 - powr(S(0.96), min(step * momentum_decay, S(1e4))) / 2); };
    // The product is made anew in each step, so that a step depends on nothing but options and t: about a microsecond
    // at the defaults.
    const S mu = mu_at(t), next = mu_at(t + 1), all = product(t, mu_at);
    return {beta1,
            1 - beta1,
            beta2,
            1 - beta2,
            eps,
            lr * (1 - mu) / (1 - all),
            lr * next / (1 - all * next),
            1 / sqrt(1 - pow(beta2, t))};
  }

  template <class S, class V>
  static void update(const Scalars<S>& c, V& x, const V& g, V& m, V& v) {
    m = c.beta1 * m + c.one_beta1 * g;
    v = c.beta2 * v + c.one_beta2 * (g * g);
    x = x - (c.step_g * g + c.step_m * m) / (sqrt(v) * c.root + c.eps);
  }
};

}  // namespace adabelief
