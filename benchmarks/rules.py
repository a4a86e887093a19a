# SPDX-License-Identifier: MIT
"""Times the step of every rule beside a plain loop that reads and writes as much; the table is Markdown.

A rule and its loop run one after the other in one process, the rules in turn, for several rounds.
"""

from __future__ import annotations

import argparse
import json
import os
from datetime import date

import measure
from measure import Problem, output, ratio, spread

TYPES = ("float32", "float64")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="how often each is measured (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=0.3, help="of each measurement (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="default: all cores, %(default)s")
    parser.add_argument("--elements", type=int, default=25_000_000, help="one of the sizes of benchmarks/step")
    parser.add_argument("--type", choices=TYPES, default=TYPES[0], help="of the numbers (default: %(default)s)")
    parser.add_argument("--write", action="store_true", help=f"write the table into {measure.PAGE}")
    options = parser.parse_args()
    if options.rounds < 1 or options.seconds <= 0 or options.threads < 1:
        raise Problem("--rounds, --seconds and --threads must be positive")
    step = measure.program("benchmarks/step")
    machine = measure.machine()

    def run(names: str, elements: int, seconds: float) -> dict:
        words = [f"--benchmark_filter=^({names})/{options.type}/1/{elements}/", f"--benchmark_min_time={seconds}"]
        return json.loads(output([step, *words, "--benchmark_format=json"], OMP_NUM_THREADS=str(options.threads)))

    first = run(".*", 1000, 0.001)
    loops = {b["name"].split("/")[0]: b["label"] for b in first["benchmarks"] if b.get("label")}
    pairs: dict[str, list[tuple[float, float]]] = {rule: [] for rule in loops}

    def pair(rule: str) -> float:
        times = {
            b["name"].split("/")[0]: 1e-6 * b["real_time"]
            for b in run(f"{rule}|{loops[rule]}", options.elements, options.seconds)["benchmarks"]
        }
        if rule not in times:
            raise Problem(f"benchmarks/step has no size {options.elements}")
        pairs[rule].append((times[rule], times[loops[rule]]))
        return times[rule]

    measure.turns(options.rounds, {rule: lambda rule=rule: pair(rule) for rule in loops})
    context = first["context"]
    rows = []
    for rule, times in pairs.items():
        ours, plain = zip(*times, strict=True)
        median, extremes = spread([1e6 * v for v in ours], "{:,.0f}")
        share = ratio(plain, ours)
        rows.append([rule, median, extremes, spread([1e6 * v for v in plain], "{:,.0f}")[0], f"{share:.2f}"])
    about = (
        f"adabelief {context['version']} ({context['compiler']}, {context['isa']}). Time of a step in {options.type} "
        f"on {options.elements:,} weights, {options.rounds} rounds in turn of {options.seconds:g} s each: medians, and "
        "the smallest and largest."
    )
    measure.report(
        "rules",
        f"{machine}, {options.threads} threads. {date.today()}.\n",
        measure.paragraph(about),
        measure.table(["rule", "µs a step", "from, to", "plain loop, µs", "share of its speed"], rows),
        write=options.write,
    )


if __name__ == "__main__":
    measure.run(main)
