// SPDX-License-Identifier: MIT
// Fromage: step by a share of the tensor's norm.
#pragma once

#include <array>

#include "adabelief/rule.h"

namespace adabelief {

/// Bernstein et al., NeurIPS 2020, arXiv:2002.03432, Algorithm 1: every tensor moves by lr times its own norm, and is
/// then scaled by 1 / sqrt(1 + lr^2), so that its norm does not grow by the step. As in the authors' code a tensor of
/// norm 0, or without gradient, moves by lr g. lr is the paper's; there is no state and no eps.
struct Fromage final {
  double lr = 1e-2;

  static constexpr std::string_view name = "fromage";
  static constexpr std::string_view summary = "step by g, scaled to a share of the tensor's norm";
  static constexpr std::string_view source = "Bernstein et al., NeurIPS 2020, arXiv:2002.03432, Algorithm 1";
  static constexpr std::array<std::string_view, 0> states{};
  static constexpr std::array<std::string_view, 2> norms{"x", "g"};

  static constexpr auto options() {
    return std::tuple{Option{"lr", &Fromage::lr, at_least_zero, "step size as a share of the tensor's norm"}};
  }

  template <class S>
  struct Scalars {
    S step, scale;
  };

  template <class S>
  static Scalars<S> scalars(S lr, S) {
    return {lr, 1 / sqrt(1 + lr * lr)};
  }

  template <class S, class V>
  static std::array<V, 2> measure(const Scalars<S>&, const V& x, const V& g) {
    return {x, g};
  }

  template <class S>
  static Scalars<S> with_norms(const Scalars<S>& c, const std::array<S, 2>& norms) {
    const bool none = norms[0] == 0 || norms[1] == 0;
    return {none ? c.step : c.step * norms[0] / norms[1], c.scale};
  }

  template <class S, class V>
  static void update(const Scalars<S>& c, V& x, const V& g) {
    x = (x - c.step * g) * c.scale;
  }
};

}  // namespace adabelief
