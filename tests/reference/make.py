# SPDX-License-Identifier: MIT
"""Writes the reference trajectories: each rule run by implementations that share no code with this project.

python make.py              write problems.json and one file a rule
python make.py adam sgd     write problems.json and the files of these rules
python make.py --check      run everything again and compare with the files; write nothing

Every trajectory is also held against the rule's formula, written once more below and run in NumPy's long double; a
file is written only if all of its cases agree with it to a tenth of their tolerance. A new rule is its defaults, its
presets, its formula, the functions that build it in other libraries, and its cases.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import inspect
import io
import json
import os
import sys
import types
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, partial
from importlib import metadata
from pathlib import Path
from typing import Any

import adabelief as adabelief_slim
import adabound as adabound_package
import jax
import lion_pytorch
import numpy as np
import optax
import pytorch_optimizer
import torch
import torch_optimizer
from adabelief_pytorch import AdaBelief

FOLDER = Path(__file__).parent
WEIGHTS = 8
STEPS = 1001
STORED = [*range(1, 11), 100, 300, 600, STEPS - 1, STEPS]
TOLERANCE = 1e-12

Options = dict[str, Any]
Step = Callable[[int, np.ndarray, np.ndarray], np.ndarray]  # x after step t, from t, x and the gradient at x

# The tests regenerate the gradients from this, bit for bit, so that none are stored.
RECIPE = [
    "z = output number 8 t + i of SplitMix64 with seed 0, for step t = 1, 2, ... and weight i = 0 ... 7, that is, in",
    "uint64 arithmetic: z = (8 t + i) * 0x9E3779B97F4A7C15; z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;",
    "z = (z ^ z >> 27) * 0x94D049BB133111EB; z = z ^ z >> 31.",
    "u = (int64(z >> 11) - 2^52) * 2^-52, exact and in [-1, 1).",
    "mean = -problem.mean[i] if problem.flip and t is even, else problem.mean[i].",
    "g = 0 if z & problem.zeros, else problem.curvature[i] * (x - problem.target[i]) + (mean + problem.spread * u),",
    "in double. curvature and spread are 0 or powers of two, so that fused and separate operations give the same bits.",
]


@dataclass(frozen=True)
class Problem:
    """Eight weights with the gradients of RECIPE; without curvature these do not depend on the weights."""

    start: list[float]
    mean: list[float]
    spread: float = 0.0
    flip: bool = False
    zeros: int = 0
    curvature: tuple[float, ...] = (0.0,) * WEIGHTS
    target: tuple[float, ...] = (0.0,) * WEIGHTS

    def gradient(self, t: int, x: np.ndarray) -> np.ndarray:
        z = np.array([splitmix64(8 * t + i) for i in range(WEIGHTS)], np.uint64)
        u = ((z >> np.uint64(11)).astype(np.int64) - 2**52) * 2.0**-52
        mean = np.array(self.mean) * (-1 if self.flip and t % 2 == 0 else 1)
        g = np.array(self.curvature) * (x - np.array(self.target)) + (mean + self.spread * u)
        return np.where(z & np.uint64(self.zeros), 0, g)


def splitmix64(n: int) -> int:
    mask = 2**64 - 1
    z = n * 0x9E3779B97F4A7C15 & mask
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & mask
    z = (z ^ z >> 27) * 0x94D049BB133111EB & mask
    return z ^ z >> 31


START = [1.5, -1.25, 1.0, -0.75, 0.5, -0.25, 0.125, 0.0]
NONE = [0.0] * WEIGHTS
MEANS = [-0.1, 0.2, -0.3, 0.4, -0.5, 0.6, -0.7, 0.8]

# The weights keep their signs: after a walk from 1 through 0, what is left of x has few correct digits in anyone's
# arithmetic. huge and tiny: about 1e10 and 1e-10; tiny starts at 0, so that its steps do not vanish in large weights.
PROBLEMS = {
    "noisy": Problem(
        START,
        NONE,
        spread=0.5,
        curvature=(2.0, 1.0, 0.5, 0.25, 2.0, 1.0, 0.5, 0.25),
        target=(0.6, -0.6) * 4,
    ),
    "sparse": Problem(START, NONE, spread=1.0, zeros=7),
    "constant": Problem(START, MEANS),
    "flipping": Problem(START, MEANS, flip=True),
    "huge": Problem(START, NONE, spread=2.0**33),
    "tiny": Problem(NONE, NONE, spread=2.0**-33),
}
ALL = tuple(PROBLEMS)

# This project's options; a case without a preset stores all of them. COMMON's defaults hold where a rule has none of
# its own.
ADAM: Options = {"lr": 1e-3, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8}
BOUNDS: Options = {"final_lr": 0.1, "gamma": 1e-3, "base_lr": 1e-3}
DEFAULTS: dict[str, Options] = {
    "acprop": ADAM | {"eps": 1e-16},
    "adabelief": ADAM | {"accumulate": True, "rectify": "none"},
    "adabound": ADAM | BOUNDS,
    "adam": ADAM,
    "adamw": ADAM | {"weight_decay": 1e-2, "decay": "decoupled"},
    "amsbelief": ADAM | {"rectify": "none", "eps_in_max": False},
    "amsbound": ADAM | BOUNDS,
    "amsgrad": ADAM,
    "eadam": ADAM,
    "fromage": {"lr": 1e-2},
    "lamb": ADAM | {"eps": 1e-6, "lambda": 1e-2},
    "lion": {"lr": 1e-4, "beta1": 0.9, "beta2": 0.99, "decay": "decoupled"},
    "msvag": {"lr": 0.1, "beta": 0.9},
    "nadam": ADAM | {"lr": 2e-3, "momentum_decay": 4e-3},
    "padam": ADAM | {"lr": 0.1, "partial": 0.25},
    "radam": ADAM,
    "rmsprop": {"lr": 1e-2, "alpha": 0.99, "eps": 1e-8, "momentum": 0.0, "centered": False},
    "sgd": {"lr": 0.1, "momentum": 0.9, "dampening": 0.0, "nesterov": False},
    "yogi": ADAM | {"lr": 1e-2, "eps": 1e-3, "initial_accumulator": 0.0},
}
COMMON: Options = {"weight_decay": 0.0, "decay": "coupled"}

# What a preset sets. A case with one stores it and what it changes, and its package is asked for the changes alone: its
# own defaults have to be these.
SINCE_0_1: Options = {"eps": 1e-16, "decay": "decoupled", "rectify": "pytorch-0.2.1"}
TENSORFLOW: Options = {"eps": 1e-14, "decay": "decoupled", "rectify": "tensorflow-0.2.1"}
PRESETS: dict[str, dict[str, Options]] = {
    "adabelief": {
        "paper": {},
        "pytorch-0.0.5": {},
        "pytorch-0.1.0": SINCE_0_1,
        "pytorch-0.2.1": SINCE_0_1,
        "tensorflow-0.2.1": TENSORFLOW,
        "optax": {"eps": 1e-16, "decay": "decoupled"},
        "timm": SINCE_0_1,
        "ensmallen": {"eps": 1e-12},
        "slim": {"accumulate": False, "decay": "decoupled"},
    },
    "amsbelief": {
        "pytorch-0.0.5": {"eps_in_max": True},
        "pytorch-0.1.0": SINCE_0_1 | {"eps_in_max": True},
        "pytorch-0.2.1": SINCE_0_1,
        "tensorflow-0.2.1": TENSORFLOW,
        "timm": SINCE_0_1,
    },
    "yogi": {"torch_optimizer": {"initial_accumulator": 1e-6}},
}


def believed(o: Options, t: int, m, s, largest):
    """The step by the belief, for a rate of 1; largest is s, or its maximum so far."""
    kind, power = o["rectify"], o["beta2"] ** t
    m_hat = m / (1 - o["beta1"] ** t)
    step = m_hat / (np.sqrt(largest / (1 - power)) + o["eps"])
    if kind == "none":
        return step
    most = 2 / (1 - o["beta2"]) - 1
    rho = most - 2 * t * power / (1 - power)
    if not (rho > 4 if kind == "pytorch-0.0.5" else rho >= 5):
        return m if kind == "pytorch-0.0.5" else m_hat
    r = np.sqrt((rho - 4) * (rho - 2) * most / ((most - 4) * (most - 2) * rho))
    if kind == "pytorch-0.2.1":
        return r * np.sqrt(1 - power) * m_hat / (np.sqrt(s) + o["eps"])
    return r * step


def adabelief(o: Options, t: int, x, g, m=0, s=0):
    m = o["beta1"] * m + (1 - o["beta1"]) * g
    s = o["beta2"] * s + (1 - o["beta2"]) * (g - m) ** 2 + (o["eps"] if o["accumulate"] else 0)
    return x - o["lr"] * believed(o, t, m, s, s), m, s


def amsbelief(o: Options, t: int, x, g, m=0, s=0, largest=0):
    m = o["beta1"] * m + (1 - o["beta1"]) * g
    s = o["beta2"] * s + (1 - o["beta2"]) * (g - m) ** 2 + (0 if o["eps_in_max"] else o["eps"])
    largest = np.maximum(largest, s) + (o["eps"] if o["eps_in_max"] else 0)
    return x - o["lr"] * believed(o, t, m, s, largest), m, s, largest


def adam(o: Options, t: int, x, g, m=0, v=0):
    m = o["beta1"] * m + (1 - o["beta1"]) * g
    v = o["beta2"] * v + (1 - o["beta2"]) * g**2
    m_hat, v_hat = m / (1 - o["beta1"] ** t), v / (1 - o["beta2"] ** t)
    return x - o["lr"] * m_hat / (np.sqrt(v_hat) + o["eps"]), m, v


def amsgrad(o: Options, t: int, x, g, m=0, v=0, largest=0):
    m = o["beta1"] * m + (1 - o["beta1"]) * g
    v = o["beta2"] * v + (1 - o["beta2"]) * g**2
    largest = np.maximum(largest, v)
    m_hat, largest_hat = m / (1 - o["beta1"] ** t), largest / (1 - o["beta2"] ** t)
    return x - o["lr"] * m_hat / (np.sqrt(largest_hat) + o["eps"]), m, v, largest


def sgd(o: Options, t: int, x, g, b=0):
    b = o["momentum"] * b + (1 if t == 1 or o["momentum"] == 0 else 1 - o["dampening"]) * g
    return x - o["lr"] * (g + o["momentum"] * b if o["nesterov"] else b), b


def acprop(o: Options, t: int, x, g, m=0, s=0):
    denominator = np.sqrt(s / (1 - o["beta2"] ** (t - 1))) if t > 1 else 1
    x = x - o["lr"] * g / (denominator + o["eps"])
    m = o["beta1"] * m + (1 - o["beta1"]) * g
    return x, m, o["beta2"] * s + (1 - o["beta2"]) * (g - m) ** 2 + o["eps"]


def bounded(o: Options, t: int, x, m, v):
    rate = o["lr"] * np.sqrt(1 - o["beta2"] ** t) / (1 - o["beta1"] ** t) / (np.sqrt(v) + o["eps"])
    last = o["final_lr"] * o["lr"] / o["base_lr"]
    return x - np.clip(rate, last * (1 - 1 / (o["gamma"] * t + 1)), last * (1 + 1 / (o["gamma"] * t))) * m


def adabound(o: Options, t: int, x, g, m=0, v=0):
    m = o["beta1"] * m + (1 - o["beta1"]) * g
    v = o["beta2"] * v + (1 - o["beta2"]) * g**2
    return bounded(o, t, x, m, v), m, v


def amsbound(o: Options, t: int, x, g, m=0, v=0, largest=0):
    m = o["beta1"] * m + (1 - o["beta1"]) * g
    v = o["beta2"] * v + (1 - o["beta2"]) * g**2
    largest = np.maximum(largest, v)
    return bounded(o, t, x, m, largest), m, v, largest


def eadam(o: Options, t: int, x, g, m=0, v=0):
    m = o["beta1"] * m + (1 - o["beta1"]) * g
    v = o["beta2"] * v + (1 - o["beta2"]) * g**2 + o["eps"]
    m_hat, v_hat = m / (1 - o["beta1"] ** t), v / (1 - o["beta2"] ** t)
    return x - o["lr"] * m_hat / np.sqrt(v_hat), m, v


def norms_ratio(x, y):
    """|x| / |y|, and 1 where one of them is 0."""
    a, b = np.sqrt((x**2).sum()), np.sqrt((y**2).sum())
    return a / b if a > 0 and b > 0 else 1


def fromage(o: Options, t: int, x, g):
    return ((x - o["lr"] * norms_ratio(x, g) * g) / np.sqrt(1 + o["lr"] ** 2),)


def lamb(o: Options, t: int, x, g, m=0, v=0):
    m = o["beta1"] * m + (1 - o["beta1"]) * g
    v = o["beta2"] * v + (1 - o["beta2"]) * g**2
    m_hat, v_hat = m / (1 - o["beta1"] ** t), v / (1 - o["beta2"] ** t)
    u = m_hat / (np.sqrt(v_hat) + o["eps"]) + o["lambda"] * x
    return x - o["lr"] * norms_ratio(x, u) * u, m, v


def lion(o: Options, t: int, x, g, m=0):
    x = x - o["lr"] * np.sign(o["beta1"] * m + (1 - o["beta1"]) * g)
    return x, o["beta2"] * m + (1 - o["beta2"]) * g


def msvag(o: Options, t: int, x, g, m=0, v=0):
    m = o["beta"] * m + (1 - o["beta"]) * g
    v = o["beta"] * v + (1 - o["beta"]) * g**2
    power = o["beta"] ** t
    m_hat, v_hat = m / (1 - power), v / (1 - power)
    factor = np.ones_like(m)
    if t > 1:
        rho = (1 - o["beta"]) * (1 + power) / ((1 + o["beta"]) * (1 - power))
        factor = m_hat**2 + rho * (v_hat - m_hat**2) / (1 - rho)
        factor = np.divide(m_hat**2, factor, out=np.zeros_like(m), where=factor != 0)
    return x - o["lr"] * factor * m_hat, m, v


def nadam(o: Options, t: int, x, g, m=0, v=0, product=1):
    mu, following = (o["beta1"] * (1 - np.longdouble(0.96) ** (i * o["momentum_decay"]) / 2) for i in (t, t + 1))
    product = product * mu
    m = o["beta1"] * m + (1 - o["beta1"]) * g
    v = o["beta2"] * v + (1 - o["beta2"]) * g**2
    m_hat = following * m / (1 - product * following) + (1 - mu) * g / (1 - product)
    return x - o["lr"] * m_hat / (np.sqrt(v / (1 - o["beta2"] ** t)) + o["eps"]), m, v, product


def padam(o: Options, t: int, x, g, m=0, v=0, largest=0):
    m = o["beta1"] * m + (1 - o["beta1"]) * g
    v = o["beta2"] * v + (1 - o["beta2"]) * g**2
    largest = np.maximum(largest, v)
    step = o["lr"] * np.sqrt(1 - o["beta2"] ** t) / (1 - o["beta1"] ** t)
    return x - step * m / (np.sqrt(largest) + o["eps"]) ** (2 * o["partial"]), m, v, largest


def radam(o: Options, t: int, x, g, m=0, v=0):
    m = o["beta1"] * m + (1 - o["beta1"]) * g
    v = o["beta2"] * v + (1 - o["beta2"]) * g**2
    m_hat = m / (1 - o["beta1"] ** t)
    power, most = o["beta2"] ** t, 2 / (1 - o["beta2"]) - 1
    rho = most - 2 * t * power / (1 - power)
    if rho <= 5:
        return x - o["lr"] * m_hat, m, v
    r = np.sqrt((rho - 4) * (rho - 2) * most / ((most - 4) * (most - 2) * rho))
    return x - o["lr"] * r * m_hat * np.sqrt(1 - power) / (np.sqrt(v) + o["eps"]), m, v


def rmsprop(o: Options, t: int, x, g, v=0, m=0, b=0):
    v = o["alpha"] * v + (1 - o["alpha"]) * g**2
    m = o["alpha"] * m + (1 - o["alpha"]) * g
    b = o["momentum"] * b + g / (np.sqrt(v - m**2 if o["centered"] else v) + o["eps"])
    return x - o["lr"] * b, v, m, b


def yogi(o: Options, t: int, x, g, m=None, v=None):
    m, v = (o["initial_accumulator"], o["initial_accumulator"]) if m is None else (m, v)
    m = o["beta1"] * m + (1 - o["beta1"]) * g
    v = v - (1 - o["beta2"]) * np.sign(v - g**2) * g**2
    m_hat, v_hat = m / (1 - o["beta1"] ** t), v / (1 - o["beta2"] ** t)
    return x - o["lr"] * m_hat / (np.sqrt(v_hat) + o["eps"]), m, v


FORMULAS = {
    "acprop": acprop,
    "adabelief": adabelief,
    "adabound": adabound,
    "adam": adam,
    "adamw": adam,
    "amsbelief": amsbelief,
    "amsbound": amsbound,
    "amsgrad": amsgrad,
    "eadam": eadam,
    "fromage": fromage,
    "lamb": lamb,
    "lion": lion,
    "msvag": msvag,
    "nadam": nadam,
    "padam": padam,
    "radam": radam,
    "rmsprop": rmsprop,
    "sgd": sgd,
    "yogi": yogi,
}


def decayed(o: Options, x, g):
    """x and g after weight decay, which comes before every rule."""
    if o["decay"] == "coupled":
        return x, g + o["weight_decay"] * x
    return x * (1 - o["weight_decay"] * (o["lr"] if o["decay"] == "decoupled" else 1)), g


def formula(rule: str, options: Options) -> Step:
    o = {name: np.longdouble(value) if isinstance(value, float) else value for name, value in options.items()}
    state: tuple = ()

    def step(t: int, x: np.ndarray, g: np.ndarray) -> np.ndarray:
        nonlocal state
        x, g = decayed(o, x, g)
        x, *state = FORMULAS[rule](o, t, x, g, *state)
        return x

    return step


def betas(o: Options) -> tuple[float, float]:
    return o["beta1"], o["beta2"]


def torch_adam(o: Options, weights: list) -> torch.optim.Optimizer:
    kind = torch.optim.AdamW if o["decay"] == "decoupled" else torch.optim.Adam
    return kind(weights, o["lr"], betas(o), o["eps"], o["weight_decay"])


def torch_amsgrad(o: Options, weights: list) -> torch.optim.Optimizer:
    kind = torch.optim.AdamW if o["decay"] == "decoupled" else torch.optim.Adam
    return kind(weights, o["lr"], betas(o), o["eps"], o["weight_decay"], amsgrad=True)


def torch_sgd(o: Options, weights: list) -> torch.optim.Optimizer:
    return torch.optim.SGD(weights, o["lr"], o["momentum"], o["dampening"], o["weight_decay"], nesterov=o["nesterov"])


def named(o: Options, *names: str) -> Options:
    """Those of these options that o has, as the packages for PyTorch call them."""
    both = {"betas": (o.get("beta1", 0.9), o.get("beta2", 0.999))} if "beta1" in o or "beta2" in o else {}
    return {name: o[name] for name in names if name in o} | both


def torch_belief(load: Callable, decoupled: str, o: Options, weights: list, **more: Any) -> torch.optim.Optimizer:
    """Any AdaBelief for PyTorch, which calls its decoupled decay so."""
    kwargs = named(o, "lr", "eps", "weight_decay") | more
    if "rectify" in o:
        kwargs["rectify"] = o["rectify"] != "none"
    if "decay" in o:
        kwargs[decoupled] = o["decay"] != "coupled"
    if o.get("decay") == "fixed":
        kwargs["fixed_decay"] = True
    with contextlib.redirect_stdout(io.StringIO()):  # they print, some even without their change log
        return load()(weights, **kwargs)


@cache
def old_adabelief(version: str) -> type:
    """AdaBelief of an adabelief-pytorch that is installed beside the newest, as README.md tells."""
    folder = Path(sys.prefix) / f"adabelief-pytorch-{version}"
    if version not in (found.version for found in metadata.distributions(path=[str(folder)])):
        sys.exit(f"no adabelief-pytorch {version} in {folder}; install it there as README.md tells")
    path = folder / "adabelief_pytorch" / "AdaBelief.py"
    spec = importlib.util.spec_from_file_location(f"adabelief_pytorch_{version}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.AdaBelief


@cache
def timm_optim(name: str) -> Any:
    """The module timm.optim.NAME alone, since timm as a whole wants torchvision and more."""
    package = types.ModuleType("timm_optim")
    package.__path__ = [str(metadata.distribution("timm").locate_file("timm/optim"))]
    sys.modules["timm_optim"] = package
    return importlib.import_module(f"timm_optim.{name}")


def timm_lamb(o: Options, weights: list) -> torch.optim.Optimizer:
    kwargs = {"weight_decay": o["lambda"], "max_grad_norm": None, "always_adapt": True}
    return timm_optim("lamb").Lamb(weights, o["lr"], betas=betas(o), eps=o["eps"], **kwargs)


def torch_nadam(o: Options, weights: list) -> torch.optim.Optimizer:
    more = {"momentum_decay": o["momentum_decay"], "decoupled_weight_decay": o["decay"] == "decoupled"}
    return torch.optim.NAdam(weights, o["lr"], betas(o), o["eps"], o["weight_decay"], **more)


def torch_radam(o: Options, weights: list) -> torch.optim.Optimizer:
    decoupled = o["decay"] == "decoupled"
    return torch.optim.RAdam(weights, o["lr"], betas(o), o["eps"], o["weight_decay"], decoupled_weight_decay=decoupled)


def torch_rmsprop(o: Options, weights: list) -> torch.optim.Optimizer:
    return torch.optim.RMSprop(
        weights, o["lr"], o["alpha"], o["eps"], o["weight_decay"], o["momentum"], centered=o["centered"]
    )


def bounds(package: Any, o: Options, weights: list, **more: Any) -> torch.optim.Optimizer:
    """Made with base_lr, then set to lr, as a schedule does."""
    kwargs = {"final_lr": o["final_lr"], "betas": betas(o), "gamma": o["gamma"], "eps": o["eps"], **more}
    optimizer = package.AdaBound(weights, lr=o["base_lr"], weight_decay=o["weight_decay"], **kwargs)
    optimizer.param_groups[0]["lr"] = o["lr"]
    return optimizer


def adabound_adabound(o: Options, weights: list) -> torch.optim.Optimizer:
    return bounds(adabound_package, o, weights)


def adabound_amsbound(o: Options, weights: list) -> torch.optim.Optimizer:
    return bounds(adabound_package, o, weights, amsbound=True)


def decay_kind(o: Options) -> Options:
    return {"weight_decouple": o["decay"] != "coupled", "fixed_decay": o["decay"] == "fixed"}


def pytorch_optimizer_adabound(o: Options, weights: list) -> torch.optim.Optimizer:
    return bounds(pytorch_optimizer, o, weights, **decay_kind(o))


def pytorch_optimizer_amsbound(o: Options, weights: list) -> torch.optim.Optimizer:
    return bounds(pytorch_optimizer, o, weights, ams_bound=True, **decay_kind(o))


def pytorch_optimizer_msvag(o: Options, weights: list) -> torch.optim.Optimizer:
    return pytorch_optimizer.MSVAG(weights, o["lr"], o["beta"])


def pytorch_optimizer_lion(o: Options, weights: list) -> torch.optim.Optimizer:
    return pytorch_optimizer.Lion(weights, o["lr"], betas(o), o["weight_decay"], **decay_kind(o))


def pytorch_optimizer_padam(o: Options, weights: list) -> torch.optim.Optimizer:
    kwargs = {"partial": o["partial"], "weight_decay": o["weight_decay"], "eps": o["eps"], **decay_kind(o)}
    return pytorch_optimizer.load_optimizer("padam")(weights, o["lr"], betas(o), **kwargs)


def pytorch_optimizer_fromage(o: Options, weights: list) -> torch.optim.Optimizer:
    return pytorch_optimizer.load_optimizer("fromage")(weights, o["lr"])


def lion_pytorch_lion(o: Options, weights: list) -> torch.optim.Optimizer:
    return lion_pytorch.Lion(weights, o["lr"], betas(o), o["weight_decay"])


def torch_optimizer_yogi(o: Options, weights: list) -> torch.optim.Optimizer:
    return torch_optimizer.Yogi(weights, **named(o, "lr", "eps", "initial_accumulator", "weight_decay"))


def optax_acprop(o: Options) -> optax.GradientTransformation:
    """Its spread is around m before the step: 1 / beta1 of ours, so that everything else is to be that much larger."""
    b, eps = o["beta1"], o["eps"]
    return optax.chain(
        optax.contrib.scale_by_acprop(*betas(o), eps=eps / b, eps_root=eps / b**2),
        optax.scale_by_schedule(lambda t: jax.numpy.where(t == 0, (1 + eps / b) / (1 + eps), 1 / b)),
    )


def optax_lion(o: Options) -> optax.GradientTransformation:
    return optax.scale_by_lion(*betas(o))


def optax_radam(o: Options) -> optax.GradientTransformation:
    return optax.scale_by_radam(*betas(o), eps=o["eps"])


def optax_rmsprop(o: Options) -> optax.GradientTransformation:
    scale = optax.scale_by_stddev if o["centered"] else optax.scale_by_rms
    return optax.chain(scale(o["alpha"], o["eps"], eps_in_sqrt=False), optax.trace(o["momentum"]))


def optax_yogi(o: Options) -> optax.GradientTransformation:
    return optax.scale_by_yogi(*betas(o), eps=o["eps"], initial_accumulator_value=o["initial_accumulator"])


def optax_adabelief(o: Options) -> optax.GradientTransformation:
    both = {"b1": o.get("beta1", 0.9), "b2": o.get("beta2", 0.999)}
    eps = {"eps": o["eps"], "eps_root": o["eps"] if o.get("accumulate", True) else 0.0} if "eps" in o else {}
    return optax.scale_by_belief(**both, **eps)


def optax_adam(o: Options) -> optax.GradientTransformation:
    return optax.scale_by_adam(*betas(o), eps=o["eps"])


def optax_sgd(o: Options) -> optax.GradientTransformation:
    return optax.trace(o["momentum"], o["nesterov"])


def optax_fromage(o: Options) -> optax.GradientTransformation:
    return optax.fromage(o["lr"], min_norm=0.0)


def optax_lamb(o: Options) -> optax.GradientTransformation:
    return optax.lamb(o["lr"], *betas(o), eps=o["eps"], weight_decay=o["lambda"])


# The following make a step of what build returns; options are those of this project.


def run_torch(build: Callable, options: Options, start: list[float]) -> Step:
    weights = torch.nn.Parameter(torch.tensor(start, dtype=torch.float64))
    optimizer = build([weights])

    def step(t: int, x: np.ndarray, g: np.ndarray) -> np.ndarray:
        weights.data.copy_(torch.from_numpy(x))
        weights.grad = torch.tensor(g)  # a copy: adabelief-pytorch adds coupled decay to it
        optimizer.step()
        return weights.detach().numpy().copy()

    return step


def run_optax(build: Callable, options: Options, start: list[float]) -> Step:
    """Chains the scaling with the decay where its kind belongs, as optax.adamw and optax.adabelief chain theirs."""
    wd, kind = options["weight_decay"], options["decay"]
    none = optax.identity()
    chain = optax.chain(
        optax.add_decayed_weights(wd) if kind == "coupled" else none,
        build(),
        optax.add_decayed_weights(wd) if kind == "decoupled" else none,
        optax.scale_by_learning_rate(options["lr"]),
        optax.add_decayed_weights(-wd) if kind == "fixed" else none,
    )
    return run_transformation(lambda: chain, options, start)


def run_transformation(build: Callable, options: Options, start: list[float]) -> Step:
    transformation = build()
    state = transformation.init(jax.numpy.array(start))
    update = jax.jit(transformation.update)

    def step(t: int, x: np.ndarray, g: np.ndarray) -> np.ndarray:
        nonlocal state
        updates, state = update(g, state, x)
        return np.asarray(optax.apply_updates(x, updates))

    return step


def with_decay(run: Callable, build: Callable, options: Options, start: list[float]) -> Step:
    """What has no weight decay, or has it in another place, with that of the formula."""
    inner = run(build, options, start)

    def step(t: int, x: np.ndarray, g: np.ndarray) -> np.ndarray:
        return inner(t, *decayed(options, x, g))

    return step


def run_formula(build: Callable, options: Options, start: list[float]) -> Step:
    return build()


def run_tensorflow(build: Callable, options: Options, start: list[float]) -> Step:
    return build(start)


def tensorflow_belief(amsgrad: bool, o: Options, start: list[float]) -> Step:
    """Its numbers are given as tensors, its defaults too, as it keeps what is none in float even for double weights."""
    os.environ |= {"TF_USE_LEGACY_KERAS": "1", "TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "0"}
    import tensorflow as tf  # takes seconds, and no other rule needs it

    tf.keras.optimizers.Optimizer = tf.keras.optimizers.legacy.Optimizer  # its base class is of 2021
    from adabelief_tf import AdaBeliefOptimizer

    ours = {"learning_rate": "lr", "beta_1": "beta1", "beta_2": "beta2", "weight_decay": "weight_decay"}
    theirs = {name: p.default for name, p in inspect.signature(AdaBeliefOptimizer).parameters.items()}
    numbers = {name: o.get(ours.get(name), theirs[name]) for name in (*ours, "sma_threshold")}
    kwargs = {name: tf.constant(value, tf.float64) for name, value in numbers.items()}
    if "eps" in o:
        kwargs["epsilon"] = o["eps"]
    if "rectify" in o:
        kwargs["rectify"] = o["rectify"] != "none"
    optimizer = AdaBeliefOptimizer(**kwargs, amsgrad=amsgrad, print_change_log=False)
    weights = tf.Variable(start, dtype=tf.float64)

    def step(t: int, x: np.ndarray, g: np.ndarray) -> np.ndarray:
        optimizer.apply_gradients([(tf.constant(g, tf.float64), weights)])
        return weights.numpy()

    return step


TORCH, BELIEF, OPTAX = "torch", "adabelief-pytorch", "optax"
P005, P010, P020 = (f"adabelief-pytorch {old}" for old in ("0.0.5", "0.1.0", "0.2.0"))
BOUND, KOZISTR, JETTIFY, LION = "adabound", "pytorch-optimizer", "torch-optimizer", "lion-pytorch"
TIMM, SLIM, TF = "timm", "adabelief-slim", "adabelief-tf"
PAPER = "numpy"  # the formula above in long double, where no implementation of the paper's rule installs
IMPLEMENTATIONS = {
    (TORCH, "adam"): (run_torch, torch_adam),
    (TORCH, "adamw"): (run_torch, torch_adam),
    (TORCH, "amsgrad"): (run_torch, torch_amsgrad),
    (TORCH, "sgd"): (run_torch, torch_sgd),
    (OPTAX, "adabelief"): (run_optax, optax_adabelief),
    (OPTAX, "adam"): (run_optax, optax_adam),
    (OPTAX, "sgd"): (run_optax, optax_sgd),
    (OPTAX, "acprop"): (run_optax, optax_acprop),
    (OPTAX, "lion"): (run_optax, optax_lion),
    (OPTAX, "radam"): (run_optax, optax_radam),
    (OPTAX, "rmsprop"): (run_optax, optax_rmsprop),
    (OPTAX, "yogi"): (run_optax, optax_yogi),
    (TORCH, "nadam"): (run_torch, torch_nadam),
    (TORCH, "radam"): (run_torch, torch_radam),
    (TORCH, "rmsprop"): (run_torch, torch_rmsprop),
    (BOUND, "adabound"): (run_torch, adabound_adabound),
    (BOUND, "amsbound"): (run_torch, adabound_amsbound),
    (KOZISTR, "adabound"): (run_torch, pytorch_optimizer_adabound),
    (KOZISTR, "amsbound"): (run_torch, pytorch_optimizer_amsbound),
    (KOZISTR, "lion"): (run_torch, pytorch_optimizer_lion),
    (KOZISTR, "msvag"): (run_torch, pytorch_optimizer_msvag),
    (JETTIFY, "yogi"): (run_torch, torch_optimizer_yogi),
    (LION, "lion"): (run_torch, lion_pytorch_lion),
    (KOZISTR, "padam"): (run_torch, pytorch_optimizer_padam),
    (PAPER, "eadam"): (run_formula, partial(formula, "eadam")),
    (PAPER, "padam"): (run_formula, partial(formula, "padam")),
    (KOZISTR, "fromage"): (partial(with_decay, run_torch), pytorch_optimizer_fromage),
    (OPTAX, "fromage"): (partial(with_decay, run_transformation), optax_fromage),
    (TIMM, "lamb"): (partial(with_decay, run_torch), timm_lamb),
    (OPTAX, "lamb"): (partial(with_decay, run_transformation), optax_lamb),
    (TF, "adabelief"): (run_tensorflow, partial(tensorflow_belief, False)),
    (TF, "amsbelief"): (run_tensorflow, partial(tensorflow_belief, True)),
}
for library, load, decoupled in (
    (BELIEF, lambda: AdaBelief, "weight_decouple"),
    *((old, partial(old_adabelief, old.partition(" ")[2]), "weight_decouple") for old in (P005, P010, P020)),
    (TIMM, lambda: timm_optim("adabelief").AdaBelief, "decoupled_decay"),
    (SLIM, lambda: adabelief_slim.AdaBelief, "weight_decouple"),
):
    build = partial(torch_belief, load, decoupled)
    IMPLEMENTATIONS[library, "adabelief"] = run_torch, build
    IMPLEMENTATIONS[library, "amsbelief"] = run_torch, partial(build, amsgrad=True)

PACKAGES = {
    OPTAX: ("optax", "jax", "jaxlib"),
    TORCH: ("torch",),
    PAPER: ("numpy",),
    TF: (TF, "tensorflow-cpu", "tf_keras"),
} | {package: (package, "torch") for package in (BELIEF, P005, P010, P020, BOUND, KOZISTR, JETTIFY, LION, TIMM, SLIM)}


@dataclass(frozen=True)
class Setting:
    """Options beyond the defaults or a preset, run on each problem by each implementation."""

    label: str
    options: Options
    problems: tuple[str, ...]
    by: tuple[str, ...]
    tolerance: float = TOLERANCE  # larger, with the reason, where the other side's own roundings are
    asked: Options = field(default_factory=dict)  # of the implementation, beyond options


def preset(name: str, changes: Options, problems: tuple[str, ...], by: str, **more: Any) -> Setting:
    """A preset with changes to it."""
    told = [f"{option} {value}" for option, value in (changes | more.get("asked", {})).items()]
    return Setting(", ".join([f"preset {name}", *told]), {"preset": name} | changes, problems, (by,), **more)


RHO = 3e-11  # the reason is radam's, below: rho has eleven digits


def rectified(name: str, by: str) -> tuple[Setting, Setting]:
    """A preset that rectifies, as it is."""
    return (
        preset(name, {}, ("noisy", "constant", "flipping", "huge"), by),
        preset(name, {}, ("sparse", "tiny"), by, tolerance=RHO),
    )


# Not here, because the implementation means something else: optax's amsgrad (the maximum of v after its bias
# correction), and optax has no dampening. See docs/differences.md.
SETTINGS = {
    "acprop": [
        Setting("eps 1e-16", {}, ("noisy", "sparse", "huge"), (OPTAX,)),
        Setting("eps 1e-8", {"eps": 1e-8}, ALL, (OPTAX,)),
        Setting("betas .5 .9", {"lr": 1e-4, "beta1": 0.5, "beta2": 0.9, "eps": 1e-6}, ("noisy",), (OPTAX,)),
        Setting("coupled decay", {"eps": 1e-8, "weight_decay": 1e-2}, ("noisy",), (OPTAX,)),
        Setting("decoupled decay", {"eps": 1e-8, "weight_decay": 0.1, "decay": "decoupled"}, ("noisy",), (OPTAX,)),
    ],
    # The lower bound is 1 - 1 / (gamma t + 1): the package's double has lost three digits of it at step 1.
    "adabound": [
        Setting("defaults", {}, ("noisy", "constant", "tiny"), (BOUND,)),
        Setting("defaults", {}, ("sparse", "flipping", "huge"), (BOUND,), tolerance=5e-12),
        Setting("gamma .1", {"gamma": 0.1, "final_lr": 0.01}, ("noisy", "sparse"), (BOUND,)),
        Setting("lr of a schedule", {"lr": 1e-4}, ("noisy",), (BOUND,)),
        Setting("betas .5 .9", {"beta1": 0.5, "beta2": 0.9, "eps": 1e-3}, ("noisy",), (BOUND,)),
        Setting("coupled decay", {"weight_decay": 1e-2}, ("noisy",), (BOUND,)),
    ],
    "adamw": [
        Setting("defaults", {}, ("noisy", "constant", "huge"), (TORCH,)),
        Setting("weight decay .1", {"weight_decay": 0.1}, ("noisy",), (TORCH,)),
        Setting("coupled decay", {"decay": "coupled"}, ("noisy",), (TORCH,)),
    ],
    "amsbound": [
        Setting("defaults", {}, ("noisy", "sparse", "constant", "tiny"), (BOUND,)),
        Setting("defaults", {}, ("flipping", "huge"), (BOUND,), tolerance=5e-12),
        Setting("gamma .1", {"gamma": 0.1, "final_lr": 0.01}, ("noisy", "sparse"), (BOUND,)),
        Setting("lr of a schedule", {"lr": 1e-4}, ("noisy",), (BOUND,)),
        Setting("betas .5 .9", {"beta1": 0.5, "beta2": 0.9, "eps": 1e-3}, ("noisy",), (BOUND,)),
        Setting("coupled decay", {"weight_decay": 1e-2}, ("noisy",), (BOUND,)),
    ],
    "eadam": [
        Setting("defaults", {}, ALL, (PAPER,)),
        Setting("eps 1e-16", {"eps": 1e-16}, ("noisy", "sparse"), (PAPER,)),
        Setting("betas .5 .9", {"lr": 1e-2, "beta1": 0.5, "beta2": 0.9}, ("flipping",), (PAPER,)),
        Setting("coupled decay", {"weight_decay": 1e-2}, ("noisy",), (PAPER,)),
    ],
    "lion": [
        Setting("defaults", {}, ALL, (LION,)),
        Setting("betas .5 .9", {"lr": 1e-3, "beta1": 0.5, "beta2": 0.9}, ("noisy",), (LION, OPTAX)),
        Setting("coupled decay", {"weight_decay": 1e-2, "decay": "coupled"}, ("noisy",), (KOZISTR,)),
        Setting("decoupled decay", {"weight_decay": 0.1}, ("noisy",), (LION, OPTAX)),
        Setting("fixed decay", {"weight_decay": 1e-4, "decay": "fixed"}, ("noisy",), (KOZISTR,)),
    ],
    # At step 1 the variance is the rounding of g^2 - g^2, which pytorch-optimizer multiplies by 9999.
    "msvag": [
        Setting("defaults", {}, ("sparse", "constant", "flipping"), (KOZISTR,)),
        Setting("defaults", {}, ("noisy", "huge", "tiny"), (KOZISTR,), tolerance=2e-11),
        Setting("beta .5", {"lr": 1e-2, "beta": 0.5}, ("noisy", "sparse"), (KOZISTR,)),
    ],
    "nadam": [
        Setting("defaults", {}, ALL, (TORCH,)),
        Setting("momentum_decay 0", {"momentum_decay": 0.0}, ("noisy",), (TORCH,)),
        Setting("momentum_decay 1", {"momentum_decay": 1.0, "beta1": 0.99}, ("noisy", "sparse"), (TORCH,)),
        Setting("coupled decay", {"weight_decay": 1e-2}, ("noisy",), (TORCH,)),
        Setting("decoupled decay", {"weight_decay": 0.1, "decay": "decoupled"}, ("noisy",), (TORCH,)),
    ],
    # pytorch-optimizer's has no maximum of v: it is Padam where v never falls.
    "padam": [
        Setting("defaults", {}, ("constant", "flipping"), (KOZISTR,)),
        Setting("1/8", {"partial": 0.125}, ("constant",), (KOZISTR,)),
        Setting("defaults", {}, ("noisy", "sparse", "huge", "tiny"), (PAPER,)),
        Setting("1/2", {"lr": 1e-3, "partial": 0.5}, ("noisy",), (PAPER,)),
        Setting("2/5", {"lr": 1e-2, "partial": 0.4, "beta2": 0.9, "eps": 1e-3}, ("sparse",), (PAPER,)),
        Setting("coupled decay", {"weight_decay": 1e-2}, ("noisy",), (PAPER,)),
    ],
    # rho is a difference of almost equal numbers at first, 1999 - 1993 at step 6: in double eleven digits are left.
    "radam": [
        Setting("defaults", {}, ("noisy", "constant", "flipping", "huge"), (TORCH,)),
        Setting("defaults", {}, ("sparse", "tiny"), (TORCH,), tolerance=2e-11),
        Setting("betas .5 .9", {"lr": 1e-2, "beta1": 0.5, "beta2": 0.9}, ("noisy",), (TORCH,)),
        Setting("beta2 .6, never rectified", {"beta2": 0.6}, ("noisy",), (TORCH,)),
        Setting("eps 1e-3", {"eps": 1e-3}, ("huge",), (TORCH,)),
        Setting("coupled decay", {"weight_decay": 1e-2}, ("noisy",), (TORCH,)),
        Setting("decoupled decay", {"weight_decay": 0.1, "decay": "decoupled"}, ("noisy",), (TORCH,)),
    ],
    "rmsprop": [
        Setting("defaults", {}, ALL, (TORCH,)),
        Setting("momentum .9", {"lr": 1e-3, "momentum": 0.9}, ("noisy",), (TORCH, OPTAX)),
        Setting("centered", {"centered": True}, ("noisy", "sparse"), (TORCH,)),
        Setting("centered, momentum .5", {"centered": True, "momentum": 0.5, "alpha": 0.9}, ("noisy",), (TORCH, OPTAX)),
        Setting("coupled decay", {"weight_decay": 1e-2}, ("noisy",), (TORCH,)),
    ],
    # Not constant and not flipping: v reaches g^2 at step 1 / (1 - beta2), and the sign that follows is of a rounding.
    "yogi": [
        Setting("from 0", {}, ("noisy", "sparse", "huge", "tiny"), (JETTIFY,)),
        Setting("from 1e-6", {"initial_accumulator": 1e-6}, ("noisy", "sparse", "tiny"), (OPTAX,)),
        preset("torch_optimizer", {}, ("noisy", "sparse", "huge", "tiny"), JETTIFY),
        preset("torch_optimizer", {"weight_decay": 1e-2}, ("noisy",), JETTIFY),
        Setting("betas .5 .9", {"lr": 1e-3, "beta1": 0.5, "beta2": 0.9, "eps": 1e-8}, ("noisy",), (JETTIFY,)),
        Setting("coupled decay", {"weight_decay": 1e-2}, ("noisy",), (JETTIFY,)),
    ],
    "adabelief": [
        Setting("defaults", {}, ALL, (BELIEF,)),
        Setting("eps 1e-16", {"eps": 1e-16}, ("noisy", "sparse"), (BELIEF,)),
        Setting("betas .5 .999", {"beta1": 0.5, "eps": 1e-12}, ("noisy", "sparse", "flipping"), (BELIEF, OPTAX)),
        Setting("betas .9 .9", {"lr": 1e-2, "beta2": 0.9, "eps": 1e-10}, ("noisy", "sparse"), (BELIEF, OPTAX)),
        Setting("beta1 0", {"lr": 1e-4, "beta1": 0.0}, ("noisy",), (BELIEF, OPTAX)),
        Setting("eps 1e-3", {"eps": 1e-3}, ("noisy", "tiny"), (BELIEF, OPTAX)),
        Setting("coupled decay", {"weight_decay": 1e-2}, ("noisy", "sparse"), (BELIEF, OPTAX)),
        Setting("coupled decay, eps 1e-16", {"eps": 1e-16, "weight_decay": 0.1}, ("noisy",), (BELIEF, OPTAX)),
        Setting("decoupled decay", {"weight_decay": 0.1, "decay": "decoupled"}, ("noisy", "constant"), (BELIEF, OPTAX)),
        Setting("fixed decay", {"weight_decay": 1e-3, "decay": "fixed"}, ("noisy", "sparse"), (BELIEF, OPTAX)),
        # ensmallen is C++, and for the paper's choice optax is as good as any: both are optax told of an eps.
        preset("paper", {}, ALL, OPTAX, asked={"eps": 1e-8}),
        preset("paper", {"weight_decay": 1e-2}, ("noisy",), OPTAX, asked={"eps": 1e-8}),
        preset("ensmallen", {}, ALL, OPTAX, asked={"eps": 1e-12}),
        preset("optax", {}, ALL, OPTAX),
        preset("optax", {"weight_decay": 0.1}, ("noisy",), OPTAX),
        preset("optax", {"eps": 1e-8, "accumulate": False}, ("noisy", "sparse", "tiny"), OPTAX),  # eps_root=0
        preset("pytorch-0.0.5", {}, ALL, P005),
        preset("pytorch-0.0.5", {"rectify": "pytorch-0.0.5"}, ("noisy", "sparse"), P005, tolerance=RHO),
        preset("pytorch-0.0.5", {"rectify": "pytorch-0.0.5", "beta2": 0.9}, ("noisy",), P005),
        preset("pytorch-0.0.5", {"weight_decay": 1e-2}, ("noisy",), P005),
        preset("pytorch-0.0.5", {"weight_decay": 0.1, "decay": "decoupled"}, ("noisy",), P005),
        preset("pytorch-0.0.5", {"weight_decay": 1e-3, "decay": "fixed"}, ("noisy",), P005),
        *rectified("pytorch-0.1.0", P010),
        preset("pytorch-0.1.0", {"rectify": "none"}, ("noisy", "sparse"), P010),
        preset("pytorch-0.1.0", {"weight_decay": 0.1}, ("noisy",), P010),
        preset("pytorch-0.1.0", {"weight_decay": 1e-3, "decay": "fixed"}, ("noisy",), P010),
        # Its coupled decay comes after m and s, where the gradient is no longer used.
        preset("pytorch-0.1.0", {}, ("noisy",), P010, asked={"weight_decay": 1e-2, "decay": "coupled"}),
        *rectified("pytorch-0.2.1", BELIEF),
        preset("pytorch-0.2.1", {}, ("noisy",), P020),
        preset("pytorch-0.2.1", {"rectify": "none"}, ("noisy", "sparse"), BELIEF),
        preset("pytorch-0.2.1", {"eps": 1e-8, "beta1": 0.5, "beta2": 0.9}, ("noisy", "sparse"), BELIEF),
        preset("pytorch-0.2.1", {"weight_decay": 1e-2, "decay": "coupled"}, ("noisy",), BELIEF),
        preset("pytorch-0.2.1", {"weight_decay": 0.1}, ("noisy",), BELIEF),
        preset("pytorch-0.2.1", {"weight_decay": 1e-3, "decay": "fixed"}, ("noisy",), BELIEF),
        *rectified("tensorflow-0.2.1", TF),
        preset("tensorflow-0.2.1", {"rectify": "none"}, ("noisy", "sparse"), TF),
        preset("tensorflow-0.2.1", {"eps": 1e-8, "beta1": 0.5, "beta2": 0.9}, ("noisy",), TF),
        preset("tensorflow-0.2.1", {"weight_decay": 0.1}, ("noisy",), TF),
        *rectified("timm", TIMM),
        preset("timm", {"rectify": "none"}, ("noisy",), TIMM),
        preset("timm", {"weight_decay": 1e-2, "decay": "coupled"}, ("noisy",), TIMM),
        preset("timm", {"weight_decay": 0.1}, ("noisy",), TIMM),
        preset("slim", {}, ALL, SLIM),
        preset("slim", {"rectify": "pytorch-0.2.1"}, ("noisy", "sparse"), SLIM, tolerance=RHO),
        preset("slim", {"weight_decay": 1e-2, "decay": "coupled"}, ("noisy",), SLIM),
        preset("slim", {"weight_decay": 0.1}, ("noisy",), SLIM),
    ],
    "amsbelief": [
        Setting("defaults", {}, ALL, (BELIEF,)),
        Setting("betas .5 .9", {"lr": 1e-2, "beta1": 0.5, "beta2": 0.9}, ("noisy", "sparse"), (BELIEF,)),
        Setting("fixed decay", {"weight_decay": 1e-3, "decay": "fixed"}, ("noisy",), (BELIEF,)),
        preset("pytorch-0.0.5", {}, ("noisy", "sparse", "constant", "flipping", "huge"), P005),
        preset("pytorch-0.0.5", {}, ("tiny",), P005, tolerance=2e-12),  # a weight that walks back to 0
        preset("pytorch-0.0.5", {"rectify": "pytorch-0.0.5"}, ("noisy", "sparse"), P005, tolerance=RHO),
        preset("pytorch-0.0.5", {"weight_decay": 1e-2}, ("noisy",), P005),
        *rectified("pytorch-0.1.0", P010),
        preset("pytorch-0.1.0", {"rectify": "none"}, ("noisy", "sparse"), P010),
        preset("pytorch-0.1.0", {"weight_decay": 0.1}, ("noisy",), P010),
        *rectified("pytorch-0.2.1", BELIEF),
        preset("pytorch-0.2.1", {"rectify": "none"}, ("noisy", "sparse"), BELIEF),
        preset("pytorch-0.2.1", {"rectify": "none"}, ("noisy",), P020),
        preset("pytorch-0.2.1", {"weight_decay": 0.1}, ("noisy",), BELIEF),
        *rectified("tensorflow-0.2.1", TF),
        preset("tensorflow-0.2.1", {"rectify": "none", "weight_decay": 0.1}, ("noisy", "sparse"), TF),
        *rectified("timm", TIMM),
        preset("timm", {"rectify": "none", "weight_decay": 0.1}, ("noisy", "sparse"), TIMM),
    ],
    # sparse has steps where all of the gradient is 0, and tiny starts from weights that are. The rounding of
    # sqrt(1 + lr^2) is the same in every step, so that a thousand add up.
    "fromage": [
        Setting("defaults", {}, ALL, (KOZISTR,), tolerance=2e-12),
        Setting("defaults", {}, ("noisy", "sparse", "tiny"), (OPTAX,), tolerance=2e-12),
        Setting("lr .5", {"lr": 0.5}, ("noisy", "sparse"), (KOZISTR,)),
        Setting("coupled decay", {"weight_decay": 1e-2}, ("noisy",), (KOZISTR,)),
        Setting("decoupled decay", {"weight_decay": 0.1, "decay": "decoupled"}, ("noisy",), (KOZISTR,)),
        Setting("fixed decay", {"weight_decay": 1e-3, "decay": "fixed"}, ("noisy",), (KOZISTR,)),
    ],
    "lamb": [
        Setting("defaults", {}, ALL, (TIMM, OPTAX)),
        Setting("lambda 0", {"lambda": 0.0}, ("noisy", "sparse"), (TIMM,)),
        Setting("lambda .5", {"lr": 1e-2, "lambda": 0.5}, ("noisy", "sparse"), (TIMM,)),
        Setting("betas .5 .9", {"beta1": 0.5, "beta2": 0.9, "eps": 1e-3}, ("noisy", "flipping"), (OPTAX,)),
        Setting("coupled decay", {"weight_decay": 1e-2}, ("noisy",), (TIMM,)),
        Setting("decoupled decay", {"weight_decay": 0.1, "decay": "decoupled"}, ("noisy",), (TIMM,)),
        Setting("fixed decay", {"weight_decay": 1e-3, "decay": "fixed"}, ("noisy",), (OPTAX,)),
    ],
    "adam": [
        Setting("defaults", {}, ALL, (TORCH, OPTAX)),
        Setting("betas .5 .9", {"lr": 1e-2, "beta1": 0.5, "beta2": 0.9}, ("noisy", "flipping"), (TORCH, OPTAX)),
        Setting("eps 1e-3", {"eps": 1e-3}, ("noisy", "tiny"), (TORCH, OPTAX)),
        Setting("coupled decay", {"weight_decay": 1e-2}, ("noisy", "sparse"), (TORCH, OPTAX)),
        Setting("decoupled decay", {"weight_decay": 0.1, "decay": "decoupled"}, ("noisy", "sparse"), (TORCH, OPTAX)),
        Setting("fixed decay", {"weight_decay": 1e-3, "decay": "fixed"}, ("noisy",), (OPTAX,)),
    ],
    "amsgrad": [
        Setting("defaults", {}, ALL, (TORCH,)),
        Setting("betas .5 .9", {"lr": 1e-2, "beta1": 0.5, "beta2": 0.9}, ("noisy", "sparse"), (TORCH,)),
        Setting("eps 1e-3", {"eps": 1e-3}, ("noisy",), (TORCH,)),
        Setting("coupled decay", {"weight_decay": 1e-2}, ("noisy", "sparse"), (TORCH,)),
        Setting("decoupled decay", {"weight_decay": 0.1, "decay": "decoupled"}, ("noisy",), (TORCH,)),
    ],
    "sgd": [
        Setting("momentum .9", {}, ALL, (TORCH,)),
        Setting("momentum 0", {"momentum": 0.0}, ("noisy",), (TORCH, OPTAX)),
        Setting("momentum 0, dampening .5", {"momentum": 0.0, "dampening": 0.5}, ("noisy",), (TORCH,)),
        Setting("dampening .5", {"dampening": 0.5}, ("noisy", "flipping"), (TORCH,)),
        Setting("nesterov", {"nesterov": True}, ("noisy", "sparse", "constant"), (TORCH, OPTAX)),
        Setting("coupled decay", {"weight_decay": 1e-2}, ("noisy", "sparse"), (TORCH, OPTAX)),
        Setting("nesterov, coupled decay", {"nesterov": True, "weight_decay": 1e-2}, ("noisy",), (TORCH, OPTAX)),
        Setting("decoupled decay", {"weight_decay": 1e-2, "decay": "decoupled"}, ("noisy",), (OPTAX,)),
        Setting("fixed decay", {"weight_decay": 1e-3, "decay": "fixed"}, ("noisy",), (OPTAX,)),
    ],
}


def version(package: str) -> str:
    package, _, old = package.partition(" ")
    return old or metadata.version(package).partition("+")[0]  # 2.13.0+cpu and 2.13.0 are the same sources


def trajectory(problem: Problem, step: Step, kind: type = np.float64) -> np.ndarray:
    """x after each step, (STEPS, WEIGHTS)."""
    x = np.array(problem.start, kind)
    rows = []
    for t in range(1, STEPS + 1):
        x = step(t, x, problem.gradient(t, x))
        rows.append(x)
    return np.array(rows)


def error(a: np.ndarray, b: np.ndarray, scale: float) -> float:
    """The largest difference in the measure that the C++ test uses; NaN where a value is."""
    return float((np.abs(a - b) / np.maximum(np.maximum(np.abs(a), np.abs(b)), scale)).max())


def make(rule: str) -> tuple[dict[str, Any], bool]:
    """The contents of RULE.json, and whether all cases agree with the formula."""
    cases, packages, agrees = [], set(), True
    to_formula, between = [], []
    for setting in SETTINGS[rule]:
        changes = dict(setting.options)
        preset = changes.pop("preset", None)
        options = COMMON | DEFAULTS[rule] | (PRESETS[rule][preset] if preset else {}) | changes
        for name in setting.problems:
            problem = PROBLEMS[name]
            exact = trajectory(problem, formula(rule, options), np.longdouble)
            scale = float(f"{np.abs(np.diff(exact[:10], axis=0)).max():.0e}")
            paths = []
            for library in setting.by:
                run, build = IMPLEMENTATIONS[library, rule]
                asked = (changes if preset else options) | setting.asked
                path = trajectory(problem, run(partial(build, asked), options, problem.start))
                distance = error(path, exact, scale)
                to_formula.append(distance)
                implementation = f"{library.partition(' ')[0]} {version(library)}"
                title = f"{implementation}, {setting.label}, {name}"
                if not distance <= setting.tolerance / 10:
                    print(f"{rule}: {title}: differs from the formula by {distance:.1e}", file=sys.stderr)
                    agrees = False
                paths.append(path)
                packages.update(PACKAGES[library])
                cases.append(
                    {
                        "name": title,
                        "implementation": implementation,
                        "problem": name,
                        "options": setting.options if preset else options,
                        "tolerance": setting.tolerance,
                        "scale": scale,
                        "start": problem.start,
                        "steps": STORED,
                        "x": path[np.array(STORED) - 1].astype(np.float64).tolist(),
                    }
                )
            if len(paths) == 2:
                between.append(error(*paths, scale))
    pair = f", {np.max(between):.1e} between two implementations ({len(between)} pairs)" if between else ""
    print(f"{rule}: {len(cases)} cases; largest difference {np.max(to_formula):.1e} to the formula{pair}")
    made_by: dict[str, str] = {}
    for package in sorted(packages, key=lambda one: (one.partition(" ")[0], version(one))):
        name = package.partition(" ")[0]
        made_by[name] = f"{made_by[name]}, {version(package)}" if name in made_by else version(package)
    return {"made_by": made_by, "cases": cases}, agrees


def problems() -> dict[str, Any]:
    """The contents of problems.json: the recipe and gradients at the start to check a regeneration by ==."""
    content = {}
    for name, p in PROBLEMS.items():
        check = [{"t": t, "g": p.gradient(t, np.array(p.start)).tolist()} for t in (1, 2, 3, STEPS)]
        content[name] = vars(p) | {"check": check}
    return {
        "recipe": RECIPE,
        "check": "g of all weights at step t and x = start, to be equal bit for bit",
        "problems": content,
    }


def text(value: Any, indent: str = "") -> str:
    """JSON with a list of numbers, or an object of nothing but scalars, on one line."""
    inner = indent + " "
    if isinstance(value, dict) and any(isinstance(item, dict | list) for item in value.values()):
        lines = [f"{inner}{json.dumps(key)}: {text(item, inner)}" for key, item in value.items()]
    elif isinstance(value, list | tuple) and value and isinstance(value[0], list | dict | str):
        lines = [inner + text(item, inner) for item in value]
    else:
        return json.dumps(value, allow_nan=False)
    left, right = "{}" if isinstance(value, dict) else "[]"
    return left + "\n" + ",\n".join(lines) + "\n" + indent + right


def write(path: Path, content: dict[str, Any]) -> None:
    part = path.with_suffix(".part")
    part.write_text(text(content) + "\n", encoding="utf-8")
    os.replace(part, path)


def check(path: Path, content: dict[str, Any]) -> bool:
    """Compares a file with what it would be now. On another machine the last bits of x may differ."""
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        print(f"{path.name}: {problem}; run make.py", file=sys.stderr)
        return False
    now = json.loads(text(content))
    if stored == now:
        print(f"{path.name}: bit-equal")
        return True
    if stored.get("made_by") != now.get("made_by"):
        print(f"{path.name}: made by {stored.get('made_by')}, here is {now.get('made_by')}", file=sys.stderr)
        return False
    paths = [[case.pop("x") for case in file.get("cases", [])] for file in (stored, now)]
    if stored != now or not paths[0]:
        print(f"{path.name}: not what make.py describes; run make.py", file=sys.stderr)
        return False
    pairs = zip(*paths, now["cases"], strict=True)
    differences = [(error(np.array(a), np.array(b), case["scale"]), case["tolerance"]) for a, b, case in pairs]
    print(f"{path.name}: largest difference {max(differences)[0]:.1e}")
    return all(difference <= tolerance / 10 for difference, tolerance in differences)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rules", nargs="*", metavar="RULE", help=f"one of {', '.join(SETTINGS)}; all if none is named")
    parser.add_argument("--check", action="store_true", help="compare with the files, write nothing")
    arguments = parser.parse_args()
    unknown = [rule for rule in arguments.rules if rule not in SETTINGS]
    if unknown:
        parser.error(f"no rule {unknown[0]}; there are {', '.join(SETTINGS)}")

    warnings.filterwarnings("ignore", "This overload of .* is deprecated")  # adabound is of 2019
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)  # in which torch's NAdam keeps its product of mu: else in float
    jax.config.update("jax_enable_x64", True)
    good = True
    files = {"problems": (problems(), True)} | {rule: make(rule) for rule in arguments.rules or SETTINGS}
    for name, (content, agrees) in files.items():
        path = FOLDER / f"{name}.json"
        good &= agrees
        if arguments.check:
            good &= check(path, content)
        elif agrees:
            write(path, content)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
