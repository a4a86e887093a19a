# SPDX-License-Identifier: MIT
"""Tests of what trials/report sets beside a comparison: others' numbers and curves, verdicts, tuned options, samples, and
of the list of runs."""

from __future__ import annotations

import fcntl
import html
import json
import math
import os
import re
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "trials" / "report"))

import published
from figures import curves, tuning
from records import read_folders
from stats import MEASURES, judge, mean_train_loss
from table import Table, markdown
from test_program import PROGRAM
from test_report import REPORT, T2, in_chromium, read_csv, report, write_plan, write_record

ROOT = Path(__file__).parents[2]
KEY = "cifar10/vgg11"
SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="16" height="16"><rect width="16" height="16" fill="{}"/></svg>'
CLAIM = {"text": "A is as good as B", "metric": "test", "rule": "A", "versus": "B", "kind": "not worse", "margin": 0.5}


def sections_of(folder: Path) -> list[Any]:
    sections, warnings = read_folders([folder])
    assert warnings == []
    return sections


def write_finals(folder: Path, label: str, finals: list[float], **changes: Any) -> None:
    for seed, final in enumerate(finals, 1):
        write_record(folder, label, seed, [10.0, 20.0, final], **changes)


# What others report


def test_published_numbers_name_known_curves_and_have_their_licence_and_size() -> None:
    results, recorded = published._files()
    assert recorded.keys() <= results.keys()
    assert (published.PAPER / "curves.json").stat().st_size < 300_000
    assert "Copyright (c) 2021, Juntang Zhuang" in (published.PAPER / "LICENSE").read_text()
    for key, found in results.items():
        assert found.keys() <= {"metric", "paper", "replication"} and found.keys() - {"metric"}, key
        for source in found.values():
            assert isinstance(source, str) or source["source"], key
            assert isinstance(source, str) or "curve" not in source or key in recorded, key


@pytest.mark.parametrize("path", sorted((ROOT / "trials" / "experiments").glob("*.toml")), ids=lambda path: path.stem)
def test_every_experiment_names_published_results_that_there_are(path: Path) -> None:
    keys = tomllib.loads(path.read_text()).get("published", {})
    for key in keys.values() if isinstance(keys, dict) else [keys]:
        assert key in published._files()[0]


def test_the_best_and_the_last_of_a_recorded_curve_are_those_of_the_authors_log() -> None:
    (source,) = published.published(KEY, "higher").sources
    assert source.of("AdaBelief").text == "91.41 / 91.17" and source.of("AdaBelief").value == 91.41
    assert source.of("rmsprop") is None
    paper, replication = published.published("ptb/2-layer", "lower").sources
    assert paper.of("sgd").text == "67.42 / 67.45" and replication.of("SGD").text == "67.13"


def test_published_numbers_stand_beside_ours_with_their_digits_spread_and_source(tmp_path: Path) -> None:
    fid = {"name": "FID (Inception)", "unit": "", "better": "lower", "split": ""}
    write_plan(tmp_path, ["Adam", "RMSprop"], [1], baseline="Adam", target=None, paper=None, published="wgan")
    write_record(tmp_path, "Adam", 1, [400.0, 200.0, 99.0], metric=fid)
    write_record(tmp_path, "RMSprop", 1, [400.0, 200.0, 96.0], metric=fid)
    text = markdown(Table.of(sections_of(tmp_path)[0]))
    header, adam, rms = (line for line in text.splitlines() if line.startswith("|") and "---" not in line)
    assert header.startswith("| rule | paper | replication | final FID (Inception) | best FID (Inception) |")
    assert adam.startswith("| Adam | ≈ 98 | 106.38 ± 9.76 | 99.00 |")
    assert rms.startswith("| **RMSprop** | ≈ 95 | – | **96.00** |")
    assert "- Paper: figure 6, medians of 5 runs; ≈ is read off a figure." in text
    assert "test FID (Inception)" not in text and "test set" not in text
    assert report(tmp_path).returncode == 0
    row = read_csv(tmp_path / "summary.csv")[0]
    assert (row["paper_value"], row["replication_value"], row["replication_text"]) == (
        "98.0",
        "106.38",
        "106.38 ± 9.76",
    )


def test_other_measures_have_columns_and_rows_of_their_own(tmp_path: Path) -> None:
    fid = {"name": "FID", "unit": "", "better": "lower", "split": ""}
    write_plan(tmp_path, ["Adam", "SGD"], [1, 2], baseline="Adam", target=None, paper=None)
    for seed, kids in ((1, (0.3, 0.02)), (2, (0.5, 0.04))):
        path = write_record(tmp_path, "Adam", seed, [400.0, 200.0], metric=fid)
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        for line, kid in zip((line for line in lines if line["type"] == "evaluation"), kids, strict=True):
            line["more"] = {"KID": kid}
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        write_record(tmp_path, "SGD", seed, [400.0, 300.0], metric=fid)
    header, adam, sgd = (
        [cell.strip() for cell in line.split("|")]
        for line in markdown(Table.of(sections_of(tmp_path)[0])).splitlines()
        if line.startswith("|") and "---" not in line
    )
    place = header.index("final KID")
    assert adam[place].startswith("0.03000 ± 0.1") and sgd[place] == "–"
    assert report(tmp_path).returncode == 0
    row, other = read_csv(tmp_path / "summary.csv")
    assert float(row["kid_mean"]) == pytest.approx(0.03) and other["kid_mean"] == ""
    found = [r for r in read_csv(tmp_path / "results.csv") if r["metric"] == "KID"]
    assert [(r["seed"], r["split"], float(r["value"])) for r in found] == [
        ("1", "", 0.3), ("1", "", 0.02), ("2", "", 0.5), ("2", "", 0.04)
    ]  # fmt: skip
    assert {r["split"] for r in read_csv(tmp_path / "results.csv") if r["metric"] == "FID"} == {""}


def test_the_program_lets_claims_be_of_what_the_report_can_measure(tmp_path: Path) -> None:
    rules = "".join(f'[[rules]]\nlabel = "{label}"\nrule = "adam"\n' for label in "AB")
    (tmp_path / "mine.toml").write_text(
        f'title = "T"\nworkload = "toy_abs"\nseeds = [1]\n{rules}'
        '[[claims]]\ntext = "A is better"\nrule = "A"\nversus = "B"\nkind = "better"\nmetric = "smell"\n'
    )
    done = subprocess.run([PROGRAM, "compare", "mine.toml"], check=False, cwd=tmp_path, capture_output=True, text=True)
    assert done.stderr.rstrip().endswith(f"no metric named 'smell'. There are: {', '.join(MEASURES)}")


def test_another_metric_than_the_published_one_is_told_and_gets_no_curves(tmp_path: Path) -> None:
    write_plan(tmp_path, ["Adam"], [1], baseline="Adam", target=None, paper=None, published=KEY)
    write_record(tmp_path, "Adam", 1, [1.0, 2.0, 3.0], metric={"name": "top-5 accuracy", "unit": "%"})
    (section,) = sections_of(tmp_path)
    assert "| paper, accuracy |" in markdown(Table.of(section))
    assert curves(section, "m")["axes"] == ["epochs", "steps", "seconds"]


def test_published_results_that_there_are_not_are_told(tmp_path: Path) -> None:
    write_plan(tmp_path, ["Adam"], [1], paper=None, published="cifar10/vgg12")
    write_record(tmp_path, "Adam", 1, [1.0, 2.0])
    assert any("nothing published is named cifar10/vgg12" in w for w in sections_of(tmp_path)[0].warnings)


def theirs(figure: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {t["name"] + t["yaxis"]: t for t in figure["data"] if "the authors’ log" in t.get("hovertemplate", "")}


def test_recorded_curves_lie_under_ours_in_the_same_colour_over_epochs_and_share(tmp_path: Path) -> None:
    write_plan(tmp_path, ["AdaBelief", "Mine"], [1], paper=None, published=KEY)
    write_record(tmp_path, "AdaBelief", 1, [10.0, 60.0, 80.0, 90.0])
    write_record(tmp_path, "Mine", 1, [10.0, 60.0, 80.0, 90.0])
    figure = curves(sections_of(tmp_path)[0], "m")
    (line,) = theirs(figure).values()
    assert line["name"] == "AdaBelief" and len(line["y"]) == 200 and max(line["y"]) == 91.41
    assert line["meta"]["epochs"][:2] == [1, 2] and line["meta"]["share"][:2] == [0.5, 1.0]
    assert "steps" not in line["meta"] and line["line"]["width"] == 1
    own = next(t for t in figure["data"] if t["name"] == "AdaBelief" and t.get("showlegend"))
    assert own["line"]["color"] == line["line"]["color"] and own["meta"]["share"] == [0.0, 33.333, 66.667, 100.0]
    assert (figure["axes"], figure["axis"]) == (["epochs", "steps", "seconds", "share"], "epochs")


def test_a_recorded_train_perplexity_lies_over_our_train_loss_as_its_logarithm(tmp_path: Path) -> None:
    write_plan(tmp_path, ["Adam"], [1], target=None, paper=None, published="ptb/1-layer")
    write_record(tmp_path, "Adam", 1, [900.0, 100.0], metric={"name": "perplexity", "unit": "", "better": "lower"})
    lines = theirs(curves(sections_of(tmp_path)[0], "m"))
    assert lines["Adamy"]["y"][-1] == 84.28
    assert lines["Adamy2"]["y"][-1] == pytest.approx(math.log(59.47), abs=0.001)


def test_a_reduced_run_is_marked_in_title_banner_and_tables_and_drawn_over_its_share(tmp_path: Path) -> None:
    reduced = {"epochs": 9, "width": 0.5, "precision": "float32", "blobs_mlp": {"epochs": 3}, "other": {"epochs": 7}}
    plan = {"paper": None, "published": KEY, "reduced": reduced, "claims": [CLAIM]}
    write_plan(tmp_path, ["A", "B"], [1, 2], baseline="B", **plan)
    write_finals(tmp_path, "A", [80.0, 81.0])
    write_finals(tmp_path, "B", [80.5, 80.0])
    result = report(tmp_path)
    text, page = (tmp_path / "report.md").read_text(), (tmp_path / "index.html").read_text().split("<script>")[0]
    for place in (result.stdout + text, page):
        assert "A quick comparison (reduced)" in place or "undecided at this budget, reduced" in place
    assert "<title>A quick comparison (reduced)</title>" in page
    told = r"\(epochs 3, width 0\.5, precision float32\)"
    assert re.search(r'class="reduced"><strong>A reduced run:</strong> .*' + told, page)
    assert len(re.findall(r"<caption>.*<strong>Reduced</strong></caption>", page)) == 2  # of verdicts, of results
    (section,) = sections_of(tmp_path)
    section.trials[0].config["label"] = "Adam"
    assert curves(section, "m")["axis"] == "share"


# Verdicts


def judged(folder: Path, a: list[float], b: list[float], metric: dict[str, str] | None = None, **claim: Any) -> Any:
    changes = {"metric": metric} if metric else {}
    write_plan(folder, ["A", "B"], list(range(1, len(a) + 1)), baseline="B", claims=[{**CLAIM, **claim}])
    write_finals(folder, "A", a, **changes)
    write_finals(folder, "B", b, **changes)
    (section,) = sections_of(folder)
    return judge(section, section.plan["claims"][0])


B3 = [80.0, 81.0, 82.0]


@pytest.mark.parametrize(
    ("a", "claim", "state"),
    [
        ([80.0, 81.1, 81.9], {}, "supported"),  # 0 ± 0.25 above -0.5
        ([79.0, 80.1, 80.9], {}, "not supported"),  # -1 ± 0.25 below -0.5
        ([79.0, 81.1, 82.9], {}, "undecided"),  # 0 ± 2.4
        ([79.5, 80.7, 81.6], {}, "undecided"),  # -0.4 ± 0.25, across the margin
        ([79.3, 80.5, 81.4], {}, "undecided"),  # -0.6 ± 0.25
        ([80.0, 81.1, 81.9], {"kind": "better", "margin": 0.0}, "undecided"),
        ([81.0, 82.1, 82.9], {"kind": "better", "margin": 0.0}, "supported"),
        ([81.0, 82.1, 82.9], {"kind": "better", "margin": 2.0}, "not supported"),  # better, but by less than claimed
        ([79.0, 80.1, 80.9], {"kind": "better"}, "not supported"),
    ],
)
def test_a_verdict_is_where_the_whole_interval_lies(tmp_path: Path, a: list[float], claim: Any, state: str) -> None:
    verdict = judged(tmp_path, a, B3, **claim)
    assert verdict.state == state
    differences = [x - y for x, y in zip(a, B3, strict=True)]
    mean = sum(differences) / 3
    spread = math.sqrt(sum((d - mean) ** 2 for d in differences) / 2)
    assert verdict.gain.mean == pytest.approx(mean) and verdict.gain.half == pytest.approx(T2 * spread / math.sqrt(3))


@pytest.mark.parametrize(("a", "state"), [([70.0, 71.1, 71.9], "supported"), ([90.0, 91.1, 91.9], "not supported")])
def test_where_lower_is_better_a_lower_metric_is_a_gain(tmp_path: Path, a: list[float], state: str) -> None:
    metric = {"name": "FID", "unit": "", "better": "lower"}
    verdict = judged(tmp_path, a, B3, metric, kind="better", margin=0.0)
    assert verdict.state == state and (verdict.gain.mean > 0) == (state == "supported")


@pytest.mark.parametrize(
    ("metric", "curves", "lost"),
    [
        ({"name": "FID", "unit": "", "better": "lower"}, ([90.0, 20.0, 26.0], [90.0, 20.0, 20.0]), [30.0, 0.0]),
        ({"name": "a", "unit": "%", "better": "higher"}, ([10.0, 80.0, 77.0], [10.0, 70.0, 69.0]), [3.75, 100 / 70]),
        ({"name": "distance", "unit": "", "better": "lower"}, ([9.0, 8.0, 9.0], [3.0, 0.0, 0.0]), [12.5, 0.0]),
    ],
)
def test_a_setback_is_what_was_lost_since_the_best(tmp_path: Path, metric: Any, curves: Any, lost: list[float]) -> None:
    claim = {**CLAIM, "metric": "setback", "kind": "not worse", "margin": 1.0}
    write_plan(tmp_path, ["A", "B"], [1, 2, 3], baseline="B", claims=[claim])
    for label, values in zip("AB", curves, strict=True):
        for seed in (1, 2, 3):
            write_record(tmp_path, label, seed, values, metric=metric)
    (section,) = sections_of(tmp_path)
    ((_, verdict, basis),) = Table.of(section).verdicts
    assert [verdict.rule.mean, verdict.versus.mean] == pytest.approx(lost)
    assert verdict.gain.mean == pytest.approx(lost[1] - lost[0]) and verdict.state == "not supported"
    assert "the last behind the best, in % of that: A" in basis and " %; A worse by " in basis


def test_one_seed_decides_nothing(tmp_path: Path) -> None:
    verdict = judged(tmp_path, [99.0], [1.0])
    assert verdict.state == "undecided" and verdict.gain.half is None


def test_where_a_trial_diverged_those_that_did_not_decide_nothing_in_favour_of_their_rule(tmp_path: Path) -> None:
    a, claims = [90.0, 90.1, 89.9, 90.0], [CLAIM, {**CLAIM, "rule": "B", "versus": "A"}]
    write_plan(tmp_path, ["A", "B"], [1, 2, 3, 4], baseline="B", claims=claims)
    write_finals(tmp_path, "A", a[:3])
    write_record(tmp_path, "A", 4, [10.0, 20.0], "diverged")
    write_finals(tmp_path, "B", [80.0] * 4)
    (section,) = sections_of(tmp_path)
    for _, verdict, basis in Table.of(section).verdicts:
        assert verdict.state == "undecided" and "1 of 4 trials of A diverged" in basis


def test_a_rule_of_which_every_trial_diverged_is_not_supported(tmp_path: Path) -> None:
    write_plan(tmp_path, ["A", "B"], [1, 2], baseline="B", claims=[CLAIM])
    write_finals(tmp_path, "B", [80.0])
    write_record(tmp_path, "B", 2, [10.0, 20.0], "diverged")
    for seed in (1, 2):
        write_record(tmp_path, "A", seed, [10.0, 20.0], "diverged")
    ((_, verdict, basis),) = Table.of(sections_of(tmp_path)[0]).verdicts
    assert verdict.state == "not supported" and "2 of 2 trials of A diverged" in basis
    write_record(tmp_path, "B", 1, [10.0, 20.0], "diverged")
    ((_, verdict, _),) = Table.of(sections_of(tmp_path)[0]).verdicts
    assert verdict.state == "undecided"


def with_losses(path: Path, train: float | None, test: float) -> None:
    """The record's losses after step 0, where the test loss is 2.306."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line in lines:
        if line["type"] == "evaluation":
            first = line["step"] == 0
            line |= {"train_loss": None if first else train, "test_loss": 2.306 if first else test}
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.mark.parametrize(
    ("losses", "state", "told"),
    [
        ([(2.303, 2.3032)] * 3, "undecided", "3 of 3 trials of B did not learn, with less than 1 % off the loss of st"),
        ([(2.31, 2.32), (2.303, 2.303), (1.9, 1.9)], "undecided", "2 of 3 trials of B did not learn"),
        ([(2.303, 2.303), (1.9, 2.0), (1.9, 1.9)], "supported", "1 of 3 trials of B did not learn"),
        ([(0.1, 2.5)] * 3, "supported", ""),  # overfitted
        ([(None, 1.9)] * 3, "supported", ""),
    ],
)
def test_a_rival_that_did_not_learn_decides_nothing(
    tmp_path: Path, losses: list[tuple[float | None, float]], state: str, told: str
) -> None:
    write_plan(tmp_path, ["A", "B"], [1, 2, 3], baseline="B", claims=[CLAIM])
    write_finals(tmp_path, "A", [80.0, 81.1, 81.9])
    for seed, of in enumerate(losses, 1):
        with_losses(write_record(tmp_path, "B", seed, [10.0, 20.0, 10.0]), *of)
    ((_, verdict, basis),) = Table.of(sections_of(tmp_path)[0]).verdicts
    assert verdict.state == state and told in basis and ("did not learn" in basis) == bool(told)


def with_spread(path: Path, last: float) -> None:
    """The record with a spread of the fakes at each evaluation, 1 but at the last."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    evaluations = [line for line in lines if line["type"] == "evaluation"]
    for line in evaluations:
        line["more"] = {"spread": last if line is evaluations[-1] else 1.0}
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.mark.parametrize(
    ("spreads", "state", "told"),
    [([0.0, 0.04, 0.5], "undecided", "2 of 3 trials of B did not learn, with fakes that are nearly all the same"),
     ([0.04, 0.06, 0.5], "supported", "1 of 3"), ([0.06, 0.5, 1.1], "supported", "")],
)  # fmt: skip
def test_a_generator_whose_fakes_are_all_the_same_did_not_learn(
    tmp_path: Path, spreads: list[float], state: str, told: str
) -> None:
    metric = {"name": "FID", "unit": "", "better": "higher", "split": ""}
    write_plan(tmp_path, ["A", "B"], [1, 2, 3], baseline="B", claims=[CLAIM])
    write_finals(tmp_path, "A", [80.0, 81.1, 81.9], metric=metric)
    for seed, spread in enumerate(spreads, 1):
        with_spread(write_record(tmp_path, "B", seed, [10.0, 20.0, 10.0], metric=metric), spread)
    ((_, verdict, basis),) = Table.of(sections_of(tmp_path)[0]).verdicts
    assert verdict.state == state and told in basis and ("did not learn" in basis) == bool(told)


def test_of_a_generator_or_a_function_the_loss_does_not_tell_what_was_learned(tmp_path: Path) -> None:
    for name, changes in (("samples", {}), ("function", {"data": {"name": "", "sha256": ""}})):
        run = tmp_path / name
        write_plan(run, ["A", "B"], [1, 2, 3], baseline="B", claims=[CLAIM])
        write_finals(run, "A", [80.0, 81.1, 81.9], **changes)
        for seed in (1, 2, 3):
            path = write_record(run, "B", seed, [10.0, 10.0, 10.0], **changes)
            with_losses(path, 2.4, 2.4)
            if name == "samples":
                (run / "grid.svg").write_text(SVG)
                with_samples(path, {200: "grid.svg"})
        ((_, verdict, basis),) = Table.of(sections_of(run)[0]).verdicts
        assert verdict.state == "supported" and "did not learn" not in basis


def test_a_claim_of_a_rule_without_a_trial_has_no_verdict(tmp_path: Path) -> None:
    write_plan(tmp_path, ["A", "B"], [1], claims=[CLAIM])
    write_finals(tmp_path, "A", [80.0])
    assert Table.of(sections_of(tmp_path)[0]).verdicts == []


def test_the_speed_of_convergence_is_the_mean_train_loss_over_all_steps(tmp_path: Path) -> None:
    write_record(tmp_path, "A", 1, [10.0, 20.0, 30.0])
    trial = sections_of(tmp_path)[0].trials[0]
    assert mean_train_loss(trial) == pytest.approx((100 * 0.61 + 100 * 0.19) / 200)
    path = tmp_path / "records" / "a-s1.jsonl"
    path.write_text(path.read_text().replace('"step": 200', '"step": 400'))
    trial = sections_of(tmp_path)[0].trials[0]
    assert mean_train_loss(trial) == pytest.approx((100 * 0.61 + 300 * 0.19) / 400)


def test_every_verdict_is_told_with_its_numbers_in_page_text_and_terminal(tmp_path: Path) -> None:
    write_plan(tmp_path, ["A", "B"], [1, 2, 3], baseline="B", claims=[CLAIM])
    write_finals(tmp_path, "A", [80.0, 81.1, 81.9])
    write_finals(tmp_path, "B", B3)
    out = report(tmp_path).stdout
    page = html.unescape((tmp_path / "index.html").read_text()).split("<script>")[0]
    want = (
        "final test accuracy: A 81.00 %, B 81.00 %; A better by 0.00 points (95 % interval of the gain −0.25 to +0.25, "
        "n = 3 seeds). The claim is a gain above −0.50 points."
    )
    assert want in page and '<td class="supported">supported</td>' in page
    for place in (" ".join(out.split()), (tmp_path / "report.md").read_text()):
        assert "“A is as good as B”: supported." in place and want in place


# Validation, and options that a search chose


def with_validation(path: Path, valid: list[float]) -> None:
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line, value in zip((line for line in lines if line["type"] == "evaluation"), valid, strict=True):
        line |= {"valid_metric": value, "valid_loss": 1.0}
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_where_there_is_a_validation_split_it_picks_the_epoch(tmp_path: Path) -> None:
    write_plan(tmp_path, ["A"], [1], baseline=None, paper=None, target=None)
    path = write_record(tmp_path, "A", 1, [10.0, 80.0, 85.0, 83.0])
    with_validation(path, [10.0, 79.0, 77.0, 78.0])
    (section,) = sections_of(tmp_path)
    (row,) = Table.of(section).rows
    assert (row.final.mean, row.best.mean) == (80.0, 85.0)
    text = markdown(Table.of(section))
    assert "| rule | picked accuracy, % | best accuracy, % on test |" in text
    assert (
        "A is the only rule with a finished trial: its mean test accuracy at the epoch picked on validation data "
        "is 80.00 % (n = 1)." in text
    )
    assert "as the authors’ scripts pick it" in text
    assert report(tmp_path).returncode == 0
    splits = [(r["split"], r["metric"], r["value"]) for r in read_csv(tmp_path / "results.csv") if r["step"] == "100"]
    assert ("validation", "accuracy", "79.0") in splits and ("validation", "loss", "1.0") in splits


@pytest.fixture
def tuned(tmp_path: Path) -> Path:
    """Two rules at the given settings and tuned, three seeds each, and a search of four trials for each rule."""
    run = tmp_path / "runs" / "quick" / "2026-01-01T00-00-00"
    write_plan(run, ["A", "B"], [1, 2, 3], baseline="B", paper=None, target=None, claims=[CLAIM])
    write_finals(run, "A", [79.0, 80.1, 80.9])
    write_finals(run, "B", B3)
    for label, finals in (("A", [82.0, 83.1, 83.9]), ("B", [81.0, 82.0, 83.0])):
        for seed, final in enumerate(finals, 11):
            write_record(run, f"{label} (tuned)", seed, [10.0, final], run=f"{label.lower()}-tuned-s{seed}")
        for k, (lr, end) in enumerate(((1e-4, "finished"), (1e-3, "finished"), (1e-2, "finished"), (1.0, "diverged"))):
            options = {"lr": lr, "beta1": 0.9, "eps": 1e-8 if label == "A" else 10.0 ** -(k + 3)}
            record = {"tuning": True, "run": f"{label.lower()}-search-{k}", "options": options}
            write_record(run / "tuning", label, 1, [10.0, [70.0, 75.0, 72.0, 1.0][k]], end, **record)
    plan = json.loads((run / "experiment.json").read_text())
    plan["trials"] += [{"label": f"{a} (tuned)", "seed": seed, "tuned": True} for a in "AB" for seed in (11, 12, 13)]
    plan["tuning"] = {"trials": 4, "seed": 1, "search": [{"label": "A"}, {"label": "B"}]}
    (run / "experiment.json").write_text(json.dumps(plan))
    return run


def test_tuned_trials_are_a_column_a_verdict_and_a_section_of_their_own(tuned: Path) -> None:
    given, chosen = sections_of(tuned)
    assert given.warnings == chosen.warnings == []
    assert chosen.title == "A quick comparison, every rule tuned with the same budget"
    table = Table.of(given)
    text = markdown(table)
    assert "| rule | ours, final accuracy, % | ours tuned, final accuracy, % | best accuracy, % |" in text
    assert "| A | 80.00 ± 2.37 | **83.00 ± 2.37** |" in text
    assert "options chosen on validation data, by 4 trials a rule, then fresh seeds" in text
    states = [(settings, verdict.state) for settings, verdict, _ in table.verdicts]
    assert states == [("at the given settings", "not supported"), ("tuned", "supported")]
    assert Table.of(chosen).verdicts == [] and [len(row.finals) for row in Table.of(chosen).rows] == [3, 3]


@pytest.mark.parametrize(("lr", "edge"), [(1.0, "largest"), (1e-2, None), (1e-4, "smallest")])
def test_options_chosen_at_the_edge_of_what_was_tried_are_told(tuned: Path, lr: float, edge: str | None) -> None:
    for seed, final in ((11, 82.0), (12, 83.1), (13, 83.9)):
        options = {"lr": lr, "beta1": 0.9, "eps": 1e-8}
        write_record(tuned, "A (tuned)", seed, [10.0, final], run=f"a-tuned-s{seed}", options=options)
    given, chosen = sections_of(tuned)
    assert "was tried is chosen" not in markdown(Table.of(given))
    note = f"The {edge} lr that was tried is chosen for A: beyond may be better."
    assert (note in Table.of(chosen).notes) == (edge is not None)
    assert sum("was tried is chosen" in line for line in Table.of(chosen).notes) == (edge is not None)


def test_tuned_trials_that_never_came_are_missed(tuned: Path) -> None:
    for path in (tuned / "records").glob("*tuned*"):
        path.unlink()
    (section,) = sections_of(tuned)
    assert section.planned == 12 + 8
    missing = [f"planned, but without a record: {label} (tuned) seed {seed}" for label in "AB" for seed in (11, 12, 13)]
    assert section.warnings == missing
    assert report(tuned).returncode == 0
    assert json.loads((tuned / "report.json").read_text())["state"] == "incomplete"


def test_the_search_is_drawn_over_each_option_that_it_varied_with_crosses_for_what_diverged(tuned: Path) -> None:
    _, chosen = sections_of(tuned)
    lr, eps = tuning(chosen, "validation accuracy (%)")
    assert (lr["layout"]["xaxis"]["title"]["text"], eps["layout"]["xaxis"]["title"]["text"]) == ("lr", "eps")
    assert lr["layout"]["xaxis"]["type"] == "log"
    marks, crosses, *_ = lr["data"]
    assert (marks["name"], marks["x"], marks["y"]) == ("A", [1e-4, 1e-3, 1e-2], [70.0, 75.0, 72.0])
    assert marks["marker"]["size"] == [7, 13, 7] and crosses["x"] == [1.0]
    assert [t["name"] for t in eps["data"]] == ["B", "B"], "A has one eps"


def test_a_search_without_any_other_trial_yet_is_reported(tmp_path: Path) -> None:
    write_record(tmp_path, "A", 1, [10.0, 20.0], tuning=True, options={"lr": 0.1}, run="a-0")
    write_record(tmp_path, "A", 1, [10.0, 30.0], tuning=True, options={"lr": 0.2}, run="a-1")
    result = report(tmp_path)
    assert result.returncode == 0 and "No trial has finished" in result.stdout
    assert "The search for options" in (tmp_path / "index.html").read_text()


def test_a_measure_without_data_is_not_called_one_of_the_test_set(tmp_path: Path) -> None:
    write_plan(tmp_path, ["A", "B"], [1], baseline="B", target=None, paper=None)
    metric = {"name": "regret / T", "unit": "", "better": "lower"}
    for label in "AB":
        write_record(tmp_path, label, 1, [3.0, 2.0], metric=metric, data={"name": "", "sha256": ""})
    result = report(tmp_path)
    assert result.stdout.startswith("A has the best mean final regret / T, 2.00")
    page = (tmp_path / "index.html").read_text().split("<script>")[0]
    for silly in ("test regret", "test set"):
        assert silly not in page and silly not in (tmp_path / "report.md").read_text() and silly not in result.stdout


# Samples


def with_samples(path: Path, files: dict[int, str]) -> None:
    *lines, end = path.read_text().splitlines()
    lines += [json.dumps({"type": "samples", "step": step, "file": file, "columns": 8}) for step, file in files.items()]
    path.write_text("\n".join([*lines, end]))


@pytest.fixture
def sampled(tmp_path: Path) -> Path:
    run = tmp_path / "a run"
    write_plan(run, ["Adam", "SGD"], [1], baseline="Adam", paper=None, target=None)
    for label in ("Adam", "SGD"):
        path = write_record(run, label, 1, [10.0, 20.0, 30.0])
        files = {step: f"samples/{label}/{step:06}.svg" for step in (0, 100, 200)}
        for step, file in files.items():
            (run / file).parent.mkdir(parents=True, exist_ok=True)
            (run / file).write_text(SVG.format(["red", "green", "blue"][step // 100]))
        with_samples(path, files)
    return run


def test_pictures_of_samples_are_linked_as_seen_from_the_page(sampled: Path, tmp_path: Path) -> None:
    assert report(sampled).stderr == ""
    assert '"src": "samples/Adam/000100.svg"' in html.unescape((sampled / "index.html").read_text())
    assert report(sampled, "--out", tmp_path / "out").returncode == 0
    page = html.unescape((tmp_path / "out" / "index.html").read_text())
    assert '"src": "../a%20run/samples/SGD/000200.svg"' in page and page.count("<figure") == 2


@pytest.mark.parametrize(
    ("file", "what"),
    [
        ("../secret.png", "../secret.png is not within the run's folder"),
        ("https://example.org/a.png", "there is no https://example.org/a.png"),
        ("samples/A/999.png", "there is no samples/A/999.png"),
        (3, "file is not text"),
    ],
)
def test_a_picture_that_is_not_in_the_runs_folder_costs_its_line(sampled: Path, file: Any, what: str) -> None:
    (sampled.parent / "secret.png").write_text("")
    with_samples(sampled / "records" / "adam-s1.jsonl", {300: file})
    result = report(sampled)
    assert result.returncode == 0 and f"damaged line ({what}); the rest is used" in result.stderr
    assert html.unescape((sampled / "index.html").read_text()).count('"src": ') == 6


def test_in_a_browser_sliders_show_the_samples_of_a_rule_and_of_all(sampled: Path) -> None:
    assert report(sampled).returncode == 0
    seen = in_chromium(sampled / "index.html")
    assert (seen["errors"], seen["violations"]) == ([], [])
    last, first, mixed = ["step 200", 16], ["step 0", 16], ["step 100", 16]
    assert seen["samples"] == [[last, last], [first, first], [mixed, first]]


# Live, and the list of runs


def test_a_page_that_follows_a_run_loads_itself_again_until_the_run_ends(tmp_path: Path) -> None:
    write_plan(tmp_path, ["A", "B"], [1], baseline="B", paper=None)
    write_record(tmp_path, "A", 1, [10.0, 20.0], None)
    code = (
        f"import sys; sys.argv = ['report', {str(tmp_path)!r}, '--follow']; sys.path.insert(0, {str(REPORT)!r});"
        "from importlib.util import module_from_spec as make, spec_from_file_location as at;"
        "spec = at('program', sys.path[0] + '/__main__.py'); program = make(spec); spec.loader.exec_module(program);"
        "program.PAUSE = 0.1; sys.exit(program.main())"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    page = tmp_path / "index.html"
    for _ in range(600):
        if page.exists() or process.poll() is not None:
            break
        time.sleep(0.05)
    text = page.read_text().split("<script>")[0]
    assert re.search(r'<meta http-equiv="refresh" content="\d+">', text)
    assert "<strong>Running:</strong> 0 of 2 trials have ended" in text and "without a record" not in text
    assert json.loads((tmp_path / "report.json").read_text())["state"] == "running"
    out, _ = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, "")
    text = page.read_text().split("<script>")[0]
    assert 'http-equiv="refresh"' not in text and "planned, but without a record: B seed 1" in text
    assert json.loads((tmp_path / "report.json").read_text())["state"] == "incomplete"


def test_a_report_within_runs_renews_their_list_with_the_newest_first(tuned: Path) -> None:
    root = tuned.parent.parent
    later = root / "other" / "2026-02-01T00-00-00"
    write_plan(later, ["A"], [1], title="Another", baseline=None)
    write_record(later, "A", 1, [10.0, 20.0], started="2026-12-24T19:50:00Z")
    (root / "third" / "now" / "records").mkdir(parents=True)
    (root / "third" / "now" / "report.json").write_text('{"state": 3, "sections": "none"}')
    assert report(tuned).returncode == report(later).returncode == 0
    page = html.unescape((root / "index.html").read_text())
    assert re.findall(r"<h2>(?:<a[^>]*>)?([^<]*)", page) == [
        "third", "Another", "A quick comparison", "A quick comparison, every rule tuned with the same budget",
    ]  # fmt: skip
    assert 'href="other/2026-02-01T00-00-00/index.html"' in page and "<script" not in page
    assert "A is as good as B (tuned): <strong>supported</strong>" in page
    assert "no report yet" in page and page.count(">finished<") == 2 and "20 of 20 trials" in page
    again = report("--index", root, "--out", root.parent)
    assert again.stdout == f"{root.parent / 'index.html'}\n"
    assert 'href="runs/other/2026-02-01T00-00-00/index.html"' in (root.parent / "index.html").read_text()


@pytest.mark.parametrize(
    ("ended", "told"),
    [("2026-11-24T20:01:02Z", "20:01:02 UTC"), ("2026-11-25T00:01:02Z", "2026-11-25 00:01:02 UTC")],
)
def test_the_list_of_runs_has_the_day_of_an_end_on_another_day_and_no_end_of_one_that_runs(
    tuned: Path, ended: str, told: str
) -> None:
    assert report(tuned).returncode == 0
    for state, more in (("finished", f" to {told}"), ("running", "")):
        digest = json.loads((tuned / "report.json").read_text()) | {"state": state, "ended": ended}
        (tuned / "report.json").write_text(json.dumps(digest))
        with (tuned / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            assert report("--index", tuned.parent.parent).returncode == 0
        page = (tuned.parent.parent / "index.html").read_text()
        assert f">2026-11-24 19:50:00 UTC{more} · " in page


def test_a_run_that_nobody_runs_is_listed_as_stopped(tuned: Path) -> None:
    root = tuned.parent.parent
    assert report(tuned).returncode == 0
    told = json.loads((tuned / "report.json").read_text()) | {"state": "running"}
    (tuned / "report.json").write_text(json.dumps(told))
    states = []
    with (tuned / "lock").open("w") as lock:
        for _ in range(2):
            assert report("--index", root).returncode == 0
            states += re.findall(r'class="state">(\w+)', (root / "index.html").read_text())
            fcntl.flock(lock, fcntl.LOCK_EX)
    assert states == ["stopped", "running"]


def test_the_list_of_no_folder_is_refused(tmp_path: Path) -> None:
    result = report("--index", tmp_path / "none")
    assert result.returncode == 1 and result.stderr.startswith("adabelief report: no folder ")
    assert os.listdir(tmp_path) == []
