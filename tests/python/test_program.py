# SPDX-License-Identifier: MIT
"""Tests of the program as a user meets it: list, train, compare, report; its mistakes, breaks and resumptions.

The program is $ADABELIEF_PROGRAM, or build/adabelief; without it every test fails. Trials are of a few steps on
Fashion-MNIST from Debian's package, so that one takes about a second.
"""

from __future__ import annotations

import contextlib
import csv
import fcntl
import json
import math
import os
import pty
import re
import resource
import shutil
import signal
import struct
import subprocess
import termios
import time
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = Path(os.environ.get("ADABELIEF_PROGRAM", ROOT / "build" / "adabelief")).resolve()
EXPERIMENTS = sorted((ROOT / "trials" / "experiments").glob("*.toml"))
RULES = [path.stem for path in (ROOT / "include" / "adabelief" / "rules").glob("*.h")]
WORKLOADS = [path.stem for path in (ROOT / "trials" / "workloads").glob("*.h")]
TRAIN = ["train", "fashion_mnist_cnn", "--batch", "16", "--threads", "1", "--rule"]

# Line numbers are part of the tests. SGD is made to diverge.
MINI = """title = "Mini"
workload = "fashion_mnist_cnn"
seeds = [1, 2]
batch = 16
steps = 20
baseline = "Adam"
target = 30

[[rules]]
label = "AdaBelief"
rule = "adabelief"

[[rules]]
label = "Adam"
rule = "adam"
options = { lr = 1e-3 }

[[rules]]
label = "SGD"
rule = "sgd"
options = { lr = 1e10 }
"""
CLAIMED = "options = { lr = 1e10 }\n"  # the last line of MINI, after which claims may stand
CLAIM = """
[[claims]]
text = "Adam is better than SGD"
metric = "test"
rule = "Adam"
versus = "SGD"
kind = "better"
margin = 1
"""
# Two functions, with labels that each have once.
TOYS = """title = "Toys"
workload = ["toy_abs", "toy_beale"]
seeds = [1]
steps = 300
baseline = "Adam"

[[rules]]
label = "Adam"
rule = "adam"

[[rules]]
label = "SGD"
rule = "sgd"
options = { lr = 1e-2, momentum = 0 }
workload = "toy_abs"

[[rules]]
label = "SGD"
rule = "sgd"
options = { lr = 1 }
workload = ["toy_beale"]
"""
TOY_RUNS = ["toy_abs-adam-s1", "toy_abs-sgd-s1", "toy_beale-adam-s1", "toy_beale-sgd-s1"]
RUNS = [f"{rule}-s{seed}" for seed in (1, 2) for rule in ("adabelief", "adam", "sgd")]
TIMES = {"seconds", "optimizer_seconds", "data_seconds", "started", "ended", "ms_a_step", "optimizer_ms_a_step",
         "seconds_to_target"}  # fmt: skip


def environment(home: Path, **more: str) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": str(home), "LC_ALL": "C.UTF-8", **more}


class Here:
    """An empty folder, and the program run in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(
        self, *words: str, cwd: Path | None = None, setup: Callable[[], None] | None = None, **env: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [PROGRAM, *words],
            check=False,
            cwd=cwd or self.folder,
            capture_output=True,
            text=True,
            env=environment(self.folder, **env),
            timeout=120,
            preexec_fn=setup,
        )

    def start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [PROGRAM, *words],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(self.folder),
        )

    def write(self, text: str, name: str = "mini.toml") -> Path:
        path = self.folder / name
        path.write_text(text)
        return path

    def refusal(self, *words: str, status: int = 1, **env: str) -> str:
        """The one line that a mistake is answered with."""
        done = self(*words, **env)
        assert (done.returncode, done.stdout) == (status, ""), done
        lines = done.stderr.splitlines()
        assert lines[0].startswith("adabelief: ")
        assert len(lines) == 1 or (status == 2 and len(lines) == 2 and lines[1].startswith("Run `adabelief")), lines
        return lines[0].removeprefix("adabelief: ")  # which is also how a mistake with the rule adabelief starts

    def record(self, *words: str, **env: str) -> list[dict[str, Any]]:
        """The record of a training."""
        done = self(*words, "--quiet", **env)
        assert done.returncode == 0, done.stderr
        path = self.folder / done.stdout.rstrip("\n")
        assert not Path(f"{path}.part").exists()
        return read(path)


@pytest.fixture
def here(tmp_path: Path) -> Here:
    return Here(tmp_path)


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """An unbroken comparison: its folder, and what it printed."""
    here = Here(tmp_path_factory.mktemp("a whole run"))
    here.write(MINI)
    done = here("compare", "mini.toml", "--out", "out")
    return here.folder / "out", done


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of the experiment toy."""
    here = Here(tmp_path_factory.mktemp("toy"))
    done = here("compare", "toy", "--out", "out", "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (0, "out/index.html\n", "")
    return here.folder / "out"


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def evaluations(record: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{k: v for k, v in line.items() if k not in TIMES} for line in record if line["type"] == "evaluation"]


def summary(folder: Path) -> list[dict[str, str]]:
    with (folder / "summary.csv").open() as file:
        return [{k: v for k, v in row.items() if k not in TIMES} for row in csv.DictReader(file)]


def records(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "records").iterdir())


def processes(words: str, folder: Path | None = None) -> list[int]:
    """The processes whose command line has the words in it; those at work in the folder, as other tests run beside."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            there = folder is None or (path.parent / "cwd").resolve() == folder.resolve()
            if there and words.encode() in path.read_bytes().replace(b"\0", b" "):
                found.append(int(path.parent.name))
    return found


def children(parent: int) -> list[int]:
    with contextlib.suppress(OSError):
        return [int(pid) for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]
    return []


def trials_of(comparison: int) -> list[int]:
    """The trials among its children: the report that follows them is one too."""
    return [pid for pid in children(comparison) if pid in processes("adabelief train ")]


def wait_for(condition: Callable[[], Any], seconds: float = 30) -> Any:
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)
    return value


class Terminal:
    """The program with a terminal of its own, of this size."""

    def __init__(self, here: Here, *words: str, rows: int = 24, columns: int = 120, **env: str) -> None:
        self.ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.process = subprocess.Popen(
            [PROGRAM, *words], cwd=here.folder, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
            env=environment(here.folder, **{"TERM": "xterm", **env}),
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509, there are no threads
        )  # fmt: skip
        os.close(theirs)
        self.text = ""

    def read(self, until: str | None = None) -> str:
        """All that is shown up to these words, or to the end."""
        seen = self.text.encode()
        while until is None or until not in seen.decode(errors="replace"):
            try:
                chunk = os.read(self.ours, 4096)
            except OSError:  # how the end shows
                chunk = b""
            if not chunk:
                assert until is None, f"the end came before {until}: {seen.decode()}"
                break
            seen += chunk
        self.text = seen.decode(errors="replace")
        return self.text

    def end(self) -> tuple[int, str]:
        text = self.read()
        os.close(self.ours)
        return self.process.wait(10), text


def without_escapes(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


# Listings and help


def test_list_shows_everything_that_there_is_with_a_description(here: Here) -> None:
    done = here("list")
    assert done.returncode == 0
    entries = dict(re.findall(r"^  (\S+(?: \S+)?)  +(\S.{20,})$", done.stdout, re.MULTILINE))
    experiments = [path.stem for path in EXPERIMENTS]
    presets = {name for name in entries if " " in name}
    assert set(entries) - presets == {*RULES, *WORKLOADS, *experiments, "cifar10", "cifar100", "fashion_mnist"}
    assert "lr=0.001 beta1=0.9 beta2=0.999 eps=1e-08" in entries["adabelief"]
    published = "eps=1e-16 rectify=pytorch-0.2.1 decay=decoupled, effective eps 3.16e-07"
    assert published in entries["adabelief pytorch-0.2.1"]
    parts = [here("list", kind).stdout for kind in ("rules", "presets", "workloads", "experiments", "data")]
    assert "".join(parts) == done.stdout


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("", "--version list advise train compare report data"),
        ("list", "KIND"),
        ("advise", "RULE --set"),
        ("train", "WORKLOAD --rule --set --schedule --warmup --at --factor --beta1-decay --seed --epochs --batch --steps"
         + " --threads --precision --states --weights --channels-last --train --width --average --tuning --label --resume"
         + " --checkpoint --out --data --quiet"),
        ("compare", "EXPERIMENT --reduced --only --tune --resume --checkpoint --out --jobs --data --quiet"),
        ("report", "FOLDER --index --out --quiet"),
        ("data", "NAME --data --from --quiet"),
    ],
)  # fmt: skip
def test_help_names_every_option_with_a_description(here: Here, command: str, options: str) -> None:
    done = here(*command.split(), "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"Usage: adabelief{command and ' '}{command}" in done.stdout
    described = re.findall(r"^  (?:-h,)?(\S+)(?: \S+)*\s{2,}[A-Za-z][^\n]{10}", done.stdout, re.MULTILINE)
    assert set(described) == {*options.split(), "--help"}


def test_the_version_is_told_with_its_commit(here: Here) -> None:
    assert re.fullmatch(r"adabelief \d+\.\d+\.\d+ \(\S+\)\n", here("--version").stdout)


def test_a_reader_that_leaves_early_is_no_error(here: Here) -> None:
    line = f"set -o pipefail; {PROGRAM} list | head -n 1"
    done = subprocess.run(["bash", "-c", line], check=True, capture_output=True, text=True, cwd=here.folder)
    assert (done.stdout, done.stderr) == ("rules\n", "")


# Mistakes on the command line


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        ("trian", 2, "no command named 'trian'; did you mean train? There are: list, advise, train, compare, report, data"),
        ("train fashion_mnist_cnn --rule adam --sheduel x", 2,
         "no option named '--sheduel'; did you mean --schedule? There are: --help, --rule, "),
        ("compare quick --job=3", 2, "no option named '--job'; did you mean --jobs? There are: --help, --reduced, --only, "),
        ("list rule", 1, "no list named 'rule'; did you mean rules? There are: rules, presets, workloads, experiments, data"),
        ("train fashon_mnist --rule adam", 1,
         "no workload named 'fashon_mnist'; did you mean fashion_mnist_cnn? There are: cifar100_densenet121, cif"),
        ("train fashion_mnist_cnn --rule adabelif", 1,
         "no rule named 'adabelif'; did you mean adabelief? There are: "),
        ("compare quik", 1, "no experiment named 'quik'; did you mean quick? There are: "),
        ("data fashion", 1, "no data set named 'fashion'; did you mean fashion_mnist? There are: cifar10, cifar100, "),
        ("train fashion_mnist_cnn --rule adam --set beta=1", 1,
         "adam: no option named 'beta'; did you mean beta1? There are: lr, beta1, beta2, eps, weight_decay, decay"),
        ("train fashion_mnist_cnn --rule adam --schedule cosin", 1,
         "schedule: no kind named 'cosin'; did you mean cosine? There are: constant, steps, cosine"),
        ("train fashion_mnist_cnn --rule adam --precision bfloat", 1,
         "no precision named 'bfloat'; did you mean bfloat16? There are: float32, bfloat16"),
        ("train fashion_mnist_cnn --rule adam --states 8bits", 1,
         "no form of states named '8bits'; did you mean 8bit? There are: full, bfloat16, 8bit"),
        ("train reddi --rule adam --states bfloat16", 1,
         "states in bfloat16 are for weights that are computed in float, reddi is computed in double; leave states"),
        ("train fashion_mnist_cnn --rule adam --weights bfloat16", 1,
         "no form of weights named 'bfloat16'; did you mean bfloat16-nearest? There are: float32, bfloat16-neare"),
        ("train reddi --rule adam --weights bfloat16-exact", 1,
         "weights in bfloat16-exact are for weights that are computed in float, reddi is computed in double; leave weig"),
        ("train fashion_mnist_cnn --rule adam --set decay=coupld", 1,
         "adam: decay must be one of coupled, decoupled, fixed, got 'coupld'"),
        ("train fashion_mnist_cnn --rule adam --set lr", 1, "--set takes NAME=VALUE, such as lr=1e-3, got lr"),
        ("train fashion_mnist_cnn --rule adabelief --set beta1=1", 1, "beta1 must lie in [0, 1), got 1"),
        ("train fashion_mnist_cnn --rule adam --set lr=fast", 1, "adam: lr must lie in [0, inf), got 'fast'"),
        ("train fashion_mnist_cnn --rule adam --warmup -1", 1, "schedule: warmup must lie in [0, inf), got -1"),
        ("train fashion_mnist_cnn --rule adam --schedule steps", 1, "schedule: steps needs at, the epochs at which"),
        ("train fashion_mnist_cnn --rule adam --at 150", 1,
         "schedule: at is for steps, not for constant; take steps, or leave at"),
        ("train fashion_mnist_cnn --rule adam --schedule cosine --factor 0.5", 1,
         "schedule: factor is for steps, not for cosine; take steps, or leave factor"),
        ("train fashion_mnist_cnn --rule adam --beta1-decay 0", 1, "schedule: beta1_decay must lie in (0, 1], got 0"),
        ("train fashion_mnist_cnn --rule adam --beta1-decay 1.5", 1, "schedule: beta1_decay must lie in (0, 1], got 1.5"),
        ("train reddi --rule adam --batch 2", 1, "a workload without data has no batch, bfloat16, channels_last, train or"),
        ("train reddi --rule adam --precision bfloat16", 1, "a workload without data has no batch, bfloat16, channels_last, train"),
        ("train fashion_mnist_cnn --rule adam --epochs 0.5", 2,
         "--epochs: must be a whole number in [0, 1000000000], got 0.5"),
        ("train fashion_mnist_cnn --rule adam --threads 0", 2, "--threads: must be a whole number in [1, 1024], got 0"),
        ("train fashion_mnist_cnn --rule adam --batch 60001", 1, "batch must lie in [1, 60000], got 60001"),
        ("train fashion_mnist_cnn --rule adam --label β", 1, "label 'β': a letter or digit of a-z, 0-9 must be in it"),
        ("train fashion_mnist_cnn --rule adam --label a\nb", 1, "label: a control character is in it"),
        ("train fashion_mnist_cnn --rule adam --label " + 201 * "y", 1, "label 'yyy"),
        ("train fashion_mnist_cnn --rule adam surplus", 2, "The following argument was not expected: surplus"),
        ("train fashion_mnist_cnn", 2, "--rule is required"),
        ("train fashion_mnist_cnn --rule adam --data nowhere", 1,
         "fashion_mnist: --data nowhere: no such folder; run: adabelief data fashion_mnist --data nowhere, or install"),
        ("train cifar10_resnet20 --rule adam --data .", 1,
         "cifar10: no data_batch_1.bin[.gz] under ., "),
        ("train fashion_mnist_cnn --rule adam --out /proc/none", 1, "/proc/none/records: No such file or directory"),
        ("compare quick --out /proc/none", 1, "/proc/none/records: No such file or directory"),
        ("compare nowhere.toml", 1, "nowhere.toml: cannot read it"),
        ("compare .", 1, "no experiment named '.'. There are: "),
        ("compare quick --resume", 1, "no run of quick under runs/quick to resume; run: adabelief compare quick"),
        ("compare quick --resume --out .", 1, ".: no run to resume there"),
    ],
)  # fmt: skip
def test_a_mistake_is_answered_in_one_line_with_what_there_is(
    here: Here, words: str, status: int, message: str
) -> None:
    assert here.refusal(*words.split(" "), status=status).startswith(message)
    assert list(here.folder.iterdir()) == []  # nothing is left behind


def test_a_label_that_is_no_utf8_does_not_harm_the_record(here: Here) -> None:
    record = here.record(*TRAIN, "adam", "--steps", "1", "--label", os.fsdecode(b"caf\xe9"))
    assert record[0]["label"] == "caf\ufffd"


# Mistakes in an experiment


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ('title = "Mini"', 'title = "Mini', 1, ""),
        ("steps = 20", "steps = ", 5, ""),
        ("steps = 20", "steps = 20\nsteps = 30", 6, ""),
        ("steps = 20", "stepps = 20", 5, "no key named 'stepps'; did you mean steps? There are: baseline, batch, "),
        ('label = "Adam"', 'lable = "Adam"', 14, "rules.no key named 'lable'"),
        ("target = 30", "schedule = { kind = 'cosine', warm = 1 }", 7, "schedule.no key named 'warm'; did you mean "),
        ("target = 30", "schedule = { warmup = 1 }", 7, "schedule.kind is missing: one of constant, steps, cosine"),
        ("target = 30", "schedule = { kind = 'cosin' }", 7, "schedule: no kind named 'cosin'; did you mean cosine?"),
        ("target = 30", "schedule = { kind = 'steps' }", 7, "schedule: steps needs at, the epochs"),
        ("target = 30", "schedule = { kind = 'steps', at = [1, 'x'] }", 7, "schedule.at must be a list of epochs, "),
        ("target = 30", "schedule = { kind = 'cosine', beta1_decay = 2 }", 7, "schedule: beta1_decay must lie in (0, 1]"),
        ("{ lr = 1e-3 }", "{}\nschedule = { kind = 'cosin' }", 17, "schedule: no kind named 'cosin'; did you mean cosine"),
        ("target = 30", "schedule = 'cosine'", 7, 'schedule must be a table, such as { kind = "cosine" }'),
        ("target = 30", "target = 'high'", 7, "target must be a value of the test metric, got 'high'"),
        ("target = 30", "precision = 'float16'", 7, "no precision named 'float16'; did you mean bfloat16? There are"),
        ("target = 30", "precision = 16", 7, "precision must be one of float32, bfloat16, got 16"),
        ("target = 30", "states = 'bf16'", 7, "no form of states named 'bf16'. There are: full, bfloat16, 8bit"),
        ("target = 30", "states = 8", 7, "states must be one of full, bfloat16, 8bit, got 8"),
        ("{ lr = 1e-3 }", "{}\nstates = '8 bit'", 17, "no form of states named '8 bit'; did you mean 8bit? There are"),
        ("{ lr = 1e-3 }", "{}\nstates = 8", 17, "rules.states must be one of full, bfloat16, 8bit, got 8"),
        ("target = 30", "channels_last = 1", 7, "channels_last must be true or false, got 1"),
        ("target = 30", "paper = 3", 7, "paper must be [[paper]] tables with label, value and source"),
        ("batch = 16", "batch = 0", 4, "batch must be a whole number of at least 1, got 0"),
        ("batch = 16", "batch = 1.5", 4, "batch must be a whole number of at least 1, got 1.5"),
        ("seeds = [1, 2]", "seeds = []", 3, "seeds is missing: a list of whole numbers, such as [1, 2, 3]"),
        ("seeds = [1, 2]", "seeds = 3", 3, "seeds must be a list of whole numbers, got 3"),
        ("seeds = [1, 2]", "seeds = [1, 1]", 3, "seeds has one twice"),
        ("seeds = [1, 2]", "", 1, "seeds is missing: a list of whole numbers, such as [1, 2, 3]"),
        ('title = "Mini"', "", 1, "title is missing: a line that says what is compared"),
        ('"fashion_mnist_cnn"', '"fashion_mnist"', 2, "no workload named 'fashion_mnist'; did you mean fashion_mnist_"),
        ('baseline = "Adam"', 'baseline = "Adamm"', 6,
         "no label named 'Adamm'; did you mean Adam? There are: AdaBelief, Adam, SGD"),
        ('label = "AdaBelief"', 'label = "Adam"', 13, "the labels Adam and Adam name one record, adam-s1; give each"),
        ('label = "AdaBelief"', 'label = "adam!"', 13, "the labels adam! and Adam name one record, adam-s1; give each"),
        ('label = "AdaBelief"', 'label = ""', 9, "label '': a letter or digit of a-z, 0-9 must be in it"),
        ('label = "AdaBelief"', 'label = "a\\u001b[2J"', 9, "label: a control character is in it"),
        ('rule = "adam"', 'rule = "adamm"', 15, "adabelief: no rule named 'adamm'; did you mean adam? There are"),
        ('rule = "adam"', "", 13, "rules.rule is missing: the name of a rule (adabelief list)"),
        ("{ lr = 1e-3 }", "{ lr = -1 }", 16, "adam: lr must lie in [0, inf), got -1"),
        ("{ lr = 1e-3 }", "{ lr = true }", 16, "adam: lr must lie in [0, inf), got 'true'"),
        ("{ lr = 1e-3 }", "{ beta = 1e-3 }", 16, "adam: no option named 'beta'; did you mean beta1? There are"),
        ("{ lr = 1e-3 }", "1e-3", 16, "rules.options must be a table, such as { lr = 1e-3 }"),
        (MINI[MINI.index("[[rules]]"):], "", 1, 'rules is missing: one [[rules]] table with rule = "..." for each'),
        (MINI[MINI.index("[[rules]]"):], "rules = []", 9, 'rules is missing: one [[rules]] table with rule = "..."'),
        ('"fashion_mnist_cnn"', "3", 2, "workload must be the name of a workload (adabelief list), or a list of such na"),
        ('"fashion_mnist_cnn"', "['toy_abs', 3]", 2, "workload must be a list of such names, with 3 in it"),
        ('"fashion_mnist_cnn"', "['toy_abs', 'toy_bale']", 2, "no workload named 'toy_bale'; did you mean toy_beale?"),
        ('"fashion_mnist_cnn"', "['toy_abs', 'toy_abs']", 2, "workload has toy_abs twice"),
        ('"fashion_mnist_cnn"', "[]", 2, "workload is missing: the name of a workload (adabelief list), or a list"),
        ('workload = "fashion_mnist_cnn"', "", 1, "workload is missing: the name of a workload"),
        ("{ lr = 1e-3 }", "{ lr = 1e-3 }\nworkload = 'toy_abs'", 17,
         "no workload named 'toy_abs'. There are: fashion_mnist_cnn"),
        ("target = 30", "published = 'cifar10/vgg12'", 7, "no published results named 'cifar10/vgg12'; did you mean cifar1"),
        ("target = 30", "published = 3", 7, "published must be a key of trials/paper/results.toml, or a table of one per "),
        ("target = 30", "published = { cifar = 'wgan' }", 7, "published.no key named 'cifar'. There are: fashion"),
        ("target = 30", "claims = 3", 7, "claims must be [[claims]] tables with text, rule and versus"),
        *((CLAIMED, CLAIMED + CLAIM.replace(old, new), line, message) for old, new, line, message in (
            ("text = ", "txt = ", 23, "claims.text is missing: the claim in words"),
            ('"SGD"', '"SDG"', 27, "no label named 'SDG'; did you mean SGD? There are: AdaBelief, Adam, SGD"),
            ('"better"', '"best"', 28, "no kind named 'best'. There are: better, not worse"),
            ('"test"', '"loss"', 25, "no metric named 'loss'"),
            ('margin = 1', 'margin = -1', 29, "claims.margin must be at least 0"),
            ('margin = 1', 'workload = "toy_abs"', 29, "no workload named 'toy_abs'. There are: fashion_mnist_cnn"),
        )),
        (MINI, "", 1, "title is missing"),
    ],
)  # fmt: skip
def test_a_mistake_in_an_experiment_is_named_with_file_line_and_what_is_allowed(
    here: Here, old: str, new: str, line: int, message: str
) -> None:
    assert MINI.count(old) == 1
    path = here.write(MINI.replace(old, new))
    refusal = here.refusal("compare", str(path))
    assert refusal.startswith(f"{path}:{line}: {message}")
    assert [entry.name for entry in here.folder.iterdir()] == ["mini.toml"]


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ('["toy_beale"]', '["toy_abs"]', 17,
         "the labels SGD and SGD name one record, toy_abs-sgd-s1; give each rule its own label"),
        (TOYS[TOYS.index('rule = "adam"') : TOYS.index('"toy_abs"\n\n')], 'rule = "adam"\nworkload = "toy_beale" # ', 2,
         "no rule trains toy_abs"),
        ('baseline = "Adam"', "[[paper]]\nlabel = 'Adam'\nvalue = 1\nsource = 'x'", 5,
         "paper.workload is missing: which of the workloads it is of"),
    ],
)  # fmt: skip
def test_a_mistake_in_an_experiment_of_several_workloads_is_named(
    here: Here, old: str, new: str, line: int, message: str
) -> None:
    assert TOYS.count(old) == 1
    path = here.write(TOYS.replace(old, new))
    assert here.refusal("compare", str(path)) == f"{path}:{line}: {message}"


def test_an_experiment_like_another_takes_what_it_does_not_say_from_there(here: Here) -> None:
    (here.folder / "sub").mkdir()
    here.write(TOYS, "sub/base.toml")
    mine = here.write("like = 'base.toml'\ntitle = 'Mine'\nseeds = [7]\n", "sub/mine.toml")
    done = here("compare", str(mine), "--out", "out", "--jobs", "1")
    assert done.returncode == 0, done.stderr
    plan = json.loads((here.folder / "out" / "experiment.json").read_text())
    base = tomllib.loads(TOYS)
    assert tomllib.loads(plan["toml"]) == {**base, "title": "Mine", "seeds": [7]}  # whole, should base.toml change
    assert plan["title"] == "Mine" and {trial["seed"] for trial in plan["trials"]} == {7}
    assert here("compare", str(mine), "--resume", "--out", "out").returncode == 0


@pytest.mark.parametrize(
    ("like", "base", "message"),
    [
        ("'cifar11'", TOYS, "mine.toml:2: no experiment named 'cifar11'; did you mean cifar10? There are: "),
        ("3", TOYS, "mine.toml:2: like must be the name or the path of an experiment, got 3"),
        ("'other.toml'", TOYS, "mine.toml:2: other.toml: cannot read it"),
        ("'base.toml'", "like = 'toy'", "mine.toml:2: base.toml is itself like another experiment; name that one"),
        ("'base.toml'", TOYS.replace("steps", "stops"), "base.toml:4: no key named 'stops'; did you mean steps?"),
        ("'base.toml'", "a = ", "base.toml:1: "),
        ("'base.toml'", TOYS.replace("seeds = ", "seeds = 3 #"), "base.toml:3: seeds must be a list of whole numbers"),
    ],
)
def test_a_mistake_in_what_an_experiment_is_like_is_named_with_its_own_file(
    here: Here, like: str, base: str, message: str
) -> None:
    here.write(base, "base.toml")
    here.write(f"title = 'Mine'\nlike = {like}\n", "mine.toml")
    assert here.refusal("compare", "mine.toml").startswith(message)


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_every_experiment_of_the_project_can_be_read_and_lists_its_trials(here: Here, path: Path) -> None:
    table = tomllib.loads(path.read_text())
    like = table.pop("like", None)
    if like is not None:
        table = {**tomllib.loads((path.parent / f"{like}.toml").read_text()), **table}
    process = here.start("compare", path.stem, "--out", "out", "--jobs", "1", "--data", "nowhere")
    without_data = path.stem.startswith(("theory", "toy"))
    if without_data:  # read, then stopped; the others are refused
        wait_for(lambda: list(here.folder.glob("out/records/*")))
        process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    if without_data:
        assert process.returncode == 130, err
    else:
        assert process.returncode == 1 and re.search("nowhere: no such folder|no folder imagenet ", err), err
    plan = json.loads((here.folder / "out" / "experiment.json").read_text())
    assert tomllib.loads(plan["toml"]) == table and plan["title"] == table["title"]
    assert like is not None or plan["toml"] == path.read_text()
    assert plan["workload"] == table["workload"]

    def listed(names: str | list[str]) -> list[str]:
        return names if isinstance(names, list) else [names]

    workloads = listed(table["workload"])
    assert [(t.get("workload", workloads[0]), t["label"], t["seed"]) for t in plan["trials"]] == [
        (workload, rule.get("label", rule["rule"]), seed)
        for seed in table["seeds"] for workload in workloads for rule in table["rules"]
        if workload in listed(rule.get("workload", workload))
    ]  # fmt: skip


# advise


def test_an_instruction_set_that_the_machine_lacks_is_refused(here: Here) -> None:
    done = here("advise", "adabelief", ADABELIEF_ISA="mmx")
    assert done.returncode == 1
    assert re.fullmatch(
        r"adabelief: ADABELIEF_ISA=mmx is none of baseline(, \w+)*, which this machine has; unset it to run the widest\n",
        done.stderr,
    )


def test_advise_says_what_a_rule_does_with_its_options_and_warns(here: Here) -> None:
    done = here("advise", "adabelief")
    assert (done.returncode, done.stderr) == (0, "")
    for name, value in (("effective eps", "0.0031623"), ("stable curvature", "120.17"), ("first step", "0.0011111")):
        assert re.search(rf"^  {name} +{value} ", done.stdout, re.MULTILINE)
    assert "warning" not in done.stdout
    done = here("advise", "adabelief", "--set", "beta1=0", "--set", "preset=pytorch-0.2.1")
    assert "beta1=0 beta2=0.999 eps=1e-16" in done.stdout and "warning: beta1 = 0 leaves no belief" in done.stdout


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["adabelif"], "no rule named 'adabelif'; did you mean adabelief?"),
        (["adabelief", "--set", "preset=paperr"], "no preset named 'paperr'; did you mean paper?"),
        (["adam", "--set", "preset=paper"], "adam: has no presets, got paper"),
        (["adam", "--set", "beta1=1"], "adam: beta1 must lie in [0, 1), got 1"),
        (["adam", "--set", "lr"], "--set takes NAME=VALUE, such as lr=1e-3, got lr"),
    ],
)
def test_advise_refuses_what_it_does_not_know(here: Here, words: list[str], why: str) -> None:
    done = here("advise", *words)
    assert (done.returncode, done.stdout) == (1, "") and why in done.stderr


# train


def test_a_record_has_every_field_and_tells_the_trial(here: Here) -> None:
    config, *middle, end = here.record(*TRAIN, "adabelief", "--set", "eps=1e-16", "--steps", "5", "--seed", "-3")
    expected = {
        "type": "config", "record": 1, "run": "adabelief-eps-1e-16-s-3", "experiment": "", "rule": "adabelief",
        "workload": "fashion_mnist_cnn", "label": "adabelief eps=1e-16", "schedule": {"kind": "constant", "warmup": 0},
        "options": {
            "lr": 1e-3, "beta1": 0.9, "beta2": 0.999, "eps": 1e-16, "accumulate": True, "rectify": "none",
            "weight_decay": 0, "decay": "coupled",
        },
        "seed": -3, "epochs": 6, "batch": 16, "steps": 5, "steps_per_epoch": 3750, "parameters": 106122,
        "metric": {"name": "accuracy", "unit": "%", "better": "higher"}, "state_bytes": 2 * 4 * 106122,
        "precision": "float32", "states": "full", "channels_last": False, "threads": 1,
    }  # fmt: skip
    assert {key: config.get(key) for key in expected} == expected
    for key in ("version", "commit", "compiler", "torch"):
        assert isinstance(config[key], str) and config[key]
    assert set(config["machine"]) == {"cpu", "cores", "memory_gib", "os", "isa"}
    assert config["data"]["name"] == "fashion_mnist" and len(config["data"]["sha256"]) == 64
    assert [line["step"] for line in middle] == [0, 5]
    for line in middle:
        assert list(line) == ["type", "step", "epoch", "seconds", "optimizer_seconds", "data_seconds", "lr",
                              "train_loss", "test_loss", "test_metric"]  # fmt: skip
        assert line["epoch"] == line["step"] / 3750 and line["lr"] == 1e-3
        assert 0 <= line["optimizer_seconds"] + line["data_seconds"] <= line["seconds"]
    assert middle[0]["train_loss"] is None and 1 < middle[1]["train_loss"] < 3
    assert (end["type"], end["status"], end["step"]) == ("end", "finished", 5)
    assert config["started"] <= end["ended"]


def test_a_record_run_again_from_its_own_command_gives_the_same_curve(here: Here, whole: tuple[Path, Any]) -> None:
    first = read(whole[0] / "records" / "adabelief-s1.jsonl")
    again = here.record(*first[0]["command"])
    assert {k: v for k, v in again[0].items() if k not in TIMES} == {
        k: v for k, v in first[0].items() if k not in TIMES
    }
    assert evaluations(again) == evaluations(first)


def test_rules_of_one_seed_start_from_the_same_weights_and_seeds_differ(whole: tuple[Path, Any]) -> None:
    start = {run: evaluations(read(whole[0] / "records" / f"{run}.jsonl"))[0]["test_loss"] for run in RUNS}
    assert start["adabelief-s1"] == start["adam-s1"] == start["sgd-s1"]
    assert start["adabelief-s2"] == start["adam-s2"] == start["sgd-s2"]
    assert start["adam-s1"] != start["adam-s2"]


@pytest.mark.parametrize(
    ("words", "factor"),
    [
        ("--schedule steps --at 0.4 --at 0.5 --factor 0.1", lambda t: 1 if t < 25 else 0.1 if t < 31 else 0.01),
        ("--schedule constant --warmup 0.75", lambda t: t / 45),
        ("--schedule cosine --warmup 0.25",
         lambda t: t / 15 if t < 15 else (1 + math.cos(math.pi * (t - 16) / 45)) / 2),
        ("--schedule linear --warmup 0.25", lambda t: t / 15 if t < 15 else 1 - (t - 16) / 45),
        ("--schedule inverse_sqrt", lambda t: 1 / math.sqrt(t)),
        ("--schedule inverse_sqrt --warmup 0.5", lambda t: t / 30 if t < 30 else math.sqrt(30 / t)),
    ],
)  # fmt: skip
def test_the_learning_rate_follows_its_schedule(here: Here, words: str, factor: Callable[[int], float]) -> None:
    # Of an epoch of sixty steps, evaluations tell the rate of the steps 1, 30 and 31.
    record = here.record("train", "fashion_mnist_cnn", "--rule", "sgd", "--set", "lr=0.2", "--batch", "1000",
                         "--epochs", "1", "--steps", "31", "--threads", "1", *words.split())  # fmt: skip
    rates = {line["step"]: line["lr"] for line in evaluations(record)}
    assert rates == {t: pytest.approx(0.2 * factor(max(t, 1)), rel=1e-12) for t in (0, 30, 31)}
    assert record[0]["schedule"]["kind"] == words.split()[1]


def test_the_scheduled_rate_is_the_one_that_the_rule_steps_by(here: Here) -> None:
    words = [*TRAIN, "sgd", "--steps", "3", "--schedule", "steps", "--at", "0", "--factor"]
    still, moved = (evaluations(here.record(*words, factor)) for factor in ("1e-30", "0.5"))
    assert still[0]["test_loss"] == still[1]["test_loss"] == moved[0]["test_loss"] != moved[1]["test_loss"]


def test_beta1_decays_from_the_first_step_on_in_rules_that_have_one(here: Here) -> None:
    def steps(rule: str, *words: str) -> list[float]:
        record = here.record("train", "reddi", "--set", "lr=0.001", "--steps", "1", "--rule", rule, *words)
        assert record[0]["schedule"].get("beta1_decay", 1) == (float(words[1]) if words else 1)
        before, after = (line["test_loss"] for line in evaluations(record))
        return before - after

    # AdaBelief's first step is lr / beta1: g - m is beta1 g there.
    assert steps("adabelief") == pytest.approx(0.001 / 0.9, rel=1e-3)
    assert steps("adabelief", "--beta1-decay", "0.5") == pytest.approx(0.001 / 0.45, rel=1e-3)
    assert steps("sgd", "--beta1-decay", "0.5") == steps("sgd")


def test_bfloat16_and_channels_last_train_nearly_alike(here: Here) -> None:
    words = [*TRAIN, "adam", "--steps", "10"]
    plain, short, last = (here.record(*words, *more) for more in ([], ["--precision", "bfloat16"], ["--channels-last"]))
    assert short[0]["precision"] == "bfloat16" and last[0]["channels_last"] is True
    losses = [evaluations(record)[-1]["test_loss"] for record in (plain, short, last)]
    assert len(set(losses)) == 3
    assert losses == pytest.approx([losses[0]] * 3, rel=0.02)


def test_fewer_examples_narrower_layers_and_a_validation_part_are_asked_for_and_told(here: Here) -> None:
    words = [*TRAIN, "adam", "--steps", "3"]
    plain, few, narrow, tuning = (
        here.record(*words, *more) for more in ([], ["--train", "160"], ["--width", "0.5"], ["--tuning"])
    )
    assert [few[0].get("train"), narrow[0].get("width"), tuning[0].get("tuning")] == [160, 0.5, True]
    assert not {"train", "width", "tuning"} & set(plain[0])
    assert [record[0]["steps_per_epoch"] for record in (plain, few, tuning)] == [3750, 10, 54_000 // 16]
    assert narrow[0]["parameters"] < plain[0]["parameters"] / 3
    start = [evaluations(record)[0]["test_loss"] for record in (plain, few, tuning)]
    assert len(set(start)) == 3  # of the same weights, on all test data, on fewer, and on the validation part
    assert here.refusal(*words, "--tuning", "--train", "54001") == "train must lie in [1, 54000], got 54001"


def test_states_of_fewer_bits_train_nearly_alike_and_random_bits_are_of_the_seed(here: Here) -> None:
    words = [*TRAIN, "adabelief", "--steps", "30"]
    full, half, low, again = (
        here.record(*words, *more) for more in ([], *(["--states", form] for form in ("bfloat16", "8bit", "8bit")))
    )
    assert evaluations(low) == evaluations(again)
    assert [record[0]["states"] for record in (full, half, low)] == ["full", "bfloat16", "8bit"]
    # Weights in tensors of 4,096 or more: 32 x 16 x 3 x 3 and 64 x 1568. The other 1,162 keep floats in 8 bits.
    expected = [4 * 106122, 2 * 106122, 4 * 1162 + 104960 + 2 * 410]
    assert [record[0]["state_bytes"] for record in (full, half, low)] == [2 * one for one in expected]
    losses = [evaluations(record)[-1]["test_loss"] for record in (full, half, low)]
    assert len(set(losses)) == 3
    assert losses == pytest.approx([losses[0]] * 3, rel=0.02)


def test_a_diverged_training_is_recorded_and_told(here: Here) -> None:
    done = here(*TRAIN, "sgd", "--set", "lr=1e10", "--steps", "20", "--out", "out")
    assert done.returncode == 0
    assert re.match(r"diverged: the training loss is (inf|nan) at step \d+\n", done.stderr)
    end = read(here.folder / done.stdout.splitlines()[-1])[-1]
    assert end["status"] == "diverged" and end["reason"] in done.stderr and end["step"] < 20


def test_a_stopped_training_keeps_what_it_has(here: Here) -> None:
    process = here.start(*TRAIN, "adam", "--out", "out")
    part = here.folder / "out" / "records" / "adam-s1.jsonl.part"
    wait_for(lambda: part.exists() and '"evaluation"' in part.read_text())
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    told = r"stopped after step \d+; go on by --resume --out out; what was recorded is in "
    assert process.returncode == 130 and re.fullmatch(f"{told}{part.relative_to(here.folder)}\n", err)
    assert [line["type"] for line in read(part)] == ["config", "evaluation"]


def test_a_training_that_is_under_way_is_refused_to_a_second_one(here: Here) -> None:
    words = [*TRAIN, "adam", "--out", "out"]
    process = here.start(*words)
    part = here.folder / "out" / "records" / "adam-s1.jsonl.part"
    try:
        wait_for(lambda: part.exists() and '"evaluation"' in part.read_text())
        process.send_signal(signal.SIGSTOP)  # under way for as long as the test wants
        before = part.read_text()
        for more in ([], ["--resume"]):
            assert here.refusal(*words, *more) == (
                "out/records/adam-s1.jsonl.part: another adabelief is training it; wait, or give another --label or"
                " --out"
            )
        assert part.read_text() == before
    finally:
        process.kill()
        process.communicate(timeout=10)


def test_a_disk_that_fills_ends_a_training_with_a_message(here: Here) -> None:
    # A limit on the size of files stands for the full disk: writing fails in the same way, with another reason.
    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))

    done = here(*TRAIN, "adam", "--steps", "3", "--out", "out", setup=limit)
    assert (done.returncode, done.stderr) == (
        1, "adabelief: out/records/adam-s1.jsonl.part: cannot write: File too large\n")  # fmt: skip
    assert here(*TRAIN, "adam", "--steps", "3", "--out", "out").returncode == 0


def test_the_program_runs_from_any_folder_into_paths_with_spaces(here: Here) -> None:
    out = here.folder / "a folder" / "für alle"
    done = here(*TRAIN, "adam", "--steps", "1", "--quiet", "--label", "a/b c: ü", "--out", str(out), cwd=Path("/"))
    assert done.stdout == f"{out}/records/a-b-c-s1.jsonl\n"
    assert read(out / "records" / "a-b-c-s1.jsonl")[0]["label"] == "a/b c: ü"


# The theory: docs/theory.md tells of whole runs of what is tested here by short ones.

INVERSE_SQRT = ["--schedule", "inverse_sqrt"]


def test_a_workload_without_data_is_computed_in_double(here: Here) -> None:
    record = here.record("train", "monotone", "--rule", "amsgrad", "--steps", "3000")
    assert (record[0]["precision"], record[0]["state_bytes"]) == ("float64", 3 * 8 * 100)
    assert [line["step"] for line in evaluations(record)] == [0, 2000, 3000]
    assert evaluations(record)[0]["test_metric"] is None  # of no step yet


def of(here: Here, workload: str, rule: str, *words: str) -> dict[int, dict[str, Any]]:
    """The evaluations of a trial by their steps."""
    record = here.record("train", workload, "--rule", rule, "--threads", "1", *words)
    assert record[-1]["status"] == "finished"
    return {line["step"]: line for line in evaluations(record)}


def test_the_regret_is_of_the_order_of_the_root_of_the_steps(here: Here) -> None:
    words = ["--set", "lr=0.5", "--steps", "200000"]
    for rule in ("adabelief", "adam", "amsgrad", "sgd"):
        more = ["--set", "momentum=0"] if rule == "sgd" else []
        found = of(here, "convex_regret", rule, *words, *INVERSE_SQRT, *more)
        assert 0.1 < found[200_000]["test_metric"] < 1.05 * found[20_000]["test_metric"] < 1
        assert found[200_000]["test_metric"] == pytest.approx(found[200_000]["test_loss"] * math.sqrt(200_000))
    constant = of(here, "convex_regret", "adam", *words)
    assert constant[200_000]["test_metric"] > 2 * constant[20_000]["test_metric"]


def test_without_beta1_the_regret_of_adabelief_grows_a_hundredfold_and_with_a_maximum_it_does_not(here: Here) -> None:
    words = ["--set", "lr=0.5", "--steps", "100000", *INVERSE_SQRT, "--beta1-decay", "0.999"]
    assert of(here, "convex_regret", "adabelief", *words)[100_000]["test_metric"] > 50
    assert of(here, "convex_regret", "amsbelief", *words)[100_000]["test_metric"] < 2


def test_the_projection_keeps_the_weights_in_the_box(here: Here) -> None:
    words = ["--set", "lr=1000", "--steps", "20000"]
    assert {line["test_loss"] for line in of(here, "reddi", "sgd", *words).values()} <= {0, 2} | {
        of(here, "reddi", "sgd", "--steps", "1")[0]["test_loss"]
    }
    # At most 10 weights, each 1 + 1.25 + 0.5 from its target.
    assert of(here, "convex_regret", "sgd", *words)[20_000]["train_loss"] < 10 * 2.75**2 / 2


def test_the_least_gradient_falls_as_the_theorem_has_it_unless_the_step_size_is_constant(here: Here) -> None:
    words = ["--set", "lr=0.1", "--steps", "200000"]
    for rule in ("adabelief", "amsbelief", "adam"):
        found = of(here, "nonconvex_rate", rule, *words, *INVERSE_SQRT)
        assert 0.1 < found[200_000]["test_metric"] < found[20_000]["test_metric"] < 1
    constant = of(here, "nonconvex_rate", "adabelief", *words)
    assert constant[200_000]["test_metric"] > 2 * constant[20_000]["test_metric"] > 20


@pytest.mark.parametrize(
    ("rule", "betas", "regret", "distance"),
    [
        ("adam", (0, 0.1), 2 / 3, 2),
        ("adam", (0.1, 0.1), 2 / 3, 2),
        ("adabelief", (0.1, 0.1), 0.69, 2),
        ("adabelief", (0.9, 0.999), 0, 0),
        ("amsgrad", (0.1, 0.1), 0, 0),
        ("amsbelief", (0.1, 0.1), 0, 0),
        ("acprop", (0.1, 0.1), 0, 0),
    ],
)
def test_on_reddis_problem_adam_and_adabelief_end_at_the_worst_point_and_the_others_at_the_best(
    here: Here, rule: str, betas: tuple[float, float], regret: float, distance: float
) -> None:
    settings = ["lr=0.5", f"beta1={betas[0]}", f"beta2={betas[1]}"]
    words = [word for setting in settings for word in ("--set", setting)]
    last = of(here, "reddi", rule, *INVERSE_SQRT, *words)[30_000]
    assert last["test_metric"] == pytest.approx(regret, abs=0.03)
    assert last["test_loss"] == pytest.approx(distance, abs=0.02)


@pytest.mark.parametrize(
    ("rule", "setting", "bound"),
    [
        ("adabelief", "eps=1e-8", 38e3 * (math.sqrt(1e-8 / 0.001) + 1e-8)),
        ("adabelief", "eps=1e-12", 38e3 * (math.sqrt(1e-12 / 0.001) + 1e-12)),
        ("adabelief", "eps=1e-16", 38e3 * (math.sqrt(1e-16 / 0.001) + 1e-16)),
        ("eadam", "eps=1e-8", 38e3 * math.sqrt(1e-8 / 0.001)),
        ("adam", "eps=1e-8", 38e3 * 1e-8),
        ("sgd", "momentum=0.9", 3.8e3),
    ],
)
def test_a_rule_is_stable_up_to_the_curvature_of_the_formula(here: Here, rule: str, setting: str, bound: float) -> None:
    last = of(here, "stable_curvature", rule, "--set", "lr=1e-3", "--set", setting, "--steps", "5000")[5000]
    assert 0.999 * bound < last["test_metric"] < 1.0003 * bound  # neighbours differ by 0.03 %


@pytest.mark.parametrize(("rule", "share"), [("adabelief", 66.5), ("adam", 66.5), ("amsgrad", 0), ("amsbelief", 0)])
def test_the_second_moment_of_two_steps_of_three_falls_and_a_maximum_never(here: Here, rule: str, share: float) -> None:
    last = of(here, "monotone", rule, "--steps", "20000")[20_000]["test_metric"]
    assert abs(last - share) < 0.5 if share else last == 0


@pytest.mark.parametrize("rule", ["fromage", "lion", "rmsprop", "sgd"])
def test_a_rule_without_a_second_moment_is_refused_by_the_count_of_its_falls(here: Here, rule: str) -> None:
    assert here.refusal("train", "monotone", "--rule", rule, "--out", "out") == (
        f"monotone: {rule} has neither exp_avg_sq nor exp_avg_var; take a rule that has, such as adam"
    )
    assert list(here.folder.iterdir()) == []


# compare


def test_a_comparison_leaves_records_and_a_report_that_agree(whole: tuple[Path, Any]) -> None:
    folder, done = whole
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(p.name for p in folder.iterdir()) == [
        "experiment.json", "index.html", "lock", "log", "records", "report.json", "report.md", "results.csv", "summary.csv",
    ]  # fmt: skip
    assert records(folder) == sorted(f"{run}.jsonl" for run in RUNS)
    assert [trial["run"] for trial in json.loads((folder / "experiment.json").read_text())["trials"]] == RUNS
    finals = {}
    for run in RUNS:
        config, *middle, end = read(folder / "records" / f"{run}.jsonl")
        assert (config["run"], config["experiment"]) == (run, "mini")
        assert end["status"] == ("diverged" if run.startswith("sgd") else "finished")
        finals[run] = middle[-1]["test_metric"]
    page, markdown = (folder / "index.html").read_text(), (folder / "report.md").read_text()
    for row in summary(folder):
        label = row["rule"]
        if label == "SGD":
            assert (row["n"], row["diverged"], row["final_mean"]) == ("0", "2", "")
            continue
        mean = (finals[f"{label.lower()}-s1"] + finals[f"{label.lower()}-s2"]) / 2
        assert float(row["final_mean"]) == pytest.approx(mean) and row["n"] == "2"
        for place in (page, markdown, done.stdout):
            assert f"{mean:.2f}" in place and label in place
    with (folder / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {(r["run"], float(r["value"])) for r in rows if r["metric"] == "accuracy" and r["step"] == "20"} == {
        (run, value) for run, value in finals.items() if not run.startswith("sgd")
    }


def test_every_setting_of_an_experiment_reaches_its_trials(here: Here) -> None:
    here.write("""
        title = "All"
        workload = "fashion_mnist_cnn"
        seeds = [-7]
        epochs = 3
        batch = 50
        steps = 2
        threads = 2
        precision = "bfloat16"
        states = "8bit"
        weights = "bfloat16-stochastic"
        channels_last = true
        schedule = { kind = "steps", at = [1, 2.5], factor = 0.2, warmup = 0.5 }
        [[rules]]
        label = "--one"
        rule = "sgd"
        options = { lr = 1, momentum = 0.5, nesterov = true, weight_decay = 1e-3, decay = "decoupled" }
        [[rules]]
        rule = "adam"
        states = "bfloat16"
        weights = "float32"
        schedule = { kind = "inverse_sqrt", beta1_decay = 0.5 }
    """)
    done = here("compare", "mini.toml", "--out", "out")
    assert (done.returncode, done.stderr) == (0, "")
    config = read(here.folder / "out" / "records" / "one-s-7.jsonl")[0]
    expected = {
        "label": "--one", "rule": "sgd", "experiment": "mini", "seed": -7, "epochs": 3, "batch": 50, "steps": 2,
        "threads": 2, "precision": "bfloat16", "states": "8bit", "weights": "bfloat16-stochastic", "channels_last": True,
        "schedule": {"kind": "steps", "warmup": 0.5, "at": [1, 2.5], "factor": 0.2},
        "options": {"lr": 1, "momentum": 0.5, "dampening": 0, "nesterov": True, "weight_decay": 1e-3,
                    "decay": "decoupled"},
    }  # fmt: skip
    assert {key: config[key] for key in expected} == expected
    adam = read(here.folder / "out" / "records" / "adam-s-7.jsonl")[0]
    assert adam["label"] == "adam"
    assert adam["schedule"] == {"kind": "inverse_sqrt", "warmup": 0, "beta1_decay": 0.5}  # not the experiment's
    assert adam["states"] == "bfloat16"
    assert {"--schedule inverse_sqrt", "--beta1-decay 0.5", "--states bfloat16"} <= {
        " ".join(pair) for pair in zip(adam["command"], adam["command"][1:], strict=False)
    }


def test_without_a_terminal_a_comparison_prints_plain_lines(whole: tuple[Path, Any]) -> None:
    lines = whole[1].stdout.splitlines()
    assert lines[0] == "Mini" and re.fullmatch(r"6 trials, \d+ at once, in out", lines[1])
    for number, line in enumerate(lines[2:8], 1):
        outcome = "diverged: the training loss is (inf|nan) at step [0-9]+" if "SGD" in line else "finished"
        assert re.match(rf"\[{number}/6\] (AdaBelief|Adam|SGD) seed [12]: {outcome}, accuracy \d+\.\d\d %, ", line)
    assert lines[-1] == "out/index.html"
    assert "\x1b" not in whole[1].stdout and "\r" not in whole[1].stdout


def test_a_folder_that_holds_a_run_is_refused(here: Here, whole: tuple[Path, Any]) -> None:
    path, folder = here.write(MINI), whole[0]
    assert here.refusal("compare", str(path), "--out", str(folder)) == (
        f"{folder} holds a run already; go on with it by --resume, or give another --out"
    )
    here.record(*TRAIN, "adam", "--steps", "1", "--label", "Adam", "--out", "other")
    assert here.refusal("compare", str(path), "--out", "other") == (
        "other holds records of something else; give another --out"
    )
    assert here.refusal("compare", "quick", "--resume", "--out", str(folder)) == (
        f'{folder} holds a run of "mini", not of quick'
    )


def test_resuming_a_whole_run_makes_the_report_again(here: Here, whole: tuple[Path, Any]) -> None:
    here.write(MINI)
    shutil.copytree(whole[0], here.folder / "out")
    (here.folder / "out" / "index.html").unlink()
    kept = here.folder / "out" / "checkpoints"
    kept.mkdir()
    for name in ("adam-s1.7.checkpoint", "adam-s1.8.checkpoint.part", "mine-s1.7.checkpoint"):  # as kills leave them
        (kept / name).touch()
    done = here("compare", "mini.toml", "--resume", "--out", "out")
    assert done.returncode == 0 and "6 finished before" in done.stdout and "[1/6]" not in done.stdout
    assert [path.name for path in kept.iterdir()] == ["mine-s1.7.checkpoint"]  # of `train --out out`, by the user
    assert summary(here.folder / "out") == summary(whole[0]) and (here.folder / "out" / "index.html").exists()


SHORT = MINI.replace("[1, 2]", "[1]").replace("steps = 20", "steps = 2")


def test_quiet_prints_the_reports_path_alone_and_the_newest_run_is_resumed(here: Here) -> None:
    here.write(SHORT)
    done = here("compare", "mini.toml", "--quiet")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"runs/mini/\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d/index\.html\n", done.stdout)
    assert here("compare", "mini.toml", "--quiet", "--resume").stdout == done.stdout


@pytest.mark.parametrize("env", [{}, {"NO_COLOR": "1"}], ids=["colours", "NO_COLOR"])
def test_a_terminal_sees_a_live_table_and_gets_its_cursor_back(here: Here, env: dict[str, str]) -> None:
    here.write(SHORT)
    code, text = Terminal(here, "compare", "mini.toml", "--out", "out", **env).end()
    assert code == 0
    assert text.count("\x1b[?25l") == 1 and text.rindex("\x1b[?25h") > text.rindex("\x1b[4A")
    colours = re.findall(r"\x1b\[[0-9;]*m", text)
    assert not colours if env else {"\x1b[32m", "\x1b[36m", "\x1b[33m"} <= set(colours)
    board = without_escapes(text[text.rindex("\x1b[4A") :]).split("\r\n")[:4]
    assert re.match(r"\rAdaBelief  seed 1   ━{20}  accuracy \d+\.\d\d %\s+train loss \d\.\d{4}\s+finished$", board[0])
    assert re.match(r"\rSGD        seed 1 .* diverged: the training loss is ", board[2])
    assert board[3].startswith("\r3 of 3 trials finished, 0 running")


@pytest.mark.parametrize(("rows", "columns"), [(24, 20), (3, 120), (3, 20), (1, 1)])
def test_the_live_table_fits_on_a_small_terminal(here: Here, rows: int, columns: int) -> None:
    here.write(SHORT)
    code, text = Terminal(here, "compare", "mini.toml", "--out", "out", "--jobs", "3", rows=rows, columns=columns).end()
    assert code == 0
    live = text[text.index("\x1b[?25l") : text.rindex("\x1b[?25h")]
    assert max(len(without_escapes(line).strip("\r")) for line in live.split("\r\n")) <= columns
    ups = [int(n) for n in re.findall(r"\x1b\[(\d+)A", live)]
    assert ups and max(ups) < max(rows, 2)  # the cursor can go up by less than the rows there are


def test_a_dumb_terminal_gets_plain_lines_while_trials_run(here: Here) -> None:
    here.write(SHORT)
    code, text = Terminal(here, "compare", "mini.toml", "--out", "out", TERM="dumb").end()
    assert code == 0
    assert "\x1b" not in text[: text.index("[3/3]")]


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        (signal.SIGKILL, "ended by signal 9 (Killed); no message"),
        (signal.SIGTERM, "asked to stop from outside; --resume goes on"),
    ],
)
def test_a_killed_trial_loses_itself_alone_and_is_made_up_for_by_resume(
    here: Here, whole: tuple[Path, Any], sent: signal.Signals, why: str
) -> None:
    here.write(MINI)
    out = here.folder / "out"
    process = here.start("compare", "mini.toml", "--out", "out", "--jobs", "1")
    wait_for((out / "records" / "adam-s1.jsonl.part").exists)
    (child,) = trials_of(process.pid)
    os.kill(child, sent)
    printed, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert f"Adam seed 1: crashed: {why}" in printed
    assert f"adabelief: Adam seed 1 crashed: {why}" in err
    assert "out/log/adam-s1.txt" in err
    assert records(out) == sorted([f"{run}.jsonl" for run in RUNS if run != "adam-s1"] + ["adam-s1.jsonl.part"])
    for place in (err, (out / "report.md").read_text(), (out / "index.html").read_text()):
        assert "did not finish, not in the numbers: Adam seed 1" in place

    done = here("compare", "mini.toml", "--out", "out", "--resume")
    assert (done.returncode, done.stderr) == (0, "")
    assert "5 finished before" in done.stdout and done.stdout.count(": finished") == 1
    assert records(out) == records(whole[0]) and summary(out) == summary(whole[0])


def test_what_every_trial_would_refuse_ends_a_comparison_at_once(here: Here) -> None:
    here.write(MINI)
    done = here("compare", "mini.toml", "--out", "out", "--jobs", "1", "--data", "nowhere")
    assert done.returncode == 1 and "[2/6]" not in done.stdout
    assert done.stderr.splitlines()[-1] == "adabelief: the other trials were not started; go on by --resume"
    assert "fashion_mnist: --data nowhere: no such folder; run: adabelief data fashion_mnist" in done.stderr


def test_after_ctrl_c_nothing_runs_nothing_is_lost_and_resume_ends_as_if_unbroken(
    here: Here, whole: tuple[Path, Any]
) -> None:
    path = here.write(MINI)
    out = here.folder / "out"
    terminal = Terminal(here, "compare", "mini.toml", "--out", "out", "--jobs", "1")
    terminal.read("\x1b[1m2 of 6 trials finished, 1 running")
    os.write(terminal.ours, b"\x03")
    code, text = terminal.end()
    assert code == 130
    assert "go on with: adabelief compare mini.toml --resume --out out" in text
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l") and "Traceback" not in text
    assert processes(f"--out {out}") == [] and processes("--experiment mini --out out", here.folder) == []
    kept = [name for name in records(out) if name.endswith(".jsonl")]
    assert {"adabelief-s1.jsonl", "adam-s1.jsonl"} <= set(kept) and len(kept) < 6
    before = {name: (out / "records" / name).read_bytes() for name in kept}

    path.write_text("title = ")  # the run keeps its own plan
    done = here("compare", "mini.toml", "--resume", "--out", "out")
    assert (done.returncode, done.stderr) == (0, "")
    assert {name: (out / "records" / name).read_bytes() for name in kept} == before
    assert summary(out) == summary(whole[0]) and records(out) == records(whole[0])


def test_trials_end_with_a_killed_comparison_and_resume_goes_on(here: Here, whole: tuple[Path, Any]) -> None:
    here.write(MINI.replace("steps = 20", "steps = 20000"))
    process = here.start("compare", "mini.toml", "--out", "out", "--jobs", "2")
    out = here.folder / "out"
    wait_for((out / "records" / "adam-s1.jsonl.part").exists)
    assert len(trials_of(process.pid)) == 2
    trials = children(process.pid)  # and the report that follows them
    parts = [out / "records" / f"{name}-s1.jsonl.part" for name in ("adabelief", "adam")]
    wait_for(lambda: all(part.exists() and part.read_text().count('"evaluation"') > 1 for part in parts), 60)
    process.kill()
    process.communicate(timeout=10)
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in trials), 10)
    assert len(list((out / "checkpoints").glob("*.checkpoint"))) == 2  # of each trial: nothing is lost

    plan = json.loads((out / "experiment.json").read_text())
    plan["toml"] = MINI  # back to few steps, for the test's own time
    (out / "experiment.json").write_text(json.dumps(plan))
    shutil.rmtree(out / "checkpoints", ignore_errors=True)  # of trials with another number of steps
    done = here("compare", "mini.toml", "--resume", "--out", "out")
    assert (done.returncode, done.stderr) == (0, "")
    assert summary(out) == summary(whole[0]) and records(out) == records(whole[0])


def test_a_run_that_is_under_way_is_refused_to_a_second_comparison(here: Here) -> None:
    here.write(SHORT)
    process = here.start("compare", "mini.toml", "--out", "out", "--jobs", "1")
    try:
        wait_for((here.folder / "out" / "records" / "adabelief-s1.jsonl.part").exists)
        process.send_signal(signal.SIGSTOP)  # under way for as long as the test wants
        refusal = here.refusal("compare", "mini.toml", "--out", "out", "--resume")
        assert refusal == "out: another adabelief is running it"
        process.send_signal(signal.SIGCONT)
        _, err = process.communicate(timeout=60)
        assert (process.returncode, err) == (0, "")
    finally:
        process.kill()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=20k", "tmpfs", place]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("mounting a small disk takes root's rights")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


def test_a_full_disk_is_met_with_a_message(here: Here, small_disk: Path) -> None:
    here.write(MINI)
    done = here("compare", "mini.toml", "--out", str(small_disk / "out"), "--jobs", "1")
    assert done.returncode == 1 and "Traceback" not in done.stderr
    part = small_disk / "out" / "records" / "sgd-s2.jsonl.part"
    assert f"SGD seed 2 crashed: exit status 1; {part}: cannot write: No space left on device" in done.stderr
    (small_disk / "filler").write_bytes(b"")
    with contextlib.suppress(OSError), (small_disk / "filler").open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass
    assert "No space left on device" in here.refusal("compare", "mini.toml", "--out", str(small_disk / "other"))


# Toy functions, and several workloads

# Name: f, start, optimum, and a learning rate of which 200 steps of SGD show slopes on both sides of a fold.
FUNCTIONS: dict[str, tuple[Callable[[float, float], float], tuple[float, float], tuple[float, float], float]] = {
    "toy_abs": (lambda x, y: abs(x) + abs(y), (-2.5, 0), (0, 0), 0.0151),
    "toy_abs_rotated": (lambda x, y: abs(x + y) + abs(x - y) / 10, (2.5, 0), (0, 0), 0.0151),
    "toy_square_rotated": (lambda x, y: (x + y) ** 2 + (x - y) ** 2 / 10, (2.5, 0), (0, 0), 0.01),
    "toy_abs_stretched": (lambda x, y: abs(x) / 10 + abs(y), (0.5, -1.5), (0, 0), 0.0151),
    "toy_beale": (
        lambda x, y: (1.5 - x + x * y) ** 2 + (2.25 - x + x * y**2) ** 2 + (2.625 - x + x * y**3) ** 2,
        (-2.5, -2.5), (3, 0.5), 1e-5,
    ),
    "toy_rosenbrock": (lambda x, y: (1 - x) ** 2 + 100 * (y - x**2) ** 2, (-4, -4), (1, 1), 1e-5),
}  # fmt: skip


def test_every_toy_function_is_tested() -> None:
    assert set(FUNCTIONS) == {name for name in WORKLOADS if name.startswith("toy_")}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_toy_functions_path_is_that_by_differences_of_its_formula(here: Here, name: str) -> None:
    f, start, optimum, lr = FUNCTIONS[name]
    words = ["train", name, "--rule", "sgd", "--set", f"lr={lr}", "--set", "momentum=0", "--steps", "200"]
    config, *middle, _ = here.record(*words)
    seen = {line["step"]: line for line in middle}
    (x, y), h = start, 1e-6
    for step in range(201):
        if step in seen:
            assert seen[step]["point"] == pytest.approx([x, y], abs=1e-6)
            assert seen[step]["test_loss"] == pytest.approx(f(x, y), rel=1e-5, abs=1e-5)
            assert seen[step]["test_metric"] == pytest.approx(math.dist((x, y), optimum), abs=1e-6)
        gradient = (f(x + h, y) - f(x - h, y)) / 2 / h, (f(x, y + h) - f(x, y - h)) / 2 / h
        x, y = x - lr * gradient[0], y - lr * gradient[1]
    assert 0 in seen and len(seen) > 10
    surface = config["surface"]
    assert (tuple(surface["start"]), tuple(surface["optimum"]), f(*optimum)) == (start, optimum, 0)
    for v, row in zip(surface["y"], surface["z"], strict=True):
        assert row == pytest.approx([f(u, v) for u in surface["x"]], rel=1e-4, abs=1e-12)
    for (u, v), axis in ((start, "start"), (optimum, "optimum")):
        assert surface["x"][0] < u < surface["x"][-1] and surface["y"][0] < v < surface["y"][-1], axis


def test_from_the_figures_start_adabelief_is_the_first_at_beales_optimum(toy: Path) -> None:
    ends = {path.stem: read(path)[-1] for path in (toy / "records").iterdir()}
    for name in ("toy_beale", "toy_rosenbrock", "toy_square_rotated", "toy_abs", "toy_abs_rotated"):
        mine, adams = ends[f"{name}-adabelief-s1"], ends[f"{name}-adam-s1"]
        assert mine["status"] == "finished" and mine["step"] < adams["step"] <= 30_000
    for name in ("toy_beale", "toy_rosenbrock"):
        assert ends[f"{name}-sgd-s1"]["status"] == "diverged"
        assert ends[f"{name}-sgd-lr-1e-6-s1"]["step"] == 30_000
    last = read(toy / "records" / "toy_beale-adabelief-s1.jsonl")[-2]
    assert last["test_metric"] <= 1e-3 and last["point"] == pytest.approx([3, 0.5], abs=1e-3)
    rows = {(row["workload"], row["rule"]): row for row in summary(toy)}
    assert float(rows["toy_beale", "AdaBelief"]["steps_to_target"]) == ends["toy_beale-adabelief-s1"]["step"]


def test_a_trial_ends_at_the_very_step_that_reaches_the_goal(here: Here) -> None:
    words = ["train", "toy_abs", "--rule", "sgd", "--set", "lr=0.01", "--set", "momentum=0", "--steps", "1000"]
    config, *middle, end = here.record(*words)
    assert (config["steps"], config["metric"]["goal"], config["precision"]) == (1000, 1e-3, "float64")
    assert config["state_bytes"] == 2 * 8  # b, in double
    assert (end["status"], end["step"]) == ("finished", 250)
    assert middle[-1]["step"] == 250 and middle[-1]["test_metric"] <= 1e-3 < middle[-2]["test_metric"]


@pytest.mark.parametrize("words", ["--batch 2", "--precision bfloat16", "--train 2", "--width 2", "--channels-last"])
def test_a_toy_function_refuses_what_it_has_not(here: Here, words: str) -> None:
    refusal = here.refusal("train", "toy_abs", "--rule", "adam", *words.split())
    assert refusal == (
        "a toy function has no batches, examples or width and is computed in double; leave batch, train, width,"
        " precision and channels_last"
    )


def test_several_workloads_are_trained_reported_and_resumed(here: Here) -> None:
    here.write(TOYS)
    out = here.folder / "out"
    done = here("compare", "mini.toml", "--out", "out")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"^\[\d/4\] toy_beale SGD seed 1: diverged: ", done.stdout, re.MULTILINE)
    assert records(out) == [f"{run}.jsonl" for run in TOY_RUNS]
    plan = json.loads((out / "experiment.json").read_text())
    assert plan["workload"] == ["toy_abs", "toy_beale"]
    assert [(t["workload"], t["run"]) for t in plan["trials"]] == [(run.split("-")[0], run) for run in TOY_RUNS]
    whole_ = summary(out)
    assert [(row["workload"], row["rule"]) for row in whole_] == [
        ("toy_abs", "Adam"), ("toy_abs", "SGD"), ("toy_beale", "Adam"), ("toy_beale", "SGD"),
    ]  # fmt: skip
    config = read(out / "records" / "toy_abs-sgd-s1.jsonl")[0]
    assert (config["run"], config["label"], config["experiment"]) == ("toy_abs-sgd-s1", "SGD", "mini")

    (out / "records" / "toy_abs-sgd-s1.jsonl").unlink()
    again = here("compare", "mini.toml", "--out", "out", "--resume")
    assert again.returncode == 0 and "3 finished before" in again.stdout and again.stdout.count("seed 1: ") == 1
    assert records(out) == [f"{run}.jsonl" for run in TOY_RUNS] and summary(out) == whole_


def test_the_papers_numbers_are_those_of_their_workload(here: Here) -> None:
    here.write(TOYS + "[[paper]]\nworkload = 'toy_beale'\nlabel = 'Adam'\nvalue = 7\nsource = 'Figure 3'\n")
    assert here("compare", "mini.toml", "--out", "out").returncode == 0
    rows = {(row["workload"], row["rule"]): row["paper_value"] for row in summary(here.folder / "out")}
    assert {key for key, value in rows.items() if value} == {("toy_beale", "Adam")}


def test_claims_and_published_results_reach_the_report_of_their_workload(here: Here) -> None:
    published = 'published = { toy_abs = "cifar10/vgg11" }\n\n[[rules]]'
    claim = CLAIM.replace("margin = 1", 'workload = "toy_abs"')
    here.write(TOYS.replace("[[rules]]", published, 1) + claim + CLAIM.replace("is better than", "beats"))
    assert here("compare", "mini.toml", "--out", "out").returncode == 0
    plan = json.loads((here.folder / "out" / "experiment.json").read_text())
    assert plan["published"] == {"toy_abs": "cifar10/vgg11"}
    shared = {"rule": "Adam", "versus": "SGD", "metric": "test", "kind": "better"}
    assert plan["claims"] == [
        {"text": "Adam is better than SGD", "margin": 0, "workload": "toy_abs", **shared},
        {"text": "Adam beats SGD", "margin": 1, **shared},
    ]
    told = json.loads((here.folder / "out" / "report.json").read_text())
    assert [[v["text"] for v in section["verdicts"]] for section in told["sections"]] == [
        ["Adam is better than SGD", "Adam beats SGD"], ["Adam beats SGD"],
    ]  # fmt: skip


# report


def test_the_list_of_runs_is_made_by_every_comparison_under_runs_and_again_by_a_word(here: Here) -> None:
    here.write(MINI.replace("steps = 20", "steps = 2"))
    assert here("compare", "mini.toml").returncode == 0
    runs = here.folder / "runs" / "index.html"
    text = runs.read_text()
    assert re.search(r'href="mini/[^"]+/index.html">Mini<', text)
    runs.unlink()
    done = here("report", "--index")
    assert (done.returncode, done.stdout, runs.read_text()) == (0, "runs/index.html\n", text)
    assert here.refusal("report") == "FOLDER is missing: a folder that holds records/, or --index"


def test_a_report_is_made_of_one_folder_and_of_two(here: Here, whole: tuple[Path, Any]) -> None:
    one = here("report", str(whole[0]), "--out", "one", "--quiet")
    assert (one.returncode, one.stdout, one.stderr) == (0, "one/index.html\n", "")
    assert summary(here.folder / "one") == summary(whole[0])

    here.record(*TRAIN, "amsgrad", "--steps", "2", "--out", "more")
    two = here("report", str(whole[0]), "more", "--out", "two")
    assert two.returncode == 0 and two.stdout.endswith("two/index.html\n")
    assert [row["rule"] for row in summary(here.folder / "two")] == ["AdaBelief", "Adam", "SGD", "amsgrad"]


def test_a_report_of_nothing_is_refused(here: Here) -> None:
    done = here("report", "nowhere")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "adabelief report: no folder nowhere; give one that adabelief compare or train wrote\n"


def test_a_python_that_is_not_there_is_named(here: Here, whole: tuple[Path, Any]) -> None:
    assert here.refusal("report", str(whole[0]), "--out", "out", ADABELIEF_PYTHON="/none/python") == (
        "cannot run /none/python: No such file or directory; set ADABELIEF_PYTHON to a Python 3.11 with plotly, numpy "
        "and scipy"
    )
