# SPDX-License-Identifier: MIT
"""LAMB, printed from include/adabelief/rules/lamb.h by `make docs`."""

from __future__ import annotations

from math import inf

from torch import Tensor
from torch.optim.optimizer import ParamsT

from .._optimizer import Optimizer, StateDtype
from .._rule import Option, Rule
from .._words import Value, norm, sqrt, where


def scalars(t: Value, lr: Value, beta1: Value, beta2: Value, eps: Value, lambda_: Value) -> tuple[Value, ...]:
    """What all weights share in step t = 1, 2, ..."""
    mean = 1 / (1 - beta1**t)
    root = 1 / sqrt(1 - beta2**t)
    return beta1, 1 - beta1, beta2, 1 - beta2, eps, mean, root, lambda_, lr


def update(c: tuple[Value, ...], x: Value, g: Value, m: Value, v: Value) -> tuple[Value, ...]:
    """x and the states after a step with the gradient g."""
    beta1, one_beta1, beta2, one_beta2, eps, mean, root, lambda_, step = c
    m = beta1 * m + one_beta1 * g
    v = beta2 * v + one_beta2 * (g * g)
    norm_x = norm(x)
    u = m * mean / (sqrt(v) * root + eps) + lambda_ * x
    norm_u = norm(u)
    step = where(norm_x == 0, lambda: step, lambda: where(norm_u == 0, lambda: step, lambda: step * norm_x / norm_u))
    x = x - step * u
    return x, m, v


RULE = Rule(
    name="lamb",
    states=("exp_avg", "exp_avg_sq"),
    options=(
        Option("lr", 0.001, 0.0, inf),
        Option("beta1", 0.9, 0.0, 1.0),
        Option("beta2", 0.999, 0.0, 1.0),
        Option("eps", 1e-06, 0.0, inf),
        Option("lambda_", 0.01, 0.0, inf),
    ),
    weight_decay=0.0,
    decay="coupled",
    presets={},
    scalars=scalars,
    update=update,
    norms=True,
)


class LAMB(Optimizer):
    """LAMB: Adam's direction, scaled to a share of the tensor's norm.

    You et al., ICLR 2020, arXiv:1904.00962, Algorithm 2, with phi the identity and a ratio of 1 where a norm is 0. The
    paper's weight decay is lambda, a part of the direction; the options weight_decay and decay, which every rule has,
    act outside of it. Betas, eps and lambda are those of the paper's BERT; its lr depends on the batch.

    Args:
        params: the weights, or groups of them with options of their own
        lr: step size as a share of the tensor's norm (0.001)
        betas: decay of m, the mean of the gradient; decay of v, the mean of its square (0.9, 0.999)
        eps: added to the root of v (1e-06)
        lambda_: weight decay within the direction (0.01)
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
        lambda_: float | None = None,
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
            lambda_=lambda_,
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
