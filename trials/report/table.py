# SPDX-License-Identifier: MIT
"""What the report says in words and cells: the headline, the columns of the table, the notes, the way to repeat it.

Each column is defined once, in `columns`; the page, the terminal, summary.csv and report.md render it.
"""

from __future__ import annotations

import json
import math
import re
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from published import Source, Value
from records import Section, Trial
from stats import FALL, SPREAD, Estimate, Summary, Verdict, judge, paired_difference, summarize


def number(value: float | None, like: float | None = None, signed: bool = False) -> str:
    """Four significant digits, or as many decimals as four digits of `like` have."""
    if value is None:
        return "–"
    size = abs(value if like is None else like)
    decimals = 3 - math.floor(math.log10(size)) if size else 2
    text = f"{value:{'+' if signed else ''},.{max(0, decimals)}f}" if -2 < decimals < 8 else f"{value:.3e}"
    return text.replace("-", "−")


def duration(value: float | None) -> str:
    """Three significant digits: the load of the machine moves the second."""
    if value is None:
        return "–"
    value = float(f"{value:.3g}")
    return f"{value:,.0f}" if value >= 100 else number(value, 10 * value)


def plus_minus(value: Estimate | None, like: float, signed: bool = False) -> str:
    """With the decimals of `like`; a value of another order has its own, unless it is a small difference (`signed`)."""
    if value is None:
        return "–"
    size = abs(value.mean)
    if size > 10 * abs(like) or (not signed and 0 < size < abs(like) / 10):
        like = size
    half = "" if value.half is None else f" ± {number(value.half, like)}"
    return number(value.mean, like, signed) + half


def estimated(name: str, get: Callable[[Summary], Estimate | None]) -> dict[str, Callable[[Summary], Any]]:
    """The columns of summary.csv that an estimate makes."""
    return {f"{name}_{part}": lambda row, part=part: getattr(get(row), part, None) for part in ("mean", "low", "high")}


@dataclass(frozen=True)
class Column:
    title: str
    text: Callable[[Summary], str]
    fields: dict[str, Callable[[Summary], Any]]  # name in summary.csv -> value
    strong: Callable[[Summary], bool] = field(default=lambda row: False)
    shown: bool = True


@dataclass
class Table:
    """The table of a section, and what is said about it."""

    section: Section
    rows: list[Summary]

    @classmethod
    def of(cls, section: Section) -> Table:
        return cls(section, summarize(section))

    @property
    def metric(self) -> str:
        return self.section.metric["name"]

    @property
    def unit(self) -> str:
        return self.section.metric.get("unit") or ""

    @property
    def measured(self) -> str:
        """The metric as a curve is titled, with the data that it is of: a function has none."""
        return f"{self.section.split} {self.metric}".strip()

    @property
    def outcome(self) -> str:
        """What a trial counts with, where the metric is named beside."""
        return "picked" if self.section.validated else "final"

    @property
    def goal(self) -> str:
        return f"{self.section.target:g} {self.unit}".strip() if self.section.target is not None else ""

    @property
    def leader(self) -> Summary | None:
        """The rule with the best mean final test metric; in a race that most often at the goal, or first of those."""
        ranked = [row for row in self.rows if row.final]
        return min(ranked, key=self._rank) if ranked else None

    def _rank(self, row: Summary) -> tuple[float, ...]:
        final = -row.final.mean if self.section.better == "higher" else row.final.mean
        if self.section.goal is None:
            return (final,)
        return (-row.reached, row.steps_to_target or 0.0, final)

    @property
    def headline(self) -> str:
        """One sentence: who leads, by how much, and whether that could be chance."""
        leader, rows = self.leader, [row for row in self.rows if row.final]
        if leader is None:
            return "No trial has finished, so there is nothing to compare."
        if self.section.goal is not None:
            return self._race(leader, rows)
        like, unit = leader.final.mean, f" {self.unit}" if self.unit else ""
        lost = f" ({leader.diverged} of its {leader.ended} trials diverged)" if leader.diverged else ""
        picked = " at the epoch picked on validation data" if self.section.validated else ""
        what, value = f"mean {'' if picked else 'final '}{self.measured}{picked}", f"{number(like)}{unit}{lost}"
        baseline = self.section.baseline
        other = next((row for row in rows if row.label == baseline), None)
        none = f"; the baseline {baseline} has no finished trial" if baseline and not other else ""
        if len(rows) == 1:
            only = f"{leader.label} is the only rule with a finished trial"
            return f"{only}: its {what} is {value} (n = {leader.final.n})."
        who, name = leader.label, f"the baseline {baseline}"
        if other is leader or other is None:
            who += ", the baseline," if other else ""
            other = min((row for row in rows if row is not leader), key=self._rank)
            name = f"the runner-up {other.label}"
        best = f"{who} has the best {what}, {value}"
        gap = paired_difference(leader.finals, other.finals)
        if gap is None:
            return f"{best}; it shares no finished seed with {name}{none}."
        points = " points" if self.unit == "%" else unit
        by = number(abs(gap.mean), like)
        level = by == number(0.0, like)
        by = f"level with {name}" if level else f"{by}{points} {'above' if gap.mean >= 0 else 'below'} {name}"
        if gap.half is None:
            return f"{best}, {by} (n = 1 seed, so no interval){none}."
        if gap.mean == gap.half == 0:
            return f"{best}, {by} (the same in each of n = {gap.n} seeds){none}."
        chance = "" if level else ", so this could be chance"
        sure = "excludes 0" if gap.excludes_zero else f"includes 0{chance}"
        interval = f"{number(gap.low, like, True)} to {number(gap.high, like, True)}"
        return f"{best}, {by} (95 % interval {interval} {sure}; n = {gap.n} seeds){none}."

    def _race(self, leader: Summary, rows: list[Summary]) -> str:
        """The headline of a race."""
        place = f"{self.metric} {self.goal}"
        if not leader.reached:
            near = f"{number(leader.final.mean)} {self.unit}".strip()
            return f"No rule reaches {place} in {self._budget}; {leader.label} ends nearest, at {near}."
        # The mean steps of different numbers of trials do not tell who was first.
        uneven = any(0 < row.reached < leader.reached for row in rows)
        how = f"most often ({leader.reached} of {leader.ended})" if uneven else "first"
        told = f"{leader.label} reaches {place} {how}, after {leader.steps_to_target:,.0f} steps"
        others = sorted((row for row in rows if row is not leader), key=self._rank)
        other = next((row for row in others if row.label == self.section.baseline), others[0] if others else None)
        if other is None:
            return f"{told}."
        after = f"after {other.steps_to_target:,.0f}" if other.reached else f"not in {self._budget}"
        if uneven and other.reached:
            after = f"in {other.reached} of {other.ended}, {after}"
        return f"{told}; {other.label} {after}."

    @property
    def _budget(self) -> str:
        steps = max((t.config.get("steps", 0) for t in self.section.trials), default=0)
        return f"{steps:,} steps" if steps else "its steps"

    @property
    def columns(self) -> list[Column]:
        section, rows = self.section, self.rows
        like = self.leader.final.mean if self.leader else 1.0
        unit = f", {self.unit}" if self.unit else ""
        goal, race = self.goal, section.goal is not None
        published = {source.name: source for source in section.published.sources}
        tuned = {row.label: row for row in self.tuned.rows} if self.tuned else {}

        return [
            Column("rule", lambda r: r.label, {"rule": lambda r: r.label}, lambda r: r is self.leader),
            *(self._published(name, published.get(name)) for name in ("paper", "replication")),
            Column(
                f"{'ours, ' if tuned else ''}{self.outcome} {self.metric}{unit}",
                lambda r: plus_minus(r.final, r.final.mean if race and r.final else like),
                estimated("final", lambda r: r.final),
                lambda r: r is self.leader and not race,
            ),
            Column(
                f"ours tuned, {self.outcome} {self.metric}{unit}",
                lambda r: plus_minus(tuned[r.label].final, like) if r.label in tuned else "–",
                estimated("tuned", lambda r: tuned[r.label].final if r.label in tuned else None),
                lambda r: self.tuned.leader is not None and r.label == self.tuned.leader.label,
                bool(tuned),
            ),
            Column(
                f"best {self.metric}{unit}" + (" on test" if section.validated else ""),
                lambda r: plus_minus(r.best, like),
                estimated("best", lambda r: r.best),
                shown=not race,
            ),
            *(self._other(name) for name in (rows[0].more if rows else ())),
            Column("n", lambda r: str(len(r.finals)), {"n": lambda r: len(r.finals)}),
            Column(
                f"{self.outcome} less {section.baseline}’s",
                lambda r: "baseline" if r.label == section.baseline else plus_minus(r.difference, like, True),
                {
                    "baseline": lambda r: section.baseline,
                    **estimated("difference", lambda r: r.difference),
                    "difference_n": lambda r: getattr(r.difference, "n", None),
                },
                lambda r: r.difference is not None and r.difference.excludes_zero,
                any(r.difference for r in rows) and not race,
            ),
            Column(
                f"steps to {goal}",
                lambda r: "–" if r.steps_to_target is None else f"{r.steps_to_target:,.0f}",
                {"target": lambda r: section.target, "steps_to_target": lambda r: r.steps_to_target},
                lambda r: race and r is self.leader and r.reached > 0,
                bool(goal),
            ),
            Column(
                f"seconds to {goal}",
                lambda r: duration(r.seconds_to_target),
                {"seconds_to_target": lambda r: r.seconds_to_target},
                shown=bool(goal) and not race,
            ),
            Column(
                f"reached {goal}",
                lambda r: f"{r.reached}/{r.ended}",
                {"reached": lambda r: r.reached if goal else None},
                shown=bool(goal),
            ),
            Column(
                "ms a step",
                lambda r: duration(r.step_ms),
                {"ms_a_step": lambda r: r.step_ms},
                shown=not section.surface,
            ),
            Column(
                "optimizer ms a step",
                lambda r: duration(r.optimizer_ms),
                {"optimizer_ms_a_step": lambda r: r.optimizer_ms},
                shown=not section.surface,
            ),
            Column(
                "state bytes a weight",
                lambda r: "–" if r.state_bytes is None else f"{r.state_bytes:.4g}",
                {"state_bytes_a_weight": lambda r: r.state_bytes},
                shown=not section.surface,
            ),
            Column(
                "diverged",
                lambda r: f"{r.diverged}/{r.ended}",
                {
                    "ended": lambda r: r.ended,
                    "diverged": lambda r: r.diverged,
                    "diverged_share": lambda r: r.diverged / r.ended if r.ended else None,
                    "unfinished": lambda r: r.unfinished,
                },
                lambda r: r.diverged > 0,
            ),
        ]

    def _other(self, name: str) -> Column:
        """Another measure of the last evaluation."""

        def get(row: Summary) -> Estimate | None:
            return row.more[name]

        like = next((abs(value.mean) for row in self.rows if (value := get(row))), 1.0)
        return Column(
            f"final {name}", lambda r: plus_minus(get(r), like), estimated(re.sub(r"\W+", "_", name.lower()), get)
        )

    def _published(self, name: str, source: Source | None) -> Column:
        """What another reports of each rule; with its metric where that is not ours."""

        def of(row: Summary) -> Value | None:
            return source.of(row.label) if source else None

        def text(row: Summary) -> str:
            value = of(row)
            return value.text if value else "–"

        other = self.section.published.metric
        return Column(
            name if other is None or other.lower() == self.metric.lower() else f"{name}, {other}",
            text,
            {f"{name}_{key}": lambda r, key=key: getattr(of(r), key, None) for key in ("value", "text", "source")},
            shown=any(of(row) for row in self.rows),
        )

    @cached_property
    def tuned(self) -> Table | None:
        """The table of the trials that a search tuned, where these are beside."""
        return Table.of(self.section.tuned) if self.section.tuned else None

    @property
    def verdicts(self) -> list[tuple[str, Verdict, str]]:
        """Of each claim, under which settings, the verdict, and the numbers behind it in words."""
        found = []
        for claim in self.section.plan.get("claims", []) if self.section.main is None else []:
            for table, settings in ((self, "at the given settings"), (self.tuned, "tuned")):
                if table and (verdict := judge(table.section, claim)):
                    found.append((settings, verdict, table._basis(verdict)))
        return found

    def _basis(self, verdict: Verdict) -> str:
        """The numbers behind a verdict."""
        claim, gain = verdict.claim, verdict.gain
        own = {"train loss": "", "setback": "%"}.get(claim["metric"], self.unit)
        unit = f" {own}" if own else ""
        points = " points" if unit == " %" else unit
        measure = {
            "test": f"{self.outcome} {self.measured}",
            "best test": f"best {self.measured}",
            "setback": f"{self.measured}, the last behind the best, in % of that",
        }
        measure = measure.get(claim["metric"], "train loss, mean over the training")
        like = next((abs(e.mean) for e in (verdict.rule, verdict.versus) if e), 1.0)
        sides = ((claim["rule"], verdict.rule), (claim["versus"], verdict.versus))
        means = ", ".join(f"{label} {number(e.mean, like)}{unit}" for label, e in sides if e)
        told = [f"{measure}: {means}" if means else measure]
        if gain is not None:
            way = "better" if gain.mean >= 0 else "worse"
            interval = "n = 1 seed, so no interval"
            if gain.half is not None:
                ends = f"{number(gain.low, like, True)} to {number(gain.high, like, True)}"
                interval = f"95 % interval of the gain {ends}, n = {gain.n} seeds"
            told.append(f"{claim['rule']} {way} by {number(abs(gain.mean), like)}{points} ({interval})")
        elif verdict.rule and verdict.versus:
            told.append("no seed finished under both")
        for (label, _), lost in zip(sides, verdict.diverged, strict=True):
            if lost:
                trials = len(self.section.of(label, "finished")) + lost
                told.append(f"{lost} of {trials} trials of {label} diverged")
        if verdict.untaught[0]:
            idle, trials = verdict.untaught
            why = f"with less than {100 * FALL:g} % off the loss of step 0"
            if any(row.more.get("spread") for row in self.rows if row.label == claim["versus"]):
                why = f"with fakes that are nearly all the same (a spread below {SPREAD:g})"
            told.append(f"{idle} of {trials} trials of {claim['versus']} did not learn, {why}")
        need = number(verdict.threshold, like, True) if verdict.threshold else "0"
        return f"{'; '.join(told)}. The claim is a gain above {need}{points}."

    @property
    def shown(self) -> list[Column]:
        return [column for column in self.columns if column.shown]

    @property
    def about(self) -> dict[str, str]:
        """What stands in each line of summary.csv."""
        section = self.section
        given = {"experiment": section.experiment, "workload": section.workload, "metric": self.metric}
        return {**given, "unit": self.unit, "tuned": "yes" if section.main else ""}

    @property
    def fields(self) -> list[str]:
        """The columns of summary.csv."""
        return [*self.about, *(name for column in self.columns for name in column.fields)]

    def csv(self) -> list[dict[str, Any]]:
        return [
            {**self.about, **{name: get(row) for column in self.columns for name, get in column.fields.items()}}
            for row in self.rows
        ]

    @property
    def notes(self) -> list[str]:
        """How to read the table: the rules by which its numbers were made."""
        most = "highest" if self.section.better == "higher" else "lowest"
        race = self.section.goal is not None
        notes = []
        if not race or any(len(row.finals) > 1 for row in self.rows):
            notes += [
                "± spans the 95 % t-interval of the mean over n finished trials, one a seed; a single trial has none.",
                "Intervals are not widened for the number of rules compared.",
            ]
        if race:
            notes.append(f"A trial ends at the first step at {self.metric} {self.goal}, or after {self._budget}.")
        else:
            on = {"test": " on the test set", "": ""}.get(self.section.split, f" on {self.section.split} data")
            if self.section.validated:
                notes.append(
                    f"Picked: {self.measured} at the epoch that is best on validation data. Best on test is each trial’s "
                    f"{most}, as the authors’ scripts pick it, which flatters every rule."
                )
            else:
                notes.append(f"Final is a trial’s last evaluation{on}, best its {most}, which flatters every rule.")
        notes.append("A diverged trial is counted under diverged, drawn dotted, and in no mean, difference or time.")
        if any(row.difference for row in self.rows) and not race:
            notes.append(f"Differences to {self.section.baseline} are paired by seed; bold: the interval excludes 0.")
        if self.section.target is not None and not race:
            notes.append("Steps and seconds to the target are means over the trials that reached it at an evaluation.")
        if not self.section.surface:
            notes.append("ms a step are medians over trials of training time, evaluations not counted.")
            notes.append(
                "Trials run side by side and at different times, so a fifth more or less of a time may be the "
                "machine’s load and not the rule’s doing. Steps are measured by the benchmarks (docs/performance.md)."
            )
        if self.tuned:
            counts = {sum(t.label == row.label for t in self.tuned.section.search) for row in self.tuned.rows}
            by = f", by {counts.pop()} trials a rule" if len(counts) == 1 and counts != {0} else ""
            notes.append(f"Ours tuned: options chosen on validation data{by}, then fresh seeds; the section below.")
        for (edge, option), labels in self._edges.items():
            notes.append(f"The {edge} {option} that was tried is chosen for {'; '.join(labels)}: beyond may be better.")
        if self.section.reduced:
            notes.append(f"Reduced: {self.reduction}")
        return notes + self._sources

    @property
    def _edges(self) -> dict[tuple[str, str], list[str]]:
        """The rules for which a search chose the largest or the smallest value of an option that it tried."""
        found: dict[tuple[str, str], list[str]] = {}
        for label in self.section.labels:
            tried = [t.config.get("options", {}) for t in self.section.search if t.label == label]
            if not tried:
                continue
            for name, value in self.section.of(label)[0].config.get("options", {}).items():
                values = {o[name] for o in tried if type(o.get(name)) in (int, float)}
                if len(values) < 2:
                    continue
                for edge, end in (("largest", max(values)), ("smallest", min(values))):
                    if value == end:
                        found.setdefault((edge, name), []).append(label)
        return found

    @property
    def reduction(self) -> str:
        """In what a reduced run is smaller, as far as its plan tells."""
        plan = self.section.plan.get("reduced")
        plan = plan if isinstance(plan, dict) else {}
        changed = {**plan, **plan.get(self.section.workload, {})}  # a workload's table goes before what all have
        told = ", ".join(f"{k} {v}" for k, v in changed.items() if not isinstance(v, dict))
        return (
            f"smaller than what it repeats{f' ({told})' if told else ''}, so its numbers are not to be held against it."
        )

    @property
    def _sources(self) -> list[str]:
        """Where the numbers of others stand, and how to read them."""
        notes = []
        for source in self.section.published.sources:
            values = {row.label: value for row in self.rows if (value := source.of(row.label))}
            where: dict[str, list[str]] = {}
            for label, value in values.items():
                where.setdefault(value.source, []).append(label)
            for text, labels in where.items():
                whose = f", {', '.join(labels)}" if len(where) > 1 else ""
                how = "; ± is one standard deviation over runs" if any(v.spread for v in values.values()) else ""
                how += "; best / last epoch, both on test" if any(v.last for v in values.values()) else ""
                how += "; ≈ is read off a figure" if source.read_off else ""
                notes.append(f"{source.name.capitalize()}{whose}: {text}{how}.")
        return notes

    @property
    def diverged(self) -> list[str]:
        trials = [t for t in self.section.trials if t.status == "diverged"]
        return [f"{t.label} seed {t.seed}: {t.ending}" for t in trials]

    @property
    def reproduction(self) -> dict[str, str]:
        """What one needs to repeat the trials. Facts on which the trials differ are listed all."""

        def machine(config: dict[str, Any]) -> str:
            m = config.get("machine", {})
            memory = f"{m['memory_gib']} GiB" if "memory_gib" in m else None
            cores = f"{m['cores']} cores" if "cores" in m else None
            return ", ".join(str(part) for part in (m.get("cpu"), cores, m.get("isa"), memory, m.get("os")) if part)

        def data(config: dict[str, Any]) -> str:
            d = config.get("data", {})
            return d.get("name", "") + (f" (sha256 {d['sha256']})" if d.get("sha256") else "")

        getters: dict[str, Callable[[Trial], Any]] = {
            **{
                key: lambda t, key=key: str(t.config.get(key, "")) for key in ("version", "commit", "compiler", "torch")
            },
            "machine": lambda t: machine(t.config),
            "data": lambda t: data(t.config),
            "seeds": lambda t: t.seed,
        }
        facts = {"command": "; ".join(dict.fromkeys(filter(None, self.section.plan.get("commands", []))))}
        for name, get in getters.items():
            values = sorted({value for t in self.section.trials if (value := get(t)) not in (None, "")})
            facts[name] = (", " if name == "seeds" else "; ").join(map(str, values))
        return {name: value for name, value in facts.items() if value}

    @property
    def configurations(self) -> tuple[dict[str, str], list[str], dict[str, list[str]]]:
        """The settings that all rules share; the names of the others; each rule's values of these."""
        keys = (
            *("schedule", "epochs", "batch", "steps", "parameters"),
            *("precision", "states", "weights", "channels_last", "threads"),
        )
        rules: dict[str, dict[str, str]] = {}
        for label in self.section.labels:
            config = self.section.of(label)[0].config
            settings = {"rule": config.get("rule"), **config.get("options", {})}
            if "eps" in settings:  # the floor of the denominator: what compares; some rules have no such number
                eps = config.get("effective_eps", "–")
                settings["effective eps"] = float(f"{eps:.3g}") if isinstance(eps, float) else eps
            settings |= {key: config[key] for key in keys if key in config}
            rules[label] = dict(_flat(settings))
        names = list(dict.fromkeys(name for settings in rules.values() for name in settings))
        shared = {}
        if len(rules) > 1:
            values = {name: {settings.get(name) for settings in rules.values()} for name in names}
            shared = {name: found.pop() for name, found in values.items() if len(found) == 1}
        names = [name for name in names if name not in shared]
        return shared, names, {label: [s.get(name, "–") for name in names] for label, s in rules.items()}


def _flat(settings: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Nested settings by dotted names, values as JSON writes them, text without quotes."""
    for key, value in settings.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value if isinstance(value, str) else json.dumps(value)


def verdict_words(table: Table, settings: str, verdict: Verdict) -> str:
    """The claim and the verdict in a line."""
    how = f" ({settings})" if table.tuned else ""
    return f"“{verdict.claim['text']}”{how}: {verdict.words}{', reduced' if table.section.reduced else ''}."


def plain(table: Table, width: int = 100, style: Callable[[str, bool], str] = lambda text, strong: text) -> str:
    """The table as aligned text; columns that don't fit the width go below, with the rule again before them."""
    blocks: list[list[list[tuple[str, bool]]]] = []
    room = 0
    for column in table.shown:
        cells = [(column.text(row), column.strong(row)) for row in table.rows]
        wide = max([min(len(column.title), 8), *(len(text) for text, _ in cells)])
        while len(title := textwrap.wrap(column.title, wide, break_long_words=False)) > 4:
            wide += 1
        wide = max(wide, *map(len, title))
        lines = [("", False)] * (4 - len(title)) + [(text, False) for text in title] + cells
        pad = str.ljust if column.title == "rule" else str.rjust
        padded = [(pad(text, wide), strong) for text, strong in lines]
        if not blocks or room + wide + 2 > width:
            blocks.append([blocks[0][0]] if blocks else [])
            room = len(blocks[0][0][0][0]) if blocks[0] else -2
        blocks[-1].append(padded)
        room += wide + 2
    tables = []
    for block in blocks:
        lines = ["  ".join(style(*cell) for cell in line).rstrip() for line in zip(*block, strict=True)]
        tables.append("\n".join(line for line in lines if line))
    return "\n\n".join(tables)


def markdown(table: Table) -> str:
    def row(cells: list[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    shown = table.shown
    lines = [f"## {table.section.title}", "", f"**{table.headline}**", ""]
    lines += [f"> Warning: {warning}" + "\n>" for warning in table.section.warnings]
    lines += [""] if table.section.warnings else []
    lines += [row([c.title for c in shown]), row(["---"] + ["---:"] * (len(shown) - 1))]
    for r in table.rows:
        lines.append(row([f"**{c.text(r)}**" if c.strong(r) else c.text(r) for c in shown]))
    for settings, verdict, basis in table.verdicts:
        lines += ["", f"**{verdict_words(table, settings, verdict)}** {basis}"]
    lines += ["", *(f"- {note}" for note in table.notes)]
    lines += [f"- Diverged: {trial}" for trial in table.diverged]
    lines += ["", "To repeat:", "", *(f"- {name}: `{value}`" for name, value in table.reproduction.items()), ""]
    return "\n".join(lines)
