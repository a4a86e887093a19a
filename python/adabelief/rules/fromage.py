# SPDX-License-Identifier: MIT
"""Fromage, printed from include/adabelief/rules/fromage.h by `make docs`."""

from __future__ import annotations

from math import inf

from torch import Tensor
from torch.optim.optimizer import ParamsT

from .._optimizer import Optimizer, StateDtype
from .._rule import Option, Rule
from .._words import Value, norm, sqrt, where


def scalars(t: Value, lr: Value) -> tuple[Value, ...]:
    """What all weights share in step t = 1, 2, ..."""
    return lr, 1 / sqrt(1 + lr * lr)


def update(c: tuple[Value, ...], x: Value, g: Value) -> tuple[Value, ...]:
    """x and the states after a step with the gradient g."""
    step, scale = c
    norm_x = norm(x)
    norm_g = norm(g)
    step = where(norm_x == 0, lambda: step, lambda: where(norm_g == 0, lambda: step, lambda: step * norm_x / norm_g))
    x = (x - step * g) * scale
    return (x,)


RULE = Rule(
    name="fromage",
    states=(),
    options=(Option("lr", 0.01, 0.0, inf),),
    weight_decay=0.0,
    decay="coupled",
    presets={},
    scalars=scalars,
    update=update,
    norms=True,
)


class Fromage(Optimizer):
    """Fromage: step by g, scaled to a share of the tensor's norm.

    Bernstein et al., NeurIPS 2020, arXiv:2002.03432, Algorithm 1: every tensor moves by lr times its own norm, and is
    then scaled by 1 / sqrt(1 + lr^2), so that its norm does not grow by the step. As in the authors' code a tensor of
    norm 0, or without gradient, moves by lr g. lr is the paper's; there is no state and no eps.

    Args:
        params: the weights, or groups of them with options of their own
        lr: step size as a share of the tensor's norm (0.01)
        weight_decay: strength of the weight decay (0)

    What all rules have is told by :class:`adabelief.Optimizer`.
    """

    rule = RULE

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor | None = None,
        *,
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
