# SPDX-License-Identifier: MIT
"""Checkpoints of other implementations: the run goes on where theirs would have."""

from __future__ import annotations

import importlib.util
import json
import pathlib
import warnings
from typing import Any

import adabelief
import pytest
import torch

REFERENCE = pathlib.Path(__file__).parents[1] / "reference"
SPEC = importlib.util.spec_from_file_location("checkpoints", REFERENCE / "checkpoints.py")
assert SPEC is not None and SPEC.loader is not None
checkpoints = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(checkpoints)
CASES = json.loads((REFERENCE / "checkpoints.json").read_text())["cases"]
PATHS = {"native": {}, "lists": {"fused": False, "foreach": True}, "single": {"fused": False, "foreach": False}}


def name(case: dict[str, Any]) -> str:
    return f"{case['implementation']} {case['options']}"


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("case", CASES, ids=name)
def test_a_run_goes_on_as_the_unbroken_one(case: dict[str, Any], path: str) -> None:
    weights = [torch.tensor(x, requires_grad=True) for x in case["x"]["100"]]
    cls = getattr(adabelief, case["ours"]["class"])
    optimizer = cls(weights, **case["ours"]["keywords"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        optimizer.load_state_dict(checkpoints.decoded(case["state_dict"]))
    optimizer.param_groups[0].update(PATHS[path])
    seen = checkpoints.follow(weights, optimizer, range(101, 201))
    for t in checkpoints.STEPS[1:]:
        for ours, theirs in zip(seen[t], case["x"][str(t)], strict=True):
            # A weight's steps are of up to 0.1; theirs and ours round each in their own order.
            torch.testing.assert_close(torch.tensor(ours), torch.tensor(theirs), rtol=3e-6, atol=3e-6)


def of(implementation: str, **options: Any) -> dict[str, Any]:
    return next(
        checkpoints.decoded(case["state_dict"])
        for case in CASES
        if implementation in case["implementation"] and case["options"] == options
    )


def test_options_that_the_other_side_keeps_are_taken_and_all_else_stays() -> None:
    weights = [torch.tensor(x, requires_grad=True) for x in checkpoints.START]
    optimizer = adabelief.AdaBelief(weights, lr=0.5, preset="pytorch-0.2.1")
    optimizer.load_state_dict(of("adabelief-pytorch 0.2.1", lr=1e-2, eps=1e-12, weight_decay=1e-2))
    group = optimizer.param_groups[0]
    assert (group["lr"], group["eps"], group["weight_decay"]) == (1e-2, 1e-12, 1e-2)
    assert group["rectify"] == "pytorch-0.2.1" and group["decoupled_decay"] and "buffer" not in group


def test_of_adams_state_the_message_says_what_is_kept() -> None:
    weights = [torch.tensor(x, requires_grad=True) for x in checkpoints.START]
    optimizer, saved = adabelief.AdaBelief(weights), of("Adam", amsgrad=True)
    with pytest.warns(UserWarning, match="kept are the step counts, exp_avg, and exp_avg_sq as the first exp_avg_var"):
        optimizer.load_state_dict(saved)
    state = optimizer.state[weights[0]]
    assert torch.equal(state["exp_avg_var"], saved["state"][0]["exp_avg_sq"])
    assert set(state) == {"step", "exp_avg", "exp_avg_var", "max_exp_avg_var"} and float(state["step"]) == 100
    before = [weight.detach().clone() for weight in weights]
    checkpoints.follow(weights, optimizer, range(101, 103))
    assert all((a - b).abs().max() < 0.01 for a, b in zip(before, weights, strict=True))


def test_a_state_that_lacks_what_the_rule_needs_is_refused_and_changes_nothing() -> None:
    weights = [torch.tensor(x, requires_grad=True) for x in checkpoints.START]
    optimizer = adabelief.AdaBelief(weights, lr=0.5)
    with pytest.raises(ValueError, match="loaded state dict has no exp_avg for parameter 0, only momentum_buffer"):
        optimizer.load_state_dict(of("SGD", lr=1e-2, momentum=0.9, nesterov=True))
    assert not optimizer.state and optimizer.param_groups[0]["lr"] == 0.5


def trained(classes: int, **options: Any) -> adabelief.AdaBelief:
    body, head = (torch.nn.Parameter(torch.ones(shape)) for shape in ((3,), (classes, 512)))
    optimizer = adabelief.AdaBelief([("body", body), ("head", head)], **options)
    body.grad, head.grad = torch.ones_like(body), torch.ones_like(head)
    optimizer.step()
    return optimizer


@pytest.mark.parametrize("state_dtype", [None, torch.bfloat16, "8bit"], ids=str)
@pytest.mark.parametrize(("theirs", "ours"), [(10, 100), (100, 10), (10, 1)])
def test_a_state_of_another_size_is_refused_and_changes_nothing(theirs: int, ours: int, state_dtype: Any) -> None:
    optimizer, saved = trained(ours, lr=0.5), trained(theirs, lr=0.1, state_dtype=state_dtype).state_dict()
    body, head = optimizer.param_groups[0]["params"]
    with pytest.raises(ValueError, match=rf"parameter 1 \(head\): exp_avg is of shape .* of shape \({ours}, 512\)"):
        optimizer.load_state_dict(saved)
    assert optimizer.param_groups[0]["lr"] == 0.5 and optimizer.state[head]["exp_avg"].shape == head.shape
    del saved["state"][1]  # as the message says
    optimizer.load_state_dict(saved)
    optimizer.step()
    assert float(optimizer.state[body]["step"]) == 2 and float(optimizer.state[head]["step"]) == 1


def test_options_that_contradict_each_other_are_refused_and_change_nothing() -> None:
    weight = torch.nn.Parameter(torch.ones(3))
    optimizer = adabelief.AdaBelief([weight], lr=0.5, preset="pytorch-0.0.5", amsgrad=True)
    saved = adabelief.AdaBelief([weight], lr=0.1).state_dict()
    del saved["param_groups"][0]["eps_in_max"]  # so that it stays, as True
    before = dict(optimizer.param_groups[0])
    with pytest.raises(ValueError, match="`eps_in_max` has no effect with amsgrad=False"):
        optimizer.load_state_dict(saved)
    assert optimizer.param_groups[0] == before


def test_what_others_keep_in_state_is_loaded_as_torch_does() -> None:
    optimizer = trained(10)
    optimizer.state["global"] = {"norm": torch.tensor(2.0)}
    again = trained(10)
    again.load_state_dict(optimizer.state_dict())
    assert again.state["global"] == {"norm": torch.tensor(2.0)}
    again.step()
