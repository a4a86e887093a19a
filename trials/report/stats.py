# SPDX-License-Identifier: MIT
"""The statistics of the report: pure functions over numbers and trials, no text, no files."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median, stdev

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


@dataclass(frozen=True)
class Summary:
    """What one rule achieved. Means and times are over its finished trials alone."""

    label: str
    finals: dict[int, float]  # seed -> last test metric
    diverged: int
    unfinished: int
    final: Estimate | None
    best: Estimate | None  # of each trial's best evaluation
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
    finals = {label: {t.seed: t.final for t in section.of(label, "finished")} for label in section.labels}
    pick = max if section.better == "higher" else min
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
                best=estimate(
                    pick(e.test_metric for e in t.evaluations if e.test_metric is not None) for t in finished
                ),
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
