# SPDX-License-Identifier: MIT
"""The words of the rules' formulas, for floats, tensors, and lists of tensors.

A formula (rules/) is written once. What it runs on decides how: on floats for a step's scalars, on a tensor by ordinary
operations, which autograd follows, and on Tensors by torch._foreach_*, one call for all of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor

Value: TypeAlias = Any  # float, Tensor or Tensors


class Tensors:
    """Tensors that are computed with as one. The other operand is a float, a tensor, or as many tensors."""

    __slots__ = ("all",)

    def __init__(self, all: Sequence[Tensor]) -> None:
        self.all = list(all)

    def each(self, operation: Callable[..., Tensor], *others: Value) -> Tensors:
        """operation(tensor, other, ...) one by one."""
        columns = [other.all if isinstance(other, Tensors) else [other] * len(self.all) for other in others]
        return Tensors([operation(*row) for row in zip(self.all, *columns, strict=True)])

    def __add__(self, other: Value) -> Tensors:
        return Tensors(torch._foreach_add(self.all, _plain(other)))

    __radd__ = __add__

    def __mul__(self, other: Value) -> Tensors:
        return Tensors(torch._foreach_mul(self.all, _plain(other)))

    __rmul__ = __mul__

    def __sub__(self, other: Value) -> Tensors:
        return Tensors(torch._foreach_sub(self.all, _plain(other)))

    def __rsub__(self, other: Value) -> Tensors:
        return self.each(lambda a, b: b - a, other)

    def __truediv__(self, other: Value) -> Tensors:
        return Tensors(torch._foreach_div(self.all, _plain(other)))

    def __rtruediv__(self, other: Value) -> Tensors:
        return self.each(lambda a, b: b / a, other)

    def __pow__(self, other: Value) -> Tensors:
        return Tensors(torch._foreach_pow(self.all, _plain(other)))

    def __rpow__(self, other: Value) -> Tensors:
        return self.each(lambda a, b: b**a, other)

    def __eq__(self, other: object) -> Tensors:  # type: ignore[override]
        return self.each(torch.eq, other)

    def __gt__(self, other: Value) -> Tensors:
        return self.each(torch.gt, other)

    def __ge__(self, other: Value) -> Tensors:
        return self.each(torch.ge, other)

    def __lt__(self, other: Value) -> Tensors:
        return self.each(torch.lt, other)

    def __le__(self, other: Value) -> Tensors:
        return self.each(torch.le, other)

    __hash__ = None  # type: ignore[assignment]


def _plain(value: Value) -> Any:
    return value.all if isinstance(value, Tensors) else value


def double(value: Tensor) -> Tensor:
    """In double where the device has it, as scalars that are floats are."""
    return value if value.device.type == "mps" else value.double()


def where(condition: Value, yes: Callable[[], Value], no: Callable[[], Value]) -> Value:
    """yes() or no(). Where tensors decide, both are computed and nothing waits for a device."""
    if isinstance(condition, Tensors):
        return condition.each(_where, yes(), no())
    return _where(condition, yes(), no()) if isinstance(condition, Tensor) else yes() if condition else no()


def _where(condition: Tensor, yes: Value, no: Value) -> Tensor:
    if not isinstance(yes, Tensor) and not isinstance(no, Tensor):  # which torch would make floats
        yes = double(torch.ones_like(condition)) * yes
    return torch.where(condition, yes, no)


def sqrt(value: Value) -> Value:
    if isinstance(value, Tensors):
        return Tensors(torch._foreach_sqrt(value.all))
    return value.sqrt() if isinstance(value, Tensor) else math.sqrt(value)


def maximum(a: Value, b: Value) -> Value:
    """The larger; b where either is NaN, so that a NaN that enters a running maximum's new term shows."""
    return where(a >= b, lambda: a, lambda: b)


def minimum(a: Value, b: Value) -> Value:
    """The smaller; b where either is NaN."""
    return where(a <= b, lambda: a, lambda: b)


def sign(value: Value) -> Value:
    """-1, 0 or 1; NaN of NaN, where torch's is 0."""
    if isinstance(value, Tensors):
        return value.each(sign)
    if isinstance(value, Tensor):
        return torch.where(value.isnan(), value, value.sign())
    return math.copysign(1, value) if abs(value) > 0 else value


def norm(value: Value) -> Value:
    """The 2-norm of a whole tensor, in double where its device has it."""
    if isinstance(value, Tensors):
        return value.each(norm)
    if not isinstance(value, Tensor):
        return abs(value)
    return torch.linalg.vector_norm(value, dtype=None if value.device.type == "mps" else torch.float64)


_SMALLEST = 2.0**-60  # what a product of factors below 1 stops at: 1 less it is 1


def product(t: Value, factor: Callable[[Value], Value]) -> Value:
    """factor(1) factor(2) ... factor(t) of factors in [0, 1) that do not fall, as far as 1 less it can tell."""
    if isinstance(t, Tensors):
        return Tensors([product(one, factor) for one in t.all])
    if isinstance(t, Tensor):
        largest = float(factor(1e9))  # factors are of options alone
        count = 1 if largest == 0 else min(math.ceil(math.log(_SMALLEST) / math.log(largest)), 1 << 16)
        i = torch.arange(1, count + 1, dtype=t.dtype, device=t.device)
        return torch.where(i <= t, factor(i), 1).prod()
    all, i = 1.0, 1
    while i <= t and all > _SMALLEST:
        all *= factor(i)
        i += 1
    return all
