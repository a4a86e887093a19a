# SPDX-License-Identifier: MIT
"""Loading what state_dict() gave, of this library or of others, without changing the type of what is kept."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from . import _path
from ._rule import Rule

if TYPE_CHECKING:
    from ._optimizer import Optimizer

_UNUSED = ("buffer", "degenerated_to_sgd", "decoupled_weight_decay", "weight_decouple")  # of groups elsewhere
# What takes the place of a state that another optimizer does not keep. None: zeros.
_INSTEAD = {
    "exp_avg_var": "exp_avg_sq",
    "max_exp_avg_var": "max_exp_avg_sq",
    "grad_avg": None,
    "momentum_buffer": None,
}


class _Kept:
    """A tensor that torch's load_state_dict, which would give it the weight's type, hands on as it is."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor


@contextlib.contextmanager
def wrapped(optimizer: Optimizer) -> Iterator[None]:
    """While torch loads, behind all hooks that change what is loaded."""

    def wrap(_: Any, state_dict: dict[str, Any]) -> dict[str, Any]:
        check(optimizer, state_dict)
        of_weights = {number for group in state_dict["param_groups"] for number in group["params"]}
        kept = {
            key: {name: _Kept(value) if isinstance(value, Tensor) else value for name, value in state.items()}
            if key in of_weights and isinstance(state, dict)
            else state  # of whoever keeps something else there: as torch leaves it
            for key, state in state_dict["state"].items()
        }
        return state_dict | {"state": kept}

    handle = optimizer.register_load_state_dict_pre_hook(wrap)
    try:
        yield
    finally:
        handle.remove()


def check(optimizer: Optimizer, state_dict: dict[str, Any]) -> None:
    """Raises ValueError where a state or a group can't be made of what is loaded, before anything has changed; warns
    where a state is made of another."""
    made: dict[str, str] = {}
    loaded, groups = state_dict["param_groups"], optimizer.param_groups
    if [len(group["params"]) for group in loaded] != [len(group["params"]) for group in groups]:
        return  # torch says so, and has changed nothing
    for group, ours in zip(loaded, groups, strict=True):
        whole = dict(group)
        _complete(whole, ours)
        optimizer._check(whole)
        rule = optimizer._rule(whole)
        for number, param in zip(group["params"], ours["params"], strict=True):
            state = state_dict["state"].get(number)
            if not state:
                continue
            for name in rule.states:
                other = _source(name, state)
                if other is not None and (said := _path.misfit(other, state[other], param)):
                    raise ValueError(
                        f"loaded state dict does not fit {_path.name_of(optimizer, param)}: {said}; without "
                        f'state_dict["state"][{number!r}] it starts afresh'
                    )
                if other == name:
                    continue
                if other is None and _INSTEAD.get(name, "") is not None:
                    raise ValueError(
                        f"loaded state dict has no {name} for parameter {number}, only {', '.join(state)}: it is of "
                        f"an optimizer that {type(optimizer).__name__} cannot go on from; start without it"
                    )
                if other is not None and not name.startswith("max_"):
                    made[name] = other
    if made:
        took = ", ".join(f"{other} as the first {name}" for name, other in made.items())
        warnings.warn(
            f"{type(optimizer).__name__} goes on from another optimizer's state: kept are the step counts, exp_avg, "
            f"and {took}, which beta2 replaces by its own; lr, betas, eps and weight_decay are those of the other",
            stacklevel=5,
        )


def _source(name: str, state: dict[str, Any]) -> str | None:
    """Which state takes the place of `name`."""
    for other in (name, _INSTEAD.get(name), name.removeprefix("max_"), _INSTEAD.get(name.removeprefix("max_"))):
        if other is not None and state.get(other) is not None:
            return other
    return None


def settle(optimizer: Optimizer, before: list[dict[str, Any]]) -> None:
    """Brings groups and states, as pickle or torch's load_state_dict have left them, into this library's form. `before`:
    the groups until then."""
    for i, group in enumerate(optimizer.param_groups):
        _complete(group, before[i] if i < len(before) else optimizer.defaults)
        rule = optimizer._rule(group)
        for param in group["params"]:
            if state := optimizer.state.get(param):
                _settle(rule, group, param, state)


def _complete(group: dict[str, Any], own: dict[str, Any]) -> None:
    """Gives a loaded group this library's options: what it does not say is as in `own`."""
    if "weight_decouple" in group or "decoupled_weight_decay" in group:
        decoupled = group.get("weight_decouple", group.get("decoupled_weight_decay"))
        group.setdefault("decoupled_decay", decoupled and not group.get("fixed_decay"))
    if group.get("fixed_decay"):  # elsewhere a kind of decoupled decay
        group["decoupled_decay"] = False
    for name, value in own.items():
        group.setdefault(name, value)
    for name in _UNUSED:
        group.pop(name, None)


def _settle(rule: Rule, group: dict[str, Any], param: Tensor, state: dict[str, Any]) -> None:
    loaded = any(isinstance(value, _Kept) for value in state.values())
    if not loaded and "step" in state and isinstance(state["step"], Tensor):
        return  # of pickle and deepcopy
    for name, value in state.items():
        if isinstance(value, _Kept):
            device = "cpu" if name == "step" and not group["capturable"] else param.device
            state[name] = value.tensor.detach().to(device, copy=True)
    step = state.get("step", 1.0)  # torch.optim.SGD counts none
    device = param.device if group["capturable"] else "cpu"
    count = (
        step.to(torch.float32)
        if isinstance(step, Tensor)
        else torch.tensor(float(step), dtype=torch.float32, device="cpu")
    )
    state["step"] = count.reshape(()).to(device)
    used = set()
    for name in rule.states:
        other = _source(name, state)
        if other is None:
            dtype = _path.arithmetic(param.dtype)
            state[name] = torch.zeros_like(param, dtype=dtype, memory_format=torch.preserve_format)
        elif other != name:
            state[name] = state[other].clone()
            used.add(other)
    for other in used - set(rule.states):
        del state[other]
    state.pop("mu_product", None)  # of torch.optim.NAdam
