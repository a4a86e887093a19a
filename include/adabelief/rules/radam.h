// SPDX-License-Identifier: MIT
// RAdam: Adam, rectified by how much of the second moment is known yet.
#pragma once

#include <array>

#include "adabelief/rule.h"

namespace adabelief {

/// Liu et al., ICLR 2020, arXiv:1908.03265, Algorithm 2, in the form of torch.optim.RAdam, whose defaults these are:
/// the step is adaptive where rho > 5 (the paper: > 4; from step 6 on, not 5, at beta2 = 0.999), and eps is added to
/// the root of v before its bias correction, as in the authors' code. Until then, and always where beta2 <= 2/3, it is
/// lr times the mean of the gradient: SGD with momentum, whatever the gradient's size.
struct RAdam final {
  double lr = 1e-3, beta1 = 0.9, beta2 = 0.999, eps = 1e-8;

  static constexpr std::string_view name = "radam";
  static constexpr std::string_view summary = "Adam that starts as SGD, rectified by the variance of its second moment";
  static constexpr std::string_view source = "Liu et al., ICLR 2020, arXiv:1908.03265, Algorithm 2";
  static constexpr std::array<std::string_view, 2> states{"exp_avg", "exp_avg_sq"};

  static constexpr auto options() {
    return std::tuple{Option{"lr", &RAdam::lr, at_least_zero, "step size"},
                      Option{"beta1", &RAdam::beta1, zero_to_below_one, "decay of m, the mean of the gradient"},
                      Option{"beta2", &RAdam::beta2, zero_to_below_one, "decay of v, the mean of its square"},
                      Option{"eps", &RAdam::eps, at_least_zero, "added to the root of v"}};
  }

  template <class S>
  struct Scalars {
    S beta1, one_beta1, beta2, one_beta2, step, root, floor;
  };

  template <class S>
  static Scalars<S> scalars(S lr, S beta1, S beta2, S eps, S t) {
    const S power = pow(beta2, t), rho_inf = 2 / (1 - beta2) - 1, rho = rho_inf - 2 * t * power / (1 - power);
    const S step = lr / (1 - pow(beta1, t));
    if (!(rho > 5)) return {beta1, 1 - beta1, beta2, 1 - beta2, step, 0, 1};
    const S rectified = sqrt((rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho));
    return {beta1, 1 - beta1, beta2, 1 - beta2, step * rectified * sqrt(1 - power), 1, eps};
  }

  template <class S, class V>
  static void update(const Scalars<S>& c, V& x, const V& g, V& m, V& v) {
    m = c.beta1 * m + c.one_beta1 * g;
    v = c.beta2 * v + c.one_beta2 * (g * g);
    x = x - c.step * m / (sqrt(v) * c.root + c.floor);
  }
};

}  // namespace adabelief
