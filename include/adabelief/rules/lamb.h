// SPDX-License-Identifier: MIT
// LAMB: Adam's direction, scaled by the norm of the tensor.
#pragma once

#include <array>

#include "adabelief/rule.h"

namespace adabelief {

/// You et al., ICLR 2020, arXiv:1904.00962, Algorithm 2, with phi the identity and a ratio of 1 where a norm is 0. The
/// paper's weight decay is lambda, a part of the direction; the options weight_decay and decay, which every rule has,
/// act outside of it. Betas, eps and lambda are those of the paper's BERT; its lr depends on the batch.
struct LAMB final {
  double lr = 1e-3, beta1 = 0.9, beta2 = 0.999, eps = 1e-6, lambda = 1e-2;

  static constexpr std::string_view name = "lamb";
  static constexpr std::string_view summary = "Adam's direction, scaled to a share of the tensor's norm";
  static constexpr std::string_view source = "You et al., ICLR 2020, arXiv:1904.00962, Algorithm 2";
  static constexpr std::array<std::string_view, 2> states{"exp_avg", "exp_avg_sq"};
  static constexpr std::array<std::string_view, 2> norms{"x", "u"};

  static constexpr auto options() {
    return std::tuple{Option{"lr", &LAMB::lr, at_least_zero, "step size as a share of the tensor's norm"},
                      Option{"beta1", &LAMB::beta1, zero_to_below_one, "decay of m, the mean of the gradient"},
                      Option{"beta2", &LAMB::beta2, zero_to_below_one, "decay of v, the mean of its square"},
                      Option{"eps", &LAMB::eps, at_least_zero, "added to the root of v"},
                      Option{"lambda", &LAMB::lambda, at_least_zero, "weight decay within the direction"}};
  }

  template <class S>
  struct Scalars {
    S beta1, one_beta1, beta2, one_beta2, eps, mean, root, lambda, step;
  };

  template <class S>
  static Scalars<S> scalars(S lr, S beta1, S beta2, S eps, S lambda, S t) {
    const S mean = 1 / (1 - pow(beta1, t)), root = 1 / sqrt(1 - pow(beta2, t));
    return {beta1, 1 - beta1, beta2, 1 - beta2, eps, mean, root, lambda, lr};
  }

  template <class S, class V>
  static std::array<V, 2> measure(const Scalars<S>& c, const V& x, const V& g, V m, V v) {
    return {x, direction(c, x, g, m, v)};
  }

  template <class S>
  static Scalars<S> with_norms(Scalars<S> c, const std::array<S, 2>& norms) {
    if (norms[0] != 0 && norms[1] != 0) c.step = c.step * norms[0] / norms[1];
    return c;
  }

  template <class S, class V>
  static void update(const Scalars<S>& c, V& x, const V& g, V& m, V& v) {
    x = x - c.step * direction(c, x, g, m, v);
  }

 private:
  template <class S, class V>
  static V direction(const Scalars<S>& c, const V& x, const V& g, V& m, V& v) {
    m = c.beta1 * m + c.one_beta1 * g;
    v = c.beta2 * v + c.one_beta2 * (g * g);
    return m * c.mean / (sqrt(v) * c.root + c.eps) + c.lambda * x;
  }
};

}  // namespace adabelief
