# SPDX-License-Identifier: MIT
"""Tests of trials/report: its numbers against values by hand, its files, its refusals, its page in headless Chromium."""

from __future__ import annotations

import csv
import html
import json
import math
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "trials" / "report"))

import records
from figures import curves, dots
from records import read_folders
from stats import Estimate, curve, estimate, paired_difference, summarize
from table import Table, duration, number, plain, plus_minus

REPORT = Path(records.__file__).parent

T2 = 0.95 * math.sqrt(2 / 0.0975)  # the 97.5 % quantile of Student’s t with 2 degrees of freedom, in closed form
STEPS = 100  # an epoch
METRIC = {"better": "higher", "name": "accuracy", "unit": "%"}


def config(label: str, seed: int, **changes: Any) -> dict[str, Any]:
    rule = re.sub("[^a-z0-9]", "-", label.lower())
    return {
        "type": "config", "record": 1, "run": f"{rule}-s{seed}", "experiment": "quick", "workload": "blobs_mlp",
        "label": label, "rule": rule, "options": {"lr": 0.1 if label == "SGD" else 0.001, "weight_decay": 0.0},
        "schedule": {"kind": "cosine", "warmup": 0}, "seed": seed, "epochs": 3, "batch": 128, "steps": 3 * STEPS,
        "steps_per_epoch": STEPS, "metric": METRIC,
        "parameters": 1000, "state_bytes": 8000, "precision": "float32", "channels_last": False, "threads": 1,
        "version": "0.1.0", "commit": "0123abc", "compiler": "GNU 12.2.0", "torch": "2.13.0",
        "machine": {"cpu": "Model 7", "cores": 2, "memory_gib": 23.5, "os": "Debian GNU/Linux 12", "isa": "avx2"},
        "data": {"name": "blobs", "sha256": "00ff"}, "started": "2026-11-24T19:50:00Z", **changes,
    }  # fmt: skip


def write_record(
    folder: Path, label: str, seed: int, metrics: list[float], end: str | None = "finished", **changes: Any
) -> Path:
    """A record with one evaluation an epoch after that at step 0; a step takes 10 ms, 2 of them in the optimizer."""
    first = config(label, seed, **changes)
    lines: list[dict[str, Any]] = [first]
    for epoch, metric in enumerate(metrics):
        loss = None if epoch == 0 else 2.0 * 0.3**epoch + 0.01 * seed
        step = epoch * STEPS
        lines.append({
            "type": "evaluation", "step": step, "epoch": float(epoch), "seconds": 0.01 * step,
            "optimizer_seconds": 0.002 * step, "lr": 0.001, "train_loss": loss, "test_loss": 1.1 * 0.4**epoch,
            "test_metric": metric,
        })  # fmt: skip
    last = (len(metrics) - 1) * STEPS
    if end == "finished":
        lines.append({"type": "end", "status": end, "step": last, "seconds": 0.01 * last, "ended": "2026-11-24Z"})
    elif end == "diverged":
        reason = f"train loss is nan at step {last + 50}"
        lines.append({"type": "end", "status": end, "reason": reason, "step": last + 50, "seconds": 0.01 * last + 0.5})
    path = folder / "records" / f"{first['run']}.jsonl{'' if end else '.part'}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def write_plan(folder: Path, labels: list[str], seeds: list[int], **changes: Any) -> None:
    trials = [
        {"run": f"{label.lower()}-s{seed}", "label": label, "rule": label.lower(), "seed": seed}
        for label in labels
        for seed in seeds
    ]
    plan = {
        "name": "quick", "title": "A quick comparison", "description": "Blobs.", "workload": "blobs_mlp",
        "baseline": "Adam", "target": {"metric": "accuracy", "value": 88.0}, "command": "adabelief compare quick",
        "toml": 'workload = "blobs_mlp"\n# <three> seeds & "rules"\n', "trials": trials,
        "paper": [{"label": "AdaBelief", "value": 91.4, "source": "Figure 4"}], **changes,
    }  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "experiment.json").write_text(json.dumps(plan))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four rules, three seeds; SGD's seed 2 diverged, RAdam's seed 3 is missing and its seed 2 broke off."""
    run = tmp_path / "runs" / "quick"
    write_plan(run, ["AdaBelief", "Adam", "SGD", "RAdam"], [1, 2, 3])
    for seed, final in ((1, 91.0), (2, 92.0), (3, 93.0)):
        write_record(run, "AdaBelief", seed, [10.0, 80.0, 88.0 + seed, final])
    for seed, final in ((1, 90.0), (2, 91.5), (3, 91.0)):
        write_record(run, "Adam", seed, [10.0, 75.0, 92.5, final])
    for seed, final in ((1, 87.0), (3, 88.0)):
        write_record(run, "SGD", seed, [10.0, 50.0, 80.0, final], state_bytes=0)
    write_record(run, "SGD", 2, [10.0, 40.0], "diverged")
    write_record(run, "RAdam", 1, [10.0, 70.0, 85.0, 89.0])
    write_record(run, "RAdam", 2, [10.0, 71.0], None)
    return run


SURFACE = {
    "formula": "x² + 4y²", "start": [-2.0, 1.0], "optimum": [0.0, 0.0], "x": [-3.0, -1.0, 1.0], "y": [-1.5, 0.0, 1.5],
    "z": [[18.0, 10.0, 10.0], [9.0, 1.0, 1.0], [18.0, 10.0, 10.0]],
}  # fmt: skip


def write_path(folder: Path, label: str, distances: list[float], end: str = "finished", **changes: Any) -> Path:
    """The record of a race to distance 0.001, along the line from the start of SURFACE to its optimum."""
    changes = {
        "workload": "toy_bowl", "surface": SURFACE, "steps": 1000, "data": {"name": "", "sha256": ""}, **changes,
        "metric": {"name": "distance", "unit": "", "better": "lower", "goal": 0.001},
    }  # fmt: skip
    path = write_record(folder, label, changes.pop("seed", 1), distances, end, **changes)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line in lines:
        if line["type"] == "evaluation":
            share = line["test_metric"] / math.sqrt(5)
            line |= {"point": [-2 * share, share], "test_loss": 8 * share**2}
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.fixture
def race(tmp_path: Path) -> Path:
    """AdaBelief reaches the goal at step 200, Adam at 300, RAdam never; SGD diverged."""
    run = tmp_path / "race"
    write_plan(run, ["AdaBelief", "Adam", "SGD", "RAdam"], [1], workload="toy_bowl", target=None, paper=None)
    write_path(run, "AdaBelief", [2.236, 0.5, 0.0009])
    write_path(run, "Adam", [2.236, 1.5, 0.5, 0.0002])
    write_path(run, "SGD", [2.236, 3.0, 1e9, 1e100], "diverged")
    write_path(run, "RAdam", [2.236, 1.9, 0.8, 0.7])
    return run


def report(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(REPORT), *map(str, arguments)]
    env = {**os.environ, **environment}
    return subprocess.run(command, check=False, capture_output=True, text=True, env=env, timeout=120)


def summaries(folder: Path) -> dict[str, Any]:
    (section,), _ = read_folders([folder])
    return {row.label: row for row in summarize(section)}


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def test_mean_and_interval_are_those_by_hand() -> None:
    result = estimate([1.0, 2.0, 6.0])  # deviations -2, -1, 3: s^2 = 14 / 2
    assert result.mean == 3.0 and result.n == 3
    assert result.half == pytest.approx(T2 * math.sqrt(7) / math.sqrt(3), rel=1e-9)
    assert estimate([]) is None


def test_one_value_has_no_interval() -> None:
    result = estimate([4.0])
    assert (result.mean, result.half, result.low, result.n) == (4.0, None, None, 1)
    assert not result.excludes_zero


def test_a_paired_difference_uses_the_shared_seeds_alone() -> None:
    result = paired_difference({1: 5.0, 2: 7.0, 3: 9.0, 9: 100.0}, {1: 4.0, 2: 4.0, 3: 7.0, 8: -50.0})
    assert (result.mean, result.n) == (2.0, 3)  # differences 1, 3, 2: s = 1
    assert result.half == pytest.approx(T2 / math.sqrt(3), rel=1e-9)
    assert not result.excludes_zero
    assert paired_difference({1: 5.0}, {2: 5.0}) is None


def test_the_summary_of_a_rule_is_that_by_hand(folder: Path) -> None:
    rows = summaries(folder)
    belief, adam, sgd, radam = (rows[label] for label in ("AdaBelief", "Adam", "SGD", "RAdam"))
    assert belief.final.mean == 92.0 and belief.final.half == pytest.approx(T2 / math.sqrt(3), rel=1e-9)
    assert belief.difference.mean == pytest.approx(3.5 / 3) and belief.difference.n == 3  # 1, 0.5, 2
    squares = sum((d - 3.5 / 3) ** 2 for d in (1.0, 0.5, 2.0))
    assert belief.difference.half == pytest.approx(T2 * math.sqrt(squares / 2 / 3), rel=1e-9)
    assert adam.difference is None and adam.best.mean == 92.5 and adam.best.half == 0.0
    assert (belief.steps_to_target, belief.seconds_to_target, belief.reached) == (200.0, 2.0, 3)
    assert (sgd.steps_to_target, sgd.reached, sgd.ended) == (300.0, 1, 3)
    assert (belief.step_ms, belief.optimizer_ms) == (pytest.approx(10.0), pytest.approx(2.0))
    assert (belief.state_bytes, sgd.diverged, radam.unfinished) == (8.0, 1, 1)
    assert radam.final.half is None and radam.difference.n == 1


def test_a_diverged_trial_is_in_no_mean(folder: Path) -> None:
    sgd = summaries(folder)["SGD"]
    assert sgd.final.mean == 87.5 and sgd.final.n == 2 and sgd.difference.n == 2
    (section,), _ = read_folders([folder])
    assert [p.n for p in curve(section.of("SGD", "finished"), "test_metric")] == [2, 2, 2, 2]


def test_a_curve_has_the_mean_and_the_extremes_of_each_step(folder: Path) -> None:
    (section,), _ = read_folders([folder])
    point = curve(section.of("AdaBelief"), "test_metric")[2]
    assert (point.step, point.epoch, point.seconds) == (200, 2.0, 2.0)
    assert (point.mean, point.low, point.high, point.n) == (90.0, 89.0, 91.0, 3)
    assert curve(section.of("AdaBelief"), "train_loss")[0].step == 100


def test_lower_is_better_where_the_metric_says_so(tmp_path: Path) -> None:
    write_plan(tmp_path, ["A", "B"], [1], baseline="B", target={"metric": "perplexity", "value": 70.0}, paper=[])
    metric = {"name": "perplexity", "unit": "", "better": "lower"}
    write_record(tmp_path, "A", 1, [700.0, 69.0, 62.0, 64.0], metric=metric)
    write_record(tmp_path, "B", 1, [700.0, 90.0, 71.0, 66.0], metric=metric)
    (section,), _ = read_folders([tmp_path])
    table = Table(section, summarize(section))
    assert table.rows[0].best.mean == 62.0 and table.rows[0].steps_to_target == 100
    want = "A has the best mean final test perplexity, 64.00, 2.00 below the baseline B (n = 1 seed, so no interval)."
    assert table.headline == want


def test_the_headline_tells_leader_gap_interval_and_n(folder: Path) -> None:
    (section,), _ = read_folders([folder])
    want = (
        "AdaBelief has the best mean final test accuracy, 92.00 %, 1.17 points above the baseline Adam "
        "(95 % interval −0.73 to +3.06 includes 0, so this could be chance; n = 3 seeds)."
    )
    assert Table(section, summarize(section)).headline == want


def test_rules_that_are_alike_are_level(tmp_path: Path) -> None:
    for label in "ABC":
        for seed in (1, 2):
            same = 91.0 + seed
            final = {"A": same, "B": same, "C": same + (0.0004 if seed == 1 else -0.0008)}[label]
            write_record(tmp_path, label, seed, [10.0, final])
    (section,), _ = read_folders([tmp_path])
    best = " has the best mean final test accuracy, 92.50 %, level with the baseline "
    for baseline, told in (("B", "B (the same in each of n = 2 seeds)."), ("C", "C (95 % interval −0.01 to +0.01 inc")):
        section.plan["baseline"] = baseline
        assert Table.of(section).headline.startswith(f"A{best}{told}")
    assert Table.of(section).headline.endswith("+0.01 includes 0; n = 2 seeds).")


def test_the_headline_compares_a_leading_baseline_with_the_runner_up(folder: Path) -> None:
    (section,), _ = read_folders([folder])
    section.plan["baseline"] = "AdaBelief"
    headline = Table(section, summarize(section)).headline
    assert headline.startswith("AdaBelief, the baseline, has the best") and "above the runner-up Adam" in headline


@pytest.mark.parametrize(
    ("baseline", "more"), [(None, ""), ("Lion", "; the baseline Lion has no finished trial")], ids=["none", "Lion"]
)
def test_without_a_baseline_there_is_no_difference_but_to_the_runner_up(
    folder: Path, baseline: str | None, more: str
) -> None:
    write_plan(folder, ["AdaBelief", "Adam", "SGD", "RAdam"], [1, 2, 3], baseline=baseline)
    headline = " ".join(report(folder).stdout.splitlines()[:4])
    assert "92.00 %, 1.17 points above the runner-up Adam (95 % interval" in headline
    assert f"this could be chance; n = 3 seeds){more}. " in headline
    assert all(row["difference_mean"] == "" for row in read_csv(folder / "summary.csv"))
    assert "final less" not in (folder / "report.md").read_text()


def test_numbers_keep_four_digits_at_every_size() -> None:
    assert [number(v) for v in (91.234, 0.01234567, 1876, 0, -0.5, 3e-12)] == [
        "91.23", "0.01235", "1,876", "0.00", "−0.5000", "3.000e−12",
    ]  # fmt: skip


def test_times_have_three_digits_and_a_caveat(folder: Path) -> None:
    shown = [duration(v) for v in (None, 0.20163, 9.539, 11.28, 99.96, 104.6, 1234.0, 25_678.0)]
    assert shown == ["–", "0.202", "9.54", "11.3", "100", "105", "1,230", "25,700"]
    (section,), _ = read_folders([folder])
    table = Table.of(section)
    cells = {column.title: column.text(table.rows[0]) for column in table.shown}
    assert (cells["ms a step"], cells["optimizer ms a step"], cells["seconds to 88 %"]) == ("10.0", "2.00", "2.00")
    assert any("may be the machine’s load" in note and "docs/performance.md" in note for note in table.notes)


def test_a_value_has_the_leaders_decimals_unless_it_is_of_another_order() -> None:
    def shown(mean: float, half: float, like: float, signed: bool = False) -> str:
        return plus_minus(Estimate(mean, half, 3), like, signed)

    assert shown(9.7654, 0.1234, 91.0) == "9.77 ± 0.12"
    assert shown(0.0120123, 0.0001, 3799.0) == "0.01201 ± 0.00010"
    assert shown(120.139, 1.25, 0.0120) == "120.1 ± 1.2"
    assert shown(-0.02, 0.05, 91.0, signed=True) == "−0.02 ± 0.05"
    assert shown(-0.6684, 0.001, 0.0001, signed=True) == "−0.6684 ± 0.0010"
    assert shown(0.0, 0.0, 91.0) == "0.00 ± 0.00"


@pytest.mark.parametrize(
    ("unit", "better", "kind"), [("%", "higher", None), ("", "higher", "log"), ("", "lower", "log")]
)
def test_a_metric_that_spans_orders_is_drawn_on_a_logarithmic_axis_unless_it_is_an_accuracy(
    tmp_path: Path, unit: str, better: str, kind: str | None
) -> None:
    for label, final in (("Adam", 90.0), ("SGD", 1.5)):
        write_record(tmp_path, label, 1, [1.0, 10.0, final], metric={"name": "m", "unit": unit, "better": better})
    (section,), _ = read_folders([tmp_path])
    assert curves(section, "m")["layout"]["yaxis"].get("type") == kind
    assert dots(Table(section, summarize(section)), "m")["layout"]["xaxis"]["type"] == (kind or "linear")


def test_results_csv_has_a_row_a_number(folder: Path) -> None:
    assert report(folder).returncode == 0
    text = (folder / "results.csv").read_text()
    assert text.splitlines()[0] == "run,workload,rule,seed,epoch,step,seconds,split,metric,value"
    rows = read_csv(folder / "results.csv")
    evaluations = 9 * 4 + 2 + 2
    assert len(rows) == evaluations * 3 - 11  # no train loss at the step 0 of 11 trials
    row = next(r for r in rows if r["run"] == "adam-s2" and r["step"] == "300" and r["metric"] == "accuracy")
    assert (row["rule"], row["seed"], row["split"], row["value"]) == ("Adam", "2", "test", "91.5")


def test_summary_csv_has_a_line_a_rule_in_plain_numbers(folder: Path) -> None:
    assert report(folder).returncode == 0
    assert "±" not in (folder / "summary.csv").read_text()
    rows = {row["rule"]: row for row in read_csv(folder / "summary.csv")}
    assert list(rows) == ["AdaBelief", "Adam", "SGD", "RAdam"]
    belief = rows["AdaBelief"]
    assert float(belief["final_high"]) - float(belief["final_mean"]) == pytest.approx(T2 / math.sqrt(3))
    assert (belief["paper_value"], belief["paper_source"], belief["n"]) == ("91.4", "Figure 4", "3")
    assert (rows["SGD"]["diverged"], rows["SGD"]["ended"], rows["RAdam"]["final_low"]) == ("1", "3", "")


def test_the_terminal_gets_the_headline_the_table_and_the_path_within_100_columns(folder: Path) -> None:
    result = report(folder)
    lines = result.stdout.splitlines()
    assert lines[0].startswith("AdaBelief has the best") and lines[-1] == str(folder / "index.html")
    assert max(map(len, lines)) <= 100 and "\33" not in result.stdout
    assert re.search(r"AdaBelief +91\.4 +92\.00 ± 2\.48 +92\.00 ± 2\.48 +3 +\+1\.17 ± 1\.90", result.stdout)


@pytest.mark.parametrize(
    ("term", "no_color", "bold"),
    [("xterm", "", True), ("dumb", "", False), (None, "", False), ("xterm", "1", False)],
)
def test_a_terminal_gets_bold_text_unless_it_is_dumb(folder: Path, term: str | None, no_color: str, bold: bool) -> None:
    env = {key: value for key, value in os.environ.items() if key != "TERM"} | {"NO_COLOR": no_color}
    env |= {"TERM": term} if term else {}
    ours, its = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, str(REPORT), str(folder)], stdout=its, stderr=subprocess.DEVNULL, env=env
    )
    os.close(its)
    text = b""
    try:
        while more := os.read(ours, 4096):
            text += more
    except OSError:  # so Linux tells that the other side is closed
        pass
    os.close(ours)
    assert process.wait(timeout=60) == 0 and b"AdaBelief has the best" in text
    assert (b"\33[" in text) == bold


def test_long_labels_keep_the_columns_aligned(tmp_path: Path) -> None:
    label = "AdaBelief, eps 1e-16, decoupled decay 1e-2"
    write_record(tmp_path, label, 1, [10.0, 50.0])
    (section,), _ = read_folders([tmp_path])
    text = plain(Table(section, summarize(section)))
    assert text.count(label) == 2 and max(map(len, text.splitlines())) <= 100


def test_quiet_prints_the_path_alone_and_out_is_made(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "place"
    assert report(folder, "--out", out, "--quiet").stdout == f"{out / 'index.html'}\n"
    assert sorted(p.name for p in out.iterdir()) == [
        "index.html", "report.json", "report.md", "results.csv", "summary.csv",
    ]  # fmt: skip
    assert not (folder / "index.html").exists()


def test_missing_and_broken_off_trials_are_named(folder: Path) -> None:
    result = report(folder)
    page, markdown = (folder / "index.html").read_text(), (folder / "report.md").read_text()
    for place in (result.stderr, page, markdown):
        assert "planned, but without a record: RAdam seed 3" in place
        assert "did not finish, not in the numbers: RAdam seed 2" in place
    assert "SGD seed 2: train loss is nan at step 150" in page


def test_a_damaged_line_is_named_and_the_rest_is_used(folder: Path) -> None:
    path = folder / "records" / "adam-s1.jsonl"
    lines = path.read_bytes().splitlines()
    lines[3] = b'{"type":"evaluation","step":20\xff'
    lines.insert(5, b'{"type":"evaluation","step":250,"epoch":2.5,"seconds":"late"}')
    path.write_bytes(b"\n".join(lines))
    result = report(folder)
    assert result.returncode == 0
    for number_, what in ((4, "not JSON"), (6, "seconds is not a number")):
        warning = f"{path}:{number_}: damaged line ({what}); the rest is used"
        assert warning in result.stderr and warning in html.unescape((folder / "index.html").read_text())
    assert summaries(folder)["Adam"].finals[1] == 90.0


def test_an_earlier_metric_does_not_pass_for_a_lost_final_one(folder: Path) -> None:
    path = folder / "records" / "adam-s1.jsonl"
    lines = path.read_text().splitlines()
    path.write_text("\n".join(lines[:4] + ["{"] + lines[5:]))
    assert 1 not in summaries(folder)["Adam"].finals and summaries(folder)["Adam"].unfinished == 1


def test_a_final_metric_that_is_not_finite_counts_as_diverged(tmp_path: Path) -> None:
    write_record(tmp_path, "A", 1, [10.0, math.nan])
    row = summaries(tmp_path)["A"]
    assert (row.diverged, row.final) == (1, None)
    assert report(tmp_path).stdout.startswith("No trial has finished")


def test_a_final_test_loss_that_is_not_finite_counts_as_diverged(tmp_path: Path) -> None:
    path = write_record(tmp_path, "A", 1, [10.0, 80.0, 10.0])
    *lines, evaluation, end = path.read_text().splitlines()
    evaluation = json.dumps(json.loads(evaluation) | {"test_loss": None})
    path.write_text("\n".join([*lines, evaluation, end]))
    row = summaries(tmp_path)["A"]
    assert (row.diverged, row.final) == (1, None)
    assert report(tmp_path).stdout.startswith("No trial has finished")
    assert "A seed 1: no finite test loss at step 200" in (tmp_path / "report.md").read_text()


def test_folders_of_one_experiment_are_merged_and_of_a_trial_run_twice_the_newest_counts(
    folder: Path, tmp_path: Path
) -> None:
    more = tmp_path / "more"
    write_record(more, "RAdam", 3, [10.0, 70.0, 85.0, 90.0])
    write_record(more, "Adam", 1, [10.0, 70.0, 85.0, 91.0], started="2026-12-01T00:00:00Z")
    write_record(more, "Adam", 2, [10.0, 70.0, 85.0, 12.0], started="2025-01-01T00:00:00Z")
    (section,), _ = read_folders([folder, more])
    finals = {row.label: row.finals for row in summarize(section)}
    assert finals["RAdam"] == {1: 89.0, 3: 90.0} and finals["Adam"] == {1: 91.0, 2: 91.5, 3: 91.0}
    twice = [w for w in section.warnings if "was run twice" in w]
    assert len(twice) == 2 and f"{more / 'records' / 'adam-s1.jsonl'} is used" in twice[0]
    assert not any("without a record" in w for w in section.warnings)


def test_other_experiments_get_a_section_of_their_own(folder: Path, tmp_path: Path) -> None:
    write_record(tmp_path / "b", "Adam", 1, [10.0, 20.0], workload="toy_beale", experiment="toys")
    assert report(folder, tmp_path / "b").returncode == 0
    assert (folder / "index.html").read_text().count("<section>") == 2
    assert {r["workload"] for r in read_csv(folder / "summary.csv")} == {"blobs_mlp", "toy_beale"}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("options", {"lr": 0.5}), ("steps", 299), ("data", {"name": "blobs", "sha256": "11ee"}), ("threads", 2),
        ("channels_last", True), ("states", "8bit"), ("torch", "2.12.0"), ("commit", "4567def"),
        ("parameters", 999), ("train", 500), ("average", True),
        ("metric", {**METRIC, "split": "validation"}),
    ],
)  # fmt: skip
def test_trials_of_one_label_with_other_settings_are_told(folder: Path, key: str, value: Any) -> None:
    write_record(folder, "Adam", 3, [10.0, 75.0, 85.0, 91.0], **{key: value})
    (section,), _ = read_folders([folder])
    name = "data.sha256" if key == "data" else key
    assert any(w.startswith(f"Adam stands for trials that differ in {name}: ") for w in section.warnings)


@pytest.mark.parametrize(
    ("key", "value", "seen"),
    [
        ("data", {"name": "blobs"}, 'data.sha256, so equal seeds are no pairs: A "00ff"; B null'),
        ("steps", 299, "steps, so equal seeds are no pairs: A 300; B 299"),
        ("epochs", 4, "epochs, so equal seeds are no pairs: A 3; B 4"),
        ("batch", 64, "batch, so equal seeds are no pairs: A 128; B 64"),
        ("precision", "bfloat16", 'precision, so equal seeds are no pairs: A "float32"; B "bfloat16"'),
        ("parameters", 999, "parameters, so equal seeds are no pairs: A 1000; B 999"),
        ("train", 500, "train, so equal seeds are no pairs: A null; B 500"),
        ("features", {"sha256": "a"}, 'features.sha256, so equal seeds are no pairs: A null; B "a"'),
        ("fakes", 1000, "fakes, so equal seeds are no pairs: A null; B 1000"),
        ("metric", {"name": "m"}, f'metric, so equal seeds are no pairs: A {json.dumps(METRIC)}; B {{"name": "m"}}'),
    ],
)
def test_rules_with_other_data_or_length_are_told(tmp_path: Path, key: str, value: Any, seen: str) -> None:
    for seed in (1, 2):
        write_record(tmp_path, "A", seed, [10.0, 20.0])
        write_record(tmp_path, "B", seed, [10.0, 20.0], **{key: value})
    (section,), _ = read_folders([tmp_path])
    assert section.warnings == [f"the rules differ in {seen}"]


def test_rules_with_the_same_settings_but_their_own_options_get_no_warning(tmp_path: Path) -> None:
    write_record(tmp_path, "Adam", 1, [10.0, 20.0])
    write_record(tmp_path, "SGD", 1, [10.0, 20.0], threads=2)
    (section,), _ = read_folders([tmp_path])
    assert section.warnings == []


def test_records_without_the_number_of_weights_are_read_without_a_warning(tmp_path: Path) -> None:
    for label in "AB":
        write_record(tmp_path, label, 1, [10.0, 20.0], parameters=None)
    (section,), warnings = read_folders([tmp_path])
    assert (section.warnings, warnings) == ([], []) and summarize(section)[0].state_bytes is None


def test_the_paper_column_shows_the_value_of_its_label(folder: Path) -> None:
    assert report(folder).returncode == 0
    lines = [line.split(" | ") for line in (folder / "report.md").read_text().splitlines() if line.startswith("| ")]
    shown = {line[0].strip("|* "): line[1] for line in lines}
    assert (shown["rule"], shown["AdaBelief"], shown["Adam"]) == ("paper", "91.4", "–")
    assert "- Paper: Figure 4." in (folder / "report.md").read_text()


def test_a_rule_without_an_effective_eps_has_a_dash_there(tmp_path: Path) -> None:
    for label, changes in (("A", {"effective_eps": 1e-16}), ("B", {"effective_eps": None}), ("C", {})):
        write_record(tmp_path, label, 1, [10.0, 20.0], options={"eps": 1e-8}, **changes)
    (section,), _ = read_folders([tmp_path])
    _, names, values = Table(section, summarize(section)).configurations
    at = names.index("effective eps")
    assert [values[label][at] for label in "ABC"] == ["1e-16", "–", "–"]


def test_a_folder_without_a_plan_is_read_by_its_records(folder: Path) -> None:
    (folder / "experiment.json").unlink()
    result = report(folder)
    assert result.returncode == 0 and "without a record" not in result.stderr


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('{"name": "quick", "workload"', "Expecting"),
        ('{"workload": "blobs_mlp", "trials": [{"label": 3, "seed": 1}]}', "label is not text"),
        ('{"workload": "blobs_mlp", "target": {"value": Infinity}}', "value is not a number"),
        ('{"name": "quick", "workload": null}', "workload is not text"),
    ],
)
def test_a_damaged_plan_is_told_and_left_out(folder: Path, text: str, what: str) -> None:
    (folder / "experiment.json").write_text(text)
    result = report(folder)
    assert result.returncode == 0 and f"experiment.json: damaged ({what}" in result.stderr


def test_what_cannot_be_reported_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad" / "records").mkdir(parents=True)
    (tmp_path / "bad" / "records" / "a-s1.jsonl").write_text("nonsense\n")
    for name, what in (("none", "no folder"), ("empty", "no readable record"), ("bad", "no readable record")):
        result = report(tmp_path / name)
        last = result.stderr.splitlines()[-1]
        assert result.returncode == 1 and last.startswith(f"adabelief report: {what}") and result.stdout == ""
        assert "Traceback" not in result.stderr
    assert report().returncode == 2
    assert "FOLDER" in report("--help").stdout


def test_a_place_that_cannot_be_written_is_told(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = report(folder, "--out", tmp_path / "file")
    assert result.returncode == 1 and result.stderr.splitlines()[-1].startswith("adabelief report: ")


def test_a_missing_library_is_named_with_what_to_do(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "jinja2.py").write_text("raise ModuleNotFoundError(name='jinja2')")
    result = report(folder, PYTHONPATH=str(tmp_path))
    assert (result.returncode, result.stderr) == (1, (
        "adabelief report: the Python package jinja2 is missing; "
        "run make setup, or set ADABELIEF_PYTHON to a Python that has it\n"
    ))  # fmt: skip


# Halts the report within write(), at the file of that name: what is before is written under its other name.
HALT = """
import pathlib, time
real = pathlib.Path.write_text
def write_text(path, text, **options):
    real(path, text[:10] if path.name.startswith("index") else text, **options)
    if path.name.startswith("index"):
        print("halted", flush=True)
        time.sleep(60)
pathlib.Path.write_text = write_text
"""


@pytest.mark.parametrize("number_", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("place", ["writing", "importing"])
def test_a_stop_signal_leaves_the_old_report_and_no_traceback(
    folder: Path, tmp_path: Path, place: str, number_: signal.Signals
) -> None:
    assert report(folder).returncode == 0
    write_record(folder, "Adam", 1, [10.0, 20.0, 30.0, 40.0])
    before = {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    # What an import swallows, as some do, must not keep the report from stopping.
    module = "sitecustomize" if place == "writing" else "jinja2"
    halt = "try:\n print('halted', flush=True)\n import time; time.sleep(60)\nexcept BaseException: pass"
    (tmp_path / f"{module}.py").write_text(HALT if place == "writing" else halt)
    process = subprocess.Popen(
        [sys.executable, str(REPORT), str(folder)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    assert process.stdout.readline() == "halted\n"
    if place == "writing":
        assert len(list(folder.glob("*.part*"))) == 5
    process.send_signal(number_)
    _, error = process.communicate(timeout=30)
    assert process.returncode == 130 and "Traceback" not in error
    assert {path: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before


def test_a_race_is_told_by_its_steps_and_not_by_where_its_trials_end(race: Path) -> None:
    result = report(race)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("AdaBelief reaches distance 0.001 first, after 200 steps; Adam after 300.\n")
    rows = {row["rule"]: row for row in read_csv(race / "summary.csv")}
    assert [rows[label]["steps_to_target"] for label in rows] == ["200.0", "300.0", "", ""]
    markdown = (race / "report.md").read_text()
    (header,) = (line for line in markdown.splitlines() if line.startswith("| rule"))
    assert header == "| rule | final distance | n | steps to 0.001 | reached 0.001 | diverged |"
    assert "A trial ends at the first step at distance 0.001, or after 1,000 steps." in markdown
    page = (race / "index.html").read_text()
    for silly in ("±", "interval", "test distance", "test set", "trial by trial", "train loss during"):
        assert silly not in markdown and silly not in page.split("<script>")[0], silly


@pytest.mark.parametrize(
    ("metrics", "headline"),
    [
        (
            {"A": [2.0, 0.5], "Adam": [2.0, 0.4]},
            "No rule reaches distance 0.001 in 1,000 steps; Adam ends nearest, at 0.4",
        ),
        (
            {"A": [2.0, 0.001], "Adam": [2.0, 0.4]},
            "A reaches distance 0.001 first, after 100 steps; Adam not in 1,000 ",
        ),
        ({"A": [2.0, 1.0, 0.0], "B": [2.0, 0.0]}, "B reaches distance 0.001 first, after 100 steps; A after 200."),
        ({"A": [2.0, 0.0]}, "A reaches distance 0.001 first, after 100 steps."),
    ],
)
def test_the_headline_of_a_race(tmp_path: Path, metrics: dict[str, list[float]], headline: str) -> None:
    write_plan(tmp_path, list(metrics), [1], workload="toy_bowl", target=None)
    for label, distances in metrics.items():
        write_path(tmp_path, label, distances)
    (section,), _ = read_folders([tmp_path])
    assert Table(section, summarize(section)).headline.startswith(headline)


@pytest.mark.parametrize(
    ("goals", "headline"),
    [
        (
            {"A": [10, 10, 10], "Adam": [5, 5, None]},
            "A reaches distance 0.001 most often (3 of 3), after 1,000 steps; Adam in 2 of 3, after 500.",
        ),
        (
            {"A": [10, 10, 10], "Adam": [None] * 3, "C": [5, None, None]},
            "A reaches distance 0.001 most often (3 of 3), after 1,000 steps; Adam not in 1,000 steps.",
        ),
        ({"A": [4, 4, None], "Adam": [5, 5, None]}, "A reaches distance 0.001 first, after 400 steps; Adam after 500."),
    ],
)
def test_in_a_race_who_arrived_most_often_was_not_first(
    tmp_path: Path, goals: dict[str, list[int | None]], headline: str
) -> None:
    write_plan(tmp_path, list(goals), [1, 2, 3], workload="toy_bowl", target=None)
    for label, epochs in goals.items():
        for seed, epoch in enumerate(epochs, 1):
            write_path(tmp_path, label, [1.0] * (epoch or 10) + [0.0 if epoch else 1.0], seed=seed)
    (section,), _ = read_folders([tmp_path])
    assert Table.of(section).headline == headline


def test_a_plan_of_several_workloads_has_a_section_each_with_its_own_trials(tmp_path: Path) -> None:
    trials = [
        {
            "run": f"{workload}-{label.lower()}-s1",
            "workload": workload,
            "label": label,
            "rule": label.lower(),
            "seed": 1,
        }
        for workload, label in (("bowl", "Adam"), ("bowl", "SGD"), ("hill", "Adam"), ("dale", "Adam"))
    ]
    paper = [{"label": "Adam", "workload": "hill", "value": 7.0, "source": "Figure 1"}]
    write_plan(tmp_path, [], [], workload=["bowl", "hill", "dale"], trials=trials, paper=paper)
    write_record(tmp_path, "Adam", 1, [10.0, 20.0], run="bowl-adam-s1", workload="bowl")
    write_record(tmp_path, "Adam", 1, [10.0, 30.0], run="hill-adam-s1", workload="hill")
    sections, warnings = read_folders([tmp_path])
    assert [(s.title, s.labels) for s in sections] == [
        ("A quick comparison: bowl", ["Adam"]), ("A quick comparison: hill", ["Adam"]),
    ]  # fmt: skip
    assert sections[0].warnings == ["planned, but without a record: SGD seed 1"] and sections[1].warnings == []
    assert warnings == ["A quick comparison: dale: no record of any planned trial"]
    result = report(tmp_path)
    assert result.stdout.startswith("A quick comparison: bowl\n") and "\nA quick comparison: hill\n" in result.stdout
    rows = {row["workload"]: row["paper_value"] for row in read_csv(tmp_path / "summary.csv")}
    assert rows == {"bowl": "", "hill": "7.0"}
    assert (tmp_path / "index.html").read_text().count("The experiment file") == 1


@pytest.mark.parametrize(
    ("key", "value", "what"),
    [
        ("surface", {**SURFACE, "start": [1.0]}, "start is not a list of 2"),
        ("surface", {**SURFACE, "z": 3}, "z is not a list"),
        ("surface", {**SURFACE, "z": SURFACE["z"][:2]}, "z is not y by x numbers"),
        ("surface", {**SURFACE, "x": []}, "z is not y by x numbers"),
        ("point", [1.0], "point is not a list of 2"),
        ("point", 3, "point is not a list"),
        ("point", ["a", 1.0], "point is not a number"),
    ],
)
def test_a_damaged_surface_or_point_costs_its_line(race: Path, key: str, value: Any, what: str) -> None:
    path = race / "records" / "adam-s1.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    at = 0 if key == "surface" else 2
    lines[at][key] = value
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    result = report(race)
    assert result.returncode == 0 and f"{path}:{at + 1}: damaged line ({what}); the rest is used" in result.stderr


def test_a_point_beyond_all_numbers_ends_its_path(race: Path) -> None:
    path = race / "records" / "sgd-s1.jsonl"
    path.write_text(re.sub(r'"point": \[-8.9[^]]*\]', '"point": [null, 1.0]', path.read_text()))
    assert "null, 1.0" in path.read_text() and report(race).stderr == ""


def test_text_of_records_and_plan_is_escaped(folder: Path) -> None:
    write_plan(folder, ["AdaBelief"], [1], title="<img src=x onerror=alert(1)>", description="<script>boom()</script>")
    write_record(folder, "a|<b onclick='x'>\"", 1, [10.0, 20.0, 30.0, 40.0])
    assert report(folder).returncode == 0
    page = (folder / "index.html").read_text()
    assert "<img src=x" not in page and "<script>boom" not in page and "<b onclick" not in page
    assert "a\\|<b onclick" in (folder / "report.md").read_text()


def test_the_page_refers_to_nothing_outside_and_has_plotly_once(folder: Path) -> None:
    assert report(folder).returncode == 0
    page = (folder / "index.html").read_text()
    scripts = re.findall(r"<script[^>]*>", page)
    assert scripts == ["<script>", "<script>"]
    outside = re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)
    assert not re.search(r"\b(src|srcset|href)\s*=|url\(|@import", outside)
    assert "default-src 'none'" in page and len(re.findall(r"plotly\.js v\d", page)) == 1
    assert html.escape('# <three> seeds & "rules"', quote=False) in outside.replace("&#34;", '"')


# Put before all other scripts of a copy of the page: counts errors and refused loads, drives the page when it has drawn,
# and leaves what it saw on <html>.
PROBE = """<script>
const seen = {errors: [], violations: []};
addEventListener("error", event => seen.errors.push(event.message));
addEventListener("unhandledrejection", event => seen.errors.push(String(event.reason)));
addEventListener("securitypolicyviolation", event => seen.violations.push(event.blockedURI));
addEventListener("load", async () => {
  const wait = ms => new Promise(done => setTimeout(done, ms));
  await wait(1500);
  try {
    const all = [...document.querySelectorAll(".plot")];
    seen.plots = all.map(plot => plot.querySelectorAll(".main-svg .scatterlayer .trace").length);
    seen.invalid = all.flatMap(plot => Plotly.validate(plot.data, plot.layout) || []).map(problem => problem.msg);
    const plot = document.querySelector(".curves");
    const xs = () => plot._fullData.filter(t => t.name === "Adam" && t.customdata).map(t => Math.max(...t.x));
    seen.epochs = xs();
    for (const axis of ["steps", "seconds"]) {
      document.querySelector(`.axis input[value=${axis}]`).click();
      await wait(300);
      seen[axis] = xs();
    }
    seen.checked = [...document.querySelectorAll(".axis :checked")].map(input => input.value);
    seen.title = plot.querySelector(".xtitle").textContent;
    const shown = () => plot._fullData.filter(t => t.visible === true).map(t => t.legendgroup + t.yaxis);
    seen.before = shown();
    const entry = [...plot.querySelectorAll(".legend .traces")].find(e => e.textContent === "Adam");
    const toggle = entry.querySelector(".legendtoggle");
    for (const kind of ["mousedown", "mouseup"]) toggle.dispatchEvent(new MouseEvent(kind, {bubbles: true}));
    await wait(800);
    seen.after = shown();
    seen.buttons = [...plot.querySelectorAll(".modebar-btn")].map(e => e.dataset.title);
    seen.legend = [...plot.querySelectorAll(".legendtext")].map(e => e.textContent);
    const motion = document.querySelector(".motion");
    if (motion) {
      const [flat, solid] = motion.querySelectorAll(".plot");
      const [button, slider, output] = motion.querySelectorAll("button, input, output");
      const lengths = () => [flat, solid].map(p => p.data.filter(t => t.mode === "lines").map(t => t.x.length));
      seen.solid = solid.textContent.includes("WebGL is not supported") ? "no WebGL" : solid.querySelectorAll("canvas").length;
      seen.whole = [output.textContent, ...lengths()];
      slider.value = 0.7;
      slider.dispatchEvent(new Event("input"));
      await wait(3000);
      seen.part = [output.textContent, ...lengths()];
      seen.contours = flat.querySelectorAll(".contourlevel").length;
      const adam = [...flat.querySelectorAll(".legend .traces")].find(e => e.textContent === "Adam");
      const on = () => [flat, solid].map(p => p._fullData.filter(t => t.visible === true).map(t => t.name));
      const all = on();
      for (const kind of ["mousedown", "mouseup"])
        adam.querySelector(".legendtoggle").dispatchEvent(new MouseEvent(kind, {bubbles: true}));
      await wait(3000);
      seen.hidden = on().map((now, i) => all[i].filter(name => !now.includes(name)));
      button.click();
      seen.button = [button.textContent];
      button.click();
      seen.button.push(button.textContent);
    }
    const samples = document.querySelector(".samples");
    if (samples) {
      const figures = [...samples.querySelectorAll("figure")];
      const shown = () => figures.map(f => [f.querySelector("output").textContent, f.querySelector("img").naturalWidth]);
      const moved = async (slider, value) => {
        slider.value = value;
        slider.dispatchEvent(new Event("input"));
        await wait(500);
        return shown();
      };
      seen.samples = [shown(), await moved(samples.querySelector(".player input"), 0)];
      seen.samples.push(await moved(figures[0].querySelector("input"), 1));
    }
    seen.width = [document.documentElement.scrollWidth, innerWidth];
  } catch (error) { seen.errors.push(String(error)); }
  document.documentElement.dataset.seen = JSON.stringify(seen);
});
</script>"""


def in_chromium(page: Path, *options: str) -> dict[str, Any]:
    """What the probe saw on a copy of the page, opened without network."""
    chromium = shutil.which("chromium")
    assert chromium, "these tests drive a browser: install the Debian package chromium"
    copy = page.with_name("probed.html")
    copy.write_text(page.read_text().replace("<script>", f"{PROBE}<script>", 1))
    command = [
        chromium, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={page.parent / 'profile'}",
        "--virtual-time-budget=20000", "--window-size=1280,2000", *options, "--dump-dom", copy.as_uri(),
    ]  # fmt: skip
    dom = subprocess.run(command, check=False, capture_output=True, text=True, timeout=180).stdout
    found = re.search(r'<html[^>]* data-seen="([^"]*)"', dom)
    assert found, "the probe in the page did not finish"
    return json.loads(html.unescape(found[1]))


def test_in_a_browser_the_page_draws_and_its_controls_work(folder: Path, tmp_path: Path) -> None:
    assert report(folder, "--out", tmp_path / "out").returncode == 0
    seen = in_chromium(tmp_path / "out" / "index.html")
    assert (seen["errors"], seen["violations"], seen["invalid"]) == ([], [], [])
    curves, dots = seen["plots"]
    assert curves == 6 + 8 + 4 + 2  # bands of three rules, lines of four, two lost trials, each in two plots; 2 crosses
    assert dots == 3 + 4 * 2  # seeds joined; trials and mean of each rule
    assert (seen["epochs"], seen["steps"], seen["seconds"]) == ([3, 3], [300, 300], [3, 3])
    assert (seen["title"], seen["checked"]) == ("seconds of training", ["seconds"])
    gone = set(seen["before"]) - set(seen["after"])
    assert gone == {"Adamy", "Adamy2"}, "a click on Adam in the legend hides it in both plots and nothing else"
    assert seen["legend"] == ["AdaBelief", "Adam", "SGD (1 diverged)", "RAdam"]
    assert len(seen["buttons"]) == 2, "no button of plotly's that sends the figure to a server"


@pytest.mark.parametrize(
    ("flags", "solid"),
    [
        (["--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"], 1),
        (["--disable-software-rasterizer"], "no WebGL"),
    ],
    ids=["with WebGL", "without"],
)  # fmt: skip
def test_in_a_browser_the_paths_move_on_the_contours_and_on_the_surface(
    race: Path, flags: list[str], solid: Any
) -> None:
    assert report(race).returncode == 0
    seen = in_chromium(race / "index.html", *flags)
    assert (seen["errors"], seen["violations"]) == ([], [])
    # What is set and not used, such as colours of a grid that is not shown, is no mistake; nor is a shared colour axis,
    # which plotly's own check does not know.
    wrong = [m for m in seen["invalid"] if "did not get coerced" not in m and "coloraxis" not in m]
    assert wrong == []
    assert seen["solid"] == solid
    ends = [4, 3, 4, 3]  # RAdam, SGD up to the first point outside, Adam, AdaBelief: the first rule lies above
    assert seen["whole"] == ["step 300", ends, ends]
    assert seen["part"] == ["step 147", [2, 2, 2, 2], [2, 2, 2, 2]]  # 300 * 0.7^2
    assert seen["contours"] > 10
    assert seen["hidden"] == [["Adam", "Adam"], ["Adam", "Adam"]]
    assert seen["button"] == ["Pause", "Play"]


def test_in_a_narrow_window_the_page_does_not_scroll_sideways(folder: Path, tmp_path: Path) -> None:
    assert report(folder, "--out", tmp_path / "out").returncode == 0
    seen = in_chromium(tmp_path / "out" / "index.html", "--window-size=600,2000")
    assert seen["errors"] == [] and seen["width"][0] <= seen["width"][1] == 600


def test_a_rule_whose_trials_all_diverged_at_once_is_drawn_as_crosses(tmp_path: Path) -> None:
    write_plan(tmp_path, ["Adam", "SGD"], [1, 2])
    for seed in (1, 2):
        write_record(tmp_path, "Adam", seed, [10.0, 75.0, 85.0, 90.0 + seed])
        write_record(tmp_path, "SGD", seed, [], "diverged")
    assert report(tmp_path).returncode == 0
    seen = in_chromium(tmp_path / "index.html")
    assert seen["errors"] == [] and seen["legend"] == ["Adam", "SGD (2 diverged)"]
