# SPDX-License-Identifier: MIT
"""A rule as data, as the modules in rules/ have it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Option:
    """An option of a rule: a number in a range, a bool, or one of `choices`."""

    name: str
    default: float | bool | str
    low: float = 0.0
    high: float = 0.0
    holds_low: bool = True
    holds_high: bool = False
    choices: tuple[str, ...] = ()

    def allows(self, value: Any) -> bool:
        if self.choices:
            return value in self.choices
        if isinstance(self.default, bool):
            return isinstance(value, bool) or value in (0, 1)
        above = value >= self.low if self.holds_low else value > self.low
        return bool(above and (value <= self.high if self.holds_high else value < self.high))


@dataclass(frozen=True, eq=False)
class Rule:
    """An optimizer's rule. `scalars(t, **options)` is what the weights share in a step; `update(scalars, x, g, *states)`
    gives the weight and the states after it. Both take floats, tensors, or Tensors (lists of them) alike."""

    name: str
    states: tuple[str, ...]
    options: tuple[Option, ...]
    weight_decay: float  # the defaults of these
    decay: str
    presets: Mapping[str, Mapping[str, Any]]
    scalars: Callable[..., tuple[Any, ...]]
    update: Callable[..., tuple[Any, ...]]
    norms: bool = False  # whether a step of a weight depends on its whole tensor
