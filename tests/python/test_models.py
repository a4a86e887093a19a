# SPDX-License-Identifier: MIT
"""Tests that the networks of trials/models are those of their papers, and the same as in Python with the same weights.

The networks are made by the program tests/test_models beside $ADABELIEF_PROGRAM, or in build.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

from models import MODELS

torch.set_num_threads(1)
PROGRAM = Path(os.environ.get("ADABELIEF_PROGRAM", ROOT / "build" / "adabelief")).resolve().parent / "tests/test_models"
# Three are those of the definitions that the AdaBelief paper's code trains, ResNet-20's is of He et al.
WEIGHTS = {"resnet20": 269_722, "vgg11": 9_750_922, "resnet34": 21_282_122, "densenet121": 6_956_298,
           "resnet18": 11_181_642, "whitened_resnet": 656_472, "fashion_mnist_cnn": 106_122}  # fmt: skip


@dataclass(frozen=True)
class Saved:
    weights: tuple[Tensor, ...]
    buffers: tuple[Tensor, ...]
    x: Tensor
    training: Tensor
    evaluated: Tensor


@cache
def made(model: str, classes: int, width: float) -> Saved:
    with TemporaryDirectory() as folder:
        words = [PROGRAM, model, str(classes), str(width), f"{folder}/file"]
        subprocess.run(words, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
        return Saved(*torch.load(f"{folder}/file", weights_only=True))


def narrow(model: str) -> tuple[int, float]:
    """Other classes and another width than the usual; Fashion-MNIST's network has ten."""
    return (10 if model == "fashion_mnist_cnn" else 100), 0.25


@pytest.mark.parametrize("model", WEIGHTS)
def test_a_network_has_as_many_weights_as_its_paper_says(model: str) -> None:
    assert sum(weight.numel() for weight in made(model, 10, 1).weights) == WEIGHTS[model]


@pytest.mark.parametrize("model", WEIGHTS)
def test_a_network_with_the_weights_of_one_in_python_gives_the_same(model: str) -> None:
    saved = made(model, *narrow(model))
    twin = MODELS[model](*narrow(model))
    own, others = [*saved.weights, *saved.buffers], [*twin.parameters(), *twin.buffers()]
    assert [tensor.shape for tensor in own] == [tensor.shape for tensor in others]
    with torch.no_grad():
        for tensor, other in zip(own, others, strict=True):
            other.copy_(tensor)
        torch.manual_seed(2)
        torch.testing.assert_close(twin(saved.x), saved.training, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(twin.eval()(saved.x), saved.evaluated, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("model", WEIGHTS)
def test_weights_start_with_the_moments_of_those_in_python(model: str) -> None:
    torch.manual_seed(3)
    for own, other in zip(made(model, 10, 1).weights, MODELS[model](10).parameters(), strict=True):
        if own.std(correction=0) == 0:
            assert torch.equal(own, other)
        else:  # as two samples of so many numbers
            room = 10 / math.sqrt(own.numel())
            assert own.std().item() == pytest.approx(other.std().item(), rel=room)
            assert own.mean().item() == pytest.approx(other.mean().item(), abs=room * other.std().item())


@pytest.mark.parametrize("model", [name for name in WEIGHTS if name != "resnet20"])
@pytest.mark.parametrize("of", [lambda _: (10, 1), narrow], ids=["usual", "narrow"])
def test_the_first_loss_is_about_that_of_a_guess(model: str, of: Callable[[str], tuple[int, float]]) -> None:
    classes, width = of(model)
    logits = made(model, classes, width).training
    loss = F.cross_entropy(logits, torch.arange(len(logits)))
    assert loss.item() == pytest.approx(math.log(classes), abs=0.5)


def test_whitened_patches_are_uncorrelated() -> None:
    saved = made("whitened_resnet", 10, 1)
    y = F.conv2d(saved.x, saved.buffers[0])
    assert torch.equal(y[:, 12:], -y[:, :12])
    y = y[:, :12].transpose(0, 1).flatten(1)
    torch.testing.assert_close(y @ y.T / y.shape[1], torch.eye(12), rtol=0, atol=2e-3)
