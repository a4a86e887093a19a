# SPDX-License-Identifier: MIT
"""The step by torch's operations, on lists of tensors or tensor by tensor, and which weights the native path takes."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import Parameter

from . import _native
from ._rule import Rule
from ._words import Tensors, Value, double

if TYPE_CHECKING:
    from ._optimizer import Optimizer

_NATIVE = (torch.float32, torch.float64, torch.bfloat16, torch.float16, torch.complex64, torch.complex128)
_PIECE = 1 << 24  # elements of the tensors that are computed with at once, so that what is between takes little memory
_DECAYS = ("coupled", "decoupled", "fixed")


def is_dtensor(tensor: Tensor) -> bool:
    module = sys.modules.get("torch.distributed.tensor")
    return module is not None and isinstance(tensor, module.DTensor)


def local(rule: Rule, tensor: Tensor, like: Tensor | None = None) -> Tensor:
    """The part of a distributed tensor that is here, where a rule's elements are independent of each other."""
    if not is_dtensor(tensor) or rule.norms:
        return tensor
    whole = tensor if like is None else like
    if not is_dtensor(whole) or tensor.placements != whole.placements or any(p.is_partial() for p in whole.placements):
        return tensor
    return tensor._local_tensor


def is_dense(tensor: Tensor) -> bool:
    """Whether it has each element once and without gaps."""
    if tensor.is_contiguous():
        return True
    expected = 1
    for stride, size in sorted((st, si) for st, si in zip(tensor.stride(), tensor.shape, strict=True) if si != 1):
        if stride != expected:
            return False
        expected *= size
    return True


def not_native(rule: Rule, param: Tensor) -> str:
    """What keeps a weight from the native path, or ""."""
    here = local(rule, param)
    if type(here) not in (Tensor, Parameter):
        return f"a {type(here).__name__}"
    if here.device.type != "cpu":
        return f"on {here.device}"
    if here.layout is not torch.strided or here.dtype not in _NATIVE:
        return f"of {here.dtype}, {here.layout}"
    if here.numel() == 0:
        return "empty"
    if here.is_neg() or here.is_conj() or not is_dense(here):
        return "a view with gaps"
    return ""


def values(rule: Rule, group: dict[str, Any]) -> list[float]:
    """A group's options as the core has them: the rule's own as numbers, weight_decay and decay."""
    all = [
        float(option.choices.index(value) if option.choices else value)
        for option, value in zip(rule.options, own_options(rule, group).values(), strict=True)
    ]
    return [*all, float(group["weight_decay"]), float(_DECAYS.index(decay(group)))]


def own_options(rule: Rule, group: dict[str, Any]) -> dict[str, Any]:
    """Those that rule.scalars() takes."""
    if "betas" in group:
        group = group | {"beta1": group["betas"][0], "beta2": group["betas"][1]}
    return {option.name: group[option.name] for option in rule.options}


def decay(group: dict[str, Any]) -> str:
    return "fixed" if group["fixed_decay"] else "decoupled" if group["decoupled_decay"] else "coupled"


def arithmetic(dtype: torch.dtype) -> torch.dtype:
    """In what a weight is computed and its states are kept."""
    return torch.float32 if dtype in (torch.float16, torch.bfloat16) else dtype


def check_gradient(optimizer: Optimizer, param: Tensor) -> None:
    if param.grad is not None and param.grad.layout is not torch.strided:
        raise RuntimeError(
            f"{type(optimizer).__name__} does not support sparse gradients; make the layer with sparse=False"
        )
    if param.grad is not None and param.grad.shape != param.shape:  # which torch allows where .data has changed
        raise RuntimeError(
            f"the gradient of {name_of(optimizer, param)} is of shape {tuple(param.grad.shape)}, the parameter of "
            f"shape {tuple(param.shape)}: it is from before a change of shape; zero_grad() drops it"
        )


def name_of(optimizer: Optimizer, param: Tensor) -> str:
    """A parameter by its number in state_dict(), and by its name where the optimizer was given names."""
    number = 0
    for group in optimizer.param_groups:
        for i, other in enumerate(group["params"]):
            if other is param:
                return f"parameter {number}" + (f" ({group['param_names'][i]})" if "param_names" in group else "")
            number += 1
    return "a parameter"


def misfit(name: str, state: Tensor, param: Tensor) -> str:
    """How the size of a state is not its weight's, or "". The core would write past the end of a smaller one."""
    packed = state.dtype is torch.uint8
    if packed:
        if not (library := _native.load()):
            return ""  # and none that reads it
        bits8, n = _native.StateType.BITS8, param.numel() * (2 if param.is_complex() else 1)
        if library.state_form(bits8, _native.Type.FLOAT32, n) == (bits8, state.numel()):
            return ""
    elif state.shape == param.shape:
        return ""
    form = ", in 8 bits," if packed else ","
    return f"{name} is of shape {tuple(state.shape)}{form} the parameter of shape {tuple(param.shape)}"


def check_states(optimizer: Optimizer, rule: Rule, param: Tensor, state: dict[str, Any]) -> None:
    for name in rule.states:
        if said := misfit(name, state[name], param):
            raise RuntimeError(
                f"the state of {name_of(optimizer, param)} does not fit: {said}; without optimizer.state[parameter] it "
                "starts afresh"
            )


def start_state(rule: Rule, group: dict[str, Any], param: Tensor, state: dict[str, Any]) -> None:
    """What is kept before the first step: a count, and zeros."""
    device = param.device if group["capturable"] else torch.device("cpu")
    state["step"] = torch.zeros((), dtype=torch.float32, device=device)
    for name in rule.states:
        state[name] = torch.zeros_like(param, dtype=arithmetic(param.dtype), memory_format=torch.preserve_format)


def step(optimizer: Optimizer, group: dict[str, Any], params: Sequence[Tensor], scale: float) -> None:
    """One step of the weights that have a gradient."""
    from ._fused import full  # which needs this module

    rule = optimizer._rule(group)
    params = [param for param in params if param.grad is not None]
    for param in params:
        check_gradient(optimizer, param)
    if not params:
        return
    states = []
    for param in params:
        state = optimizer.state[param]
        if not state:
            start_state(rule, group, param, state)
        for name in rule.states:
            if name not in state:  # of a largest form that was chosen later
                state[name] = state[name.removeprefix("max_")].clone()
        check_states(optimizer, rule, param, state)
        if any(state[name].dtype in (torch.bfloat16, torch.uint8) for name in rule.states):
            full(_native.load(), rule, param, state)
        states.append(state)
    if group["maximize"]:
        scale = -scale
    if group["differentiable"] and group["foreach"]:
        raise RuntimeError("_foreach ops don't support autograd")
    steps = [state["step"] for state in states]
    for count in steps:
        count += 1
    compiling = torch.compiler.is_compiling()
    in_lists = group["foreach"] is not False and not group["differentiable"] and _in_lists(rule, params)
    as_tensors = group["capturable"] or compiling
    if not in_lists:
        for param, state in zip(params, states, strict=True):
            t = double(state["step"]) if as_tensors else float(state["step"])
            _single(rule, group, param, state, t, scale)
        return
    counts = steps if as_tensors else [float(count) for count in steps]
    alike: dict[Any, list[int]] = {}
    for i, (param, t) in enumerate(zip(params, counts, strict=True)):
        alike.setdefault((param.device, param.dtype, 0 if as_tensors else t), []).append(i)
    for indices in alike.values():
        piece: list[int] = []
        size = 0
        for i in indices:
            if size > 0 and size + params[i].numel() > _PIECE and not compiling:
                _list(rule, group, params, states, piece, counts, scale)
                piece, size = [], 0
            piece.append(i)
            size += params[i].numel()
        _list(rule, group, params, states, piece, counts, scale)


def _in_lists(rule: Rule, params: Sequence[Tensor]) -> bool:
    return all(type(local(rule, param)) in (Tensor, Parameter) and param.device.type != "meta" for param in params)


def _real(tensor: Tensor) -> Tensor:
    return torch.view_as_real(tensor.resolve_conj()) if tensor.is_complex() else tensor


def _options(rule: Rule, group: dict[str, Any], device: torch.device | None = None) -> dict[str, Any]:
    options = own_options(rule, group)
    for name, value in options.items():
        if isinstance(value, Tensor):
            options[name] = double(value.reshape(()) if device is None else value.reshape(()).to(device))
    return options


def _updated(
    rule: Rule, group: dict[str, Any], options: dict[str, Any], t: Value, scale: float, x: Value, g: Value, states: Any
) -> tuple[Value, ...]:
    """The weight and the states after a step: decay as Options::decayed() has it, then the rule."""
    if scale != 1:
        g = g * scale
    w, kind = group["weight_decay"], decay(group)
    start = x
    if w != 0 and kind == "coupled":
        g = g + start * w
    elif w != 0:
        x = start - start * (options["lr"] * w if kind == "decoupled" else w)
    return rule.update(rule.scalars(t, **options), x, g, *states)


def _single(rule: Rule, group: dict[str, Any], param: Tensor, state: dict[str, Any], t: Value, scale: float) -> None:
    dtype = arithmetic(param.dtype)
    kept = [state[name] for name in rule.states]
    whole = _real(local(rule, param))
    x, g = whole.to(_part(dtype)), _real(local(rule, param.grad, param)).to(_part(dtype))
    states = [_real(local(rule, s, param)).to(_part(dtype)) for s in kept]
    if group["differentiable"]:  # autograd keeps what the step changes below
        x, states = x.clone(), [s.clone() for s in states]
    new = _updated(rule, group, _options(rule, group), t, scale, x, g, states)
    whole.copy_(new[0])
    for s, value in zip(kept, new[1:], strict=True):
        _real(local(rule, s, param)).copy_(value)


def _part(dtype: torch.dtype) -> torch.dtype:
    return {torch.complex64: torch.float32, torch.complex128: torch.float64, torch.complex32: torch.float16}.get(
        dtype, dtype
    )


def _list(
    rule: Rule,
    group: dict[str, Any],
    params: Sequence[Tensor],
    states: Sequence[dict[str, Any]],
    piece: Sequence[int],
    counts: Sequence[Any],
    scale: float,
) -> None:
    """The weights of `piece`, which are of one device and type."""
    dtype, device = _part(arithmetic(params[piece[0]].dtype)), params[piece[0]].device
    whole = [_real(local(rule, params[i])) for i in piece]
    g = [_real(local(rule, params[i].grad, params[i])).to(dtype) for i in piece]  # type: ignore[arg-type]
    kept = [[_real(local(rule, states[i][name], params[i])) for i in piece] for name in rule.states]
    t = counts[piece[0]]
    if isinstance(t, Tensor):
        t = Tensors([double(counts[i].to(device)) for i in piece])
    x = Tensors([tensor.to(dtype) for tensor in whole])
    new = _updated(rule, group, _options(rule, group, device), t, scale, x, Tensors(g), [Tensors(s) for s in kept])
    torch._foreach_copy_(whole, new[0].all)
    for s, value in zip(kept, new[1:], strict=True):
        torch._foreach_copy_(s, value.all)
