// SPDX-License-Identifier: MIT
// AdamW: Adam with decoupled weight decay.
#pragma once

#include "adabelief/rules/adam.h"

namespace adabelief {

/// Loshchilov and Hutter, ICLR 2019, arXiv:1711.05101, Algorithm 2. The formula is Adam's; what differs is the default
/// of the weight decay, here that of torch.optim.AdamW: x loses lr 1e-2 x before each step.
struct AdamW final {
  double lr = 1e-3, beta1 = 0.9, beta2 = 0.999, eps = 1e-8;

  static constexpr std::string_view name = "adamw";
  static constexpr std::string_view summary = "Adam with decoupled weight decay";
  static constexpr std::string_view source = "Loshchilov and Hutter, ICLR 2019, arXiv:1711.05101, Algorithm 2";
  static constexpr auto states = Adam::states;
  static constexpr Common common{.weight_decay = 1e-2, .decay = Decay::decoupled};

  static constexpr auto options() {
    return std::tuple{Option{"lr", &AdamW::lr, at_least_zero, "step size"},
                      Option{"beta1", &AdamW::beta1, zero_to_below_one, "decay of m, the mean of the gradient"},
                      Option{"beta2", &AdamW::beta2, zero_to_below_one, "decay of v, the mean of its square"},
                      Option{"eps", &AdamW::eps, at_least_zero, "added to the root of v"}};
  }

  template <class S>
  using Scalars = Adam::Scalars<S>;

  template <class S>
  static Scalars<S> scalars(S lr, S beta1, S beta2, S eps, S t) {
    return Adam::scalars(lr, beta1, beta2, eps, t);
  }

  template <class S, class V>
  static void update(const Scalars<S>& c, V& x, const V& g, V& m, V& v) {
    Adam::update(c, x, g, m, v);
  }
};

}  // namespace adabelief
