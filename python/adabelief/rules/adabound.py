# SPDX-License-Identifier: MIT
"""AdaBound, printed from include/adabelief/rules/adabound.h by `make docs`."""

from __future__ import annotations

from math import inf

from torch import Tensor
from torch.optim.optimizer import ParamsT

from .._optimizer import Optimizer, StateDtype
from .._rule import Option, Rule
from .._words import Value, maximum, minimum, sqrt
from .amsbound import RULE as LARGEST


def scalars(
    t: Value,
    lr: Value,
    beta1: Value,
    beta2: Value,
    eps: Value,
    final_lr: Value,
    gamma: Value,
    base_lr: Value,
) -> tuple[Value, ...]:
    """What all weights share in step t = 1, 2, ..."""
    step = lr * sqrt(1 - beta2**t) / (1 - beta1**t)
    last = final_lr * lr / base_lr
    pace = gamma * t
    return beta1, 1 - beta1, beta2, 1 - beta2, eps, step, last * (pace / (pace + 1)), last * ((pace + 1) / pace)


def update(c: tuple[Value, ...], x: Value, g: Value, m: Value, v: Value) -> tuple[Value, ...]:
    """x and the states after a step with the gradient g."""
    beta1, one_beta1, beta2, one_beta2, eps, step, lower, upper = c
    m = beta1 * m + one_beta1 * g
    v = beta2 * v + one_beta2 * (g * g)
    rate = step / (sqrt(v) + eps)
    x = x - minimum(upper, maximum(lower, rate)) * m
    return x, m, v


RULE = Rule(
    name="adabound",
    states=("exp_avg", "exp_avg_sq"),
    options=(
        Option("lr", 0.001, 0.0, inf),
        Option("beta1", 0.9, 0.0, 1.0),
        Option("beta2", 0.999, 0.0, 1.0),
        Option("eps", 1e-08, 0.0, inf),
        Option("final_lr", 0.1, 0.0, inf),
        Option("gamma", 0.001, 0.0, 1.0, holds_low=False),
        Option("base_lr", 0.001, 0.0, inf, holds_low=False),
    ),
    weight_decay=0.0,
    decay="coupled",
    presets={},
    scalars=scalars,
    update=update,
)


class AdaBound(Optimizer):
    """AdaBound: Adam with step sizes clipped to bounds that close in on one.

    Luo et al., ICLR 2019, arXiv:1902.09843, Algorithm 2, in the form of the authors' package, whose defaults these are:
    with eps and Adam's bias corrections, without the factor 1 / sqrt(t), and with gamma in place of 1 - beta2 in the
    bounds.

    A schedule changes lr, and the final step size is to follow: it is final_lr lr / base_lr. The package takes base_lr
    from lr when it is made; here it is an option, so that a step depends on nothing but options and states. Set both
    alike.

    Args:
        params: the weights, or groups of them with options of their own
        lr: step size before bounds (0.001)
        betas: decay of m, the mean of the gradient; decay of v, the mean of its square (0.9, 0.999)
        eps: added to the root of v (1e-08)
        final_lr: step size to which the bounds close in (0.1)
        gamma: how fast they do (0.001)
        base_lr: the lr for which final_lr is meant (0.001)
        weight_decay: strength of the weight decay (0)
        amsgrad: step by the rule of `AMSBound`

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
        final_lr: float | None = None,
        gamma: float | None = None,
        base_lr: float | None = None,
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
            final_lr=final_lr,
            gamma=gamma,
            base_lr=base_lr,
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
