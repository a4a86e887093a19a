// SPDX-License-Identifier: MIT
// AMSBelief: AdaBelief with a spread that never falls.
#pragma once

#include <array>

#include "adabelief/rules/adabelief.h"

namespace adabelief {

/// AdaBelief in AMSGrad's form (Reddi et al., ICLR 2018), which the packages call amsgrad=True and the paper's theorems
/// assume: the step divides by the root of the largest s so far.
///
/// Under rectify = pytorch-0.2.1 the adaptive steps divide by the root of s itself, since those packages forget the
/// largest there.
struct AMSBelief final {
  double lr = 1e-3, beta1 = 0.9, beta2 = 0.999, eps = 1e-8;
  bool eps_in_max = false;
  Rectify rectify = Rectify::none;

  static constexpr std::string_view name = "amsbelief";
  static constexpr std::string_view summary = "AdaBelief with the largest spread so far";
  static constexpr std::string_view source = "Zhuang et al., NeurIPS 2020, in the form of adabelief-pytorch's amsgrad";
  static constexpr std::array<std::string_view, 3> states{"exp_avg", "exp_avg_var", "max_exp_avg_var"};

  static constexpr auto options() {
    return std::tuple{
        Option{"lr", &AMSBelief::lr, at_least_zero, "step size"},
        Option{"beta1", &AMSBelief::beta1, zero_to_below_one, "decay of m, the mean of the gradient"},
        Option{"beta2", &AMSBelief::beta2, zero_to_below_one, "decay of s, the spread around m"},
        Option{"eps", &AMSBelief::eps, at_least_zero, "added to s at every step, and to the root of the largest"},
        Option{"eps_in_max", &AMSBelief::eps_in_max, "add eps to the largest s at every step in place of s"},
        Option{"rectify", &AMSBelief::rectify, "whose rectified start"}};
  }

  static constexpr auto presets() {
    constexpr Common decoupled{.decay = Decay::decoupled};
    constexpr AMSBelief published{.eps = 1e-16, .rectify = Rectify::pytorch_0_2_1};
    using P = Preset<AMSBelief>;
    return std::array{
        P{"pytorch-0.0.5", "adabelief-pytorch 0.0.5, amsgrad=True; the largest grows for ever", {.eps_in_max = true}},
        P{"pytorch-0.1.0",
          "adabelief-pytorch 0.1.0, amsgrad=True; coupled weight decay has no effect there: leave it at 0",
          {.eps = 1e-16, .eps_in_max = true, .rectify = Rectify::pytorch_0_2_1},
          decoupled},
        P{"pytorch-0.2.1", "adabelief-pytorch 0.2.0 and 0.2.1, amsgrad=True", published, decoupled},
        P{"tensorflow-0.2.1",
          "adabelief-tf 0.2.1 and TensorFlow Addons, amsgrad=True",
          {.eps = 1e-14, .rectify = Rectify::tensorflow_0_2_1},
          decoupled},
        P{"timm", "timm.optim.AdaBelief, amsgrad=True", published, decoupled},
    };
  }

  template <class S>
  struct Scalars {
    S beta1, one_beta1, beta2, one_beta2, inner, step, root, floor, raise, keep;
  };

  template <class S>
  static Scalars<S> scalars(S lr, S beta1, S beta2, S eps, bool eps_in_max, Rectify rectify, S t) {
    const auto c = AdaBelief::scalars(lr, beta1, beta2, eps, !eps_in_max, rectify, t);
    const S raise = eps_in_max ? eps : S(0), keep = rectify == Rectify::pytorch_0_2_1 ? 0 : 1;
    return {c.beta1, c.one_beta1, c.beta2, c.one_beta2, c.inner, c.step, c.root, c.floor, raise, keep};
  }

  template <class S, class V>
  static void update(const Scalars<S>& c, V& x, const V& g, V& m, V& s, V& largest) {
    m = c.beta1 * m + c.one_beta1 * g;
    const V surprise = g - m;
    s = c.beta2 * s + c.one_beta2 * (surprise * surprise) + c.inner;
    largest = max(largest, s) + c.raise;
    x = x - c.step * m / (sqrt(max(s, c.keep * largest)) * c.root + c.floor);
  }
};

}  // namespace adabelief
