# SPDX-License-Identifier: MIT
"""Times a step of this library's AdaBelief beside other libraries' optimizers and a plain loop with the same traffic.

All run in turn, for several rounds, on tensors of float32; the tables are Markdown. Run it with the Python that has
torch (`make bench` does). The others are installed into build/peers on first use, an environment of its own.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import importlib.machinery
import importlib.metadata
import importlib.util
import json
import os
import sys
import time
import venv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import measure
import plot
from measure import Problem, output, ratio, say, spread

FOLDER = measure.BUILD / "peers"
PLOT = measure.PAGE.with_name("step.svg")
OURS = "this library, AdaBelief"


@dataclass(eq=False)
class Shape:
    """Tensors of float32, by their elements; `name` is that of benchmarks/step."""

    name: str
    title: str
    sizes: Sequence[int]

    @functools.cached_property
    def weights(self) -> list[Any]:
        """Torch's parameters with gradients. All optimizers move the same ones: their values take no time."""
        import torch

        torch.manual_seed(1)
        weights = [torch.nn.Parameter(torch.randn(n)) for n in self.sizes]
        for weight in weights:
            weight.grad = torch.randn_like(weight)
        return weights


Timer = Callable[[float], float]  # the mean seconds of a step, over at least so many seconds
Begin = Callable[[Shape], Timer]


@dataclass(frozen=True)
class Entry:
    """A row of the tables: an optimizer or a plain loop."""

    name: str
    formula: str
    state: float  # bytes a weight
    begin: Begin
    packages: Sequence[str] = ()  # beside torch, with their versions
    pip: Sequence[str] = ()  # options
    source: str = ""  # where it is of no package

    @property
    def kind(self) -> str:
        if self.name.startswith("this library"):
            return "this library"
        if self.formula == SUMS:
            return "plain loop"
        return "AdaBelief of other libraries" if self.formula == "AdaBelief" else "other formulas"


def timer(step: Callable[[], object]) -> Timer:
    def mean(seconds: float) -> float:
        step()  # brings back the caches and the threads
        steps, start = 0, time.perf_counter()
        while (spent := time.perf_counter() - start) < seconds or steps == 0:
            step()
            steps += 1
        return spent / steps

    return mean


def optimizer(where: str, **settings: Any) -> Begin:
    """A torch.optim.Optimizer, by MODULE:CLASS."""

    def begin(shape: Shape) -> Timer:
        module, name = where.split(":")
        return timer(getattr(importlib.import_module(module), name)(shape.weights, **settings).step)

    return begin


def timm_adabelief(shape: Shape) -> Timer:
    # Importing timm imports its models, and these torchvision, of which the optimizers need nothing.
    if "timm" not in sys.modules:
        folder = Path(importlib.util.find_spec("timm").origin).parent
        for name, path in {"timm": folder, "timm.optim": folder / "optim"}.items():
            spec = importlib.machinery.ModuleSpec(name, None, is_package=True)
            spec.submodule_search_locations.append(str(path))
            sys.modules[name] = importlib.util.module_from_spec(spec)
    # Decoupled, it would multiply the weights at a decay of 0 too.
    return optimizer("timm.optim.adabelief:AdaBelief", eps=1e-8, rectify=False, decoupled_decay=False)(shape)


def optax_adabelief(shape: Shape) -> Timer:
    import jax
    import optax

    rule = optax.adabelief(1e-3, eps=1e-8, eps_root=1e-8)  # eps_root is what Algorithm 2 adds to s
    weights = [jax.numpy.array(weight.detach().numpy()) for weight in shape.weights]
    gradients = [jax.numpy.array(weight.grad.numpy()) for weight in shape.weights]
    state = rule.init(weights)

    @functools.partial(jax.jit, donate_argnums=(0, 1))
    def update(weights: list, state: tuple, gradients: list) -> tuple:
        updates, state = rule.update(gradients, state, weights)
        return optax.apply_updates(weights, updates), state

    def step() -> None:
        nonlocal weights, state
        weights, state = update(weights, state, gradients)
        jax.block_until_ready(weights)

    return timer(step)


ADAMW, SUMS, EIGHT = "AdamW", "additions", ", 8-bit state"


def bytes8(block: int, scale: int) -> float:
    """Two codes a weight, and a scale of so many bytes for each block of them."""
    return 2 * (1 + scale / block)


PEERS = [
    Entry(
        "adabelief-pytorch AdaBelief",
        "AdaBelief",
        8,
        optimizer(
            "adabelief_pytorch:AdaBelief", eps=1e-8, rectify=False, weight_decouple=False, print_change_log=False
        ),
        ["adabelief-pytorch==0.2.1"],
    ),
    Entry("timm AdaBelief", "AdaBelief", 8, timm_adabelief, ["timm==1.0.31"], ["--no-deps"]),
    Entry(
        "pytorch_optimizer AdaBelief",
        "AdaBelief",
        8,
        optimizer("pytorch_optimizer:AdaBelief", eps=1e-8),
        ["pytorch_optimizer==4.1.0"],
    ),
    Entry("optax AdaBelief, jit", "AdaBelief", 8, optax_adabelief, ["optax==0.2.8", "jax==0.10.2", "jaxlib==0.10.2"]),
    Entry("torch AdamW, fused", ADAMW, 8, optimizer("torch.optim:AdamW", fused=True)),
    Entry("torch AdamW, foreach", ADAMW, 8, optimizer("torch.optim:AdamW", foreach=True)),
    Entry("torch AdamW, loop", ADAMW, 8, optimizer("torch.optim:AdamW", foreach=False, fused=False)),
    Entry("torch SGD, fused", "SGD with momentum", 4, optimizer("torch.optim:SGD", momentum=0.9, fused=True)),
    Entry(
        "DeepSpeed CPUAdam",
        ADAMW,
        8,
        optimizer("deepspeed.ops.adam:DeepSpeedCPUAdam", weight_decay=0.01),
        ["deepspeed==0.19.8"],
        ["--no-build-isolation"],  # its set-up imports torch
    ),
    Entry(
        "torchao AdamW8bit, blocks of 32",
        ADAMW + EIGHT,
        bytes8(32, 4),
        # Its usual blocks of 256 divide neither 25,000,000 nor 100,000: it would keep a state of float32.
        optimizer("torchao.optim:AdamW8bit", block_size=32),
        ["torchao==0.18.0"],
    ),
    Entry(
        "bitsandbytes AdamW8bit",
        ADAMW + EIGHT,
        bytes8(256, 4),
        optimizer("bitsandbytes.optim:AdamW8bit"),
        ["bitsandbytes==0.50.2"],
    ),
]


class Program:
    """build/benchmarks/step and step_libtorch, which time themselves."""

    def __init__(self) -> None:
        self.path = measure.program("benchmarks/step")
        self.libtorch = measure.program("benchmarks/step_libtorch")
        self.context = self.run(self.path, "adabelief", "1/1000", 0.001)["context"]

    def run(self, path: Path, name: str, shape: str, seconds: float, isa: str = "") -> dict[str, Any]:
        options = [f"--benchmark_filter=^{name}/float32/{shape}/", f"--benchmark_min_time={seconds}"]
        environment = {"ADABELIEF_ISA": isa} if isa else {}
        return json.loads(output([path, *options, "--benchmark_format=json"], **environment))

    def begin(self, path: Path, name: str, isa: str = "") -> Begin:
        def of(shape: Shape) -> Timer:
            return lambda s: 1e-6 * self.run(path, name, shape.name, max(s, 0.001), isa)["benchmarks"][0]["real_time"]

        return of

    def entries(self) -> list[Entry]:
        def entry(name: str, formula: str, benchmark: str, isa: str = "", state: float = 8) -> Entry:
            own = f"adabelief {self.context['version']}, {self.context['compiler']}, {isa or self.context['isa']}"
            source = "benchmarks/step.cpp" if formula == SUMS else own
            return Entry(name, formula, state, self.begin(self.path, benchmark, isa), source=source)

        entries = [entry(OURS, "AdaBelief", "adabelief")]
        for isa in ("avx2", "baseline"):
            if self.run(self.path, "adabelief", "1/1000", 0.001, isa)["context"]["isa"] == isa != self.context["isa"]:
                entries.append(entry(f"{OURS}, {isa}", "AdaBelief", "adabelief", isa))
        half = ", bfloat16 state"
        entries.append(entry(OURS + half, "AdaBelief" + half, "adabelief_bfloat16_state", state=4))
        entries.append(entry(OURS + EIGHT, "AdaBelief" + EIGHT, "adabelief_8bit_state", state=bytes8(256, 2)))
        libtorch = self.begin(self.libtorch, "adabelief")
        entries.append(Entry(f"{OURS}, by LibTorch", "AdaBelief", 8, libtorch, source="adabelief/libtorch.h"))
        python = optimizer("adabelief:AdaBelief")
        entries.append(Entry(f"{OURS}, in Python", "AdaBelief", 8, python, source="the package in python/"))
        entries.append(entry("this library, AdamW", ADAMW, "adamw"))
        cxx = self.begin(self.libtorch, "torch_adamw")
        entries.append(Entry("torch AdamW, C++", ADAMW, 8, cxx))
        entries.append(entry("plain loop", SUMS, "plain2"))
        if "plain2_streaming/float32/" in output([self.path, "--benchmark_list_tests"]):
            entries.append(entry("plain loop, stores past the caches", SUMS, "plain2_streaming"))
        return entries

    def shapes(self) -> list[Shape]:
        resnet18 = [int(n) for n in self.context["resnet18"].split()]
        return [
            Shape("1/25000000", "One tensor of 25,000,000", [25_000_000]),
            Shape("resnet18", f"ResNet-18's {len(resnet18)} tensors", resnet18),
            Shape("1/100000", "One tensor of 100,000", [100_000]),
            Shape("300/1000", "300 tensors of 1,000", [1_000] * 300),
        ]


def enter_environment() -> None:
    """Goes on with build/peers' Python, which sees this one's packages, torch and pip among them, behind its own."""
    if Path(sys.prefix) == FOLDER:
        return
    if not (torch := importlib.util.find_spec("torch")):
        raise Problem(f"no torch in {sys.executable}; run `make setup`, then this with .venv/bin/python")
    packages = FOLDER / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    if not packages.exists():
        venv.create(FOLDER, clear=True, symlinks=True)
    (packages / "outer.pth").write_text(f"{Path(torch.origin).parents[1]}\n")
    os.environ.update(
        PATH=f"{FOLDER / 'bin'}:{os.environ['PATH']}",  # ninja, for DeepSpeed
        TORCH_EXTENSIONS_DIR=str(FOLDER / "deepspeed"),
        TORCHINDUCTOR_CACHE_DIR=str(FOLDER / "inductor"),
        DS_ACCELERATOR="cpu",
        JAX_PLATFORMS="cpu",
    )
    python = str(FOLDER / "bin" / "python")
    os.execv(python, [python, *sys.argv])


def install(entry: Entry) -> None:
    def there(package: str) -> bool:
        name, version = package.split("==")
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            return importlib.metadata.version(name) == version
        return False

    if all(there(package) for package in entry.packages):
        return
    say(f"installing {', '.join(entry.packages)}")
    torch = f"torch=={importlib.metadata.version('torch')}"  # else pip might bring another
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *entry.pip]
    output([*pip, *entry.packages, torch])
    importlib.invalidate_caches()


def reason(error: BaseException) -> str:
    """The error in one line for a table."""
    lines = str(error).splitlines() or [""]
    line = next((line for line in reversed(lines) if line.startswith("ERROR:")), lines[0])  # pip's last is its shortest
    name = "" if isinstance(error, Problem) else f"{type(error).__name__}: "
    return (name + line).replace(f"{measure.ROOT}/", "").replace("|", "/")[:150]


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Sends what libraries print, and the compilers that they start, to build/peers/log."""
    sys.stdout.flush()
    sys.stderr.flush()
    saved = [os.dup(1), os.dup(2)]
    log = os.open(FOLDER / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        os.dup2(log, 1)
        os.dup2(log, 2)
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for number, file in enumerate(saved, 1):
            os.dup2(file, number)
            os.close(file)
        os.close(log)


def time_shape(
    shape: Shape, entries: list[Entry], missing: dict[str, str], rounds: int, seconds: float, budget: float
) -> dict[str, list[float]]:
    """The seconds of a step, by entry and round. An entry that fails is noted as missing."""
    measures = {}
    for entry in entries:
        if entry.name in missing:
            continue
        say(f"{shape.title}: first steps of {entry.name}")
        try:
            with quiet():
                mean = entry.begin(shape)
                mean(0)
            measures[entry.name] = functools.partial(mean, seconds)
        except Problem:  # of our own program
            raise
        except (Exception, SystemExit) as error:
            missing[entry.name] = f"failed: {reason(error)}"
            say(f"{entry.name} {missing[entry.name]}")
    return measure.turns(rounds, measures, budget)


def compared(entries: list[Entry], missing: dict[str, str]) -> str:
    """The table of what is compared, with what is missing."""
    torch = f"torch {importlib.metadata.version('torch')}"
    rows = []
    for entry in entries:
        source = entry.source or ", ".join(entry.packages).replace("==", " ") or torch
        rows.append([entry.name, entry.formula, missing.get(entry.name, source), f"{entry.state:.3g}"])
    return measure.table(["", "computes", "from", "state, bytes a weight"], rows, words=3)


def timed(shape: Shape, entries: list[Entry], times: dict[str, list[float]]) -> str:
    """The table of a shape."""
    rows = []
    for entry in entries:
        if values := times.get(entry.name):
            median, extremes = spread([1e6 * v for v in values], "{:,.1f}" if max(values) < 1e-3 else "{:,.0f}")
            moved = 1e-9 * sum(shape.sizes) * (12 + 2 * entry.state)  # the weight and its state both ways, its gradient
            rate = spread([moved / v for v in values])[0] if EIGHT not in entry.formula else ""
            rows.append([entry.name, median, extremes, rate, f"{ratio(values, times[OURS]):.2f}"])
    rounds = len(times[OURS])
    head = [f"{rounds} rounds" if rounds > 1 else "1 round", "µs a step", "from, to", "GB/s", "time beside ours"]
    return f"### {shape.title}\n\n{measure.table(head, rows)}"


def main() -> None:
    cores = sorted(os.sched_getaffinity(0))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="how often each is measured (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=0.3, help="of each measurement (default: %(default)s)")
    parser.add_argument("--minutes", type=float, default=15, help="of all rounds, at most (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=len(cores), help="default: all cores, %(default)s")
    parser.add_argument("--quick", action="store_true", help="see that all run: one short round, no large tensor")
    parser.add_argument("--write", action="store_true", help=f"write the tables and a plot into {measure.PAGE.parent}")
    options = parser.parse_args()
    if options.rounds < 1 or min(options.seconds, options.minutes) <= 0:
        raise Problem("--rounds, --seconds and --minutes must be positive")
    if not 1 <= options.threads <= len(cores):
        raise Problem(f"--threads must lie in 1 to {len(cores)}, the cores that are there")
    if options.quick and options.write:
        raise Problem("--quick shows that all run; its numbers are not for --write")
    enter_environment()
    sys.path.insert(0, str(measure.ROOT / "python"))
    os.environ.setdefault("ADABELIEF_LIBRARY", str(measure.BUILD / "libadabelief_c.so"))
    os.sched_setaffinity(0, cores[: options.threads])  # every library takes as many threads as it finds cores

    machine = measure.machine()
    program = Program()
    missing: dict[str, str] = {}
    for peer in PEERS:
        try:
            install(peer)
        except Problem as problem:
            missing[peer.name] = f"not installed: {reason(problem)}"
            say(f"{peer.name} {missing[peer.name]}")
    entries = [*program.entries(), *PEERS]
    shapes = program.shapes()
    rounds, seconds = options.rounds, options.seconds
    if options.quick:
        shapes, rounds, seconds = shapes[1:], 1, 0.02
    budget = 60 * options.minutes / len(shapes)
    times = {shape: time_shape(shape, entries, missing, rounds, seconds, budget) for shape in shapes}

    if options.write:
        kinds = {entry.name: entry.kind for entry in entries if any(entry.name in t for t in times.values())}
        panels = {shape.title: times[shape] for shape in shapes}
        measure.replace(PLOT, plot.bars(panels, kinds, "The time of a step, by optimizer and tensors"))
    about = (
        f"Time of a step in float32, each measured for {seconds:g} s in turn, every round: medians, and the smallest "
        "and largest. GB/s counts what the formula must read and write. The time beside ours is the median of the rounds'"
        " ratios."
    )
    measure.report(
        "step",
        f"{machine}, {options.threads} threads, Python {sys.version.split()[0]}. {date.today()}.\n",
        measure.paragraph(about),
        compared(entries, missing),
        f"![The medians of the tables below as bars]({PLOT.name})\n",
        *(timed(shape, entries, times[shape]) for shape in shapes),
        write=options.write,
    )


if __name__ == "__main__":
    measure.run(main)
