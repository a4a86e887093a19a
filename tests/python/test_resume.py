# SPDX-License-Identifier: MIT
"""Tests of checkpoints: trials that are stopped or killed and resumed, damaged checkpoints, a full disk.

Every workload is trained for a few steps on a few examples, on made-up data where Debian has no package of the data.
"""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from corpora import make_corpora
from images import make_cifar, make_features, make_photographs
from test_language import SMALL as LANGUAGE
from test_program import PROGRAM, TIMES, WORKLOADS, Here, environment, read, wait_for

TOY = ["train", "convex_regret", "--rule", "adabelief", "--threads", "1"]
NETWORK = ["train", "fashion_mnist_cnn", "--threads", "1", "--batch", "8", "--train", "64",
           "--steps", "60"]  # fmt: skip

# What makes a workload small. Others than these classify images.
IMAGES = "--train 32 --batch 8 --steps 6 --width 0.125"
WORDS = {
    **{name: "--steps 3000" for name in ("convex_regret", "monotone", "nonconvex_rate", "reddi")},
    **{name: "--steps 2000" for name in WORKLOADS if name.startswith("toy_")},
    "stable_curvature": "--steps 60",
    **{name: f"{words} --steps 14" for name, words in LANGUAGE.items()},
    **{name: "--train 40 --batch 4 --steps 14 --width 0.125" for name in WORKLOADS if "gan" in name},
    "fashion_mnist_cnn": "--train 64 --batch 8 --steps 100 --width 0.25",
    "imagenet_resnet18": "--batch 4 --steps 6 --width 0.125",
}


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of all data sets, made up; Fashion-MNIST is Debian's."""
    return make_features(make_photographs(make_cifar(make_corpora(tmp_path_factory.mktemp("data")))))


@pytest.fixture
def here(tmp_path: Path) -> Here:
    return Here(tmp_path)


def timeless(path: Path) -> list[dict[str, Any]]:
    return [{k: v for k, v in line.items() if k not in TIMES} for line in read(path)]


def checkpoints(here: Here) -> list[Path]:
    """The newest last."""
    found = (here.folder / "out" / "checkpoints").glob("*.checkpoint")
    return sorted(found, key=lambda path: int(path.name.split(".")[-2]))


def start(here: Here, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [PROGRAM, *words],
        cwd=here.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(here.folder),
    )


def killed(here: Here, *words: str, after: Callable[[], Any]) -> None:
    process = start(here, *words, "--checkpoint", "0")
    wait_for(lambda: process.poll() is not None or after(), 60)
    process.kill()
    _, err = process.communicate(timeout=10)
    assert process.returncode == -signal.SIGKILL, err


def test_averages_of_weights_go_on_as_if_unbroken(here: Here, data: Path) -> None:
    words = ["train", "words_lstm3", "--rule", "sgd", "--set", "momentum=0", "--set", "lr=20", "--average",
             "--data", str(data), "--width", "0.05", "--batch", "15", "--epochs", "24", "--threads", "1"]  # fmt: skip
    whole = timeless(here.folder / here(*words, "--quiet", "--out", "whole").stdout.strip())
    plain = timeless(
        here.folder / here(*(word for word in words if word != "--average"), "--quiet", "--out", "plain").stdout.strip()
    )
    assert whole[-1]["weights_sha256"] == plain[-1]["weights_sha256"] and whole[-2] != plain[-2]  # averages began
    late = whole[-2]["step"] * 9 // 10
    killed(here, *words, "--out", "out",
           after=lambda: any(int(p.name.split(".")[-2]) >= late for p in checkpoints(here)))  # fmt: skip
    done = here(*words, "--quiet", "--out", "out", "--resume")
    assert timeless(here.folder / done.stdout.strip())[1:] == whole[1:]


@pytest.mark.parametrize("name", WORKLOADS)
def test_every_workload_killed_and_resumed_leaves_the_record_and_the_weights_of_an_unbroken_one(
    here: Here, data: Path, name: str
) -> None:
    words = ["train", name, "--rule", "adabelief", "--threads", "1", "--data", str(data)]
    words += WORDS.get(name, IMAGES).split()
    whole = here(*words, "--quiet", "--out", "whole")
    assert whole.returncode == 0, whole.stderr
    killed(here, *words, "--out", "out", after=lambda: len(checkpoints(here)) == 2)
    done = here(*words, "--quiet", "--out", "out", "--resume", "--checkpoint", "0")
    assert (done.returncode, done.stderr) == (0, "")
    ours, theirs = (timeless(here.folder / run.stdout.rstrip("\n")) for run in (done, whole))
    assert {**ours[0], "command": None} == {**theirs[0], "command": None}
    assert ours[1:] == theirs[1:]
    assert ours[-1]["status"] == "finished" and len(ours[-1]["weights_sha256"]) == 64
    assert not (here.folder / "out" / "checkpoints").exists()


@pytest.mark.parametrize(
    "more",
    [
        *("sgd", "adam --states 8bit", "adabelief --states bfloat16", "adabelief --precision bfloat16"),
        *("adabelief --weights bfloat16-exact", "adam --weights float16-stochastic --states 8bit"),
    ],
)
def test_a_trial_killed_again_and_again_ends_as_an_unbroken_one(here: Here, more: str) -> None:
    words = ["10" if word == "60" else word for word in NETWORK] + ["--rule", *more.split()]
    whole = here(*words, "--quiet", "--out", "whole")
    assert whole.returncode == 0, whole.stderr
    chance, kills = random.Random(more), 0
    record = Path(whole.stdout.strip()).name
    while not (here.folder / "out" / "records" / record).exists():
        before = checkpoints(here)
        process = start(here, *words, "--out", "out", "--checkpoint", "0", "--resume")
        wait_for(lambda old=before, now=process: checkpoints(here) != old or now.poll() is not None)
        time.sleep(chance.uniform(0, 0.05))
        process.kill()
        _, err = process.communicate(timeout=10)
        assert process.returncode in (0, -signal.SIGKILL), err
        kills += process.returncode != 0
    assert kills > 0
    assert timeless(here.folder / "out" / "records" / record) == timeless(here.folder / "whole" / "records" / record)


@pytest.fixture
def stopped(here: Here) -> tuple[list[str], list[dict[str, Any]]]:
    """The words of a network's trial that was killed with two checkpoints, and the record of an unbroken one."""
    words = [*NETWORK, "--rule", "adabelief", "--out", "out"]
    whole = here(*words[:-1], "whole", "--quiet")
    killed(here, *words, after=lambda: len(checkpoints(here)) == 2)
    return words, timeless(here.folder / whole.stdout.strip())


def damage(path: Path, kind: str) -> None:
    content = path.read_bytes()
    middle = len(content) // 2
    path.write_bytes(
        {
            "cut": content[:middle],
            "empty": b"",
            "a flipped bit": content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :],
            "something else": b"PK" + content,
        }[kind]
    )


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("cut", "damaged or cut: its checksum is another"),
        ("empty", "not a checkpoint of this program"),
        ("a flipped bit", "damaged or cut: its checksum is another"),
        ("something else", "not a checkpoint of this program"),
    ],
)
def test_a_damaged_checkpoint_is_told_and_the_one_before_is_used(
    here: Here, stopped: tuple[list[str], list[dict[str, Any]]], kind: str, why: str
) -> None:
    words, whole = stopped
    newest = checkpoints(here)[-1]
    damage(newest, kind)
    done = here(*words, "--quiet", "--resume")
    assert (done.returncode, done.stderr) == (0, f"adabelief: {newest.relative_to(here.folder)}: left out: {why}\n")
    assert timeless(here.folder / done.stdout.strip()) == whole


def test_where_no_checkpoint_is_good_the_trial_begins_anew(
    here: Here, stopped: tuple[list[str], list[dict[str, Any]]]
) -> None:
    words, whole = stopped
    kept = checkpoints(here)
    for path in kept:
        damage(path, "cut")
    done = here(*words, "--quiet", "--resume")
    assert done.returncode == 0 and done.stderr.count("left out") == len(kept)
    assert done.stderr.endswith(".jsonl.part: no good checkpoint; the trial begins anew\n")
    assert timeless(here.folder / done.stdout.strip()) == whole


def test_a_trial_that_begins_anew_keeps_its_own_checkpoints(
    here: Here, stopped: tuple[list[str], list[dict[str, Any]]]
) -> None:
    words, whole = stopped
    late = 1_000_000
    for step, path in enumerate(checkpoints(here), late):
        damage(path, "cut")
        path.rename(path.with_name(f"adabelief-s1.{step}.checkpoint"))
    (here.folder / "out" / "checkpoints" / f"adabelief-s1.{late + 2}.checkpoint.part").touch()
    killed(here, *words, "--resume",
           after=lambda: [int(p.name.split(".")[-2]) < late for p in checkpoints(here)] == [True, True])  # fmt: skip
    done = here(*words, "--quiet", "--resume")
    assert (done.returncode, done.stderr) == (0, "")
    assert timeless(here.folder / done.stdout.strip()) == whole
    assert not (here.folder / "out" / "checkpoints").exists()


def test_a_checkpoint_of_another_trial_is_refused_with_what_differs_and_kept(
    here: Here, stopped: tuple[list[str], list[dict[str, Any]]]
) -> None:
    words, whole = stopped
    kept = checkpoints(here)
    others = {
        "options.eps is 1e-08 there, 1e-12 here": [*words, "--set", "eps=1e-12", "--label", "adabelief"],
        "threads is 1 there, 2 here": [*words[:3], "2", *words[4:]],
    }
    for what, other in others.items():
        assert here.refusal(*other, "--resume") == (
            f"{kept[-1].relative_to(here.folder)}: of another trial: {what}; go on with the program and the options"
            " that it began with, or give another --label or --out, or remove out/checkpoints/adabelief-s1.* to begin"
            " anew"
        )
    assert checkpoints(here) == kept
    done = here(*words, "--quiet", "--resume")
    assert (done.returncode, done.stderr) == (0, "")
    assert timeless(here.folder / done.stdout.strip()) == whole


def test_a_trial_with_a_checkpoint_is_not_begun_anew_by_oversight(
    here: Here, stopped: tuple[list[str], list[dict[str, Any]]]
) -> None:
    words, _ = stopped
    newest = checkpoints(here)[-1]
    assert here.refusal(*words) == (
        f"out/records/adabelief-s1.jsonl.part has a checkpoint after step {newest.name.split('.')[1]}; go on from it by"
        " --resume, or give another --label or --out"
    )
    assert checkpoints(here)[-1] == newest


def test_a_stopped_training_goes_on_where_it_was(here: Here) -> None:
    words = ["2000" if word == "60" else word for word in NETWORK] + ["--rule", "adabelief", "--epochs", "1000"]
    process = start(here, *words)
    (part,) = wait_for(lambda: list(here.folder.glob("runs/*/*/records/*.part")))
    wait_for(lambda: part.read_text().count('"evaluation"') >= 2)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130, err
    (kept,) = here.folder.glob("runs/*/*/checkpoints/*")
    step = int(kept.name.split(".")[1])
    assert err == f"stopped after step {step}; go on by --resume; what was recorded is in {part.relative_to(here.folder)}\n"
    done = here(*words, "--resume", "--quiet")
    assert (done.returncode, done.stderr) == (0, "")
    assert here.folder / done.stdout.strip() == part.with_suffix("")
    assert "no unfinished training of adabelief-s1 under runs/fashion_mnist_cnn" in here.refusal(*words, "--resume")


def test_checkpoints_are_written_at_their_interval_and_two_are_kept(here: Here) -> None:
    def steps(interval: str) -> int:
        process = start(here, *TOY, "--out", "out", "--checkpoint", interval, "--label", f"every {interval}")
        seen: set[str] = set()
        end = time.monotonic() + 2
        while time.monotonic() < end:
            seen |= {path.name for path in checkpoints(here) if path.name.startswith(f"every-{interval}".replace(".", "-"))}
            assert len(seen) < 3 or len(checkpoints(here)) in (2, 3)
            time.sleep(0.01)
        process.kill()
        process.communicate(timeout=10)
        return len(seen)

    assert steps("60") == 0
    assert 1 <= steps("0.5") <= 4


def test_a_checkpoint_that_cannot_be_written_is_told_once_and_the_earlier_ones_are_kept(here: Here) -> None:
    # A limit on the size of files stands for the full disk: the record is small enough for it, a checkpoint is not.
    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    words = [*NETWORK, "--rule", "adabelief", "--out", "out"]
    whole = here(*words[:-1], "whole", "--quiet")
    killed(here, *words, after=lambda: len(checkpoints(here)) == 2)
    before = {path: path.read_bytes() for path in checkpoints(here)}
    process = subprocess.Popen([PROGRAM, *words, "--resume", "--checkpoint", "0"], cwd=here.folder, text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(here.folder),
                               preexec_fn=limit)  # fmt: skip  # noqa: PLW1509, there are no threads
    lines = [process.stderr.readline()]
    os.kill(process.pid, signal.SIGSTOP)
    assert {path: path.read_bytes() for path in checkpoints(here)} == before
    os.kill(process.pid, signal.SIGCONT)
    printed, err = process.communicate(timeout=60)
    lines += err.splitlines(keepends=True)
    assert process.returncode == 0 and len(lines) == 1
    assert lines[0].endswith(
        ".checkpoint.part: cannot write: File too large; training goes on, and earlier checkpoints are kept\n"
    )
    assert timeless(here.folder / printed.splitlines()[-1]) == timeless(here.folder / whole.stdout.strip())


def test_a_comparison_goes_on_within_its_trials_and_tells_what_it_met(here: Here) -> None:
    here.write("""title = "Two"
workload = "fashion_mnist_cnn"
seeds = [1]
epochs = 20
batch = 8
threads = 1
width = 0.25
train = 800
[[rules]]
rule = "adabelief"
[[rules]]
rule = "adam"
""")
    process = start(here, "compare", "mini.toml", "--out", "out", "--jobs", "1", "--checkpoint", "0.2")
    wait_for(lambda: len(checkpoints(here)) == 2, 60)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=10)
    wait_for(lambda: not list(here.folder.glob("out/checkpoints/*.part")))
    time.sleep(1)  # its trial ends in order, with a checkpoint
    newest = checkpoints(here)[-1]
    damage(newest, "a flipped bit")
    done = here("compare", "mini.toml", "--out", "out", "--resume")
    assert done.returncode == 0
    assert f"adabelief seed 1: {newest.relative_to(here.folder)}: left out: damaged or cut" in done.stderr
    assert not (here.folder / "out" / "checkpoints").exists()
    plan = json.loads((here.folder / "out" / "experiment.json").read_text())
    assert len(list((here.folder / "out" / "records").glob("*.jsonl"))) == len(plan["trials"]) == 2
