# SPDX-License-Identifier: MIT
"""AMSGrad, printed from include/adabelief/rules/amsgrad.h by `make docs`."""

from __future__ import annotations

from math import inf

from torch import Tensor
from torch.optim.optimizer import ParamsT

from .._optimizer import Optimizer, StateDtype
from .._rule import Option, Rule
from .._words import Value, maximum, sqrt


def scalars(t: Value, lr: Value, beta1: Value, beta2: Value, eps: Value) -> tuple[Value, ...]:
    """What all weights share in step t = 1, 2, ..."""
    return beta1, 1 - beta1, beta2, 1 - beta2, eps, lr / (1 - beta1**t), 1 / sqrt(1 - beta2**t)


def update(c: tuple[Value, ...], x: Value, g: Value, m: Value, v: Value, largest: Value) -> tuple[Value, ...]:
    """x and the states after a step with the gradient g."""
    beta1, one_beta1, beta2, one_beta2, eps, step, root = c
    m = beta1 * m + one_beta1 * g
    v = beta2 * v + one_beta2 * (g * g)
    largest = maximum(largest, v)
    x = x - step * m / (sqrt(largest) * root + eps)
    return x, m, v, largest


RULE = Rule(
    name="amsgrad",
    states=("exp_avg", "exp_avg_sq", "max_exp_avg_sq"),
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


class AMSGrad(Optimizer):
    """AMSGrad: Adam with the largest second moment so far.

    Reddi, Kale and Kumar, ICLR 2018, arXiv:1904.09237, Algorithm 2, with Adam's bias corrections as in every framework:
    the maximum is taken of v before its correction, which torch.optim.Adam(amsgrad=True) does too.

    Args:
        params: the weights, or groups of them with options of their own
        lr: step size (0.001)
        betas: decay of m, the mean of the gradient; decay of v, the mean of its square (0.9, 0.999)
        eps: added to the root of the largest v (1e-08)
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
