# SPDX-License-Identifier: MIT
"""Tests of reduced experiments and of tuning under an equal budget."""

from __future__ import annotations

import json
import math
import shlex
import signal
from pathlib import Path
from typing import Any

import pytest
from test_program import Here, read, wait_for

NETWORK = """title = "Small"
workload = "fashion_mnist_cnn"
seeds = [1, 2]
epochs = 4
batch = 8
train = 64
width = 0.5
schedule = { kind = "steps", at = [2, 3], warmup = 1 }

[[rules]]
rule = "adam"

[[rules]]
rule = "sgd"
schedule = { kind = "steps", at = [3] }

[reduced]
epochs = 2
width = 0.25
train = 32
batch = 4
seeds = [7]
"""
# Convex: among learning rates the best is told apart at once.
TUNING = """title = "Tuned"
workload = "convex_regret"
seeds = [1, 2]
steps = 300
baseline = "Adam"

[tuning]
trials = 5

[[rules]]
label = "Adam"
rule = "adam"
options = { beta1 = 0.8 }
search = { lr = [1e-6, 1, "log"] }

[[rules]]
label = "SGD"
rule = "sgd"
search = { lr = [1e-3, 1e-1, "log"], momentum = [0.5, 0.9, "linear"], decay = ["coupled", "decoupled"] }

[[rules]]
label = "AMSGrad"
rule = "amsgrad"
"""


@pytest.fixture
def here(tmp_path: Path) -> Here:
    return Here(tmp_path)


def plan(here: Here, folder: str = "out") -> dict[str, Any]:
    return json.loads((here.folder / folder / "experiment.json").read_text())


def configs(here: Here, folder: str = "out") -> dict[str, dict[str, Any]]:
    return {path.stem: read(path)[0] for path in (here.folder / folder / "records").glob("*.jsonl")}


def test_a_reduced_experiment_is_smaller_with_its_schedules_scaled_and_says_so(here: Here) -> None:
    here.write(NETWORK)
    done = here("compare", "mini.toml", "--reduced", "--quiet")
    assert (done.returncode, done.stderr) == (0, "")
    folder = Path(done.stdout).parent
    assert folder.parent == Path("runs/mini-reduced")
    records = configs(here, str(folder))
    assert set(records) == {"adam-s7", "sgd-s7"}
    expected = {
        "experiment": "mini-reduced", "epochs": 2, "width": 0.25, "train": 32, "batch": 4, "steps_per_epoch": 8,
        "seed": 7, "reduced": True,
    }  # fmt: skip
    for config in records.values():
        assert {key: config[key] for key in expected} == expected
    assert records["adam-s7"]["schedule"] == {"kind": "steps", "warmup": 0.5, "at": [1, 1.5], "factor": 0.1}
    assert records["sgd-s7"]["schedule"]["at"] == [1.5]
    kept = plan(here, str(folder))
    assert (kept["name"], kept["command"]) == ("mini-reduced", "adabelief compare mini.toml --reduced")
    assert kept["reduced"] == {"epochs": 2, "width": 0.25, "train": 32, "batch": 4, "seeds": [7]}

    assert here("compare", "mini.toml", "--reduced", "--quiet", "--resume").stdout == done.stdout
    assert "no run of mini under runs/mini to resume" in here.refusal("compare", "mini.toml", "--resume")
    again = here.record(*records["adam-s7"]["command"])
    assert again[0]["reduced"] is True and again[-1]["weights_sha256"] == (
        read(here.folder / folder / "records" / "adam-s7.jsonl")[-1]["weights_sha256"]
    )


def test_a_workload_may_be_reduced_in_its_own_way(here: Here) -> None:
    here.write("""title = "Two"
workload = ["toy_abs", "toy_beale"]
seeds = [1]
epochs = 4
steps = 10
precision = "bfloat16"  # which toy functions refuse
schedule = { kind = "steps", at = [2], warmup = 1 }

[[rules]]
rule = "adam"

[reduced]
epochs = 2
precision = "float32"

[reduced.toy_beale]
epochs = 1
""")
    assert here("compare", "mini.toml", "--reduced", "--out", "out").returncode == 0
    made = {name: (config["epochs"], config["schedule"]) for name, config in configs(here).items()}
    assert made == {
        "toy_abs-adam-s1": (2, {"kind": "steps", "warmup": 0.5, "at": [1], "factor": 0.1}),
        "toy_beale-adam-s1": (1, {"kind": "steps", "warmup": 0.25, "at": [0.5], "factor": 0.1}),
    }
    assert plan(here)["reduced"] == {"epochs": 2, "precision": "float32", "toy_beale": {"epochs": 1}}
    text = (here.folder / "mini.toml").read_text().replace("[reduced.toy_beale]", "[reduced.toy_beal]")
    here.write(text)
    assert "mini.toml:16: reduced.no key named 'toy_beal'" in here.refusal("compare", "mini.toml", "--reduced")


def test_an_experiment_without_reduced_is_whole(here: Here) -> None:
    here.write(NETWORK.replace("seeds = [1, 2]", "seeds = [1]"))
    assert here("compare", "mini.toml", "--out", "out").returncode == 0
    config = configs(here)["adam-s1"]
    assert (config["epochs"], config["width"], config["train"], config["batch"]) == (4, 0.5, 64, 8)
    assert config["schedule"]["at"] == [2, 3] and "reduced" not in config and "reduced" not in plan(here)


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("\nepochs = 4", "", "mini.toml:17: reduced.epochs needs the experiment's own epochs, by which schedules are scal"),
        ("epochs = 2", "epoch = 2", "mini.toml:18: reduced.no key named 'epoch'; did you mean epochs? There are: batch"),
        ("width = 0.25", "width = 0", "mini.toml:19: width must be above 0, got 0"),
        ("seeds = [7]", "seeds = [7, 7]", "mini.toml:22: seeds has one twice"),
        ("[reduced]", "[tuning]", "mini.toml:17: tuning.trials is missing: how many each rule has"),
    ],
)
def test_a_mistake_in_a_profile_is_named(here: Here, old: str, new: str, why: str) -> None:
    assert old in NETWORK
    here.write(NETWORK.replace(old, new, 1))
    assert here.refusal("compare", "mini.toml").startswith(why)


def test_what_is_not_there_to_reduce_or_to_tune_is_refused(here: Here) -> None:
    here.write(NETWORK[: NETWORK.index("[reduced]")])
    assert here.refusal("compare", "mini.toml", "--reduced") == (
        "mini.toml:1: no table [reduced], so there is no reduced profile; leave --reduced"
    )
    assert here.refusal("compare", "mini.toml", "--tune") == (
        "mini.toml has no table [tuning], so there is nothing to tune; leave --tune"
    )


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ('[1e-6, 1, "log"]', '[0, 1, "log"]', "14: rules.search.lr must be [low, high, \"log\" or \"linear\"] or a list of t"),
        ('[1e-6, 1, "log"]', '[1, 1e-6, "log"]', "14: rules.search.lr must be [low, high, "),
        ('[1e-6, 1, "log"]', '[1e-6, 1, "ln"]', "14: rules.search.lr must be [low, high, "),
        ('[1e-6, 1, "log"]', "1e-3", "14: rules.search.lr must be [low, high, "),
        ("{ lr = [1e-6", "{ beta3 = [1e-6", "14: adam: no option named 'beta3'; did you mean beta1? There are: lr, "),
        ('[0.5, 0.9, "linear"]', '[0.5, 1, "linear"]', "19: sgd: momentum must lie in [0, 1), got 1"),
        ('"decoupled"]', '"decuopled"]', "19: sgd: decay must be one of coupled, decoupled, fixed, got 'decuopled'"),
        ("[tuning]\ntrials = 5\n", "", "12: rules.search needs the table [tuning] with trials = a number"),
        ("trials = 5", "trials = 5\nseed = 2", "9: tuning.seed must be none of the experiment's seeds, got 2"),
        ("trials = 5", 'trials = 5\nby = "first"', "9: no tuning.by named 'first'. There are: last, best"),
        ("trials = 5", "trials = 0", "8: trials must be a whole number of at least 1, got 0"),
        ('"AMSGrad"', '"SGD (tuned)"', "7: the label SGD (tuned) is that of a tuned rule; give it another"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_search_space_is_named(here: Here, old: str, new: str, why: str) -> None:
    assert old in TUNING
    here.write(TUNING.replace(old, new, 1))
    assert here.refusal("compare", "mini.toml", "--tune").startswith(f"mini.toml:{why}")


def halves(k: int, dimensions: int) -> list[float]:
    """Point k of Roberts' sequence."""
    a = 2.0
    for _ in range(60):
        a = (1 + a) ** (1 / (dimensions + 1))
    return [(0.5 + k * a**-i) % 1 for i in range(1, dimensions + 1)]


def test_every_rule_is_tuned_by_as_many_trials_on_validation_data_and_the_best_is_trained(here: Here) -> None:
    here.write(TUNING)
    done = here("compare", "mini.toml", "--tune", "--out", "out")
    assert (done.returncode, done.stderr) == (0, "")
    trials = configs(here, "out/tuning")
    assert set(trials) == {f"{label}-t{k:02}-s0" for label in ("adam", "sgd") for k in range(1, 6)}
    for k in range(1, 6):
        adam, sgd = trials[f"adam-t{k:02}-s0"], trials[f"sgd-t{k:02}-s0"]
        for config in (adam, sgd):
            assert (config["tuning"], config["point"], config["seed"]) == (True, k, 0)
        assert adam["options"]["beta1"] == 0.8
        assert adam["options"]["lr"] == pytest.approx(1e-6 ** (1 - halves(k, 1)[0]), rel=1e-3)
        decay, lr, momentum = halves(k, 3)  # by their names
        assert sgd["options"]["lr"] == pytest.approx(1e-3 * 100**lr, rel=1e-3)
        assert sgd["options"]["momentum"] == pytest.approx(0.5 + 0.4 * momentum, rel=1e-3)
        assert sgd["options"]["decay"] == ("coupled" if decay < 0.5 else "decoupled")

    finals = configs(here)
    assert set(finals) == {f"{label}-s{seed}" for seed in (1, 2) for label in
                           ("adam", "sgd", "amsgrad", "adam-tuned", "sgd-tuned")}  # fmt: skip
    kept = plan(here)
    assert kept["command"] == "adabelief compare mini.toml --tune"
    assert [t["run"] for t in kept["trials"]] == [
        *(f"{label}-s{seed}" for seed in (1, 2) for label in ("adam", "sgd", "amsgrad")),
        *(f"{label}-tuned-s{seed}" for seed in (1, 2) for label in ("adam", "sgd")),
    ]
    assert [t["run"] for t in kept["trials"] if t.get("tuned")] == [
        t["run"] for t in kept["trials"] if "(tuned)" in t["label"]
    ]
    tuning = kept["tuning"]
    assert (tuning["trials"], tuning["seed"]) == (5, 0)
    assert tuning["search"][0] == {"label": "Adam", "rule": "adam", "search": {"lr": [1e-6, 1, "log"]}}
    assert [entry["label"] for entry in tuning["chosen"]] == ["Adam", "SGD"]
    for chosen in tuning["chosen"]:
        name = chosen["label"].lower()
        metrics = {k: read(here.folder / "out" / "tuning" / "records" / f"{name}-t{k:02}-s0.jsonl")[-2]["test_metric"]
                   for k in range(1, 6)}  # fmt: skip
        best = min(metrics, key=lambda k: metrics[k])
        assert (chosen["point"], chosen["metric"], chosen["workload"]) == (best, metrics[best], "convex_regret")
        for seed in (1, 2):
            config = finals[f"{name}-tuned-s{seed}"]
            assert config["options"] == trials[f"{name}-t{best:02}-s0"]["options"]
            assert (config["label"], "tuning" in config) == (f"{chosen['label']} (tuned)", False)
        assert all(float(chosen["options"][key]) == config["options"][key] for key in ("lr",))


PARTS = TUNING.replace('"convex_regret"', '["toy_abs", "toy_beale"]') + """workload = "toy_beale"

[[claims]]
text = "Adam is better than SGD"
rule = "Adam"
versus = "SGD"
metric = "test"
kind = "better"

[[claims]]
text = "AMSGrad is better than Adam"
rule = "AMSGrad"
versus = "Adam"
metric = "test"
kind = "better"
workload = "toy_beale"
"""


def test_a_part_of_an_experiment_runs_alone_and_goes_on(here: Here) -> None:
    here.write(PARTS)
    assert here("compare", "mini.toml", "--only", "toy_abs", "Adam", "--tune", "--out", "out").returncode == 0
    assert set(configs(here)) == {f"toy_abs-adam{tuned}-s{seed}" for tuned in ("", "-tuned") for seed in (1, 2)}
    assert len(configs(here, "out/tuning")) == 5
    kept = plan(here)
    assert kept["command"] == "adabelief compare mini.toml --tune --only 'toy_abs' 'Adam'"
    assert (kept["workload"], kept["baseline"]) == ("toy_abs", "Adam")
    assert "Tuned: toy_abs" in (here.folder / "out" / "report.md").read_text()
    for words in ([], ["--only", "Adam", "toy_abs"]):
        assert here("compare", "mini.toml", "--resume", "--out", "out", *words).returncode == 0
        assert plan(here) == kept
    assert "out holds a run of --only [\"toy_abs\",\"Adam\"]; leave --only" in here.refusal(
        "compare", "mini.toml", "--resume", "--only", "SGD", "--out", "out"
    )


def test_the_newest_run_of_a_part_goes_on(here: Here) -> None:
    here.write(PARTS.replace('"AMSGrad"', '"Adam\'s twin"').replace("AMSGrad is", "It is"))
    newest = {}
    for only in (["Adam's twin"], ["toy_abs", "SGD"], ["SGD"]):
        done = here("compare", "mini.toml", "--quiet", "--only", *only)
        assert done.returncode == 0
        newest[only[0]] = done.stdout
    assert len(set(newest.values())) == 3
    for only in (["Adam's twin"], ["SGD", "toy_abs"]):
        done = here("compare", "mini.toml", "--quiet", "--resume", "--only", *only)
        assert (done.returncode, done.stdout) == (0, newest[min(only, key=lambda name: name == "SGD")])
    assert "no run of mini under runs/mini to resume" in here.refusal("compare", "mini.toml", "--resume", "--only", "Adam")
    command = plan(here, str(Path(newest["Adam's twin"].strip()).parent))["command"]
    assert shlex.split(command) == ["adabelief", "compare", "mini.toml", "--only", "Adam's twin"]


@pytest.mark.parametrize("order", [("one", "two"), ("two", "one")])
def test_one_page_judges_rules_of_several_parts(here: Here, order: tuple[str, str]) -> None:
    paper = '[[paper]]\nlabel = "SGD"\nvalue = 2.5\nsource = "here"\nworkload = "toy_beale"\n'
    here.write(PARTS + paper)
    for folder, label in (("one", "Adam"), ("two", "SGD")):
        assert here("compare", "mini.toml", "--only", label, "toy_beale", "--out", folder).returncode == 0
    assert here("report", *order, "--out", "both").returncode == 0
    page = (here.folder / "both" / "report.md").read_text()
    assert "“Adam is better than SGD”: " in page and "AMSGrad is better" not in page
    assert "2.5" in page and page.count("--only") == 2


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("--only Admm", "--only: no workload or rule's label named 'Admm'; did you mean Adam? There are: toy_abs, toy_be"),
        ("--only toy_abs AMSGrad", "--only: no rule that it names trains a workload that it names"),
        ("--only AMSGrad --tune", "no rule that --only leaves has a search space, so there is nothing to tune; leave --"),
    ],
)  # fmt: skip
def test_a_part_that_is_not_there_is_told(here: Here, words: str, why: str) -> None:
    here.write(PARTS)
    assert here.refusal("compare", "mini.toml", *words.split()).startswith(why)
    assert not (here.folder / "runs").exists()


def test_the_best_evaluation_of_a_trial_tells_of_its_options_where_the_file_says_so(here: Here) -> None:
    # On |x| + |y| steps of one length come near the optimum and go past it.
    toy = TUNING.replace("convex_regret", "toy_abs").replace("steps = 300", "steps = 60")
    toy = toy.replace('[1e-3, 1e-1, "log"], momentum = [0.5, 0.9,', '[1e-2, 1, "log"], momentum = [0.9, 0.99,')
    chosen = {}
    for by in ("last", "best"):
        here.write(toy.replace("trials = 5", f'trials = 5\nby = "{by}"'))
        assert here("compare", "mini.toml", "--tune", "--out", by).returncode == 0
        tuning = plan(here, by)["tuning"]
        assert tuning.get("by", "last") == by
        (chosen[by],) = (entry for entry in tuning["chosen"] if entry["label"] == "SGD")
        reached = {}
        for k in range(1, 6):
            metrics = [line["test_metric"] for line in read(here.folder / by / f"tuning/records/sgd-t{k:02}-s0.jsonl")
                       if line["type"] == "evaluation"]  # fmt: skip
            reached[k] = min(m for m in metrics if m is not None) if by == "best" else metrics[-1]
        best = min(reached, key=lambda k: reached[k])
        assert (chosen[by]["point"], chosen[by]["metric"]) == (best, reached[best])
    assert chosen["last"]["metric"] > chosen["best"]["metric"]


def test_tuning_goes_on_in_its_middle_and_a_run_may_be_tuned_later(here: Here) -> None:
    here.write(TUNING.replace("steps = 300", "steps = 20000"))
    assert here("compare", "mini.toml", "--tune", "--out", "whole").returncode == 0
    assert here("compare", "mini.toml", "--out", "out").returncode == 0
    before = {path: path.stat().st_mtime_ns for path in (here.folder / "out" / "records").iterdir()}
    process = here.start("compare", "mini.toml", "--resume", "--tune", "--out", "out", "--jobs", "1")
    wait_for(lambda: (here.folder / "out/tuning/records/sgd-t02-s0.jsonl.part").exists())
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 130
    process.communicate()
    assert "--tune" in plan(here)["command"] and not plan(here)["tuning"]["chosen"]
    done = here("compare", "mini.toml", "--resume", "--out", "out")  # knows that it tunes
    assert (done.returncode, done.stderr) == (0, "")
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert plan(here) == plan(here, "whole")
    for record in (here.folder / "whole" / "records").iterdir():
        ours = read(here.folder / "out" / "records" / record.name)
        assert ours[-1]["weights_sha256"] == read(record)[-1]["weights_sha256"]


def test_a_diverged_tuning_trial_is_never_chosen_and_without_any_other_nothing_is(here: Here) -> None:
    space = TUNING.replace('[1e-6, 1, "log"]', '[1e-6, 1e300, "log"]').replace('[1e-3, 1e-1, "log"]', '[1e290, 1e300, "log"]')
    here.write(space.replace("convex_regret", "toy_rosenbrock"))
    done = here("compare", "mini.toml", "--tune", "--out", "out")
    assert done.returncode == 1
    assert "SGD (tuned) seed 1 crashed: not started, since all tuning trials diverged" in done.stderr
    (chosen,) = plan(here)["tuning"]["chosen"]
    assert chosen["label"] == "Adam" and math.isfinite(chosen["metric"])
