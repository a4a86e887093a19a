# SPDX-License-Identifier: MIT
"""The blocks of docs/recipes.md run as they stand."""

from __future__ import annotations

import importlib
import pathlib
import re
import subprocess
import sys
from typing import Any

import pytest
import torch
from adabelief import AdaBelief

ROOT = pathlib.Path(__file__).parents[2]
HEAD, *SECTIONS = re.split(r"^## ", (ROOT / "docs" / "recipes.md").read_text(), flags=re.MULTILINE)


def blocks(section: str) -> list[str]:
    return re.findall(r"^```(?:python|diff)\n(.*?)^```", section, re.DOTALL | re.MULTILINE)


(START,) = blocks(HEAD)
BLOCKS = {section.partition("\n")[0]: blocks(section) for section in SECTIONS}
OTHERS = {"From adabelief-pytorch", "Transformers", "timm", "Several processes"}  # run by tests of their own


@pytest.fixture(autouse=True)
def apart(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A folder to write into, and one thread."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def need(package: str) -> None:
    """Skips where a package is not installed; tests/python/recipes.txt lists them."""
    pytest.importorskip(package, reason=f"{package} is not installed; `make setup` does")


@pytest.fixture(scope="module")
def torchvision() -> list[torch.library.Library]:
    """torchvision's Python files, which timm reads, and transformers where they are there. Those of the package index
    come with a library that wants a CUDA build of torch; beside another they can be imported once the operators are
    declared whose shapes they tell."""
    declared: list[torch.library.Library] = []
    try:
        importlib.import_module("torchvision")
    except ImportError:
        pass
    except RuntimeError:
        declared.append(torch.library.Library("torchvision", "FRAGMENT"))
        for name in ("nms", "qnms"):
            declared[0].define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        importlib.import_module("torchvision")
    return declared


def run(*blocks: str) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "recipe"}
    for block in blocks:
        exec(compile(block, str(ROOT / "docs/recipes.md"), "exec"), names)
    return names


def loss(names: dict[str, Any]) -> float:
    with torch.no_grad():
        return names["loss_of"](names["model"](names["x"]), names["y"]).item()


@pytest.mark.parametrize("name", [name for name in BLOCKS if name not in OTHERS])
def test_a_recipe_trains_its_model(name: str, request: pytest.FixtureRequest) -> None:
    if name == "Lightning":
        request.getfixturevalue("torchvision")
        need("pytorch_lightning")
    (block,) = BLOCKS[name]
    before = loss(run(START))
    assert loss(run(START, block)) < before / 2


def test_transformers_trains_a_language_model(torchvision: Any) -> None:
    need("transformers")
    need("accelerate")
    trainer = run(START, *BLOCKS["Transformers"])["trainer"]
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert losses[-1] < losses[0] / 2
    assert isinstance(trainer.optimizer.optimizer, AdaBelief)  # in accelerate's shell


def test_timm_trains_an_image_model(torchvision: Any) -> None:
    need("timm")
    names = run(START, *BLOCKS["timm"])
    assert names["losses"][-1] < names["losses"][0] / 2
    assert {group["weight_decay"] for group in names["optimizer"].param_groups} == {0.0, 0.05}


def test_states_of_a_fine_tuned_model_have_8_bits() -> None:
    names = run(START, *BLOCKS["Fine-tuning with states of 8 bits"])
    state = names["optimizer"].state[names["model"][0].weight]
    assert state["exp_avg"].dtype == torch.uint8 and state["step"] == 10 * len(names["data"])


def test_moving_from_adabelief_pytorch_changes_two_lines_and_no_step(capsys: pytest.CaptureFixture[str]) -> None:
    (diff,) = BLOCKS["From adabelief-pytorch"]
    lines = diff.splitlines()
    ours, theirs = ("\n".join(line[1:] for line in lines if line[0] == sign or line == " ...") for sign in ("+", "-"))
    assert len([line for line in lines if line[0] == "+"]) == 2

    def trained(program: str) -> list[torch.Tensor]:
        names = run(START, program, BLOCKS["A loop"][0].split("\n", 1)[1])
        return [weight.detach() for weight in names["model"].parameters()]

    mine = trained(ours)
    need("adabelief_pytorch")
    for a, b in zip(mine, trained(theirs), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("number", [0, 1], ids=["data parallel", "fully sharded"])
def test_several_processes_train_under_torchrun(number: int, tmp_path: pathlib.Path) -> None:
    trained = "assert loss_of(model(x), y) < y.square().mean() / 2\n"
    block = BLOCKS["Several processes"][number].replace("dist.destroy", f"{trained}dist.destroy")
    program = tmp_path / "train.py"
    program.write_text(f"import sys; sys.path.insert(0, {str(ROOT / 'python')!r})\n{START}\n{block}")
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", program],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
