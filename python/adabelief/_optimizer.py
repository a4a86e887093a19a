# SPDX-License-Identifier: MIT
"""What the rules' classes share: a torch.optim.Optimizer whose formula is its rule's."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any, ClassVar, Literal, TypeAlias, overload

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from . import _checkpoint, _native, _path
from ._fused import Fused
from ._rule import Option, Rule

StateDtype: TypeAlias = torch.dtype | Literal["8bit"] | None

_NAMES = {"lr": "learning rate", "eps": "epsilon value"}  # in torch's errors


class Optimizer(torch.optim.Optimizer):
    """A rule as torch's own optimizers are: groups, closures, hooks, schedulers, GradScaler, state_dict. All rules take

    Args:
        weight_decay: strength of the weight decay
        decoupled_decay: a weight loses lr * weight_decay of itself, rather than this being added to its gradient
        fixed_decay: it loses weight_decay of itself, whatever lr is
        maximize: climb instead
        state_dtype: how states are kept beside weights that are computed in float, where the native path runs:
            torch.bfloat16, or "8bit" for tensors of 4,096 elements and more (stochastically rounded); else float
        fused: the native path: the C++ core, for dense weights of float32, float64, bfloat16, float16 and their complex
            forms in the CPU's memory
        foreach: torch's operations on lists of tensors, on any device
        capturable: keep the step count on the weights' device and never wait for it, as CUDA graphs need
        differentiable: let autograd run through the step

    Of the paths the first that can is taken: natively, by lists, tensor by tensor. fused=False leaves out the first,
    foreach=True asks for the second, and foreach=False, without fused=True, for the third. Options that are None are
    the preset's, or the rule's default. Weights of 16 bits are computed in float. Each option can be given to a group
    too.
    """

    rule: ClassVar[Rule]
    largest: ClassVar[Rule | None] = None  # with amsgrad=True

    _fused: list[Fused] | None = None  # the native path, prepared

    def __init__(
        self,
        params: ParamsT,
        *,
        preset: str | None = None,
        state_dtype: StateDtype = None,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        **options: Any,
    ) -> None:
        given = {name: value for name, value in options.items() if value is not None}
        defaults = self._preset(preset, bool(given.get("amsgrad"))) | given
        if "decoupled_decay" in given and "fixed_decay" not in given:
            defaults["fixed_decay"] = False
        if given.get("fixed_decay") and "decoupled_decay" not in given:
            defaults["decoupled_decay"] = False
        defaults |= {
            "state_dtype": torch.uint8 if state_dtype == "8bit" else state_dtype,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
            "fused": fused,
        }
        self._check(defaults)
        super().__init__(params, defaults)

    @classmethod
    def _rules(cls) -> list[Rule]:
        return [cls.rule] if cls.largest is None else [cls.rule, cls.largest]

    @classmethod
    @functools.cache
    def _options(cls) -> dict[str, Option]:
        """Of the rule and its largest form."""
        return {option.name: option for rule in reversed(cls._rules()) for option in rule.options}

    @classmethod
    def _preset(cls, preset: str | None, amsgrad: bool) -> dict[str, Any]:
        """All options, as a group keeps them."""
        rule = cls.largest if amsgrad and cls.largest else cls.rule
        if preset is None or preset == "paper":
            chosen = rule.presets.get("paper", {})
        elif preset in rule.presets:
            chosen = rule.presets[preset]
        else:
            among = ", ".join(rule.presets) or "none"
            raise ValueError(f"Invalid preset: {preset} (for {rule.name} there are: {among})")
        options = {option.name: option.default for option in cls._options().values()} | dict(chosen)
        decay = options.pop("decay", rule.decay)
        weight_decay = options.pop("weight_decay", rule.weight_decay)
        if "beta1" in options and "beta2" in options:
            betas = {"betas": (options.pop("beta1"), options.pop("beta2"))}
            options = {"lr": options.pop("lr")} | betas | options
        options |= {"weight_decay": weight_decay}
        if cls.largest is not None:
            options["amsgrad"] = amsgrad
        return options | {"decoupled_decay": decay == "decoupled", "fixed_decay": decay == "fixed"}

    def _check(self, group: dict[str, Any]) -> None:
        """Brings a group's options into the form in which they are kept. Errors are worded as torch's."""
        if isinstance(group.get("rectify"), bool):  # as adabelief-pytorch's
            group["rectify"] = "pytorch-0.2.1" if group["rectify"] else "none"
        lr = group["lr"]
        if isinstance(lr, Tensor) and lr.numel() != 1:
            raise ValueError("Tensor lr must be 1-element")
        options = self._options()
        values = dict(group)
        if "betas" in group:
            for i, beta in enumerate(group["betas"]):
                if not options[f"beta{i + 1}"].allows(beta):
                    raise ValueError(f"Invalid beta parameter at index {i}: {beta}")
            values["beta1"], values["beta2"] = group["betas"]
        for name, option in options.items():
            if not option.allows(values[name]):
                among = f" (one of: {', '.join(option.choices)})" if option.choices else ""
                raise ValueError(f"Invalid {_NAMES.get(name, name + ' value')}: {values[name]}{among}")
        if not group["weight_decay"] >= 0:
            raise ValueError(f"Invalid weight_decay value: {group['weight_decay']}")
        if group["decoupled_decay"] and group["fixed_decay"]:
            raise ValueError("`decoupled_decay` and `fixed_decay` cannot be `True` together.")
        for name in options.keys() - {option.name for option in self._rule(group).options}:
            if values[name] != options[name].default:
                raise ValueError(f"`{name}` has no effect with amsgrad={group['amsgrad']}")
        if group["state_dtype"] not in (None, torch.float32, torch.bfloat16, torch.uint8):
            raise ValueError(f"Invalid state_dtype: {group['state_dtype']} (float32, bfloat16 or '8bit')")
        if group["fused"]:
            if group["differentiable"]:
                raise RuntimeError("`fused` does not support `differentiable`")
            if group["foreach"]:
                raise RuntimeError("`fused` and `foreach` cannot be `True` together.")
            _warn_without_library()

    def _rule(self, group: dict[str, Any]) -> Rule:
        return self.largest if self.largest is not None and group["amsgrad"] else self.rule

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        if isinstance(param_group, dict):
            given = dict(param_group)
            if given.get("state_dtype") == "8bit":
                param_group["state_dtype"] = torch.uint8
            if "fixed_decay" in given and "decoupled_decay" not in given:
                param_group["decoupled_decay"] = self.defaults["decoupled_decay"] and not given["fixed_decay"]
            if "decoupled_decay" in given and "fixed_decay" not in given:
                param_group["fixed_decay"] = self.defaults["fixed_decay"] and not given["decoupled_decay"]
            self._check(merged := self.defaults | param_group)
            if "rectify" in given:
                param_group["rectify"] = merged["rectify"]
        super().add_param_group(param_group)
        try:
            self._check_params(self.param_groups[-1])
        except RuntimeError:
            self.param_groups.pop()
            raise
        self._fused = None

    def _check_params(self, group: dict[str, Any]) -> None:
        if self._rule(group).norms and any(getattr(param, "_fsdp_flattened", False) for param in group["params"]):
            name = type(self).__name__
            raise RuntimeError(
                f"{name} takes norms of whole tensors, and FullyShardedDataParallel shows it parts; use fully_shard"
            )
        if group["fused"]:
            for param in group["params"]:
                if reason := _path.not_native(self._rule(group), param):
                    raise RuntimeError(f"`fused=True` requires dense weights in the CPU's memory, but one is {reason}")
            self._step_supports_amp_scaling = True

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Of pickle, deepcopy and load_state_dict."""
        groups = [dict(group) for group in getattr(self, "param_groups", [])]  # those that a loaded dict replaces
        super().__setstate__(state)
        _checkpoint.settle(self, groups)
        for group in self.param_groups:
            self._check(group)
            if group["fused"]:
                self._step_supports_amp_scaling = True
        self._fused = None

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """What state_dict() gave, of this class or of adabelief-pytorch, timm and torch's optimizers with the same
        states. States keep their type. Options that the other side does not have stay as they are here. A warning says
        so where a state is made of another; ValueError, and nothing has changed, where one is missing or not of its
        weight's shape, or where the options contradict each other.
        """
        with _checkpoint.wrapped(self):
            super().load_state_dict(state_dict)

    @overload
    def step(self, closure: None = None) -> None: ...

    @overload
    def step(self, closure: Callable[[], float]) -> float: ...

    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """One step, after `closure`, where given, has computed the gradients; returns its loss."""
        loss = None
        before = torch.is_grad_enabled()
        torch.set_grad_enabled(self.defaults["differentiable"])
        try:
            if closure is not None:
                with torch.enable_grad():
                    loss = closure()
            self._step()
        finally:
            torch.set_grad_enabled(before)
        return loss

    def _step(self) -> None:
        found_inf, grad_scale = getattr(self, "found_inf", None), getattr(self, "grad_scale", None)  # of a GradScaler
        if found_inf is not None and float(found_inf) > 0:
            return
        scale = 1.0 if grad_scale is None else 1 / float(grad_scale)
        if torch.compiler.is_compiling():
            for group in self.param_groups:
                _path.step(self, group, group["params"], scale)
            return
        if self._fused is None or not all(fused.fits(self) for fused in self._fused):
            self._prepare()
        assert self._fused is not None
        for fused in self._fused:
            fused.step(scale)
        for group, params in self._others:
            _path.step(self, group, params, scale)

    def _prepare(self) -> None:
        """Sorts the weights by their paths."""
        self._fused = None  # where one of them is refused, too
        library = _native.load()
        native: dict[tuple[Any, ...], list[tuple[dict[str, Any], Tensor]]] = {}
        self._others: list[tuple[dict[str, Any], list[Tensor]]] = []
        for group in self.param_groups:
            rule, others = self._rule(group), []
            unsaid = group["fused"] is None and group["foreach"] is None
            asked = group["fused"] or (unsaid and not group["capturable"])
            asked = asked and bool(library) and not group["differentiable"]
            for param in group["params"]:
                if asked and not _path.not_native(rule, param):
                    kept = group["state_dtype"]
                    if kept is torch.uint8 and _path.is_dtensor(param):
                        kept = None  # blocks of 8 bits are not a part of a whole tensor's
                    key = rule.name, group["maximize"], kept
                    native.setdefault(key, []).append((group, param))
                else:
                    others.append(param)
            if others:
                self._others.append((group, others))
        self._fused = [Fused(self, library, self._rule(all[0][0]), key[-1], all) for key, all in native.items()]
        for fused in self._fused:
            fused.remember(self)
            fused.fits(self)

    def _effective_eps(self, group: dict[str, Any]) -> float | None:
        rule = self._rule(group)
        if rule.norms:
            return None
        return _effective_eps(rule, tuple(_path.values(rule, group)))

    def __repr__(self) -> str:
        text = self.__class__.__name__ + " ("
        for i, group in enumerate(self.param_groups):
            shown: dict[str, Any] = {name: group[name] for name in sorted(group) if name != "params"}
            eps = self._effective_eps(group)
            if eps is not None:
                shown["effective eps"] = f"{eps:.3g}" if eps > 1e-100 else "0"
            text += f"\nParameter Group {i}\n" + "".join(f"    {name}: {shown[name]}\n" for name in sorted(shown))
        return text + ")"


@functools.cache
def _warn_without_library() -> None:
    library = _native.load()
    if not library:
        warnings.warn(f"`fused=True`: the steps run by torch's operations, since {library.reason}", stacklevel=4)


@functools.lru_cache
def _effective_eps(rule: Rule, values: tuple[float, ...]) -> float:
    """The floor of what a step divides by, measured as the core does (adabelief/advise.h)."""
    library = _native.load()
    if library:
        return library.effective_eps(rule.name, values)
    options = {option.name: value for option, value in zip(rule.options, values, strict=False)}
    for option in rule.options:
        if option.choices:
            options[option.name] = option.choices[int(options[option.name])]
    scalars = rule.scalars(1e6, **(options | {"lr": 1.0}))
    faint, moved, states = 1e-150, 0.0, [0.0] * len(rule.states)
    for n in range(1, 1_000_001):
        x, *states = rule.update(scalars, 0.0, faint, *states)
        if n % 1000 == 0:
            before, moved = moved, -x
            if abs(moved - before) <= 1e-13 * abs(moved):
                break
    return faint / moved if moved else float("inf")
