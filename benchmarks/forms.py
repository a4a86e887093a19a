# SPDX-License-Identifier: MIT
"""Times AdaBelief's step in every form of its numbers, on every instruction set, by size; the tables are Markdown.

All forms run one after the other in one process, for several rounds; each number is the median of its rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
from collections import defaultdict
from datetime import date

import measure
from measure import Problem, output, ratio

FORMS = {  # a benchmark of benchmarks/step: what it is, and the bytes that it moves a weight
    "adabelief/float32": ("all in float32", 28.0),
    "adabelief/float64": ("all in float64", 56.0),
    "adabelief_bfloat16_state/float32": ("states in bfloat16", 20.0),
    "adabelief_8bit_state/float32": ("states in 8 bits", 16.03),
    "adabelief_stochastic/bfloat16": (
        "weights and gradients in bfloat16, rounded stochastically",
        22.0,
    ),
    "adabelief_bfloat16_state_stochastic/bfloat16": (
        "the same, states in bfloat16",
        14.0,
    ),
    "adabelief_8bit_state_stochastic/bfloat16": ("the same, states in 8 bits", 10.03),
    "adabelief_8bit_state_exact/bfloat16": ("weights exact, states in 8 bits", 14.03),
    "adabelief_stochastic/float16": (
        "weights and gradients in float16, rounded stochastically",
        22.0,
    ),
    "adabelief_clip_folded/float32": ("scaled and clipped by the norm, folded", 32.0),
    "adabelief_clip_in_passes/float32": (
        "scaled and clipped by the norm in passes of their own",
        48.0,
    ),
}
FULL = "adabelief/float32"
SIZES = (
    1_000,
    10_000,
    100_000,
    1_000_000,
    25_000_000,
    100_000_000,
)  # of benchmarks/step


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--rounds",
        type=int,
        default=5,
        help="how often each is measured (default: %(default)s)",
    )
    parser.add_argument(
        "--seconds",
        type=float,
        default=0.2,
        help="of each measurement (default: %(default)s)",
    )
    parser.add_argument(
        "--threads",
        type=int,
        default=os.cpu_count(),
        help="default: all cores, %(default)s",
    )
    parser.add_argument(
        "--largest",
        type=int,
        default=100_000_000,
        help="elements, at most (default: %(default)s)",
    )
    parser.add_argument(
        "--write", action="store_true", help=f"write the tables into {measure.PAGE}"
    )
    options = parser.parse_args()
    if options.rounds < 1 or options.seconds <= 0 or options.threads < 1:
        raise Problem("--rounds, --seconds and --threads must be positive")
    step = measure.program("benchmarks/step")
    machine = measure.machine()
    names = "|".join(FORMS)

    def run(isa: str, shape: str, seconds: float) -> dict:
        words = [
            f"--benchmark_filter=^({names})/{shape}/",
            f"--benchmark_min_time={seconds}",
        ]
        environment = {"OMP_NUM_THREADS": str(options.threads), "ADABELIEF_ISA": isa}
        return json.loads(
            output([step, *words, "--benchmark_format=json"], **environment)
        )

    isas = []
    for isa in ("avx512", "avx2", "baseline"):
        try:
            context = run(isa, "1/1000", 0.001)["context"]
            isas.append(isa)
        except Problem as problem:
            measure.say(f"without {isa}: {problem}")
    sizes = [n for n in SIZES if n <= options.largest]
    times: dict[tuple[str, int, str], list[float]] = defaultdict(list)

    def one(isa: str, size: int) -> float:
        for b in run(isa, f"1/{size}", options.seconds)["benchmarks"]:
            form = "/".join(b["name"].split("/")[:2])
            times[isa, size, form].append(
                1e3 * b["real_time"] / size
            )  # the unit is a microsecond
        return 0.0

    cells = {
        f"{isa}, {size:,}": lambda isa=isa, size=size: one(isa, size)
        for size in sizes
        for isa in isas
    }
    measure.turns(options.rounds, cells)
    tables = []
    for isa in isas:
        rows = []
        for form, (meaning, moved) in FORMS.items():
            row = [meaning, f"{moved:g}"]
            for size in sizes:
                values = times[isa, size, form]
                row.append(
                    f"{statistics.median(values):.3f} ({ratio(times[isa, size, FULL], values):.2f})"
                )
            rows.append(row)
        head = ["numbers", "bytes a weight", *(f"{size:,}" for size in sizes)]
        tables += [f"### {isa}\n", measure.table(head, rows)]
    about = (
        f"adabelief {context['version']} ({context['compiler']}). Nanoseconds a weight of AdaBelief's step on one tensor "
        f"of so many weights, medians of {options.rounds} rounds of {options.seconds:g} s each; in brackets the speed "
        "beside float32 in the same rounds. Bytes are those that must be read and written; below 4,096 weights the rows of "
        "8 bits keep float32."
    )
    measure.report(
        "forms",
        f"{machine}, {options.threads} threads. {date.today()}.\n",
        measure.paragraph(about),
        *tables,
        write=options.write,
    )


if __name__ == "__main__":
    measure.run(main)
