// SPDX-License-Identifier: MIT
// AdaBelief: step by the belief in the observed gradient.
#pragma once

#include <array>

#include "adabelief/rule.h"

namespace adabelief {

/// How the published AdaBeliefs start. While too little of s is known (rho, as in RAdam, is small) they take steps of
/// SGD with momentum; from then on the step is multiplied by RAdam's r. They differ in details.
enum class Rectify : unsigned char {
  none,              ///< no such start: the paper
  pytorch_0_0_5,     ///< adaptive where rho > 4; before, the step is lr m, without m's bias correction
  pytorch_0_2_1,     ///< where rho >= 5; eps is added to the root of s before s's bias correction, not after; 0.1.0 too
  tensorflow_0_2_1,  ///< where rho >= 5
};

inline constexpr std::array<std::string_view, 4> rectify_names{"none", "pytorch-0.0.5", "pytorch-0.2.1",
                                                               "tensorflow-0.2.1"};
constexpr std::span<const std::string_view> names_of(Rectify) { return rectify_names; }

/// Zhuang et al., NeurIPS 2020, arXiv:2010.07468, Algorithm 2, without the projection.
///
/// eps enters s at every step and stays in it, so that sqrt(s) / sqrt(1 - beta2^t) never falls below
/// sqrt(eps / (1 - beta2)): 3.2e-3 at the defaults. That floor, not eps, is what compares with Adam's eps.
///
/// The paper's results were made without rectification. AMSBelief is this rule with the largest s.
struct AdaBelief final {
  double lr = 1e-3, beta1 = 0.9, beta2 = 0.999, eps = 1e-8;
  bool accumulate = true;
  Rectify rectify = Rectify::none;

  static constexpr std::string_view name = "adabelief";
  static constexpr std::string_view summary = "step by the belief in the gradient: m over the spread of g around m";
  static constexpr std::string_view source = "Zhuang et al., NeurIPS 2020, arXiv:2010.07468, Algorithm 2";
  static constexpr std::array<std::string_view, 2> states{"exp_avg", "exp_avg_var"};

  static constexpr auto options() {
    return std::tuple{
        Option{"lr", &AdaBelief::lr, at_least_zero, "step size"},
        Option{"beta1", &AdaBelief::beta1, zero_to_below_one, "decay of m, the mean of the gradient"},
        Option{"beta2", &AdaBelief::beta2, zero_to_below_one, "decay of s, the spread around m"},
        Option{"eps", &AdaBelief::eps, at_least_zero, "added to s at every step, and to its root"},
        Option{"accumulate", &AdaBelief::accumulate, "add eps to s at every step; false: to its root alone"},
        Option{"rectify", &AdaBelief::rectify, "whose rectified start"}};
  }

  static constexpr auto presets() {
    constexpr Common decoupled{.decay = Decay::decoupled};
    constexpr AdaBelief published{.eps = 1e-16, .rectify = Rectify::pytorch_0_2_1};
    using P = Preset<AdaBelief>;
    return std::array{
        P{"paper", "Algorithm 2, as in this library's defaults", {}},
        P{"pytorch-0.0.5",
          "adabelief-pytorch 0.0.5, with which the paper's results were made; rectify is off there",
          {}},
        P{"pytorch-0.1.0", "adabelief-pytorch 0.1.0; coupled weight decay has no effect there: leave it at 0",
          published, decoupled},
        P{"pytorch-0.2.1", "adabelief-pytorch 0.2.0 and 0.2.1", published, decoupled},
        P{"tensorflow-0.2.1",
          "adabelief-tf 0.2.1 and TensorFlow Addons",
          {.eps = 1e-14, .rectify = Rectify::tensorflow_0_2_1},
          decoupled},
        P{"optax",
          "optax.adabelief, where eps_root is eps; a decay is that of add_decayed_weights after it",
          {.eps = 1e-16},
          decoupled},
        P{"timm", "timm.optim.AdaBelief", published, decoupled},
        P{"ensmallen", "ens::AdaBelief", {.eps = 1e-12}},
        P{"slim", "adabelief-slim 0.0.1, whose s gets no eps", {.accumulate = false}, decoupled},
    };
  }

  template <class S>
  struct Scalars {
    S beta1, one_beta1, beta2, one_beta2, inner, step, root, floor;
  };

  template <class S>
  static Scalars<S> scalars(S lr, S beta1, S beta2, S eps, bool accumulate, Rectify rectify, S t) {
    const S inner = accumulate ? eps : S(0), power = pow(beta2, t), mean = lr / (1 - pow(beta1, t));
    S step = mean, root = 1 / sqrt(1 - power), floor = eps;
    if (rectify != Rectify::none) {
      const S rho_inf = 2 / (1 - beta2) - 1, rho = rho_inf - 2 * t * power / (1 - power);
      const bool early = rectify == Rectify::pytorch_0_0_5;
      if (early ? rho > 4 : rho >= 5) {
        step = mean * sqrt((rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho));
        if (rectify == Rectify::pytorch_0_2_1) step = step * sqrt(1 - power), root = 1;
      } else {
        step = early ? lr : mean, root = 0, floor = 1;
      }
    }
    return {beta1, 1 - beta1, beta2, 1 - beta2, inner, step, root, floor};
  }

  template <class S, class V>
  static void update(const Scalars<S>& c, V& x, const V& g, V& m, V& s) {
    m = c.beta1 * m + c.one_beta1 * g;
    const V surprise = g - m;
    s = c.beta2 * s + c.one_beta2 * (surprise * surprise) + c.inner;
    x = x - c.step * m / (sqrt(s) * c.root + c.floor);
  }
};

}  // namespace adabelief
