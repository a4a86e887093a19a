// SPDX-License-Identifier: MIT
// AMSGrad: Adam with a second moment that never falls.
#pragma once

#include <array>

#include "adabelief/rules/adam.h"

namespace adabelief {

/// Reddi, Kale and Kumar, ICLR 2018, arXiv:1904.09237, Algorithm 2, with Adam's bias corrections as in every
/// framework: the maximum is taken of v before its correction, which torch.optim.Adam(amsgrad=True) does too.
struct AMSGrad final {
  double lr = 1e-3, beta1 = 0.9, beta2 = 0.999, eps = 1e-8;

  static constexpr std::string_view name = "amsgrad";
  static constexpr std::string_view summary = "Adam with the largest second moment so far";
  static constexpr std::string_view source = "Reddi et al., ICLR 2018, arXiv:1904.09237, Algorithm 2";
  static constexpr std::array<std::string_view, 3> states{"exp_avg", "exp_avg_sq", "max_exp_avg_sq"};

  static constexpr auto options() {
    return std::tuple{Option{"lr", &AMSGrad::lr, at_least_zero, "step size"},
                      Option{"beta1", &AMSGrad::beta1, zero_to_below_one, "decay of m, the mean of the gradient"},
                      Option{"beta2", &AMSGrad::beta2, zero_to_below_one, "decay of v, the mean of its square"},
                      Option{"eps", &AMSGrad::eps, at_least_zero, "added to the root of the largest v"}};
  }

  template <class S>
  using Scalars = Adam::Scalars<S>;

  template <class S>
  static Scalars<S> scalars(S lr, S beta1, S beta2, S eps, S t) {
    return Adam::scalars(lr, beta1, beta2, eps, t);
  }

  template <class S, class V>
  static void update(const Scalars<S>& c, V& x, const V& g, V& m, V& v, V& largest) {
    m = c.beta1 * m + c.one_beta1 * g;
    v = c.beta2 * v + c.one_beta2 * (g * g);
    largest = max(largest, v);
    x = x - c.step * m / (sqrt(largest) * c.root + c.eps);
  }
};

}  // namespace adabelief
