# SPDX-License-Identifier: MIT
"""The C interface of the core (adabelief/c.h) through ctypes. Knows addresses and numbers, nothing of torch."""

from __future__ import annotations

import ctypes
import enum
import functools
import math
import os
import pathlib
import struct
from collections.abc import Sequence
from ctypes import POINTER, byref, c_char_p, c_double, c_int32, c_int64, c_size_t, c_uint64, c_void_p
from dataclasses import dataclass

ABI = 1
MAX_STATES = 4


class Type(enum.IntEnum):
    """Element types of weights and gradients."""

    FLOAT32, FLOAT64, BFLOAT16, FLOAT16 = range(4)


class StateType(enum.IntEnum):
    """How states are kept: as what is computed in, in bfloat16, or in 8 bits."""

    FULL, BFLOAT16, BITS8 = range(3)


class Rounding(enum.IntEnum):
    """How weights of bfloat16 and float16 are rounded."""

    NEAREST, STOCHASTIC, EXACT = range(3)


@dataclass(frozen=True)
class Option:
    """An option of a rule: a number in a range, a bool (0 and 1), or one of `choices`, counted from 0."""

    name: str
    meaning: str
    value: float  # the default
    low: float
    high: float
    holds_low: bool
    holds_high: bool
    is_bool: bool
    choices: tuple[str, ...]


@dataclass(frozen=True)
class Preset:
    """A named set of the values of all options."""

    name: str
    meaning: str
    values: tuple[float, ...]


@dataclass(frozen=True)
class Rule:
    """An optimizer's rule. Options are its own, then weight_decay and decay."""

    name: str
    summary: str
    source: str
    options: tuple[Option, ...]
    states: tuple[str, ...]
    norms: tuple[str, ...]
    presets: tuple[Preset, ...]


class _Option(ctypes.Structure):
    _fields_ = [
        ("name", c_char_p), ("meaning", c_char_p), ("value", c_double), ("low", c_double), ("high", c_double),
        ("holds_low", c_int32), ("holds_high", c_int32), ("is_bool", c_int32),
        ("choices", c_size_t), ("choice_names", POINTER(c_char_p)),
    ]  # fmt: skip


class _Preset(ctypes.Structure):
    _fields_ = [("name", c_char_p), ("meaning", c_char_p), ("values", POINTER(c_double))]


class _Rule(ctypes.Structure):
    _fields_ = [
        ("name", c_char_p), ("summary", c_char_p), ("source", c_char_p),
        ("options", c_size_t), ("option_list", POINTER(_Option)),
        ("states", c_size_t), ("state_names", POINTER(c_char_p)),
        ("norms", c_size_t), ("norm_names", POINTER(c_char_p)),
        ("presets", c_size_t), ("preset_list", POINTER(_Preset)),
    ]  # fmt: skip


class _Storage(ctypes.Structure):
    _fields_ = [("states", c_int32), ("weights", c_int32), ("seed", c_uint64)]


class _Tensor(ctypes.Structure):
    _fields_ = [
        ("weights", c_void_p), ("n", c_size_t), ("type", c_int32), ("gradient_type", c_int32), ("group", c_size_t),
        ("states", c_void_p * MAX_STATES), ("rest", c_void_p), ("steps", c_void_p), ("steps_type", c_int32),
    ]  # fmt: skip


class _Fold(ctypes.Structure):
    _fields_ = [
        ("scale", c_double), ("skip_nonfinite", c_int32), ("max_norm", c_double), ("max_value", c_double),
        ("zero_gradients", c_int32),
    ]  # fmt: skip


_STATUS, _OPTIMIZER = c_int32, c_void_p
_FUNCTIONS: dict[str, tuple[object, list[object]]] = {
    "abi": (c_int32, []),
    "version": (c_char_p, []),
    "message": (c_char_p, []),
    "rules": (POINTER(POINTER(_Rule)), [POINTER(c_size_t)]),
    "effective_eps": (_STATUS, [c_char_p, POINTER(c_double), c_size_t, POINTER(c_double)]),
    "create": (_OPTIMIZER, [c_char_p, c_void_p, c_size_t, POINTER(_Storage)]),
    "destroy": (None, [_OPTIMIZER]),
    "add_group": (_STATUS, [_OPTIMIZER, c_void_p, c_size_t, POINTER(c_size_t)]),
    "state_form": (_STATUS, [c_int32, c_int32, c_size_t, POINTER(c_int32), POINTER(c_size_t)]),
    "add": (_STATUS, [_OPTIMIZER, POINTER(_Tensor)]),
    "step": (_STATUS, [_OPTIMIZER, c_void_p, c_size_t]),
    "set_fold": (_STATUS, [_OPTIMIZER, POINTER(_Fold)]),
    "folded": (_STATUS, [_OPTIMIZER, POINTER(c_double), POINTER(c_int64)]),
    "set_values": (_STATUS, [_OPTIMIZER, c_size_t, POINTER(c_double), c_size_t]),
    "get_state": (_STATUS, [_OPTIMIZER, c_size_t, c_char_p, c_void_p, c_size_t, c_int32]),
    "set_state": (_STATUS, [_OPTIMIZER, c_size_t, c_char_p, c_void_p, c_size_t, c_int32]),
    "set_threads": (_STATUS, [_OPTIMIZER, c_int32]),
    "isa": (c_char_p, []),
    "use_isa": (_STATUS, [c_char_p]),
}


def _doubles(values: Sequence[float]) -> ctypes.Array[c_double]:
    return (c_double * len(values))(*values)


class Library:
    """The loaded library. Errors of the library's are ValueError, or OSError where a file is at fault."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Loads it. Raises OSError where it cannot be loaded, or is of another ABI."""
        self.path = os.fspath(path)
        handle = ctypes.CDLL(self.path)
        try:
            for name, (result, arguments) in _FUNCTIONS.items():
                function = getattr(handle, "adabelief_" + name)
                function.restype, function.argtypes = result, arguments
                setattr(self, "_" + name, function)
        except AttributeError as error:
            raise OSError(f"{self.path}: {error}") from None
        if self._abi() != ABI:
            raise OSError(f"{self.path} has version {self._abi()} of the C interface, the Python files have {ABI}")
        self.version: str = self._version().decode()

    def check(self, status: int) -> None:
        """Raises what a status of the C interface says, with the library's message."""
        if status == 0:
            return
        kind = {1: ValueError, 2: OSError, 3: MemoryError}.get(status, RuntimeError)
        raise kind(self._message().decode())

    @functools.cached_property
    def rules(self) -> dict[str, Rule]:
        """Every rule, by name."""
        count = c_size_t()
        found = self._rules(byref(count))
        return {rule.name: rule for rule in (_rule(found[i].contents) for i in range(count.value))}

    def effective_eps(self, rule: str, values: Sequence[float]) -> float:
        """The floor of what a step divides by, under options of these values, in the order of the rule's options."""
        eps = c_double()
        self.check(self._effective_eps(rule.encode(), _doubles(values), len(values), byref(eps)))
        return eps.value

    def state_form(self, states: StateType, type: Type, n: int) -> tuple[StateType, int]:
        """How each state of n weights of a type is kept where `states` is asked for, and its bytes. FULL is float64 for
        float64 weights and float32 for all others; 8-bit states are full below 4,096 weights."""
        state, size = c_int32(), c_size_t()
        self.check(self._state_form(states, type, n, byref(state), byref(size)))
        return StateType(state.value), size.value

    def plan(
        self,
        rule: str,
        *,
        states: StateType = StateType.FULL,
        weights: Rounding = Rounding.NEAREST,
        seed: int = 0,
    ) -> Plan:
        """A plan with one group of the rule's default options, number 0, and no tensor."""
        return Plan(self, rule, states, weights, seed)

    @property
    def isa(self) -> str:
        """The instruction set in use: baseline, avx2 or avx512. All give the same bits."""
        name = self._isa()
        if name is None:
            raise ValueError(self._message().decode())
        return name.decode()

    def use_isa(self, name: str) -> None:
        self.check(self._use_isa(name.encode()))


class Plan:
    """A prepared step over memory of the caller's: weights, states and step counts at fixed addresses, gradients at
    addresses given in each step. The caller keeps all of it alive, and makes a new plan where an address changes.

    Random bits of stochastic rounding depend on the seed, the tensor's number in the plan, its step and the element.
    """

    def __init__(self, library: Library, rule: str, states: StateType, weights: Rounding, seed: int) -> None:
        self.library = library
        self.tensors = 0
        self.groups = 1
        self._step = library._step
        storage = _Storage(states, weights, seed)
        self._handle = library._create(rule.encode(), None, 0, byref(storage))
        if not self._handle:
            library.check(1)
        self._pack = struct.Struct("0P").pack_into
        self._gradients = ctypes.create_string_buffer(1)

    def __del__(self) -> None:
        if getattr(self, "_handle", None):
            self.library._destroy(self._handle)
            self._handle = None

    def add_group(self) -> int:
        """Adds a group with the rule's default options; returns its number."""
        self.library.check(self.library._add_group(self._handle, None, 0, None))
        self.groups += 1
        return self.groups - 1

    def set_values(self, values: Sequence[float], group: int = 0) -> None:
        """Sets all options of a group, in the order of Rule.options (its own, then weight_decay and decay)."""
        self.library.check(self.library._set_values(self._handle, group, _doubles(values), len(values)))

    def add(
        self,
        weights: int,
        n: int,
        type: Type,
        states: Sequence[int],
        steps: int,
        *,
        steps_type: Type = Type.FLOAT32,
        gradient_type: Type | None = None,
        rest: int = 0,
        group: int = 0,
    ) -> int:
        """Adds a tensor of n contiguous elements; returns its number.

        `weights`, `states` (one for each of Rule.states, of the bytes that Library.state_form says) and `steps` (one
        float32 or float64, as torch's state["step"]) are addresses; the states start as zeros or as an earlier plan left
        them. Each step reads `steps` first and leaves it one higher. `rest`: n int16 where 16-bit weights are rounded
        exactly. `gradient_type`: where not the weights'.
        """
        tensor = _Tensor(
            weights, n, type, type if gradient_type is None else gradient_type, group,
            (c_void_p * MAX_STATES)(*states), rest, steps, steps_type,
        )  # fmt: skip
        self.library.check(self.library._add(self._handle, byref(tensor)))
        self.tensors += 1
        self._pack = struct.Struct(f"{self.tensors}P").pack_into
        self._gradients = ctypes.create_string_buffer(struct.calcsize("P") * self.tensors)
        return self.tensors - 1

    def set_fold(
        self,
        scale: float = 1,
        skip_nonfinite: bool = False,
        max_norm: float = math.inf,
        max_value: float = math.inf,
        zero_gradients: bool = False,
    ) -> None:
        """What later steps do to their gradients, in this order: see adabelief/fold.h. A negative scale maximizes."""
        fold = _Fold(scale, skip_nonfinite, max_norm, max_value, zero_gradients)
        self.library.check(self.library._set_fold(self._handle, byref(fold)))

    def set_threads(self, most: int) -> None:
        """Steps run on at most so many threads; 0, as at first: on as many as OpenMP has, which torch.set_num_threads
        sets."""
        self.library.check(self.library._set_threads(self._handle, most))

    def step(self, gradients: Sequence[int]) -> None:
        """One step: the addresses of the gradients of all tensors, contiguous, in the order in which these were added;
        0 where a tensor has none and is left as it is. (data_ptr() of a tensor without elements is 0 too.)"""
        self._pack(self._gradients, 0, *gradients)
        status = self._step(self._handle, self._gradients, self.tensors)
        if status:
            self.library.check(status)

    @property
    def norm(self) -> float:
        """Of all gradients in the last step, after scale and before max_norm; nan where the fold asked for none."""
        return self._folded()[0]

    @property
    def skipped(self) -> int:
        """Steps that skip_nonfinite has left out."""
        return self._folded()[1]

    def _folded(self) -> tuple[float, int]:
        norm, skipped = c_double(), c_int64()
        self.library.check(self.library._folded(self._handle, byref(norm), byref(skipped)))
        return norm.value, skipped.value

    def read_state(self, tensor: int, name: str, to: int, n: int, type: Type = Type.FLOAT32) -> None:
        """Writes the n numbers of a state, however they are kept, as float32 or float64 to an address."""
        self.library.check(self.library._get_state(self._handle, tensor, name.encode(), to, n, type))

    def write_state(self, tensor: int, name: str, from_: int, n: int, type: Type = Type.FLOAT32) -> None:
        """Keeps n numbers, float32 or float64 at an address, as a state in the form that it has."""
        self.library.check(self.library._set_state(self._handle, tensor, name.encode(), from_, n, type))


@dataclass(frozen=True)
class Failure:
    """Why there is no library. False, so that `if library:` asks whether there is one."""

    reason: str

    def __bool__(self) -> bool:
        return False


@functools.cache
def load() -> Library | Failure:
    """The library beside this file, or the one that the environment's ADABELIEF_LIBRARY names; a Failure where it is
    missing or cannot be loaded. torch is to be imported first: steps then run on the threads of its OpenMP."""
    path = os.environ.get("ADABELIEF_LIBRARY") or pathlib.Path(__file__).with_name("libadabelief_c.so")
    try:
        return Library(path)
    except OSError as error:
        return Failure(str(error))


def _rule(rule: _Rule) -> Rule:
    def texts(count: int, names: object) -> tuple[str, ...]:
        return tuple(names[i].decode() for i in range(count))

    options = tuple(
        Option(
            o.name.decode(), o.meaning.decode(), o.value, o.low, o.high,
            bool(o.holds_low), bool(o.holds_high), bool(o.is_bool), texts(o.choices, o.choice_names),
        )
        for o in (rule.option_list[i] for i in range(rule.options))
    )  # fmt: skip
    presets = tuple(
        Preset(p.name.decode(), p.meaning.decode(), tuple(p.values[: len(options)]))
        for p in (rule.preset_list[i] for i in range(rule.presets))
    )
    return Rule(
        rule.name.decode(), rule.summary.decode(), rule.source.decode(), options,
        texts(rule.states, rule.state_names), texts(rule.norms, rule.norm_names), presets,
    )  # fmt: skip
