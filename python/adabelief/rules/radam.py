# SPDX-License-Identifier: MIT
"""RAdam, printed from include/adabelief/rules/radam.h by `make docs`."""

from __future__ import annotations

from math import inf

from torch import Tensor
from torch.optim.optimizer import ParamsT

from .._optimizer import Optimizer, StateDtype
from .._rule import Option, Rule
from .._words import Value, sqrt, where


def scalars(t: Value, lr: Value, beta1: Value, beta2: Value, eps: Value) -> tuple[Value, ...]:
    """What all weights share in step t = 1, 2, ..."""
    rho_inf = 2 / (1 - beta2) - 1
    power = beta2**t
    rho = rho_inf - 2 * t * power / (1 - power)
    step = lr / (1 - beta1**t)
    step, root, floor = (
        where(
            rho > 5,
            lambda: (
                step * sqrt((rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho)) * sqrt(1 - power)
            ),
            lambda: step,
        ),
        where(rho > 5, lambda: 1.0, lambda: 0.0),
        where(rho > 5, lambda: eps, lambda: 1.0),
    )
    return beta1, 1 - beta1, beta2, 1 - beta2, step, root, floor


def update(c: tuple[Value, ...], x: Value, g: Value, m: Value, v: Value) -> tuple[Value, ...]:
    """x and the states after a step with the gradient g."""
    beta1, one_beta1, beta2, one_beta2, step, root, floor = c
    m = beta1 * m + one_beta1 * g
    v = beta2 * v + one_beta2 * (g * g)
    x = x - step * m / (sqrt(v) * root + floor)
    return x, m, v


RULE = Rule(
    name="radam",
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


class RAdam(Optimizer):
    """RAdam: Adam that starts as SGD, rectified by the variance of its second moment.

    Liu et al., ICLR 2020, arXiv:1908.03265, Algorithm 2, in the form of torch.optim.RAdam, whose defaults these are:
    the step is adaptive where rho > 5 (the paper: > 4; from step 6 on, not 5, at beta2 = 0.999), and eps is added to
    the root of v before its bias correction, as in the authors' code. Until then, and always where beta2 <= 2/3, it is
    lr times the mean of the gradient: SGD with momentum, whatever the gradient's size.

    Args:
        params: the weights, or groups of them with options of their own
        lr: step size (0.001)
        betas: decay of m, the mean of the gradient; decay of v, the mean of its square (0.9, 0.999)
        eps: added to the root of v (1e-08)
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
