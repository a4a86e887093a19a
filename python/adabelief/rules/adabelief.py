# SPDX-License-Identifier: MIT
"""AdaBelief, printed from include/adabelief/rules/adabelief.h by `make docs`."""

from __future__ import annotations

from math import inf
from typing import Literal

from torch import Tensor
from torch.optim.optimizer import ParamsT

from .._optimizer import Optimizer, StateDtype
from .._rule import Option, Rule
from .._words import Value, sqrt, where
from .amsbelief import RULE as LARGEST


def scalars(
    t: Value,
    lr: Value,
    beta1: Value,
    beta2: Value,
    eps: Value,
    accumulate: bool,
    rectify: str,
) -> tuple[Value, ...]:
    """What all weights share in step t = 1, 2, ..."""
    mean = lr / (1 - beta1**t)
    rho_inf = 2 / (1 - beta2) - 1
    power = beta2**t
    rho = rho_inf - 2 * t * power / (1 - power)
    root = 1 / sqrt(1 - power)
    inner = eps if accumulate else 0.0
    if rectify == "none":
        step, floor = mean, eps
    elif rectify == "pytorch-0.0.5":
        step, root, floor = (
            where(
                rho > 4,
                lambda: mean * sqrt((rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho)),
                lambda: lr,
            ),
            where(rho > 4, lambda: root, lambda: 0.0),
            where(rho > 4, lambda: eps, lambda: 1.0),
        )
    elif rectify == "pytorch-0.2.1":
        step, root, floor = (
            where(
                rho >= 5,
                lambda: (
                    mean
                    * sqrt((rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho))
                    * sqrt(1 - power)
                ),
                lambda: mean,
            ),
            where(rho >= 5, lambda: 1.0, lambda: 0.0),
            where(rho >= 5, lambda: eps, lambda: 1.0),
        )
    else:  # "tensorflow-0.2.1"
        step, root, floor = (
            where(
                rho >= 5,
                lambda: mean * sqrt((rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho)),
                lambda: mean,
            ),
            where(rho >= 5, lambda: root, lambda: 0.0),
            where(rho >= 5, lambda: eps, lambda: 1.0),
        )
    return beta1, 1 - beta1, beta2, 1 - beta2, inner, step, root, floor


def update(c: tuple[Value, ...], x: Value, g: Value, m: Value, s: Value) -> tuple[Value, ...]:
    """x and the states after a step with the gradient g."""
    beta1, one_beta1, beta2, one_beta2, inner, step, root, floor = c
    m = beta1 * m + one_beta1 * g
    surprise = g - m
    s = beta2 * s + one_beta2 * (surprise * surprise) + inner
    x = x - step * m / (sqrt(s) * root + floor)
    return x, m, s


RULE = Rule(
    name="adabelief",
    states=("exp_avg", "exp_avg_var"),
    options=(
        Option("lr", 0.001, 0.0, inf),
        Option("beta1", 0.9, 0.0, 1.0),
        Option("beta2", 0.999, 0.0, 1.0),
        Option("eps", 1e-08, 0.0, inf),
        Option("accumulate", True),
        Option("rectify", "none", choices=("none", "pytorch-0.0.5", "pytorch-0.2.1", "tensorflow-0.2.1")),
    ),
    weight_decay=0.0,
    decay="coupled",
    presets={
        "paper": {},
        "pytorch-0.0.5": {},
        "pytorch-0.1.0": {"eps": 1e-16, "rectify": "pytorch-0.2.1", "decay": "decoupled"},
        "pytorch-0.2.1": {"eps": 1e-16, "rectify": "pytorch-0.2.1", "decay": "decoupled"},
        "tensorflow-0.2.1": {"eps": 1e-14, "rectify": "tensorflow-0.2.1", "decay": "decoupled"},
        "optax": {"eps": 1e-16, "decay": "decoupled"},
        "timm": {"eps": 1e-16, "rectify": "pytorch-0.2.1", "decay": "decoupled"},
        "ensmallen": {"eps": 1e-12},
        "slim": {"accumulate": False, "decay": "decoupled"},
    },
    scalars=scalars,
    update=update,
)


class AdaBelief(Optimizer):
    """AdaBelief: step by the belief in the gradient: m over the spread of g around m.

    Zhuang et al., NeurIPS 2020, arXiv:2010.07468, Algorithm 2, without the projection.

    eps enters s at every step and stays in it, so that sqrt(s) / sqrt(1 - beta2^t) never falls below sqrt(eps / (1 -
    beta2)): 3.2e-3 at the defaults. That floor, not eps, is what compares with Adam's eps.

    The paper's results were made without rectification. AMSBelief is this rule with the largest s.

    Args:
        params: the weights, or groups of them with options of their own
        lr: step size (0.001)
        betas: decay of m, the mean of the gradient; decay of s, the spread around m (0.9, 0.999)
        eps: added to s at every step, and to its root (1e-08)
        accumulate: add eps to s at every step; false: to its root alone (True)
        rectify: whose rectified start ("none")
        eps_in_max: add eps to the largest s at every step in place of s (False)
        weight_decay: strength of the weight decay (0)
        preset: an implementation whose options are those not given here:
            paper: Algorithm 2, as in this library's defaults
            pytorch-0.0.5: adabelief-pytorch 0.0.5, with which the paper's results were made; rectify is off there
            pytorch-0.1.0: adabelief-pytorch 0.1.0; coupled weight decay has no effect there: leave it at 0
            pytorch-0.2.1: adabelief-pytorch 0.2.0 and 0.2.1
            tensorflow-0.2.1: adabelief-tf 0.2.1 and TensorFlow Addons
            optax: optax.adabelief, where eps_root is eps; a decay is that of add_decayed_weights after it
            timm: timm.optim.AdaBelief
            ensmallen: ens::AdaBelief
            slim: adabelief-slim 0.0.1, whose s gets no eps
        amsgrad: step by the rule of `AMSBelief`

    What all rules have is told by :class:`adabelief.Optimizer`.
    """

    rule = RULE
    largest = LARGEST

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor | None = None,
        betas: tuple[float | Tensor, float | Tensor] | None = None,
        eps: float | None = None,
        weight_decay: float | None = None,
        amsgrad: bool = False,
        *,
        accumulate: bool | None = None,
        rectify: Literal["none", "pytorch-0.0.5", "pytorch-0.2.1", "tensorflow-0.2.1"] | bool | None = None,
        eps_in_max: bool | None = None,
        decoupled_decay: bool | None = None,
        fixed_decay: bool | None = None,
        preset: str | None = None,
        state_dtype: StateDtype = None,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(
            params,
            lr=lr,
            betas=betas,
            eps=eps,
            accumulate=accumulate,
            rectify=rectify,
            eps_in_max=eps_in_max,
            weight_decay=weight_decay,
            amsgrad=amsgrad,
            decoupled_decay=decoupled_decay,
            fixed_decay=fixed_decay,
            preset=preset,
            state_dtype=state_dtype,
            foreach=foreach,
            maximize=maximize,
            capturable=capturable,
            differentiable=differentiable,
            fused=fused,
        )
