# SPDX-License-Identifier: MIT
"""Lion, printed from include/adabelief/rules/lion.h by `make docs`."""

from __future__ import annotations

from math import inf

from torch import Tensor
from torch.optim.optimizer import ParamsT

from .._optimizer import Optimizer, StateDtype
from .._rule import Option, Rule
from .._words import Value, sign


def scalars(t: Value, lr: Value, beta1: Value, beta2: Value) -> tuple[Value, ...]:
    """What all weights share in step t = 1, 2, ..."""
    return beta1, 1 - beta1, beta2, 1 - beta2, lr


def update(c: tuple[Value, ...], x: Value, g: Value, m: Value) -> tuple[Value, ...]:
    """x and the states after a step with the gradient g."""
    beta1, one_beta1, beta2, one_beta2, lr = c
    x = x - lr * sign(beta1 * m + one_beta1 * g)
    m = beta2 * m + one_beta2 * g
    return x, m


RULE = Rule(
    name="lion",
    states=("exp_avg",),
    options=(
        Option("lr", 1e-04, 0.0, inf),
        Option("beta1", 0.9, 0.0, 1.0),
        Option("beta2", 0.99, 0.0, 1.0),
    ),
    weight_decay=0.0,
    decay="decoupled",
    presets={},
    scalars=scalars,
    update=update,
)


class Lion(Optimizer):
    """Lion: step by the sign of the momentum.

    Chen et al., NeurIPS 2023, arXiv:2302.06675, Algorithm 2. Betas are the paper's, lr is the default of timm and
    lion-pytorch. The paper's weight decay is decoupled.

    Args:
        params: the weights, or groups of them with options of their own
        lr: step size: how far each weight moves (1e-04)
        betas: share of m, beside g, in the sign; decay of m, the mean of the gradient (0.9, 0.99)
        weight_decay: strength of the weight decay (0)

    What all rules have is told by :class:`adabelief.Optimizer`.
    """

    rule = RULE

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor | None = None,
        betas: tuple[float | Tensor, float | Tensor] | None = None,
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
