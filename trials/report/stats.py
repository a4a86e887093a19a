# SPDX-License-Identifier: MIT
"""The statistics of the report: pure functions over numbers and trials, no text, no files."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, median, stdev
from typing import Any

from records import Evaluation, Section, Trial
from scipy.special import stdtrit


@dataclass(frozen=True)
class Estimate:
    """A mean over n values with the half-width of its 95 % t-interval; n = 1 has no interval."""

    mean: float
    half: float | None
    n: int

    @property
    def low(self) -> float | None:
        return None if self.half is None else self.mean - self.half

    @property
    def high(self) -> float | None:
        return None if self.half is None else self.mean + self.half

    @property
    def excludes_zero(self) -> bool:
        return self.half is not None and abs(self.mean) > self.half


def estimate(values: Iterable[float]) -> Estimate | None:
    """mean ± t(0.975, n - 1) * s / sqrt(n), s with n - 1 in its denominator; None of no values."""
    values = list(values)
    n = len(values)
    if n == 0:
        return None
    half = float(stdtrit(n - 1, 0.975)) * stdev(values) / math.sqrt(n) if n > 1 else None
    return Estimate(fmean(values), half, n)


def paired_difference(of: Mapping[int, float], to: Mapping[int, float]) -> Estimate | None:
    """The estimate of `of` - `to` over the seeds that both have."""
    return estimate(of[seed] - to[seed] for seed in of if seed in to)


def reaches(evaluation: Evaluation, target: float, better: str) -> bool:
    value = evaluation.test_metric
    return value is not None and (value >= target if better == "higher" else value <= target)


@dataclass(frozen=True)
class Point:
    """One place of a curve: the trials that were evaluated at this step. low and high are the extremes."""

    step: int
    epoch: float
    seconds: float
    mean: float
    low: float
    high: float
    n: int


def curve(trials: Sequence[Trial], field: str) -> list[Point]:
    """Mean and extremes over trials of an evaluation's field ("test_metric", "train_loss"), step by step."""
    at: dict[int, list[Evaluation]] = {}
    for trial in trials:
        for evaluation in trial.evaluations:
            if getattr(evaluation, field) is not None:
                at.setdefault(evaluation.step, []).append(evaluation)
    points = []
    for step, evaluations in sorted(at.items()):
        values = [getattr(e, field) for e in evaluations]
        epoch, seconds = fmean(e.epoch for e in evaluations), fmean(e.seconds for e in evaluations)
        points.append(Point(step, epoch, seconds, fmean(values), min(values), max(values), len(values)))
    return points


def best(trial: Trial, better: str) -> float:
    """The best test metric of a finished trial: which epoch that is was chosen on the test data."""
    pick = max if better == "higher" else min
    return pick(e.test_metric for e in trial.evaluations if e.test_metric is not None)


def counted(trial: Trial, better: str) -> Evaluation:
    """The evaluation with which a finished trial counts: where the validation metric is best, else the last one."""
    both = [e for e in trial.evaluations if None not in (e.valid_metric, e.test_metric)]
    pick = max if better == "higher" else min
    return pick(both, key=lambda e: e.valid_metric) if both else trial.evaluations[-1]


def outcome(trial: Trial, better: str) -> float:
    """The test metric with which a finished trial counts; of a search's, on the data that take the test data's place."""
    return counted(trial, better).test_metric


def setback(trial: Trial, better: str) -> float:
    """By how many % of its best a finished trial ended worse than that: 0 where training was stable to the end."""
    top = best(trial, better)
    lost = abs(trial.final - top)
    return 100 * lost / abs(top) if top else 0.0 if lost == 0 else math.inf


def mean_train_loss(trial: Trial) -> float:
    """The mean over all steps, the area under the train loss: the smaller, the faster it fell."""
    steps = [0, *(e.step for e in trial.evaluations)]
    losses = [
        (e.train_loss, e.step - before)
        for before, e in zip(steps, trial.evaluations, strict=False)
        if e.train_loss is not None
    ]
    weight = sum(n for _, n in losses)
    return sum(loss * n for loss, n in losses) / weight if weight else math.nan


FALL = 0.01  # the share of its loss that a trial must lose to have learned
SPREAD = 0.05  # the share of the images' variance that what a generator makes must have


def untaught(section: Section, label: str) -> tuple[int, int]:
    """How many finished trials of the rule never left about the loss that they began with, and of how many.

    To guess the same of everything loses a few thousandths of the loss where classes are equally frequent: the first
    weights guess at random. So a trial that did not learn may well end below its beginning. Of text, where frequencies
    alone take a third off the loss, only trials that hardly moved are found. A generator may learn while its loss rises:
    it did not where at the end all that it makes is nearly the same, by the spread that its record tells.
    """
    lost = total = 0
    for trial in section.of(label, "finished"):
        first, *rest = trial.evaluations
        if (spread := trial.evaluations[-1].more.get("spread")) is not None:
            total += 1
            lost += spread < SPREAD
        elif section.split and first.step == 0 and first.test_loss and first.test_loss > 0 and not trial.samples:
            losses = [loss for e in rest for loss in (e.train_loss, e.test_loss) if loss is not None]
            total += 1
            lost += min(losses, default=math.inf) > (1 - FALL) * first.test_loss
    return lost, total


# What a claim may be about: its value of a finished trial, and which way it is better ("": that of the test metric).
MEASURES: dict[str, tuple[Callable[[Trial, str], float], str]] = {
    "test": (outcome, ""),
    "best test": (best, ""),
    "setback": (setback, "lower"),
    "train loss": (lambda trial, _: mean_train_loss(trial), "lower"),
}


@dataclass(frozen=True)
class Verdict:
    """Whether a rule's gain over another, paired by seed, lies above a threshold: with 95 % confidence, or not yet known."""

    claim: Mapping[str, Any]
    state: str  # supported, not supported, undecided
    rule: Estimate | None
    versus: Estimate | None
    gain: Estimate | None  # positive: the rule is better
    threshold: float
    diverged: tuple[int, int]  # trials of the rule, of the other
    untaught: tuple[int, int]  # trials of the other that did not learn, of how many

    @property
    def words(self) -> str:
        return f"{self.state} at this budget" if self.state == "undecided" else self.state


def judge(section: Section, claim: Mapping[str, Any]) -> Verdict | None:
    """The verdict on a claim {text, rule, versus, metric, kind, margin}; None where a rule has no trial that ended.

    kind "better": the gain exceeds the margin; "not worse": it exceeds minus the margin. Supported needs the whole
    interval above that and no diverged trial of the rule; not supported the whole interval below it and no diverged
    trial of the other, or that all the rule's trials diverged and not all of the other's. A comparison with a rule that
    did not learn in most of its trials decides nothing.
    """
    measure, way = MEASURES[claim["metric"]]
    better = way or section.better
    labels = claim["rule"], claim["versus"]
    values = [
        {t.seed: value for t in section.of(label, "finished") if math.isfinite(value := measure(t, section.better))}
        for label in labels
    ]
    lost = len(section.of(labels[0], "diverged")), len(section.of(labels[1], "diverged"))
    if not all(found or n for found, n in zip(values, lost, strict=True)):
        return None
    gain = paired_difference(*values)
    if gain and better == "lower":
        gain = replace(gain, mean=-gain.mean)
    margin = claim.get("margin", 0.0)
    threshold = margin if claim["kind"] == "better" else -margin
    idle, judged = untaught(section, labels[1])
    state = "undecided"
    if not values[0] and values[1]:
        state = "not supported"
    elif gain and gain.half is not None:
        if gain.low > threshold and lost[0] == 0:
            state = "supported"
        elif gain.high < threshold and lost[1] == 0:
            state = "not supported"
    if 2 * idle > judged:
        state = "undecided"
    rule, versus = (estimate(found.values()) for found in values)
    return Verdict(claim, state, rule, versus, gain, threshold, lost, (idle, judged))


@dataclass(frozen=True)
class Summary:
    """What one rule achieved. Means and times are over its finished trials alone."""

    label: str
    finals: dict[int, float]  # seed -> what the trial counts with
    diverged: int
    unfinished: int
    final: Estimate | None
    best: Estimate | None  # of each trial's best test metric
    more: dict[str, Estimate | None]  # of what else the last evaluation measured, by name
    difference: Estimate | None  # of the finals to the baseline's, paired by seed; None for the baseline itself
    steps_to_target: float | None  # mean over the trials that reached it
    seconds_to_target: float | None
    reached: int
    step_ms: float | None  # median over trials
    optimizer_ms: float | None
    state_bytes: float | None  # a weight

    @property
    def ended(self) -> int:
        return len(self.finals) + self.diverged


def summarize(section: Section) -> list[Summary]:
    """One summary a rule, in the order of section.labels."""
    finals = {
        label: {t.seed: outcome(t, section.better) for t in section.of(label, "finished")} for label in section.labels
    }
    summaries = []
    for label in section.labels:
        finished = section.of(label, "finished")
        first = []
        if section.target is not None:
            hits = [[e for e in t.evaluations if reaches(e, section.target, section.better)] for t in finished]
            first = [hit[0] for hit in hits if hit]
        last = [t.evaluations[-1] for t in finished if t.evaluations[-1].step > 0]
        weights = [t.config for t in section.of(label) if t.config.get("parameters") and "state_bytes" in t.config]
        compared = label != section.baseline and section.baseline in finals
        summaries.append(
            Summary(
                label=label,
                finals=finals[label],
                diverged=len(section.of(label, "diverged")),
                unfinished=len(section.of(label, "unfinished")),
                final=estimate(finals[label].values()),
                best=estimate(best(t, section.better) for t in finished),
                more={
                    name: estimate(e.more[name] for t in finished if name in (e := t.evaluations[-1]).more)
                    for name in dict.fromkeys(name for t in section.trials for e in t.evaluations for name in e.more)
                },
                difference=paired_difference(finals[label], finals[section.baseline]) if compared else None,
                steps_to_target=fmean(e.step for e in first) if first else None,
                seconds_to_target=fmean(e.seconds for e in first) if first else None,
                reached=len(first),
                step_ms=median(1e3 * e.seconds / e.step for e in last) if last else None,
                optimizer_ms=median(1e3 * e.optimizer_seconds / e.step for e in last) if last else None,
                state_bytes=median(c["state_bytes"] / c["parameters"] for c in weights) if weights else None,
            )
        )
    return summaries
