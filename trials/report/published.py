# SPDX-License-Identifier: MIT
"""What others report of an experiment: the numbers of trials/paper/results.toml, the curves of curves.json."""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

PAPER = Path(__file__).parents[1] / "paper"


@dataclass(frozen=True)
class Value:
    value: float  # of one run that has a last epoch too: its best
    text: str  # with its spread, one standard deviation over runs, or with the last epoch, in the digits of the source
    source: str  # where it stands
    spread: bool = False
    last: bool = False


@dataclass
class Source:
    """One who reports: the paper, or its replication. Values by lower-case labels."""

    name: str
    values: dict[str, Value]
    read_off: bool = False

    def of(self, label: str) -> Value | None:
        return self.values.get(label.lower())


@dataclass
class Published:
    metric: str | None = None  # None: that of the experiment
    sources: list[Source] = field(default_factory=list)
    curves: dict[str, dict[str, list[float]]] = field(default_factory=dict)  # lower-case label -> test, train -> epochs


@cache
def _files() -> tuple[dict[str, Any], dict[str, Any]]:
    results = tomllib.loads((PAPER / "results.toml").read_text(), parse_float=str)  # digits as they were reported
    return results, json.loads((PAPER / "curves.json").read_text())


def published(key: str, better: str) -> Published:
    """Raises KeyError where there is nothing of that name. `better` says which epoch of a curve is its best."""
    results, curves = _files()
    recorded = {label.lower(): curve for label, curve in curves.get(key, {}).items()}
    best = max if better == "higher" else min
    sources = []
    for name in ("paper", "replication"):
        found = dict(results[key].get(name, {}))
        where, read_off = found.pop("source", ""), found.pop("read_off", False)
        values = {}
        if found.pop("curve", False):
            found |= {
                label: {"best": f"{best(c['test']):.2f}", "last": f"{c['test'][-1]:.2f}"}
                for label, c in recorded.items()
            }
        for label, value in found.items():
            of = value if isinstance(value, dict) else {"value": value}
            number, spread, last = of.get("value", of.get("best")), of.get("spread"), of.get("last")
            text = f"{number} ± {spread}" if spread else f"{number} / {last}" if last else f"{number}"
            values[label.lower()] = Value(float(number), f"{'≈ ' * read_off}{text}", where, bool(spread), bool(last))
        if values:
            sources.append(Source(name, values, read_off))
    return Published(results[key]["metric"], sources, recorded)


def given(entries: list[dict[str, Any]]) -> Published:
    """What an experiment's own [[paper]] tables give."""
    values = {
        e["label"].lower(): Value(e["value"], f"{e['value']:g}", e.get("source", "source not given")) for e in entries
    }
    return Published(sources=[Source("paper", values)] if values else [])
