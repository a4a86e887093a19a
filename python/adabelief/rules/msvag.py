# SPDX-License-Identifier: MIT
"""M-SVAG, printed from include/adabelief/rules/msvag.h by `make docs`."""

from __future__ import annotations

from math import inf

from torch import Tensor
from torch.optim.optimizer import ParamsT

from .._optimizer import Optimizer, StateDtype
from .._rule import Option, Rule
from .._words import Value, maximum, where


def scalars(t: Value, lr: Value, beta: Value) -> tuple[Value, ...]:
    """What all weights share in step t = 1, 2, ..."""
    power = beta**t
    noise = where(beta == power, lambda: 0.0, lambda: (1 - beta) * (1 + power) / (2 * (beta - power)))
    return beta, 1 - beta, 1 / (1 - power), noise, lr


def update(c: tuple[Value, ...], x: Value, g: Value, m: Value, v: Value) -> tuple[Value, ...]:
    """x and the states after a step with the gradient g."""
    beta, one_beta, correction, noise, lr = c
    m = beta * m + one_beta * g
    v = beta * v + one_beta * (g * g)
    mean = m * correction
    square = mean * mean
    variance = maximum(0.0, v * correction - square)
    factor = maximum(square / (square + noise * variance), 0.0)
    x = x - lr * (factor * mean)
    return x, m, v


RULE = Rule(
    name="msvag",
    states=("exp_avg", "exp_avg_sq"),
    options=(
        Option("lr", 0.1, 0.0, inf),
        Option("beta", 0.9, 0.0, 1.0),
    ),
    weight_decay=0.0,
    decay="coupled",
    presets={},
    scalars=scalars,
    update=update,
)


class MSVAG(Optimizer):
    """M-SVAG: step by the mean of g, damped where its variance is large.

    Balles and Hennig, ICML 2018, arXiv:1705.07774, M-SVAG. m and v have the same beta and the bias correction that goes
    with it; the AdaBelief repository's later one, 1 - beta2^t for a v of beta1, does not.

    rho is 1 at the first step and the variance unknown: the step is whole, where the authors' code cuts rho at 0.999. A
    weight that never had a gradient stays where it is. There is no eps. beta is the paper's, lr that of the AdaBelief
    paper's runs on CIFAR.

    Args:
        params: the weights, or groups of them with options of their own
        lr: step size (0.1)
        beta: decay of m and v, the means of g and g^2 (0.9)
        weight_decay: strength of the weight decay (0)

    What all rules have is told by :class:`adabelief.Optimizer`.
    """

    rule = RULE

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor | None = None,
        *,
        beta: float | None = None,
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
            beta=beta,
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
