// SPDX-License-Identifier: MIT
// RMSprop: step by the gradient over its root mean square.
#pragma once

#include <array>

#include "adabelief/rule.h"

namespace adabelief {

/// Tieleman and Hinton, Neural Networks for Machine Learning, lecture 6.5, 2012; centered: Graves 2013,
/// arXiv:1308.0850, equations 38 to 41. Formula and defaults are those of torch.optim.RMSprop: no bias correction, eps
/// outside the root, lr outside the momentum.
///
/// Unlike torch's, the centered form never takes the root of a negative number: the difference of two almost equal
/// means rounds below 0 where a gradient hardly changes, and there torch's weights become NaN.
/// All three states are kept whatever the options, so that the plain form moves 9 numbers a weight, not 5.
struct RMSprop final {
  double lr = 1e-2, alpha = 0.99, eps = 1e-8, momentum = 0;
  bool centered = false;

  static constexpr std::string_view name = "rmsprop";
  static constexpr std::string_view summary = "step by g over its root mean square";
  static constexpr std::string_view source =
      "Tieleman and Hinton, lecture 6.5, 2012, in the form of torch.optim.RMSprop";
  static constexpr std::array<std::string_view, 3> states{"square_avg", "grad_avg", "momentum_buffer"};

  static constexpr auto options() {
    return std::tuple{
        Option{"lr", &RMSprop::lr, at_least_zero, "step size"},
        Option{"alpha", &RMSprop::alpha, zero_to_below_one, "decay of v, the mean of the gradient's square"},
        Option{"eps", &RMSprop::eps, at_least_zero, "added to the root of v"},
        Option{"momentum", &RMSprop::momentum, zero_to_below_one, "decay of b, the sum of past steps"},
        Option{"centered", &RMSprop::centered, "take the squared mean of the gradient from v"}};
  }

  template <class S>
  struct Scalars {
    S alpha, one_alpha, mean, eps, momentum, lr;
  };

  template <class S>
  static Scalars<S> scalars(S lr, S alpha, S eps, S momentum, bool centered, S) {
    return {alpha, 1 - alpha, centered ? 1 - alpha : 0, eps, momentum, lr};
  }

  template <class S, class V>
  static void update(const Scalars<S>& c, V& x, const V& g, V& v, V& m, V& b) {
    v = c.alpha * v + c.one_alpha * (g * g);
    m = c.alpha * m + c.mean * g;  // stays 0 where not centered
    b = c.momentum * b + g / (sqrt(max(V(0.0), v - m * m)) + c.eps);
    x = x - c.lr * b;
  }
};

}  // namespace adabelief
