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
    spread: float | None = None  # one standard deviation over runs
    last: float | None = None


@dataclass
class Source:
    """One who reports: the paper, or its replication. Values by lower-case labels."""

    name: str
    values: dict[str, Value]
    about: dict[str, str]  # what a note says: where the values stand -> the labels that they are of
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
    return tomllib.loads((PAPER / "results.toml").read_text()), json.loads((PAPER / "curves.json").read_text())


def published(key: str, better: str) -> Published:
    """Raises KeyError where there is nothing of that name. `better` says which epoch of a curve is its best."""
    results, curves = _files()
    recorded = {label.lower(): curve for label, curve in curves.get(key, {}).items()}
    best = max if better == "higher" else min
    sources = []
    for name in ("paper", "replication"):
        if found := results[key].get(name):
            values = {}
            if found.get("curve"):
                values = {label: Value(best(c["test"]), last=c["test"][-1]) for label, c in recorded.items()}
            for label, value in found.items():
                if label not in ("source", "curve", "read_off"):
                    given = value if isinstance(value, dict) else {"value": value}
                    given = Value(given.get("value", given.get("best")), given.get("spread"), given.get("last"))
                    values[label.lower()] = given
            sources.append(Source(name, values, {found["source"]: ""}, found.get("read_off", False)))
    return Published(results[key]["metric"], sources, recorded)


def given(entries: list[dict[str, Any]]) -> Published:
    """What an experiment's own [[paper]] tables give."""
    about: dict[str, list[str]] = {}
    for entry in entries:
        about.setdefault(entry.get("source", "source not given"), []).append(entry["label"])
    values = {entry["label"].lower(): Value(entry["value"]) for entry in entries}
    source = Source("paper", values, {text: ", ".join(labels) for text, labels in about.items()})
    return Published(sources=[source] if entries else [])
