# SPDX-License-Identifier: MIT
"""What the benchmark programs share: the machine in words, turns with progress, tables in Markdown, and their page."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
PAGE = ROOT / "docs" / "performance.md"
OURS, PEER = "adabelief", "PyTorch's Python"  # of the tables of training


class Problem(Exception):
    """What the user can mend: its message is all that is printed."""


def program(path: str) -> Path:
    """A program of the build, such as benchmarks/step."""
    if not (BUILD / path).exists():
        raise Problem(f"no {BUILD / path}; run `make build`")
    return BUILD / path


def data_roots(given: str | None) -> list[Path]:
    """Where data may lie: what was given, else $ADABELIEF_DATA, else the cache of this user."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "adabelief"
    return [Path(root) for root in (given, os.environ.get("ADABELIEF_DATA"), cache) if root]


def trial(*words: str) -> list[dict]:
    """The record of `adabelief train` with these words, line by line."""
    with tempfile.TemporaryDirectory() as out:
        record = Path(output([program("adabelief"), "train", *words, f"--out={out}", "--quiet"]).strip())
        return [json.loads(line) for line in record.read_text().splitlines()]


def share(record: Sequence[dict], part: str) -> float:
    """The share of a trial's time of training that went into "data" or "optimizer"."""
    *_, last = (line for line in record if line["type"] == "evaluation")  # samples may come after it
    return last[f"{part}_seconds"] / record[-1]["seconds"]


def versions(config: dict) -> str:
    """What a trial, by its record's first line, and this Python ran with."""
    own = f"adabelief {config['version']} ({config['compiler']}, {config['machine']['isa']})"
    return f"{own}, torch {importlib.metadata.version('torch')}, Python {sys.version.split()[0]}"


def output(command: Sequence[str | Path], **environment: str) -> str:
    """What the command prints. Raises Problem with its last words where it fails."""
    words = [str(word) for word in command]
    done = subprocess.run(words, check=False, capture_output=True, text=True, env={**os.environ, **environment})
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip() or "nothing").splitlines()
        raise Problem(f"{Path(words[0]).name} ended with {done.returncode} and said:\n" + "\n".join(said[-10:]))
    return done.stdout


def machine() -> str:
    """Processor, cores, memory and system, and how busy they are: other programs' work spoils every number."""

    def field(file: str, key: str) -> str:
        try:
            lines = Path(file).read_text().splitlines()
        except OSError:
            return ""
        return next((line[len(key) :].strip(' \t:="') for line in lines if line.startswith(key)), "")

    cpu = field("/proc/cpuinfo", "model name") or platform.machine()
    system = field("/etc/os-release", "PRETTY_NAME") or platform.system()
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    load = os.getloadavg()[0]
    if load > 0.5:
        say(f"the machine is busy (load {load:.1f} before the start): times will be too long and spread")
    return f"{cpu}, {os.cpu_count()} cores, {memory:.0f} GiB, {system}; load before the start {load:.1f}"


def has_bfloat16() -> bool:
    """Whether the processor multiplies numbers of bfloat16, by AVX-512, AMX or those of Arm."""
    cpu = Path("/proc/cpuinfo")
    return cpu.exists() and "bf16" in cpu.read_text()


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def turns(
    rounds: int, measures: dict[str, Callable[[], float]], budget: float = float("inf")
) -> dict[str, list[float]]:
    """Calls every measure once a round, in turn, so that what disturbs the machine meets all of them alike.

    Ends with the last round that fits into a budget of seconds, but not before the first.
    """
    results: dict[str, list[float]] = {name: [] for name in measures}
    start = time.monotonic()
    for number in range(rounds):
        if number and (time.monotonic() - start) / number * (number + 1) > budget:
            say(f"the time is spent after {number} of {rounds} rounds")
            break
        for place, (name, measure) in enumerate(measures.items()):
            done = number * len(measures) + place
            left = (time.monotonic() - start) / done * (rounds * len(measures) - done) if done else 0
            say(f"round {number + 1} of {rounds}: {name}" + (f"  ({left:.0f} s left)" if done else ""))
            results[name].append(measure())
    return results


def spread(values: Sequence[float], form: str = "{:.3g}") -> tuple[str, str]:
    """The median, and the smallest and largest, as text."""
    return form.format(statistics.median(values)), f"{form.format(min(values))} to {form.format(max(values))}"


def ratio(over: Sequence[float], under: Sequence[float]) -> float:
    """The median over the rounds of over / under."""
    return statistics.median(a / b for a, b in zip(over, under, strict=True))


def paragraph(text: str) -> str:
    return textwrap.fill(text, 120, break_long_words=False, break_on_hyphens=False) + "\n"


def table(head: Sequence[str], rows: Sequence[Sequence[str]], words: int = 1) -> str:
    """A table in Markdown; all columns after the first `words` are numbers."""
    lines = [head, [*["---"] * words, *["---:"] * (len(head) - words)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def replace(path: Path, text: str) -> None:
    part = path.with_name(path.name + ".part")
    part.write_text(text)
    part.replace(path)


def write_section(path: Path, name: str, text: str) -> None:
    """Replaces what stands between the lines <!-- name --> and <!-- /name --> of a page."""
    begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->\n"
    before, begins, rest = path.read_text().partition(begin)
    _, ends, after = rest.partition(end)
    if not begins or not ends:
        raise Problem(f"{path} has no lines {begin.strip()} and {end.strip()} to write between")
    replace(path, f"{before}{begin}\n{text.strip()}\n\n{end}{after}")


def report(section: str, *parts: str, write: bool) -> None:
    """Prints the parts, and writes them into their section of the page."""
    text = "\n".join(parts)
    print(text, flush=True)
    if write:
        write_section(PAGE, section, text)


def run(main: Callable[[], None]) -> None:
    """Runs a program, and prints a Problem without a traceback."""
    name = Path(sys.argv[0]).stem
    try:
        main()
    except Problem as problem:
        sys.exit(f"{name}: {problem}")
    except KeyboardInterrupt:
        sys.exit(f"{name}: stopped")
