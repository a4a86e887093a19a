# SPDX-License-Identifier: MIT
"""NAdam, printed from include/adabelief/rules/nadam.h by `make docs`."""

from __future__ import annotations

from math import inf

from torch import Tensor
from torch.optim.optimizer import ParamsT

from .._optimizer import Optimizer, StateDtype
from .._rule import Option, Rule
from .._words import Value, minimum, product, sqrt


def scalars(t: Value, lr: Value, beta1: Value, beta2: Value, eps: Value, momentum_decay: Value) -> tuple[Value, ...]:
    """What all weights share in step t = 1, 2, ..."""
    mu = beta1 * (1 - 0.96 ** minimum(t * momentum_decay, 10000.0) / 2)
    all = product(t, lambda i: beta1 * (1 - 0.96 ** minimum(i * momentum_decay, 10000.0) / 2))
    next = beta1 * (1 - 0.96 ** minimum((t + 1) * momentum_decay, 10000.0) / 2)
    return (
        beta1,
        1 - beta1,
        beta2,
        1 - beta2,
        eps,
        lr * (1 - mu) / (1 - all),
        lr * next / (1 - all * next),
        1 / sqrt(1 - beta2**t),
    )


def update(c: tuple[Value, ...], x: Value, g: Value, m: Value, v: Value) -> tuple[Value, ...]:
    """x and the states after a step with the gradient g."""
    beta1, one_beta1, beta2, one_beta2, eps, step_g, step_m, root = c
    m = beta1 * m + one_beta1 * g
    v = beta2 * v + one_beta2 * (g * g)
    x = x - (step_g * g + step_m * m) / (sqrt(v) * root + eps)
    return x, m, v


RULE = Rule(
    name="nadam",
    states=("exp_avg", "exp_avg_sq"),
    options=(
        Option("lr", 0.002, 0.0, inf),
        Option("beta1", 0.9, 0.0, 1.0),
        Option("beta2", 0.999, 0.0, 1.0),
        Option("eps", 1e-08, 0.0, inf),
        Option("momentum_decay", 0.004, 0.0, inf),
    ),
    weight_decay=0.0,
    decay="coupled",
    presets={},
    scalars=scalars,
    update=update,
)


class NAdam(Optimizer):
    """NAdam: Adam with Nesterov's momentum.

    Dozat, ICLR 2016 workshop, Incorporating Nesterov Momentum into Adam, with the momentum schedule of
    torch.optim.NAdam, whose defaults these are: mu_t = beta1 (1 - 0.96^(t momentum_decay) / 2). m itself decays by
    beta1, as in torch; in the paper it decays by mu_t.

    Args:
        params: the weights, or groups of them with options of their own
        lr: step size (0.002)
        betas: decay of m, the mean of the gradient; decay of v, the mean of its square (0.9, 0.999)
        eps: added to the root of v (1e-08)
        momentum_decay: how fast mu rises to beta1 (0.004)
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
        momentum_decay: float | None = None,
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
            momentum_decay=momentum_decay,
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
