# SPDX-License-Identifier: MIT
"""Reads run folders: the plan (experiment.json) and the trials' records (records/*.jsonl, *.jsonl.part).

A damaged line costs that line and a warning. A record without its config line can't be placed and is left out.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from published import PAPER, Published, given, published

Json = dict[str, Any]


def _parse(text: bytes) -> Any:
    """JSON; null stands for an absent key."""
    return json.loads(text, object_pairs_hook=lambda pairs: {key: item for key, item in pairs if item is not None})


class Damaged(ValueError):
    """What is wrong with a line or with the plan."""


@dataclass(frozen=True)
class Evaluation:
    step: int
    epoch: float
    seconds: float  # of training so far, evaluations not counted
    optimizer_seconds: float
    train_loss: float | None  # mean over the steps since the last evaluation
    test_loss: float | None
    test_metric: float | None
    valid_loss: float | None = None  # of the validation split, where the workload has one beside the test data
    valid_metric: float | None = None
    point: tuple[float, float] | None = None  # the weights, where there are two
    more: Mapping[str, float] = field(default_factory=dict)  # other measures beside the metric, by name


@dataclass(frozen=True)
class Samples:
    step: int
    path: Path  # of a picture, a grid of what a generator makes


@dataclass
class Trial:
    path: Path
    config: Json
    evaluations: list[Evaluation] = field(default_factory=list)
    samples: list[Samples] = field(default_factory=list)
    end: Json | None = None

    @property
    def label(self) -> str:
        return self.config["label"]

    @property
    def seed(self) -> int:
        return self.config["seed"]

    @property
    def run(self) -> str:
        return self.config.get("run") or self.path.name.split(".")[0]

    @property
    def tuned(self) -> bool:
        """Whether it has the options that the search chose, and a fresh seed."""
        return bool(self.config.get("tuned"))

    @property
    def tuning(self) -> bool:
        """Whether it is one of the search's: evaluated on validation data, in no table."""
        return bool(self.config.get("tuning"))

    @property
    def final(self) -> float | None:
        return self.evaluations[-1].test_metric if self.evaluations else None

    @property
    def status(self) -> str:
        """finished, diverged or unfinished.

        A trial that ended on a test loss or metric that is not finite has diverged: of logits that are NaN the accuracy
        is finite, that of a guess. One whose last evaluation was lost is unfinished: an earlier metric must not pass
        for the final one.
        """
        if self.end is None:
            return "unfinished"
        if self.end["status"] == "diverged":
            return "diverged"
        if not self.evaluations or self.evaluations[-1].step < self.end.get("step", 0):
            return "unfinished"
        return "diverged" if None in (self.final, self.evaluations[-1].test_loss) else "finished"

    @property
    def ending(self) -> str:
        """How a trial that is not finished ended, in words."""
        step = self.evaluations[-1].step if self.evaluations else 0
        if self.status == "unfinished":
            return f"its record has {'no' if self.end is None else 'an'} end, its last evaluation is at step {step}"
        return self.end.get("reason") or f"no finite test {'metric' if self.final is None else 'loss'} at step {step}"


@dataclass
class Section:
    """The trials of one experiment on one workload, from one or several folders.

    Those at the experiment's settings and those that a search tuned are a section each, joined by `tuned` and `main`.
    """

    experiment: str
    workload: str
    plan: Json = field(default_factory=dict)
    trials: list[Trial] = field(default_factory=list)
    search: list[Trial] = field(default_factory=list)  # the trials that chose the tuned ones' options
    warnings: list[str] = field(default_factory=list)
    published: Published = field(default_factory=Published)
    tuned: Section | None = None
    awaited: list[Json] = field(default_factory=list)  # planned tuned trials, as long as there is none
    main: Section | None = None  # of a section of tuned trials: that at the experiment's settings

    @property
    def title(self) -> str:
        title = self.plan.get("title")
        if title and (len(self.plan["workload"]) > 1 or self.plan.get("only")):
            title = f"{title}: {self.workload}"
        title = title or " on ".join(filter(None, (self.experiment, self.workload)))
        tuned = ", every rule tuned with the same budget" if self.is_tuned else ""
        return title + tuned + (" (reduced)" if self.reduced else "")

    @property
    def planned(self) -> int:
        """How many trials are to come or have come, as far as a plan tells; those of the search too."""
        trials = [*self.plan.get("trials", []), *self.awaited]
        tuning = self.plan.get("tuning", {}) if self.main is None else {}
        searches = [s for s in tuning.get("search", []) if s.get("workload", self.workload) == self.workload]
        return len(trials) + tuning.get("trials", 0) * len(searches)

    @property
    def is_tuned(self) -> bool:
        return any(t.tuned for t in self.trials)

    @property
    def reduced(self) -> bool:
        """Whether the trials are smaller than the experiment that they repeat."""
        return any(t.config.get("reduced") for t in self.trials) or bool(self.plan.get("reduced"))

    @property
    def validated(self) -> bool:
        """Whether a validation split picks the epoch at which a trial counts."""
        return any(e.valid_metric is not None for t in self.trials for e in t.evaluations)

    @property
    def metric(self) -> Json:
        return (self.trials + self.search)[0].config["metric"]

    @property
    def split(self) -> str:
        """The data that the metric is measured on; "" where there is none, as with a function of weights alone."""
        first = (self.trials + self.search)[0].config
        return first["metric"].get("split", "test") if first.get("data", {}).get("name") else ""

    @property
    def better(self) -> str:
        return "lower" if self.metric.get("better") == "lower" else "higher"

    @property
    def baseline(self) -> str | None:
        return self.plan.get("baseline")

    @property
    def goal(self) -> float | None:
        """The metric at which a trial ends: where there is one, the rules race to it."""
        return self.metric.get("goal")

    @property
    def target(self) -> float | None:
        return self.plan.get("target", {}).get("value", self.goal)

    @property
    def surface(self) -> Json | None:
        """The function of two weights on which the trials' points lie."""
        return next((t.config["surface"] for t in self.trials if "surface" in t.config), None)

    @property
    def labels(self) -> list[str]:
        """Those of the plan in its order, then the others as read; only labels that have a record."""
        read = [t.label for t in self.trials]
        order = [t["label"] for t in self.plan.get("trials", [])] + read
        return [label for label in dict.fromkeys(order) if label in read]

    def of(self, label: str, status: str | None = None) -> list[Trial]:
        return [t for t in self.trials if t.label == label and status in (None, t.status)]


TUNED = " (tuned)"  # at the end of the label of trials with the options that a search chose

# What is read of each kind of line and of the plan: a type, {key: shape}, [shape] or (shape, shape), a list of two;
# float stands for every finite number. A key with ? may be absent.
CONFIG = {
    "workload": str,
    "label": str,
    "seed": int,
    "metric": {"name": str, "unit?": str, "better?": str, "goal?": float, "split?": str},
    **dict.fromkeys(("run?", "experiment?", "rule?", "started?"), str),
    **dict.fromkeys(("parameters?", "state_bytes?", "steps?", "steps_per_epoch?"), int),
    **dict.fromkeys(("options?", "schedule?", "machine?"), dict),
    **dict.fromkeys(("data?", "features?"), {"name?": str, "sha256?": str}),
    "surface?": {
        "formula": str,
        **dict.fromkeys(("start", "optimum"), (float, float)),
        "x": [float],
        "y": [float],
        "z": [[float]],
    },
}
EVALUATION = {"step": int, "epoch": float, "seconds": float, "optimizer_seconds?": float}
SAMPLES = {"step": int, "file": str}
END = {"status": str, "reason?": str, "step?": int, "seconds?": float}
PLAN = {
    "workload": [str],
    **dict.fromkeys(("name?", "title?", "description?", "baseline?", "command?", "toml?"), str),
    "target?": {"value": float},
    "paper?": [{"label": str, "value": float, "source?": str, "workload?": str}],
    "published?": dict,
    "tuning?": {"trials?": int, "search?": [{"workload?": str}]},
    "claims?": [
        {
            **dict.fromkeys(("text", "metric", "rule", "versus", "kind"), str),
            "margin?": float,
            "workload?": str,
        }
    ],
    "trials?": [{"label": str, "seed": int, "workload?": str}],
}


# Settings that are the same in all trials of a label; those of PAIRING must be so in all trials of a section, else
# trials of two rules with the same seed differ in more than the rule.
PAIRING = (
    *("data.sha256", "features.sha256", "fakes", "train", "metric"),
    *("parameters", "steps", "epochs", "batch", "precision"),
)
SETTINGS = (
    *("rule", "options", "schedule", *PAIRING, "average"),
    *("states", "weights", "threads", "channels_last", "torch", "commit"),
)


def check(value: Any, shape: Any, name: str) -> None:
    """Raises Damaged, naming what is not of its shape."""
    if isinstance(shape, dict) and isinstance(value, dict):
        for key, inner in shape.items():
            name = key.removesuffix("?")
            if name in value or name == key:
                check(value.get(name), inner, name)
    elif isinstance(shape, list | tuple) and isinstance(value, list):
        if isinstance(shape, tuple) and len(value) != len(shape):
            raise Damaged(f"{name} is not a list of {len(shape)}")
        for item in value:
            check(item, shape[0], name)
    else:
        kind = {dict: "an object", list: "a list", tuple: "a list"}.get(type(shape)) or {
            dict: "an object",
            int: "an integer",
            str: "text",
        }.get(shape)
        right = type(value) is shape or (shape is float and type(value) is int)
        if not right or (shape is float and not math.isfinite(value)):
            raise Damaged(f"{name} is not {kind or 'a number'}")


def _check_surface(surface: Json | None) -> None:
    if surface and not ([len(surface["x"])] * len(surface["y"]) == [len(row) for row in surface["z"]] != []):
        raise Damaged("z is not y by x numbers")


def _number(line: Json, key: str) -> float | None:
    """A number that a diverging trial may lack: None for what is absent or not finite."""
    value = line.get(key)
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return None
    check(value, float, key)
    return value


def _evaluation(line: Json, after: int) -> Evaluation:
    check(line, EVALUATION, "the line")
    step = line["step"]
    if step <= after:
        raise Damaged(f"step {step} after step {after}")
    measured = (_number(line, key) for key in ("train_loss", "test_loss", "test_metric", "valid_loss", "valid_metric"))
    point = line.get("point")
    if isinstance(point, list) and None in point:  # beyond all numbers
        point = None
    if point is not None:
        check(point, (float, float), "point")
    others = line.get("more", {})
    check(others, dict, "more")
    more = {name: value for name in others if (value := _number(others, name)) is not None}
    return Evaluation(step, line["epoch"], line["seconds"], line.get("optimizer_seconds", 0.0), *measured, point, more)


def _samples(line: Json, folder: Path) -> Samples:
    """The line's picture, which must lie in the run's folder."""
    check(line, SAMPLES, "the line")
    path = (folder / line["file"]).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise Damaged(f"{line['file']} is not within the run's folder")
    if not path.is_file():
        raise Damaged(f"there is no {line['file']}")
    return Samples(line["step"], path)


def _read_record(path: Path, warnings: list[str]) -> Trial | None:
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        warnings.append(f"{path}: cannot be read ({error.strerror}); left out")
        return None
    trial = None
    for number, raw in enumerate(lines, 1):
        try:
            line = _parse(raw)
            kind = line.get("type") if isinstance(line, dict) else None
            if kind == "config":
                check(line, CONFIG, "the line")
                _check_surface(line.get("surface"))
                trial = trial or Trial(path, line)
            elif kind == "evaluation" and trial:
                trial.evaluations.append(_evaluation(line, trial.evaluations[-1].step if trial.evaluations else -1))
            elif kind == "samples" and trial:
                trial.samples.append(_samples(line, path.parent.parent))
            elif kind == "end" and trial:
                check(line, END, "the line")
                if line["status"] not in ("finished", "diverged"):
                    raise Damaged("an end that is neither finished nor diverged")
                trial.end = line
            elif kind not in ("evaluation", "samples", "end"):
                raise Damaged("not a config, evaluation, samples or end")
        except ValueError as error:
            what = error if isinstance(error, Damaged) else "not JSON"
            warnings.append(f"{path}:{number}: damaged line ({what}); the rest is used")
    if trial is None:
        warnings.append(f"{path}: no config line; the record is left out")
    return trial


def _read_plan(folder: Path, warnings: list[str]) -> Json:
    path = folder / "experiment.json"
    if not path.exists():
        return {}
    try:
        plan = _parse(path.read_bytes())
        if isinstance(plan, dict) and not isinstance(plan.get("workload"), list):
            plan["workload"] = [plan.get("workload")]
        if isinstance(plan, dict) and isinstance(plan.get("published"), str):
            plan["published"] = dict.fromkeys(plan["workload"], plan["published"])
        check(plan, PLAN, "the plan")
    except (OSError, ValueError) as error:
        warnings.append(f"{path}: damaged ({error}); read without the plan")
        return {}
    return plan


def _records(folder: Path) -> list[Path]:
    """The records of a run, and those of its search."""
    places = (folder / "records", folder / "tuning" / "records")
    return sorted(p for place in places for p in place.glob("*") if p.name.endswith((".jsonl", ".jsonl.part")))


def _keep_newest(trials: list[Trial], warnings: list[str]) -> list[Trial]:
    """One trial a label and seed: an ended one before an unfinished one, then the one started last."""
    kept: dict[tuple[str, int], Trial] = {}
    for trial in trials:
        other = kept.setdefault((trial.label, trial.seed), trial)
        if other is not trial:
            old, new = sorted((other, trial), key=lambda t: (t.end is not None, t.config.get("started", "")))
            kept[trial.label, trial.seed] = new
            warnings.append(f"{trial.label} seed {trial.seed} was run twice: {new.path} is used, {old.path} is not")
    return list(kept.values())


def _settings(trials: list[Trial], key: str) -> list[str]:
    """The different values of a setting, as JSON; a dot leads into an object."""
    outer, _, inner = key.partition(".")
    values = (t.config.get(outer, {} if inner else None) for t in trials)
    return sorted({json.dumps(value.get(inner) if inner else value, sort_keys=True) for value in values})


def _compare_with_plan(section: Section, live: bool) -> None:
    """Warns of what would make the comparison other than planned; of what is still to come not while it is `live`."""
    planned = {(t["label"], t["seed"]) for t in section.plan.get("trials", [])}
    have = {(t.label, t.seed): t for t in section.trials}
    for label, seed in sorted(planned - have.keys()) if not live else ():
        section.warnings.append(f"planned, but without a record: {label} seed {seed}")
    for trial in section.awaited if not live else ():
        section.warnings.append(f"planned, but without a record: {trial['label']}{TUNED} seed {trial['seed']}")
    for (label, seed), trial in have.items():
        if trial.status == "unfinished" and not live:
            section.warnings.append(f"did not finish, not in the numbers: {label} seed {seed} ({trial.ending})")
        if planned and (label, seed) not in planned:
            section.warnings.append(f"not in the plan, but in the numbers: {label} seed {seed}")
    for key in SETTINGS:
        found = {label: _settings(section.of(label), key) for label in section.labels}
        for label, values in found.items():
            if len(values) > 1:
                section.warnings.append(f"{label} stands for trials that differ in {key}: {'; '.join(values)}")
        if key in PAIRING and any(values != found[section.labels[0]] for values in found.values()):
            each = "; ".join(f"{label} {' and '.join(values)}" for label, values in found.items())
            section.warnings.append(f"the rules differ in {key}, so equal seeds are no pairs: {each}")


def _split(section: Section) -> list[Section]:
    """The section, and one of its own for the trials that a search tuned, where there are others beside them."""
    plan, tuned = section.plan, [t for t in section.trials if t.tuned]
    planned = plan.get("trials", [])
    section.plan = {**plan, "trials": [t for t in planned if not t.get("tuned") and not t.get("tuning")]}
    chosen = {**plan, "trials": [t for t in planned if t.get("tuned")]}
    if not tuned:
        section.awaited = chosen["trials"]
        return [section]
    if len(tuned) == len(section.trials) and not section.plan["trials"]:
        section.plan = chosen
        return [section]
    section.tuned = Section(
        section.experiment, section.workload, chosen, trials=tuned, search=section.search, main=section
    )
    section.trials = [t for t in section.trials if not t.tuned]
    section.search = []
    return [section, section.tuned]


def _published(section: Section) -> Published:
    key = section.plan.get("published", {}).get(section.workload)
    if key is None:
        return given(section.plan.get("paper", []))
    try:
        return published(key, section.better)
    except KeyError:
        section.warnings.append(f"nothing published is named {key} in {PAPER}")
        return Published()


def read_folders(folders: list[Path], live: bool = False) -> tuple[list[Section], list[str]]:
    """The sections of all folders, and the warnings that belong to no section. No record at all gives no section.

    `live`: the trials are still running.
    """
    sections: dict[tuple[str, str], Section] = {}
    warnings: list[str] = []
    for folder in folders:
        plan = _read_plan(folder, warnings)
        tuned = {}  # labels in the run's files -> those of the rules, beside which they stand in the report
        for planned in plan.get("trials", []):
            if planned.get("tuned") and planned["label"].endswith(TUNED):
                tuned[planned["label"]] = planned["label"].removesuffix(TUNED)
                planned["label"] = tuned[planned["label"]]
        for workload in plan.get("workload", []):
            key = (plan.get("name", ""), workload)
            section = sections.setdefault(key, Section(*key))
            own = {
                k: [t for t in plan.get(k, []) if t.get("workload", workload) == workload]
                for k in ("trials", "paper", "claims")
            }
            planned = {
                tuple(t.get(k) for k in ("label", "seed", "tuned", "tuning")): t
                for t in section.plan.get("trials", []) + own["trials"]
            }
            commands = [*section.plan.get("commands", []), plan.get("command", "")]
            section.plan = {**plan, **own, **section.plan, "trials": list(planned.values()), "commands": commands}
        for path in _records(folder):
            if trial := _read_record(path, warnings):
                if trial.label in tuned:
                    trial.config |= {"label": tuned[trial.label], "tuned": True}
                key = (trial.config.get("experiment") or plan.get("name", ""), trial.config["workload"])
                section = sections.setdefault(key, Section(*key))
                (section.search if trial.tuning else section.trials).append(trial)
    split = [part for section in sections.values() for part in _split(section)]
    for section in split:
        if not section.trials and not live:
            warnings.append(f"{section.title}: no record of any planned trial")
        if section.trials or section.search:
            section.trials = _keep_newest(section.trials, section.warnings)
            section.published = _published(section)
            _compare_with_plan(section, live)
    return [s for s in split if s.trials or s.search], warnings
