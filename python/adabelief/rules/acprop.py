# SPDX-License-Identifier: MIT
"""ACProp, printed from include/adabelief/rules/acprop.h by `make docs`."""

from __future__ import annotations

from math import inf

from torch import Tensor
from torch.optim.optimizer import ParamsT

from .._optimizer import Optimizer, StateDtype
from .._rule import Option, Rule
from .._words import Value, sqrt, where


def scalars(t: Value, lr: Value, beta1: Value, beta2: Value, eps: Value) -> tuple[Value, ...]:
    """What all weights share in step t = 1, 2, ..."""
    root, floor = (
        where(t == 1, lambda: 0.0, lambda: 1 / sqrt(1 - beta2 ** (t - 1))),
        where(t == 1, lambda: 1 + eps, lambda: eps),
    )
    return beta1, 1 - beta1, beta2, 1 - beta2, eps, lr, root, floor


def update(c: tuple[Value, ...], x: Value, g: Value, m: Value, s: Value) -> tuple[Value, ...]:
    """x and the states after a step with the gradient g."""
    beta1, one_beta1, beta2, one_beta2, eps, lr, root, floor = c
    x = x - lr * g / (sqrt(s) * root + floor)
    m = beta1 * m + one_beta1 * g
    surprise = g - m
    s = beta2 * s + one_beta2 * (surprise * surprise) + eps
    return x, m, s


RULE = Rule(
    name="acprop",
    states=("exp_avg", "exp_avg_var"),
    options=(
        Option("lr", 0.001, 0.0, inf),
        Option("beta1", 0.9, 0.0, 1.0),
        Option("beta2", 0.999, 0.0, 1.0),
        Option("eps", 1e-16, 0.0, inf),
    ),
    weight_decay=0.0,
    decay="coupled",
    presets={},
    scalars=scalars,
    update=update,
)


class ACProp(Optimizer):
    """ACProp: step by g over AdaBelief's spread as it was before g.

    Zhuang et al., NeurIPS 2021, arXiv:2110.05454: AdaBelief's s, but the step divides by the s of the step before, and
    has the gradient itself above it, not its mean. The first step has no s yet: its denominator is 1 + eps, as in
    optax.contrib.acprop, which makes it a step of SGD. Defaults: lr and betas of the paper, eps 1e-16 of optax.

    Args:
        params: the weights, or groups of them with options of their own
        lr: step size (0.001)
        betas: decay of m, the mean of the gradient; decay of s, the spread around m (0.9, 0.999)
        eps: added to s at every step, and to its root (1e-16)
        weight_decay: strength of the weight decay (0)

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
        decoupled_decay: bool | None = None,
        fixed_decay: bool | None = None,
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
            weight_decay=weight_decay,
            decoupled_decay=decoupled_decay,
            fixed_decay=fixed_decay,
            state_dtype=state_dtype,
            foreach=foreach,
            maximize=maximize,
            capturable=capturable,
            differentiable=differentiable,
            fused=fused,
        )
