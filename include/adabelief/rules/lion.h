// SPDX-License-Identifier: MIT
// Lion: step by the sign of an interpolated momentum.
#pragma once

#include <array>

#include "adabelief/rule.h"

namespace adabelief {

/// Chen et al., NeurIPS 2023, arXiv:2302.06675, Algorithm 2. Betas are the paper's, lr is the default of
/// timm and lion-pytorch. The paper's weight decay is decoupled.
struct Lion final {
  double lr = 1e-4, beta1 = 0.9, beta2 = 0.99;

  static constexpr std::string_view name = "lion";
  static constexpr std::string_view summary = "step by the sign of the momentum";
  static constexpr std::string_view source = "Chen et al., NeurIPS 2023, arXiv:2302.06675, Algorithm 2";
  static constexpr std::array<std::string_view, 1> states{"exp_avg"};
  static constexpr Common common{.decay = Decay::decoupled};

  static constexpr auto options() {
    return std::tuple{Option{"lr", &Lion::lr, at_least_zero, "step size: how far each weight moves"},
                      Option{"beta1", &Lion::beta1, zero_to_below_one, "share of m, beside g, in the sign"},
                      Option{"beta2", &Lion::beta2, zero_to_below_one, "decay of m, the mean of the gradient"}};
  }

  template <class S>
  struct Scalars {
    S beta1, one_beta1, beta2, one_beta2, lr;
  };

  template <class S>
  static Scalars<S> scalars(S lr, S beta1, S beta2, S) {
    return {beta1, 1 - beta1, beta2, 1 - beta2, lr};
  }

  template <class S, class V>
  static void update(const Scalars<S>& c, V& x, const V& g, V& m) {
    x = x - c.lr * sign(c.beta1 * m + c.one_beta1 * g);
    m = c.beta2 * m + c.one_beta2 * g;
  }
};

}  // namespace adabelief
