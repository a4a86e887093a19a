// SPDX-License-Identifier: MIT
// SGD with momentum: heavy ball, or Nesterov's form.
#pragma once

#include <array>

#include "adabelief/rule.h"

namespace adabelief {

/// Sutskever et al., ICML 2013, with the momentum in units of the gradient as in every framework: x -= lr * b.
/// Without momentum there is no b to keep a share of g out of, and dampening does nothing, as in torch.optim.SGD.
/// The defaults are those of the AdaBelief paper's SGD on CIFAR.
struct SGD final {
  double lr = 0.1, momentum = 0.9, dampening = 0;
  bool nesterov = false;

  static constexpr std::string_view name = "sgd";
  static constexpr std::string_view summary = "stochastic gradient descent with momentum";
  static constexpr std::string_view source = "Sutskever et al., ICML 2013, in the form of torch.optim.SGD";
  static constexpr std::array<std::string_view, 1> states{"momentum_buffer"};

  static constexpr auto options() {
    return std::tuple{Option{"lr", &SGD::lr, at_least_zero, "step size"},
                      Option{"momentum", &SGD::momentum, zero_to_below_one, "decay of b, the sum of past gradients"},
                      Option{"dampening", &SGD::dampening, zero_to_below_one, "share of g kept out of b after step 1"},
                      Option{"nesterov", &SGD::nesterov, "step by g + momentum * b instead of b"}};
  }

  template <class S>
  struct Scalars {
    S momentum, gain, step_g, step_b;
  };

  template <class S>
  static Scalars<S> scalars(S lr, S momentum, S dampening, bool nesterov, S t) {
    return {momentum, t == 1 || momentum == 0 ? 1 : 1 - dampening, nesterov ? lr : 0, nesterov ? lr * momentum : lr};
  }

  template <class S, class V>
  static void update(const Scalars<S>& c, V& x, const V& g, V& b) {
    b = c.momentum * b + c.gain * g;
    x = x - (c.step_g * g + c.step_b * b);
  }
};

}  // namespace adabelief
