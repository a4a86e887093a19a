# SPDX-License-Identifier: MIT
"""Yogi, printed from include/adabelief/rules/yogi.h by `make docs`."""

from __future__ import annotations

from math import inf

from torch import Tensor
from torch.optim.optimizer import ParamsT

from .._optimizer import Optimizer, StateDtype
from .._rule import Option, Rule
from .._words import Value, sign, sqrt, where


def scalars(
    t: Value,
    lr: Value,
    beta1: Value,
    beta2: Value,
    eps: Value,
    initial_accumulator: Value,
) -> tuple[Value, ...]:
    """What all weights share in step t = 1, 2, ..."""
    start_m, start_v = (
        where(t == 1, lambda: beta1 * initial_accumulator, lambda: 0.0),
        where(t == 1, lambda: initial_accumulator, lambda: 0.0),
    )
    return beta1, 1 - beta1, 1 - beta2, eps, lr / (1 - beta1**t), 1 / sqrt(1 - beta2**t), start_m, start_v


def update(c: tuple[Value, ...], x: Value, g: Value, m: Value, v: Value) -> tuple[Value, ...]:
    """x and the states after a step with the gradient g."""
    beta1, one_beta1, one_beta2, eps, step, root, start_m, start_v = c
    m = beta1 * m + one_beta1 * g + start_m
    v = v + start_v
    square = g * g
    v = v - one_beta2 * (sign(v - square) * square)
    x = x - step * m / (sqrt(v) * root + eps)
    return x, m, v


RULE = Rule(
    name="yogi",
    states=("exp_avg", "exp_avg_sq"),
    options=(
        Option("lr", 0.01, 0.0, inf),
        Option("beta1", 0.9, 0.0, 1.0),
        Option("beta2", 0.999, 0.0, 1.0),
        Option("eps", 0.001, 0.0, inf),
        Option("initial_accumulator", 0.0, 0.0, inf),
    ),
    weight_decay=0.0,
    decay="coupled",
    presets={
        "torch_optimizer": {"initial_accumulator": 1e-06},
    },
    scalars=scalars,
    update=update,
)


class Yogi(Optimizer):
    """Yogi: Adam with a second moment that moves additively.

    Zaheer et al., NeurIPS 2018, Adaptive Methods for Nonconvex Optimization, Algorithm 2, with Adam's bias corrections
    as in every framework. lr and eps are the paper's. m and v start at initial_accumulator: 0, or the 1e-6 of
    torch_optimizer, pytorch_optimizer and optax, with which the AdaBelief paper's runs were made; m starts there too,
    so that a weight without a gradient then moves a little, and always downwards.

    Args:
        params: the weights, or groups of them with options of their own
        lr: step size (0.01)
        betas: decay of m, the mean of the gradient; 1 - beta2 is the share of g^2 by which v moves (0.9, 0.999)
        eps: added to the root of v (0.001)
        initial_accumulator: m and v before step 1 (0)
        weight_decay: strength of the weight decay (0)
        preset: an implementation whose options are those not given here:
            torch_optimizer: torch_optimizer, optax, and pytorch_optimizer without its decoupled decay; with the first
                the AdaBelief paper's runs were made

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
        initial_accumulator: float | None = None,
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
            initial_accumulator=initial_accumulator,
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
