# SPDX-License-Identifier: MIT
"""AMSBelief, printed from include/adabelief/rules/amsbelief.h by `make docs`."""

from __future__ import annotations

from math import inf
from typing import Literal

from torch import Tensor
from torch.optim.optimizer import ParamsT

from .._optimizer import Optimizer, StateDtype
from .._rule import Option, Rule
from .._words import Value, maximum, sqrt, where


def scalars(
    t: Value,
    lr: Value,
    beta1: Value,
    beta2: Value,
    eps: Value,
    eps_in_max: bool,
    rectify: str,
) -> tuple[Value, ...]:
    """What all weights share in step t = 1, 2, ..."""
    mean = lr / (1 - beta1**t)
    rho_inf = 2 / (1 - beta2) - 1
    power = beta2**t
    rho = rho_inf - 2 * t * power / (1 - power)
    root = 1 / sqrt(1 - power)
    inner = 0.0 if eps_in_max else eps
    raise_ = eps if eps_in_max else 0.0
    if rectify == "none":
        step, floor, keep = mean, eps, 1.0
    elif rectify == "pytorch-0.0.5":
        step, root, floor, keep = (
            where(
                rho > 4,
                lambda: mean * sqrt((rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho)),
                lambda: lr,
            ),
            where(rho > 4, lambda: root, lambda: 0.0),
            where(rho > 4, lambda: eps, lambda: 1.0),
            1.0,
        )
    elif rectify == "pytorch-0.2.1":
        step, root, floor, keep = (
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
            0.0,
        )
    else:  # "tensorflow-0.2.1"
        step, root, floor, keep = (
            where(
                rho >= 5,
                lambda: mean * sqrt((rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho)),
                lambda: mean,
            ),
            where(rho >= 5, lambda: root, lambda: 0.0),
            where(rho >= 5, lambda: eps, lambda: 1.0),
            1.0,
        )
    return beta1, 1 - beta1, beta2, 1 - beta2, inner, step, root, floor, raise_, keep


def update(c: tuple[Value, ...], x: Value, g: Value, m: Value, s: Value, largest: Value) -> tuple[Value, ...]:
    """x and the states after a step with the gradient g."""
    beta1, one_beta1, beta2, one_beta2, inner, step, root, floor, raise_, keep = c
    m = beta1 * m + one_beta1 * g
    surprise = g - m
    s = beta2 * s + one_beta2 * (surprise * surprise) + inner
    largest = maximum(largest, s) + raise_
    x = x - step * m / (sqrt(maximum(s, keep * largest)) * root + floor)
    return x, m, s, largest


RULE = Rule(
    name="amsbelief",
    states=("exp_avg", "exp_avg_var", "max_exp_avg_var"),
    options=(
        Option("lr", 0.001, 0.0, inf),
        Option("beta1", 0.9, 0.0, 1.0),
        Option("beta2", 0.999, 0.0, 1.0),
        Option("eps", 1e-08, 0.0, inf),
        Option("eps_in_max", False),
        Option("rectify", "none", choices=("none", "pytorch-0.0.5", "pytorch-0.2.1", "tensorflow-0.2.1")),
    ),
    weight_decay=0.0,
    decay="coupled",
    presets={
        "pytorch-0.0.5": {"eps_in_max": True},
        "pytorch-0.1.0": {"eps": 1e-16, "eps_in_max": True, "rectify": "pytorch-0.2.1", "decay": "decoupled"},
        "pytorch-0.2.1": {"eps": 1e-16, "rectify": "pytorch-0.2.1", "decay": "decoupled"},
        "tensorflow-0.2.1": {"eps": 1e-14, "rectify": "tensorflow-0.2.1", "decay": "decoupled"},
        "timm": {"eps": 1e-16, "rectify": "pytorch-0.2.1", "decay": "decoupled"},
    },
    scalars=scalars,
    update=update,
)


class AMSBelief(Optimizer):
    """AMSBelief: AdaBelief with the largest spread so far.

    AdaBelief in AMSGrad's form (Reddi et al., ICLR 2018), which the packages call amsgrad=True and the paper's theorems
    assume: the step divides by the root of the largest s so far.

    Under rectify = pytorch-0.2.1 the adaptive steps divide by the root of s itself, since those packages forget the
    largest there.

    Args:
        params: the weights, or groups of them with options of their own
        lr: step size (0.001)
        betas: decay of m, the mean of the gradient; decay of s, the spread around m (0.9, 0.999)
        eps: added to s at every step, and to the root of the largest (1e-08)
        eps_in_max: add eps to the largest s at every step in place of s (False)
        rectify: whose rectified start ("none")
        weight_decay: strength of the weight decay (0)
        preset: an implementation whose options are those not given here:
            pytorch-0.0.5: adabelief-pytorch 0.0.5, amsgrad=True; the largest grows for ever
            pytorch-0.1.0: adabelief-pytorch 0.1.0, amsgrad=True; coupled weight decay has no effect there: leave it at
                0
            pytorch-0.2.1: adabelief-pytorch 0.2.0 and 0.2.1, amsgrad=True
            tensorflow-0.2.1: adabelief-tf 0.2.1 and TensorFlow Addons, amsgrad=True
            timm: timm.optim.AdaBelief, amsgrad=True

    What all rules have is told by :class:`adabelief.Optimizer`.
    """

    rule = RULE

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor | None = None,
        betas: tuple[float | Tensor, float | Tensor] | None = None,
        eps: float | None = None,
        weight_decay: float | None = None,
        *,
        eps_in_max: bool | None = None,
        rectify: Literal["none", "pytorch-0.0.5", "pytorch-0.2.1", "tensorflow-0.2.1"] | bool | None = None,
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
            eps_in_max=eps_in_max,
            rectify=rectify,
            weight_decay=weight_decay,
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
