# SPDX-License-Identifier: MIT
"""RMSprop, printed from include/adabelief/rules/rmsprop.h by `make docs`."""

from __future__ import annotations

from math import inf

from torch import Tensor
from torch.optim.optimizer import ParamsT

from .._optimizer import Optimizer, StateDtype
from .._rule import Option, Rule
from .._words import Value, maximum, sqrt


def scalars(t: Value, lr: Value, alpha: Value, eps: Value, momentum: Value, centered: bool) -> tuple[Value, ...]:
    """What all weights share in step t = 1, 2, ..."""
    mean = 1 - alpha if centered else 0.0
    return alpha, 1 - alpha, mean, eps, momentum, lr


def update(c: tuple[Value, ...], x: Value, g: Value, v: Value, m: Value, b: Value) -> tuple[Value, ...]:
    """x and the states after a step with the gradient g."""
    alpha, one_alpha, mean, eps, momentum, lr = c
    v = alpha * v + one_alpha * (g * g)
    m = alpha * m + mean * g
    b = momentum * b + g / (sqrt(maximum(0.0, v - m * m)) + eps)
    x = x - lr * b
    return x, v, m, b


RULE = Rule(
    name="rmsprop",
    states=("square_avg", "grad_avg", "momentum_buffer"),
    options=(
        Option("lr", 0.01, 0.0, inf),
        Option("alpha", 0.99, 0.0, 1.0),
        Option("eps", 1e-08, 0.0, inf),
        Option("momentum", 0.0, 0.0, 1.0),
        Option("centered", False),
    ),
    weight_decay=0.0,
    decay="coupled",
    presets={},
    scalars=scalars,
    update=update,
)


class RMSprop(Optimizer):
    """RMSprop: step by g over its root mean square.

    Tieleman and Hinton, Neural Networks for Machine Learning, lecture 6.5, 2012; centered: Graves 2013,
    arXiv:1308.0850, equations 38 to 41. Formula and defaults are those of torch.optim.RMSprop: no bias correction, eps
    outside the root, lr outside the momentum.

    Unlike torch's, the centered form never takes the root of a negative number: the difference of two almost equal
    means rounds below 0 where a gradient hardly changes, and there torch's weights become NaN. All three states are
    kept whatever the options, so that the plain form moves 9 numbers a weight, not 5.

    Args:
        params: the weights, or groups of them with options of their own
        lr: step size (0.01)
        alpha: decay of v, the mean of the gradient's square (0.99)
        eps: added to the root of v (1e-08)
        momentum: decay of b, the sum of past steps (0)
        centered: take the squared mean of the gradient from v (False)
        weight_decay: strength of the weight decay (0)

    What all rules have is told by :class:`adabelief.Optimizer`.
    """

    rule = RULE

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor | None = None,
        *,
        alpha: float | None = None,
        eps: float | None = None,
        momentum: float | None = None,
        centered: bool | None = None,
        weight_decay: float | None = None,
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
            alpha=alpha,
            eps=eps,
            momentum=momentum,
            centered=centered,
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
