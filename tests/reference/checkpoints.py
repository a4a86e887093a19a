# SPDX-License-Identifier: MIT
"""Runs other implementations for 200 steps on eight float32 weights in two tensors, and writes checkpoints.json: their
state_dict() after 100 steps, and where the unbroken run was at steps 100, 101, 102, 110 and 200.

    python tests/reference/checkpoints.py FOLDER

FOLDER holds adabelief-pytorch-0.0.5, -0.1.0, -0.2.0 and -0.2.1, each made by `pip install --no-deps --target`; timm is
installed. A gradient depends on step, weight and element alone, so that both runs can be followed.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import math
import sys
import types
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

HERE = Path(__file__).parent
START = [[1.5, -1.25, 1.0, -0.75, 0.5], [-0.25, 0.125, 0.0]]
STEPS = (100, 101, 102, 110, 200)


def gradient(t: int, tensor: int, x: torch.Tensor) -> torch.Tensor:
    """Noise of one part in three around 0.5 (x - 1)."""
    noise = [0.3 * math.sin(7.0 * t + 3.0 * tensor + i * i) for i in range(len(x))]
    return 0.5 * (x - 1) + torch.tensor(noise, dtype=x.dtype)


def encoded(value: Any) -> Any:
    """A state_dict() as JSON: tensors as {"dtype", "values"}, dictionaries as lists of pairs."""
    if isinstance(value, torch.Tensor):
        return {"dtype": str(value.dtype).removeprefix("torch."), "values": value.tolist()}
    if isinstance(value, dict):
        return {"items": [[key, encoded(one)] for key, one in value.items()]}
    if isinstance(value, (list, tuple)):
        return {"tuple" if isinstance(value, tuple) else "list": [encoded(one) for one in value]}
    return value


def decoded(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if "dtype" in value:
        return torch.tensor(value["values"], dtype=getattr(torch, value["dtype"]))
    if "items" in value:
        return {key: decoded(one) for key, one in value["items"]}
    return tuple(map(decoded, value["tuple"])) if "tuple" in value else list(map(decoded, value["list"]))


def follow(weights: list[torch.Tensor], optimizer: torch.optim.Optimizer, steps: range) -> dict[int, list[list[float]]]:
    """Where the weights are after each step, by the step's number."""
    seen = {}
    for t in steps:
        for k, weight in enumerate(weights):
            weight.grad = gradient(t, k, weight.detach())
        optimizer.step()
        seen[t] = [weight.tolist() for weight in weights]
    return seen


def adabelief_pytorch(folder: Path, version: str) -> type:
    path = folder / f"adabelief-pytorch-{version}" / "adabelief_pytorch" / "AdaBelief.py"
    spec = importlib.util.spec_from_file_location(f"adabelief_pytorch_{version}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.AdaBelief


def timm_adabelief() -> type:
    """Of timm.optim.adabelief alone, since timm as a whole wants torchvision and more."""
    package = types.ModuleType("timm_optim")
    package.__path__ = [str(metadata.distribution("timm").locate_file("timm/optim"))]
    sys.modules["timm_optim"] = package
    return importlib.import_module("timm_optim.adabelief").AdaBelief


# Implementation, its options; our class and what it is told.
Case = tuple[str, Callable[[], type], dict[str, Any], str, dict[str, Any]]


def cases(folder: Path) -> list[Case]:
    all: list[Case] = []
    for version in ("0.0.5", "0.1.0", "0.2.0", "0.2.1"):
        preset = {"preset": f"pytorch-{'0.2.1' if version == '0.2.0' else version}"}

        def make(version: str = version) -> type:
            return adabelief_pytorch(folder, version)

        decay = {"weight_decay": 1e-2} if version != "0.0.5" else {}
        for options in ({}, {"amsgrad": True}, {"lr": 1e-2, "eps": 1e-12} | decay):
            ours = preset | {"amsgrad": options.get("amsgrad", False)}
            all.append((f"adabelief-pytorch {version}", make, options, "AdaBelief", ours))
        if version == "0.2.1":
            options = {"weight_decay": 1e-2, "weight_decouple": False, "rectify": False}
            ours = preset | {"decoupled_decay": False, "rectify": False}
            all.append((f"adabelief-pytorch {version}", make, options, "AdaBelief", ours))
    timm = f"timm {metadata.version('timm')}"
    for options in ({}, {"weight_decay": 1e-2, "fixed_decay": True}, {"rectify": False, "amsgrad": True}):
        all.append((timm, timm_adabelief, options, "AdaBelief", {}))
    for name, options, ours in (
        ("Adam", {"weight_decay": 1e-2}, "Adam"),
        ("Adam", {"amsgrad": True}, "Adam"),
        ("AdamW", {"weight_decay": 1e-2}, "AdamW"),
        ("AdamW", {"amsgrad": True}, "AdamW"),
        ("NAdam", {}, "NAdam"),
        ("RAdam", {"weight_decay": 1e-2, "decoupled_weight_decay": True}, "RAdam"),
        ("RMSprop", {"momentum": 0.9, "centered": True}, "RMSprop"),
        ("RMSprop", {}, "RMSprop"),
        ("SGD", {"lr": 1e-2, "momentum": 0.9, "nesterov": True}, "SGD"),
    ):
        version = f"torch {torch.__version__.split('+')[0]}"
        all.append((f"{version}, {name}", lambda name=name: getattr(torch.optim, name), options, ours, {}))
    return all


def main() -> None:
    folder, written = Path(sys.argv[1]), []
    for implementation, make, options, ours, told in cases(folder):
        weights = [torch.tensor(x, requires_grad=True) for x in START]
        with contextlib.redirect_stdout(io.StringIO()):  # adabelief-pytorch prints when it is made
            optimizer = make()(weights, **options)
        seen = follow(weights, optimizer, range(1, 101))
        saved = encoded(optimizer.state_dict())
        seen |= follow(weights, optimizer, range(101, 201))
        written.append(
            {
                "implementation": implementation,
                "options": options,
                "ours": {"class": ours, "keywords": told},
                "state_dict": saved,
                "x": {str(t): seen[t] for t in STEPS},
            }
        )
    lines = ",\n  ".join(json.dumps(one) for one in written)
    part = HERE / "checkpoints.json.part"
    part.write_text(f'{{"cases": [\n  {lines}\n]}}\n')
    part.rename(HERE / "checkpoints.json")


if __name__ == "__main__":
    main()
