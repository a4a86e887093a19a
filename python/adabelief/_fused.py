# SPDX-License-Identifier: MIT
"""The native path: one call of the core for many weights, prepared once, while nothing about them changes."""

from __future__ import annotations

from operator import attrgetter
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

_grad, _nbytes, _address = attrgetter("grad"), attrgetter("nbytes"), Tensor.data_ptr


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
        self._optimizer, self._rule = optimizer, rule
        self._sign = -1.0 if first["maximize"] else 1.0
        self._scale = 1.0
        form = _FORMS.get(state_dtype, StateType.FULL)
        self._plan = library.plan(rule.name, states=form)
        self._groups: list[dict[str, Any]] = []
        self._values: list[list[float]] = []
        self._waiting: list[Tensor] = []
        self._params: list[Tensor] = []
        self._here: list[Tensor] = []  # their numbers in this process, real
        self._memory: list[Tensor] = []  # what the plan points to, kept alive
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
            self._add(library, group, param, form)
        self._weights = [_address(tensor) for tensor in self._here]
        self._bytes = [tensor.nbytes for tensor in self._here]
        self._plain = all(
            type(param) in (Tensor, Parameter) and param.is_contiguous() and not param.is_complex()
            for param in self._params
        )
        self._layout = [list(group["params"]) for group in optimizer.param_groups]
        self._flags = _flags(optimizer)
        self.remember()

    def remember(self) -> None:
        """The optimizer's state as it is, once all that is prepared has its own."""
        self._state = {param: dict(state) for param, state in self._optimizer.state.items()}

    def _add(self, library: Library, group: dict[str, Any], param: Tensor, form: StateType) -> None:
        state, rule = self._optimizer.state[param], self._rule
        if not state:
            _path.start_state(rule, group, param, state)
        count = state.get("step")
        if not isinstance(count, Tensor) or count.dtype != torch.float32 or count.device.type != "cpu" or count.ndim:
            state["step"] = torch.tensor(float(count or 0), dtype=torch.float32, device="cpu")
        for name in rule.states:
            if name not in state:  # of a largest form that was chosen later
                state[name] = state[name.removeprefix("max_")].clone()
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
        self._memory += [here, *states, state["step"]]
        self._here.append(here)

    def fits(self) -> bool:
        """Whether the plan is still that of the optimizer; finds the gradients of this step."""
        optimizer = self._optimizer
        try:
            if self._layout != [group["params"] for group in optimizer.param_groups]:
                return False
            if self._state != optimizer.state:  # compares by identity, and where that fails tensors by their numbers
                return False
        except RuntimeError:  # of which many are not one answer
            return False
        if self._flags != _flags(optimizer) or any(param.grad is not None for param in self._waiting):
            return False
        self._copies.clear()
        grads = list(map(_grad, self._params))
        if self._plain:
            if self._weights != list(map(_address, self._params)):
                return False
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
        else:
            for param, address in zip(self._params, self._weights, strict=True):
                if _address(_path.local(self._rule, param)) != address:
                    return False
        self._gradients = [
            0 if grad is None else _address(self._beside(param, here, grad))
            for param, here, grad in zip(self._params, self._here, grads, strict=True)
        ]
        return True

    def _beside(self, param: Tensor, here: Tensor, grad: Tensor) -> Tensor:
        """A gradient as the core reads it, alive until the step: itself, or a copy of the weight's type and strides."""
        _path.check_gradient(self._optimizer, param)
        grad = _path.local(self._rule, grad, param)
        if _path.is_dtensor(grad):
            grad = grad.redistribute(placements=param.placements)._local_tensor
        grad = _real(grad)
        if grad.dtype != here.dtype or _strides(grad) != _strides(here) or grad.is_neg() or type(grad) is not Tensor:
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
            torch.autograd.graph.increment_version(self._params)
        self._copies.clear()


def _flags(optimizer: Optimizer) -> list[Any]:
    return [[group[name] for name in _FLAGS] + [group.get("amsgrad")] for group in optimizer.param_groups]


def _real(tensor: Tensor) -> Tensor:
    return torch.view_as_real(tensor.resolve_conj()) if tensor.is_complex() else tensor


def _strides(tensor: Tensor) -> list[int]:
    return [stride for stride, size in zip(tensor.stride(), tensor.shape, strict=True) if size != 1]


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
        here = _real(torch.empty_like(param, device="cpu", memory_format=torch.preserve_format))
        packed = [state[name].cpu() for name in rule.states]
        plan = _plan_of(library, rule, here, StateType.BITS8, packed)
        for name in rule.states:
            numbers = torch.empty_like(param, device="cpu", dtype=dtype, memory_format=torch.preserve_format)
            plan.read_state(0, name, _address(numbers), here.numel())
            state[name] = numbers.to(param.device)


def _convert(
    library: Library, rule: Rule, param: Tensor, state: dict[str, Any], here: Tensor, form: StateType, size: int
) -> None:
    """Brings states into the form, type and layout that the plan is to find."""
    if not rule.states:
        return
    if form is not StateType.BITS8 or any(_form(state[name]) is not form for name in rule.states):
        if form is StateType.FULL or form is StateType.BITS8:
            full(library, rule, param, state)
        dtype = torch.bfloat16 if form is StateType.BFLOAT16 else _path.arithmetic(param.dtype)
        for name in rule.states:
            s = state[name]
            fits = (
                s.dtype == dtype
                and s.device == param.device
                and _strides(_real(_path.local(rule, s, param))) == (_strides(here))
            )
            if not fits:
                like = torch.empty_like(param, dtype=dtype, memory_format=torch.preserve_format)
                state[name] = like.detach().copy_(s)
    if form is StateType.BITS8 and _form(state[rule.states[0]]) is not form:
        packed = [torch.zeros(size, dtype=torch.uint8, device="cpu") for _ in rule.states]
        plan = _plan_of(library, rule, here, form, packed)
        for name, bits in zip(rule.states, packed, strict=True):
            plan.write_state(0, name, _address(state[name]), here.numel())
            state[name] = bits
