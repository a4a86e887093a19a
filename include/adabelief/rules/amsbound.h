// SPDX-License-Identifier: MIT
// AMSBound: AdaBound with a second moment that never falls.
#pragma once

#include <array>

#include "adabelief/rules/adabound.h"

namespace adabelief {

/// Luo et al., ICLR 2019, arXiv:1902.09843, the appendix, in the form of the authors' package (amsbound=True), whose
/// defaults these are. What rules/adabound.h says of the bounds and of base_lr holds here too.
struct AMSBound final {
  double lr = 1e-3, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, final_lr = 0.1, gamma = 1e-3, base_lr = 1e-3;

  static constexpr std::string_view name = "amsbound";
  static constexpr std::string_view summary = "AdaBound with the largest second moment so far";
  static constexpr std::string_view source = "Luo et al., ICLR 2019, arXiv:1902.09843, AMSBound";
  static constexpr std::array<std::string_view, 3> states{"exp_avg", "exp_avg_sq", "max_exp_avg_sq"};

  static constexpr auto options() {
    return std::tuple{Option{"lr", &AMSBound::lr, at_least_zero, "step size before bounds"},
                      Option{"beta1", &AMSBound::beta1, zero_to_below_one, "decay of m, the mean of the gradient"},
                      Option{"beta2", &AMSBound::beta2, zero_to_below_one, "decay of v, the mean of its square"},
                      Option{"eps", &AMSBound::eps, at_least_zero, "added to the root of largest"},
                      Option{"final_lr", &AMSBound::final_lr, at_least_zero, "step size to which the bounds close in"},
                      Option{"gamma", &AMSBound::gamma, Interval{0, 1, false}, "how fast they do"},
                      Option{"base_lr", &AMSBound::base_lr, above_zero, "the lr for which final_lr is meant"}};
  }

  template <class S>
  using Scalars = AdaBound::Scalars<S>;

  template <class S>
  static Scalars<S> scalars(S lr, S beta1, S beta2, S eps, S final_lr, S gamma, S base_lr, S t) {
    return AdaBound::scalars(lr, beta1, beta2, eps, final_lr, gamma, base_lr, t);
  }

  template <class S, class V>
  static void update(const Scalars<S>& c, V& x, const V& g, V& m, V& v, V& largest) {
    m = c.beta1 * m + c.one_beta1 * g;
    v = c.beta2 * v + c.one_beta2 * (g * g);
    largest = max(largest, v);
    const V rate = c.step / (sqrt(largest) + c.eps);
    x = x - min(V(c.upper), max(V(c.lower), rate)) * m;
  }
};

}  // namespace adabelief
