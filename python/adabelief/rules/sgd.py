# SPDX-License-Identifier: MIT
"""SGD with momentum, printed from include/adabelief/rules/sgd.h by `make docs`."""

from __future__ import annotations

from math import inf

from torch import Tensor
from torch.optim.optimizer import ParamsT

from .._optimizer import Optimizer, StateDtype
from .._rule import Option, Rule
from .._words import Value, where


def scalars(t: Value, lr: Value, momentum: Value, dampening: Value, nesterov: bool) -> tuple[Value, ...]:
    """What all weights share in step t = 1, 2, ..."""
    gain = where(t == 1, lambda: 1.0, lambda: where(momentum == 0, lambda: 1.0, lambda: 1 - dampening))
    step_g = lr if nesterov else 0.0
    step_b = lr * momentum if nesterov else lr
    return momentum, gain, step_g, step_b


def update(c: tuple[Value, ...], x: Value, g: Value, b: Value) -> tuple[Value, ...]:
    """x and the states after a step with the gradient g."""
    momentum, gain, step_g, step_b = c
    b = momentum * b + gain * g
    x = x - (step_g * g + step_b * b)
    return x, b


RULE = Rule(
    name="sgd",
    states=("momentum_buffer",),
    options=(
        Option("lr", 0.1, 0.0, inf),
        Option("momentum", 0.9, 0.0, 1.0),
        Option("dampening", 0.0, 0.0, 1.0),
        Option("nesterov", False),
    ),
    weight_decay=0.0,
    decay="coupled",
    presets={},
    scalars=scalars,
    update=update,
)


class SGD(Optimizer):
    """SGD with momentum: stochastic gradient descent with momentum.

    Sutskever et al., ICML 2013, with the momentum in units of the gradient as in every framework: x -= lr * b. Without
    momentum there is no b to keep a share of g out of, and dampening does nothing, as in torch.optim.SGD. The defaults
    are those of the AdaBelief paper's SGD on CIFAR.

    Args:
        params: the weights, or groups of them with options of their own
        lr: step size (0.1)
        momentum: decay of b, the sum of past gradients (0.9)
        dampening: share of g kept out of b after step 1 (0)
        nesterov: step by g + momentum * b instead of b (False)
        weight_decay: strength of the weight decay (0)

    What all rules have is told by :class:`adabelief.Optimizer`.
    """

    rule = RULE

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor | None = None,
        *,
        momentum: float | None = None,
        dampening: float | None = None,
        nesterov: bool | None = None,
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
            momentum=momentum,
            dampening=dampening,
            nesterov=nesterov,
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
