# SPDX-License-Identifier: MIT
"""Adam, printed from include/adabelief/rules/adam.h by `make docs`."""

from __future__ import annotations

from math import inf

from torch import Tensor
from torch.optim.optimizer import ParamsT

from .._optimizer import Optimizer, StateDtype
from .._rule import Option, Rule
from .._words import Value, sqrt
from .amsgrad import RULE as LARGEST


def scalars(t: Value, lr: Value, beta1: Value, beta2: Value, eps: Value) -> tuple[Value, ...]:
    """What all weights share in step t = 1, 2, ..."""
    return beta1, 1 - beta1, beta2, 1 - beta2, eps, lr / (1 - beta1**t), 1 / sqrt(1 - beta2**t)


def update(c: tuple[Value, ...], x: Value, g: Value, m: Value, v: Value) -> tuple[Value, ...]:
    """x and the states after a step with the gradient g."""
    beta1, one_beta1, beta2, one_beta2, eps, step, root = c
    m = beta1 * m + one_beta1 * g
    v = beta2 * v + one_beta2 * (g * g)
    x = x - step * m / (sqrt(v) * root + eps)
    return x, m, v


RULE = Rule(
    name="adam",
    states=("exp_avg", "exp_avg_sq"),
    options=(
        Option("lr", 0.001, 0.0, inf),
        Option("beta1", 0.9, 0.0, 1.0),
        Option("beta2", 0.999, 0.0, 1.0),
        Option("eps", 1e-08, 0.0, inf),
    ),
    weight_decay=0.0,
    decay="coupled",
    presets={},
    scalars=scalars,
    update=update,
)


class Adam(Optimizer):
    """Adam: step by the mean of g over its root mean square.

    Kingma and Ba, ICLR 2015, arXiv:1412.6980, Algorithm 1. With decoupled weight decay it is AdamW (rules/adamw.h).

    Args:
        params: the weights, or groups of them with options of their own
        lr: step size (0.001)
        betas: decay of m, the mean of the gradient; decay of v, the mean of its square (0.9, 0.999)
        eps: added to the root of v (1e-08)
        weight_decay: strength of the weight decay (0)
        amsgrad: step by the rule of `AMSGrad`

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
            amsgrad=amsgrad,
            decoupled_decay=decoupled_decay,
            fixed_decay=fixed_decay,
            state_dtype=state_dtype,
            foreach=foreach,
            maximize=maximize,
            capturable=capturable,
            differentiable=differentiable,
            fused=fused,
        )
