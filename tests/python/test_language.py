# SPDX-License-Identifier: MIT
"""Tests of the language workloads on made-up text, in miniature.

The program is $ADABELIEF_PROGRAM, or build/adabelief; without it every test fails.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from corpora import SMALL, make_corpora

ROOT = Path(__file__).parents[2]
PROGRAM = Path(os.environ.get("ADABELIEF_PROGRAM", ROOT / "build" / "adabelief")).resolve()

@pytest.fixture(scope="session")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_corpora(tmp_path_factory.mktemp("corpora"))


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [str(PROGRAM), "train", *words, "--threads", "1", "--quiet", "--out", str(folder)]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)


def record(folder: Path, *words: str) -> list[dict[str, Any]]:
    done = run(folder, *words)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in Path(done.stdout.strip()).read_text().splitlines()]


def evaluations(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{k: v for k, v in line.items() if not k.endswith("seconds")} for line in lines[1:-1]]


@pytest.mark.parametrize("workload", SMALL)
def test_a_language_workload_learns_and_repeats_exactly(tmp_path: Path, corpora: Path, workload: str) -> None:
    words = [workload, "--rule", "adam", "--set", "lr=1e-2", "--steps", "14", *SMALL[workload].split()]
    words += ["--data", str(corpora)]
    lines = record(tmp_path / "a", *words)
    assert lines[-1]["status"] == "finished"
    first, last = lines[1], lines[-2]
    assert last["test_loss"] < first["test_loss"] - 0.005
    for line in lines[1:-1]:
        if workload != "shakespeare_gpt":
            assert math.isfinite(line["valid_loss"])
            before_all = line is first and "transformer" in workload
            assert line["valid_metric"] is None if before_all else line["valid_metric"] >= 0
        if "lstm" in workload:
            assert line["test_metric"] == pytest.approx(math.exp(line["test_loss"]))
    assert evaluations(record(tmp_path / "b", *words)) == evaluations(lines)


@pytest.mark.parametrize("workload", ["words_lstm3", "shakespeare_gpt", "iwslt14_transformer"])
def test_tuning_looks_at_no_test_data(tmp_path: Path, corpora: Path, workload: str) -> None:
    words = [workload, "--rule", "adam", "--steps", "1", "--data", str(corpora), *SMALL[workload].split()]
    plain, tuning = record(tmp_path / "a", *words)[-2], record(tmp_path / "b", *words, "--tuning")[-2]
    if workload != "shakespeare_gpt":  # which has no validation part: one is taken from training
        for part in ("test", "valid"):
            assert [tuning[f"{part}_{what}"] for what in ("loss", "metric")] == [
                plain[f"valid_{what}"] for what in ("loss", "metric")
            ]


TUNED = """title = "Tuned"
workload = "words_lstm3"
seeds = [1]
epochs = 8
batch = 4
width = 0.05

[tuning]
trials = 3

[[rules]]
label = "SGD"
rule = "sgd"
options = { momentum = 0 }
search = { lr = [5, 100, "log"] }
"""


def test_where_validation_picks_the_epoch_tuning_chooses_by_the_best(tmp_path: Path, corpora: Path) -> None:
    (tmp_path / "mini.toml").write_text(TUNED)
    words = ["compare", "mini.toml", "--tune", "--quiet", "--out", "out", "--data", str(corpora)]
    done = subprocess.run([str(PROGRAM), *words], check=False, capture_output=True, text=True, cwd=tmp_path, timeout=120)
    assert done.returncode == 0, done.stderr
    (chosen,) = json.loads((tmp_path / "out" / "experiment.json").read_text())["tuning"]["chosen"]
    curves = []
    for point in (1, 2, 3):
        lines = (tmp_path / "out" / "tuning" / "records" / f"sgd-t{point:02}-s0.jsonl").read_text().splitlines()
        curves.append([line["valid_metric"] for line in evaluations([json.loads(line) for line in lines])])
    best = [min(curve) for curve in curves]
    assert (chosen["metric"], chosen["point"]) == (min(best), best.index(min(best)) + 1)
    assert chosen["metric"] < min(curve[-1] for curve in curves)


def test_averages_begin_when_validation_gets_worse_and_leave_training_alone(tmp_path: Path, corpora: Path) -> None:
    words = ["words_lstm3", "--rule", "sgd", "--set", "momentum=0", "--set", "lr=20", "--data", str(corpora),
             "--width", "0.05", "--batch", "15", "--epochs", "30"]  # fmt: skip
    plain = evaluations(record(tmp_path / "a", *words))
    averaged = evaluations(record(tmp_path / "b", *words, "--average"))
    assert [line["train_loss"] for line in plain] == [line["train_loss"] for line in averaged]
    losses = [line["valid_loss"] for line in plain[1:]]  # the first is before the first step
    begins = next(i for i in range(6, len(losses)) if losses[i] > min(losses[: i - 5])) + 1
    same = [a == b for a, b in zip(plain[1:], averaged[1:], strict=True)]
    assert begins < 25 and all(same[:begins]) and not any(same[begins:])


def test_averages_are_refused_where_there_are_none(tmp_path: Path) -> None:
    done = run(tmp_path, "reddi", "--rule", "sgd", "--average")
    assert (done.returncode, done.stdout) == (1, "")
    assert "reddi has no averages of its weights; leave average" in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("ptb_lstm1 --train 1000000", "train must lie in [1, 929589], got 1000000"),
        ("ptb_lstm1 --precision bfloat16", "an LSTM takes no bfloat16 and no channels_last"),
        ("words_lstm3 --batch 2000", "batch must lie in [1, 1050], got 2000"),
        ("shakespeare_gpt --batch 10000", "batch must lie in [1, 7841], got 10000"),
        ("multi30k_transformer --batch 5", "batch counts words: it must be at least 9, the longest sentence, got 5"),
    ],
)
def test_a_mistake_is_answered_with_what_to_do(tmp_path: Path, corpora: Path, words: str, message: str) -> None:
    done = run(tmp_path, *words.split(), "--rule", "adam", "--data", str(corpora))
    assert (done.returncode, done.stdout) == (1, "")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_missing_text_is_answered_with_the_way_to_get_it(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for workload, where in (("ptb_lstm1", "LDC99T42"), ("shakespeare_gpt", "github.com/karpathy/char-rnn"),
                            ("multi30k_transformer", "github.com/multi30k/dataset"), ("words_lstm3", "train.txt"),
                            ("iwslt14_transformer", "prepare-iwslt14.sh")):  # fmt: skip
        done = run(tmp_path / "out", workload, "--rule", "adam", "--data", str(tmp_path / "data"))
        assert done.returncode == 1 and where in done.stderr, done.stderr
        assert str(tmp_path / "data") in done.stderr
