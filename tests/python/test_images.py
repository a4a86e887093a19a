# SPDX-License-Identifier: MIT
"""Tests of the workloads on CIFAR in miniature: made-up images, narrow networks, few steps."""

from __future__ import annotations

import json
import math
import os
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
from images import make_cifar

ROOT = Path(__file__).parents[2]
PROGRAM = Path(os.environ.get("ADABELIEF_PROGRAM", ROOT / "build" / "adabelief")).resolve()


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_cifar(tmp_path_factory.mktemp("data"))


def train(data: Path, out: Path, workload: str, *words: str) -> list[dict[str, Any]]:
    """The lines of the record."""
    command = [PROGRAM, "train", workload, "--rule", "adabelief", "--threads", "1", "--quiet", "--data", data]
    done = subprocess.run([*command, "--out", out, *words], check=True, capture_output=True, text=True)
    return [json.loads(line) for line in Path(done.stdout.strip()).read_text().splitlines()]


def evaluations(record: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [line for line in record if line["type"] == "evaluation"]


@pytest.mark.parametrize("classes", [10, 100])
def test_a_narrow_network_begins_at_a_guess_and_learns(data: Path, tmp_path: Path, classes: int) -> None:
    words = ["--width", "0.125", "--train", "256", "--batch", "64", "--steps", "8"]
    record = train(data, tmp_path, f"cifar{classes}_vgg11", *words)
    weights = [9 * 3 * 8 + 8, *(9 * a * b + b for a, b in [(8, 16), (16, 32), (32, 32), (32, 64), *[(64, 64)] * 3])]
    assert record[0]["parameters"] == sum(weights) + 2 * (64 * 64 + 64) + 64 * classes + classes
    start, middle, last = evaluations(record)  # as many images as are trained on, after every four steps of 64
    assert [line["step"] for line in (start, middle, last)] == [0, 4, 8]
    assert [line["test_metric"] * 256 % 100 for line in (start, middle, last)] == [0, 0, 0]
    assert start["test_loss"] == pytest.approx(math.log(classes), abs=0.1)
    assert last["test_loss"] < start["test_loss"]


def test_smoothed_labels_bound_the_loss(data: Path, tmp_path: Path) -> None:
    words = ["--width", "0.125", "--train", "128", "--batch", "64", "--steps", "80", "--set", "lr=0.01"]
    record = train(data, tmp_path, "cifar10_speed", *words)
    least = -0.91 * math.log(0.91) - 9 * 0.01 * math.log(0.01)  # a tenth of each label is that of all classes alike
    assert least < evaluations(record)[-1]["train_loss"] < least + 0.3


def test_both_experiments_of_the_papers_figure_train_the_same_rules() -> None:
    ten, hundred = (
        tomllib.loads((ROOT / f"trials/experiments/cifar{classes}.toml").read_text()) for classes in (10, 100)
    )
    assert hundred["like"] == "cifar10" and "rules" not in hundred
    assert list(ten["reduced"].values()) == list(hundred["reduced"].values())
