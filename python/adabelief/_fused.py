# SPDX-License-Identifier: MIT
"""The native path: one call of the core for many weights, prepared once, while nothing about them changes."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, cycle
from operator import attrgetter, eq, is_, itemgetter
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import Parameter

from . import _path
from ._native import Library, Plan, StateType, Type
from ._rule import Rule

if TYPE_CHECKING:
    from ._optimizer import Optimizer

_TYPES = {
    torch.float32: Type.FLOAT32,
    torch.float64: Type.FLOAT64,
    torch.bfloat16: Type.BFLOAT16,
    torch.float16: Type.FLOAT16,
}
_FORMS = {torch.bfloat16: StateType.BFLOAT16, torch.uint8: StateType.BITS8}
_FLAGS = ("maximize", "foreach", "capturable", "differentiable", "fused", "state_dtype")

_grad, _nbytes, _shape, _address = attrgetter("grad"), attrgetter("nbytes"), attrgetter("shape"), Tensor.data_ptr


class Fused:
    """The step of the weights of one rule, in one or more groups. A weight that has never had a gradient waits outside."""

    def __init__(
        self,
        optimizer: Optimizer,
        library: Library,
        rule: Rule,
        state_dtype: torch.dtype | None,
        entries: list[tuple[dict[str, Any], Tensor]],
    ) -> None:
        first = entries[0][0]
        self._rule = rule
        self._sign = -1.0 if first["maximize"] else 1.0
        self._scale = 1.0
        form = _FORMS.get(state_dtype, StateType.FULL)
        self._plan = library.plan(rule.name, states=form)
        self._groups: list[dict[str, Any]] = []
        self._values: list[list[float]] = []
        self._waiting: list[Tensor] = []
        self._params: list[Tensor] = []
        self._here: list[Tensor] = []  # their numbers in this process, real
        self._states: list[dict[str, Any]] = []  # theirs, in the optimizer
        self._memory: list[Tensor] = []  # what the plan points to, kept alive
        self._stepped: list[Tensor] = []  # those that have a gradient in this step
        self._copies: list[Tensor] = []
        for group, param in entries:
            if param.grad is None and not optimizer.state.get(param):
                self._waiting.append(param)
                continue
            _path.check_gradient(optimizer, param)
            if not self._groups or self._groups[-1] is not group:
                if self._groups:
                    self._plan.add_group()
                self._groups.append(group)
                self._values.append([])
            self._add(optimizer, library, group, param, form)
        self._bytes = [tensor.nbytes for tensor in self._here]
        self._plain = all(
            type(param) in (Tensor, Parameter) and param.is_contiguous() and not param.is_complex()
            for param in self._params
        )
        self._of_states = [itemgetter(name) for name in ("step", *rule.states)]
        self._kept = self._now()
        self._places = list(self._found())
        self._flags = _flags(optimizer)

    def remember(self, optimizer: Optimizer) -> None:
        """What the optimizer holds, once all that is prepared has its states."""
        self._objects = _objects(optimizer)

    def _now(self) -> list[Tensor]:
        """The states and step counts, as the optimizer has them at present."""
        return list(chain.from_iterable(map(one, self._states) for one in self._of_states))

    def _found(self) -> Iterator[list[Any]]:
        """What changes in a tensor that stays the same object: where weights and states are, and how weights lie."""
        weights, kept = self._params, self._kept
        if not self._plain:
            weights = [_path.local(self._rule, param) for param in weights]
            kept = [_path.local(self._rule, one, like) for one, like in zip(kept, cycle(self._params), strict=False)]
            yield list(map(Tensor.stride, weights))
            yield list(map(Tensor.is_conj, weights))
        yield list(map(_address, weights))
        yield list(map(_shape, weights))
        yield list(map(Tensor.is_contiguous, weights))
        yield list(map(_address, kept))

    def _add(
        self, optimizer: Optimizer, library: Library, group: dict[str, Any], param: Tensor, form: StateType
    ) -> None:
        state, rule = optimizer.state[param], self._rule
        if not state:
            _path.start_state(rule, group, param, state)
        count = state.get("step")
        if not isinstance(count, Tensor) or count.dtype != torch.float32 or count.device.type != "cpu" or count.ndim:
            state["step"] = torch.tensor(float(count or 0), dtype=torch.float32, device="cpu")
        for name in rule.states:
            if name not in state:  # of a largest form that was chosen later
                state[name] = state[name.removeprefix("max_")].clone()
        _path.check_states(optimizer, rule, param, state)
        here = _real(_path.local(rule, param.detach()))
        type = _TYPES[here.dtype]
        wanted = library.state_form(form, type, here.numel())
        _convert(library, rule, param, state, here, *wanted)
        states = [_real(_path.local(rule, state[name], param)) for name in rule.states]
        self._plan.add(
            _address(here), here.numel(), type, [_address(s) for s in states], _address(state["step"]),
            group=len(self._groups) - 1,
        )  # fmt: skip
        self._params.append(param)
        self._states.append(state)
        self._memory += [here, *states, state["step"]]
        self._here.append(here)

    def fits(self, optimizer: Optimizer) -> bool:
        """Whether the plan is still that of the optimizer; finds the gradients of this step."""
        if not _same(self._objects, _objects(optimizer)) or self._flags != _flags(optimizer):
            return False
        try:
            if not _same(self._kept, self._now()):
                return False
        except KeyError:  # of a state that was taken away
            return False
        if not all(map(eq, self._places, self._found())) or any(param.grad is not None for param in self._waiting):
            return False
        self._copies.clear()
        self._stepped = self._params
        grads = list(map(_grad, self._params))
        if self._plain:
            try:
                self._gradients = list(map(_address, grads))
                if (
                    self._bytes == list(map(_nbytes, grads))
                    and all(map(Tensor.is_contiguous, grads))
                    and not any(map(Tensor.is_neg, grads))
                    and set(map(type, grads)) == {Tensor}
                ):
                    return True
            except (AttributeError, RuntimeError, TypeError):  # None, or no memory of numbers
                pass
        self._gradients = [
            0 if grad is None else _address(self._beside(optimizer, param, here, grad))
            for param, here, grad in zip(self._params, self._here, grads, strict=True)
        ]
        self._stepped = [param for param, grad in zip(self._params, grads, strict=True) if grad is not None]
        return True

    def _beside(self, optimizer: Optimizer, param: Tensor, here: Tensor, grad: Tensor) -> Tensor:
        """A gradient as the core reads it, alive until the step: itself, or a copy of the weight's type and strides."""
        _path.check_gradient(optimizer, param)
        grad = _path.local(self._rule, grad, param)
        if _path.is_dtensor(grad):
            grad = grad.redistribute(placements=param.placements)._local_tensor
        grad = _real(grad)
        if grad.dtype != here.dtype or not _alike(grad, here) or type(grad) is not Tensor:
            grad = torch.empty_strided(here.shape, here.stride(), dtype=here.dtype, device="cpu").copy_(grad)
        self._copies.append(grad)
        return grad

    def step(self, scale: float) -> None:
        scale *= self._sign
        if scale != self._scale:
            self._plan.set_fold(scale=scale)
            self._scale = scale
        for i, group in enumerate(self._groups):
            values = _path.values(self._rule, group)
            if values != self._values[i]:
                self._plan.set_values(values, i)
                self._values[i] = values
        if self._params:
            self._plan.step(self._gradients)
            torch.autograd.graph.increment_version(self._stepped)
        self._copies.clear()


def _flags(optimizer: Optimizer) -> list[Any]:
    return [
        [group[name] for name in _FLAGS] + [group.get("amsgrad"), len(group["params"])]
        for group in optimizer.param_groups
    ]


def _objects(optimizer: Optimizer) -> list[Any]:
    """Groups, weights and whose states there are."""
    groups, state = optimizer.param_groups, optimizer.state
    return [*groups, *chain.from_iterable(group["params"] for group in groups), *state, *state.values()]


def _same(these: list[Any], those: list[Any]) -> bool:
    """By identity: `==` would compare tensors by their numbers."""
    return len(these) == len(those) and all(map(is_, these, those))


def _real(tensor: Tensor) -> Tensor:
    return torch.view_as_real(tensor.resolve_conj()) if tensor.is_complex() else tensor


def _strides(tensor: Tensor) -> list[int]:
    return [stride for stride, size in zip(tensor.stride(), tensor.shape, strict=True) if size != 1]


def _alike(tensor: Tensor, here: Tensor) -> bool:
    """Whether its memory has its numbers where the memory of a weight has that weight's."""
    return tensor.shape == here.shape and _strides(tensor) == _strides(here) and not tensor.is_neg()


def _form(state: Tensor) -> StateType:
    return _FORMS.get(state.dtype, StateType.FULL)


def _plan_of(library: Library, rule: Rule, here: Tensor, form: StateType, states: list[Tensor]) -> Plan:
    """A plan of one tensor, to read its states and to write them."""
    plan = library.plan(rule.name, states=form)
    steps = torch.zeros((), dtype=torch.float32, device="cpu")
    plan.add(_address(here), here.numel(), _TYPES[here.dtype], [_address(s) for s in states], _address(steps))
    return plan


def full(library: Library, rule: Rule, param: Tensor, state: dict[str, Any]) -> None:
    """Brings states of 16 and 8 bits into float, of the weight's shape and device."""
    if all(_form(state[name]) is StateType.FULL for name in rule.states):
        return
    dtype = _path.arithmetic(param.dtype)
    for name in rule.states:
        if _form(state[name]) is StateType.BFLOAT16:
            state[name] = state[name].to(dtype)
    if any(_form(state[name]) is StateType.BITS8 for name in rule.states):
        if not library:
            raise RuntimeError(f"states of 8 bits cannot be read, since {library.reason}")
        packed_of = torch.complex64 if param.is_complex() else torch.float32  # whatever the weight has become
        like = torch.empty_like(param, device="cpu", dtype=packed_of, memory_format=torch.preserve_format)
        here = _real(like)
        kept = [state[name].cpu().contiguous() for name in rule.states]
        plan = _plan_of(library, rule, here, StateType.BITS8, kept)
        for name in rule.states:
            if _form(state[name]) is StateType.BITS8:
                numbers = torch.empty_like(like)
                plan.read_state(0, name, _address(numbers), here.numel())
                state[name] = numbers.to(param.device, dtype)


def _convert(
    library: Library, rule: Rule, param: Tensor, state: dict[str, Any], here: Tensor, form: StateType, size: int
) -> None:
    """Brings states into the form, type and layout that the plan is to find."""
    if not rule.states:
        return
    packed_before = [_form(state[name]) is StateType.BITS8 for name in rule.states]
    if form is StateType.BITS8 and all(packed_before):
        for name in rule.states:
            state[name] = state[name].cpu().contiguous()
        return
    if form is not StateType.BFLOAT16 or any(packed_before):
        full(library, rule, param, state)
    dtype = torch.bfloat16 if form is StateType.BFLOAT16 else _path.arithmetic(param.dtype)
    for name in rule.states:
        s = state[name]
        part = _path.local(rule, s, param)
        fits = s.dtype == dtype and s.device == param.device and type(part) in (Tensor, Parameter)
        if not fits or part.is_conj() or not _alike(_real(part), here):
            like = torch.empty_like(param, dtype=dtype, memory_format=torch.preserve_format)
            state[name] = like.detach().copy_(s)
    if form is StateType.BITS8:
        packed = [torch.zeros(size, dtype=torch.uint8, device="cpu") for _ in rule.states]
        plan = _plan_of(library, rule, here, form, packed)
        for name, bits in zip(rule.states, packed, strict=True):
            plan.write_state(0, name, _address(state[name]), here.numel())
            state[name] = bits
