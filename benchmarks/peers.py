# SPDX-License-Identifier: MIT
"""Times the step beside a plain loop with the same traffic, adabelief-pytorch, and torch's fused AdamW.

All run in turn, for several rounds, on tensors of float32; the tables are Markdown. Run it with the Python that has
torch (`make bench` does). Installs adabelief-pytorch into build/peers on first use.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from datetime import date

import measure
import torch
from measure import Problem, output, ratio, say, spread

SHAPES = {
    (1, 25_000_000): "One tensor of 25,000,000",
    (1, 100_000): "One tensor of 100,000",
    (300, 1_000): "300 tensors of 1,000",
}
PLAIN = {"plain2": "plain loop", "plain2_streaming": "plain loop, stores past the caches"}
OURS, PEER, FUSED = "adabelief", "adabelief-pytorch", "torch.optim.AdamW, fused"
PEER_VERSION = "0.2.1"


def adabelief_pytorch() -> type[torch.optim.Optimizer]:
    """The class, from a folder of its own, since the environment is the project's."""
    folder = measure.BUILD / "peers"
    if not (folder / f"adabelief_pytorch-{PEER_VERSION}.dist-info").exists():
        say(f"installing adabelief-pytorch {PEER_VERSION} into {folder}")
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        packages = [f"adabelief-pytorch=={PEER_VERSION}", "colorama", "tabulate"]
        output([*pip, "--upgrade", "--target", folder, *packages])
    sys.path.append(str(folder))
    from adabelief_pytorch import AdaBelief

    return AdaBelief


class Step:
    """The program build/benchmarks/step."""

    def __init__(self, threads: int, seconds: float) -> None:
        self.path, self.seconds = measure.program("benchmarks/step"), seconds
        self.environment = {"OMP_NUM_THREADS": str(threads)}
        listed = output([self.path, "--benchmark_list_tests"]).splitlines()
        self.plain = [name for name in PLAIN if any(line.startswith(f"{name}/float32/") for line in listed)]
        self.context = self.measure("adabelief", 1, 1000)["context"]
        self.widest = self.context["isa"]
        self.narrower = []
        for isa in ("baseline", "avx2", "avx512"):
            found = self.measure("adabelief", 1, 1000, isa)["context"]["isa"]
            if found == isa != self.widest:
                self.narrower.append(isa)

    def measure(self, name: str, tensors: int, elements: int, isa: str = "") -> dict:
        seconds = self.seconds if elements > 1000 or tensors > 1 else 0.001
        options = [
            f"--benchmark_filter=^{name}/float32/{tensors}/{elements}/",
            f"--benchmark_min_time={seconds}",
            "--benchmark_format=json",
        ]
        return json.loads(output([self.path, *options], **self.environment, **({"ADABELIEF_ISA": isa} if isa else {})))

    def seconds_of(self, name: str, tensors: int, elements: int, isa: str = "") -> float:
        return self.measure(name, tensors, elements, isa)["benchmarks"][0]["real_time"] * 1e-6


def optimizer_seconds(
    make: Callable[[list[torch.Tensor]], torch.optim.Optimizer], tensors: int, elements: int, seconds: float
) -> float:
    """The mean time of a step over at least so many seconds, after two steps."""
    torch.manual_seed(1)
    weights = [torch.nn.Parameter(torch.randn(elements)) for _ in range(tensors)]
    for weight in weights:
        weight.grad = torch.randn(elements)
    optimizer = make(weights)
    for _ in range(2):
        optimizer.step()
    steps, start = 0, time.perf_counter()
    while (spent := time.perf_counter() - start) < seconds or steps == 0:
        optimizer.step()
        steps += 1
    return spent / steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="how often each is measured (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=0.5, help="of each measurement (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="default: all cores, %(default)s")
    options = parser.parse_args()
    if options.rounds < 1 or options.seconds <= 0 or options.threads < 1:
        raise Problem("--rounds, --seconds and --threads must be positive")
    torch.set_num_threads(options.threads)

    machine = measure.machine()
    step = Step(options.threads, options.seconds)
    peer = adabelief_pytorch()
    print(f"{machine}, {options.threads} threads. {date.today()}.\n")
    print(
        f"adabelief {step.context['version']} ({step.context['compiler']}, {step.widest}), adabelief-pytorch "
        f"{PEER_VERSION}, torch {torch.__version__}, Python {sys.version.split()[0]}. Time of a step in float32, "
        f"{options.rounds} rounds in turn of {options.seconds:g} s each: medians, and the smallest and largest.\n"
    )
    makers = {
        PEER: lambda p: peer(p, eps=1e-8, rectify=False, weight_decouple=False, print_change_log=False),
        FUSED: lambda p: torch.optim.AdamW(p, fused=True),
    }
    for shape, title in SHAPES.items():
        say(title)
        ours = f"{OURS}, {step.widest}"
        measures = {ours: lambda s=shape: step.seconds_of("adabelief", *s)}
        for isa in reversed(step.narrower):
            measures[f"{OURS}, {isa}"] = lambda s=shape, isa=isa: step.seconds_of("adabelief", *s, isa)
        for name in step.plain:
            measures[PLAIN[name]] = lambda s=shape, name=name: step.seconds_of(name, *s)
        for name, make in makers.items():
            measures[name] = lambda s=shape, make=make: optimizer_seconds(make, *s, options.seconds)
        times = measure.turns(options.rounds, measures)

        moved = 4e-9 * 7 * shape[0] * shape[1]  # GB: four arrays read, three written; adabelief-pytorch moves more
        rows = []
        for name, values in times.items():
            median, extremes = spread([1e6 * v for v in values], "{:,.1f}" if max(values) < 1e-3 else "{:,.0f}")
            rate = "" if name == PEER else spread([moved / v for v in values])[0]
            rows.append([name, median, extremes, rate, f"{ratio(values, times[ours]):.2f}"])
        print(f"### {title}\n")
        print(measure.table(["", "µs a step", "from, to", "GB/s", "time beside ours"], rows))
        limit = min((PLAIN[name] for name in step.plain), key=lambda name: statistics.median(times[name]))
        print(
            f"{ours}: {ratio(times[limit], times[ours]):.2f} of the speed of the plain loop (the fastest of its kinds), "
            f"{ratio(times[PEER], times[ours]):.1f} times the speed of adabelief-pytorch.\n"
        )


if __name__ == "__main__":
    measure.run(main)
