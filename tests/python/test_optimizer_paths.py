# SPDX-License-Identifier: MIT
"""The package's optimizers step as the rules say: by each of their paths, beside other implementations' trajectories."""

from __future__ import annotations

import itertools
import json
import pathlib
from typing import Any

import adabelief
import numpy as np
import pytest
import torch
from adabelief import _fused, _native, _path
from torch._dynamo.testing import CompileCounter
from torch.testing._internal.two_tensor import TwoTensor

ROOT = pathlib.Path(__file__).parents[2]
REFERENCE = ROOT / "tests" / "reference"
CLASSES = {cls.rule.name: cls for cls in (getattr(adabelief, name) for name in adabelief.rules.__all__)}
PATHS: dict[str, dict[str, Any]] = {
    "native": {"fused": True},
    "lists": {"foreach": True},
    "single": {"foreach": False, "fused": False},
    "lists, capturable": {"foreach": True, "capturable": True},
    "single, capturable": {"foreach": False, "fused": False, "capturable": True},
    "single, differentiable": {"differentiable": True},
}
SHAPES = [(5,), (3, 4), (2, 3, 4), (1,), ()]


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_the_native_path_is_there() -> None:
    assert _native.load(), _native.load().reason


def keywords(cls: type[adabelief.Optimizer], options: dict[str, Any]) -> dict[str, Any]:
    """Options of the core as keywords of the class."""
    options = {("lambda_" if name == "lambda" else name): value for name, value in options.items()}
    if "beta1" in options or "beta2" in options:
        beta = {option.name: option.default for option in cls.rule.options} | options
        options["betas"] = beta["beta1"], beta["beta2"]
        options = {name: value for name, value in options.items() if name not in ("beta1", "beta2")}
    decay = options.pop("decay", None)
    if decay is not None:
        options |= {"decoupled_decay": decay == "decoupled", "fixed_decay": decay == "fixed"}
    return options


class Problem:
    """Gradients by the recipe in problems.json."""

    def __init__(self, name: str) -> None:
        problem = json.loads((REFERENCE / "problems.json").read_text())["problems"][name]
        self.mean, self.curvature, self.target = (np.array(problem[key]) for key in ("mean", "curvature", "target"))
        self.spread, self.flip, self.zeros = problem["spread"], problem["flip"], np.uint64(problem["zeros"])

    def gradient(self, t: int, x: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore"):
            z = (np.uint64(8 * t) + np.arange(8, dtype=np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
            z = (z ^ z >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
            z = (z ^ z >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
            z = z ^ z >> np.uint64(31)
        u = np.ldexp(((z >> np.uint64(11)).astype(np.int64) - (1 << 52)).astype(np.float64), -52)
        mean = -self.mean if self.flip and t % 2 == 0 else self.mean
        return np.where(z & self.zeros, 0.0, self.curvature * (x - self.target) + (mean + self.spread * u))


def follow(case: dict[str, Any], cls: type[adabelief.Optimizer], path: dict[str, Any], last: int) -> None:
    x = torch.tensor(case["start"], dtype=torch.float64, requires_grad=not path.get("differentiable"))
    optimizer = cls([x], **keywords(cls, case["options"]), **path)
    problem, t = Problem(case["problem"]), 0
    for step, theirs in zip(case["steps"], np.array(case["x"]), strict=True):
        if step > last:
            break
        while t < step:
            t += 1
            x.grad = torch.from_numpy(problem.gradient(t, x.detach().numpy()))
            optimizer.step()
        ours = x.detach().numpy()
        size = np.maximum(np.maximum(abs(ours), abs(theirs)), case["scale"])
        assert np.all(abs(ours - theirs) <= case["tolerance"] * size), f"{case['name']}, step {t}"


@pytest.mark.parametrize("rule", CLASSES)
@pytest.mark.parametrize("path", ["native", "lists", "single"])
def test_a_rule_follows_other_implementations(rule: str, path: str) -> None:
    cases = json.loads((REFERENCE / f"{rule}.json").read_text())["cases"]
    for case in cases:
        # The core's own tests go on to step 1,001.
        follow(case, CLASSES[rule], PATHS[path], 100 if case is cases[0] else 10)


def variants(cls: type[adabelief.Optimizer]) -> list[dict[str, Any]]:
    """Every bool and choice of a rule, each kind of decay, the presets, and numbers that are not the defaults."""
    numbers: dict[str, Any] = {"weight_decay": 0.1}
    if "betas" in cls([torch.zeros(1)]).defaults:
        numbers["betas"] = 0.8, 0.95
    for option in cls.rule.options:
        if option.name in ("momentum", "dampening"):
            numbers[option.name] = 0.5
    kinds: list[list[dict[str, Any]]] = [[{}, {"decoupled_decay": True}, {"fixed_decay": True}]]
    for option in cls.rule.options:
        if option.choices:
            kinds.append([{option.name: choice} for choice in option.choices])
        elif isinstance(option.default, bool):
            kinds.append([{option.name: False}, {option.name: True}])
    all = [numbers | {k: v for one in ones for k, v in one.items()} for ones in itertools.product(*kinds)]
    if cls.largest is not None:
        all += [numbers | {"amsgrad": True}, {"amsgrad": True, "maximize": True}]
    return all + [{}, {"maximize": True}] + [{"preset": preset} for preset in cls.rule.presets]


def train(
    cls: type[adabelief.Optimizer], options: dict[str, Any], dtype: torch.dtype, steps: int = 8
) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    real = torch.float64 if dtype in (torch.float64, torch.complex128) else torch.float32

    def draw(shape: tuple[int, ...]) -> torch.Tensor:
        parts = [torch.randn(shape, generator=generator, dtype=real) for _ in range(2)]
        return torch.complex(*parts) if dtype.is_complex else parts[0].to(dtype)

    weights = [draw(shape).requires_grad_(not options.get("differentiable")) for shape in SHAPES]
    optimizer = cls(weights, **options)
    for t in range(steps):
        for i, weight in enumerate(weights):
            weight.grad = None if t == 2 and i == 1 else draw(tuple(weight.shape))
        optimizer.step()
    return [weight.detach() for weight in weights] + [
        state[name] for state in optimizer.state.values() for name in cls.rule.states
    ]


# Of the largest number of a tensor, in units of the type's rounding: the paths do the same operations in the same order,
# but for powers in double, of a step's scalars and Padam, and the sums of norms.
ROUNDINGS = {torch.float64: 4, torch.complex128: 4, torch.float32: 4, torch.complex64: 4, torch.bfloat16: 2}


def assert_near(ours: list[torch.Tensor], theirs: list[torch.Tensor], dtype: torch.dtype, what: object) -> None:
    for a, b in zip(ours, theirs, strict=True):
        assert a.dtype == b.dtype and a.shape == b.shape
        eps = torch.finfo(a.dtype).eps
        limit = ROUNDINGS[dtype] * eps * max(1.0, float(b.abs().max()))
        assert float((a - b).abs().max()) <= limit, (what, a, b)


@pytest.mark.parametrize("name", CLASSES)
def test_the_paths_of_a_rule_agree_over_all_its_options(name: str) -> None:
    cls = CLASSES[name]
    for options in variants(cls):
        native = train(cls, options | {"fused": True}, torch.float64)
        for path in PATHS.values():
            assert_near(train(cls, options | path, torch.float64), native, torch.float64, (options, path))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.complex64, torch.complex128], ids=str)
@pytest.mark.parametrize("name", CLASSES)
def test_the_paths_of_a_rule_agree_in_every_type(name: str, dtype: torch.dtype) -> None:
    cls = CLASSES[name]
    native = train(cls, {"weight_decay": 0.01, "fused": True}, dtype)
    for path in ("lists", "single"):
        assert_near(train(cls, {"weight_decay": 0.01} | PATHS[path], dtype), native, dtype, path)


def test_the_path_is_the_first_that_can() -> None:
    dense, apart = torch.zeros(4, requires_grad=True), torch.zeros(8)[::2].requires_grad_()
    optimizer = adabelief.AdaBelief([dense, apart])
    dense.grad, apart.grad = torch.ones(4), torch.ones(4)
    optimizer.step()
    assert [len(fused._params) for fused in optimizer._fused or []] == [1]
    assert_near([dense.detach()], [apart.detach()], torch.float32, "paths")


@pytest.mark.parametrize(
    ("asked", "taken"),
    [
        ({}, "native"),
        ({"foreach": False, "fused": True}, "native"),
        ({"foreach": True}, "lists"),
        ({"fused": False}, "lists"),
        ({"foreach": False}, "single"),
        ({"foreach": False, "fused": False}, "single"),
    ],
    ids=str,
)
def test_what_is_asked_for_is_the_path(asked: dict[str, Any], taken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = []
    for path, place, function in (
        ("native", _fused.Fused, "step"),
        ("lists", _path, "_list"),
        ("single", _path, "_single"),
    ):
        monkeypatch.setattr(place, function, lambda *_, path=path: paths.append(path))
    weight = torch.zeros(4, requires_grad=True)
    optimizer = adabelief.AdaBelief([weight], **asked)
    weight.grad = torch.ones(4)
    optimizer.step()
    assert paths == [taken]


@pytest.mark.parametrize(
    "layout", ["transposed", "channels last", "slice", "gradient in other strides", "negative view"]
)
def test_views_and_strides_take_the_steps_of_plain_tensors(layout: str) -> None:
    generator = torch.Generator().manual_seed(1)
    start, gradient = (torch.randn(2, 6, 4, 4, generator=generator) for _ in range(2))
    plain = start.clone().requires_grad_()
    grad = gradient.clone()
    if layout == "transposed":
        other = start.transpose(0, 3).contiguous().transpose(0, 3).requires_grad_()
    elif layout == "channels last":
        other = start.contiguous(memory_format=torch.channels_last).requires_grad_()
    elif layout == "slice":
        other = torch.stack([start, start], -1)[..., 0].detach().requires_grad_()
    else:
        other = start.clone().requires_grad_()
        grad = torch._neg_view(-gradient) if layout == "negative view" else gradient.mT.contiguous().mT
    optimizers = [adabelief.AdaBelief([weight]) for weight in (plain, other)]
    for _ in range(3):
        plain.grad, other.grad = gradient.clone(), grad
        for optimizer in optimizers:
            optimizer.step()
    assert_near([plain.detach()], [other.detach()], torch.float32, layout)


def test_weights_that_move_between_two_steps_go_on_from_where_they_are() -> None:
    def run(move: bool) -> torch.Tensor:
        weight = torch.nn.Parameter(torch.linspace(-1, 1, 9).reshape(3, 3))
        optimizer = adabelief.AdaBelief([weight], lr=0.1)
        for t in range(6):
            if move and t == 2:
                weight.data = weight.data.clone()
            if move and t == 3:
                weight.data = weight.data.t().contiguous().t()
            if move and t == 4:
                optimizer.state[weight]["exp_avg"] = optimizer.state[weight]["exp_avg"].clone()
            weight.grad = torch.full((3, 3), 0.5 + t)
            optimizer.step()
        return weight.detach()

    assert torch.equal(run(True), run(False))


def test_a_square_weight_that_is_transposed_in_place_steps_as_it_then_lies() -> None:
    weights = [torch.nn.Parameter(torch.linspace(-1, 1, 9).reshape(3, 3)) for _ in range(2)]
    paths = PATHS["native"], PATHS["single"]
    optimizers = [adabelief.AdaBelief([one], lr=0.1, **path) for one, path in zip(weights, paths, strict=True)]
    for t in range(4):
        for weight, optimizer in zip(weights, optimizers, strict=True):
            if t == 2:
                weight.data = weight.data.t()
            weight.grad = torch.arange(9.0).reshape(3, 3).add(t)
            optimizer.step()
    assert_near([weights[0].detach()], [weights[1].detach()], torch.float32, "paths")


@pytest.mark.parametrize(
    "move",
    [
        lambda state: state["exp_avg"].share_memory_(),
        lambda state: state["step"].share_memory_(),
        lambda state: setattr(state["exp_avg"], "data", state["exp_avg"].clone()),
        lambda state: state.update(step=state["step"].clone()),
        lambda state: state.update(exp_avg=state["exp_avg"].clone()),
    ],
    ids=["shared", "shared count", "data", "replaced count", "replaced"],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.complex64], ids=str)
def test_states_that_move_between_two_steps_go_on_from_where_they_are(move: Any, dtype: torch.dtype) -> None:
    weight = torch.nn.Parameter(torch.ones(1, dtype=dtype))  # of one element: what replaces its state is equal to it
    optimizer = adabelief.AdaBelief([weight])
    for t in range(4):
        if t == 2:
            move(optimizer.state[weight])
        before = optimizer.state[weight]["exp_avg"].clone() if t else torch.zeros_like(weight)
        weight.grad = torch.full_like(weight, 2.0)
        optimizer.step()
        state = optimizer.state[weight]
        assert float(state["step"]) == t + 1
        torch.testing.assert_close(state["exp_avg"], 0.9 * before + 0.2)


def test_a_group_that_is_replaced_steps_by_its_options() -> None:
    weight = torch.nn.Parameter(torch.ones(3))
    optimizer = adabelief.AdaBelief([weight])
    for lr in (0.1, 0.0):
        optimizer.param_groups[0] = optimizer.param_groups[0] | {"lr": lr}
        before, weight.grad = weight.detach().clone(), torch.ones(3)
        optimizer.step()
        assert torch.equal(weight, before) == (lr == 0)


@pytest.mark.parametrize("state_dtype", [None, torch.bfloat16, "8bit"], ids=str)
@pytest.mark.parametrize("path", ["native", "lists", "single"])
def test_a_weight_that_has_outgrown_its_states_is_refused_by_name(path: str, state_dtype: Any) -> None:
    optimizer = adabelief.AdaBelief(
        [("body", torch.nn.Parameter(torch.ones(3))), ("head", torch.nn.Parameter(torch.ones(10, 512)))],
        state_dtype=state_dtype,
    )
    body, head = optimizer.param_groups[0]["params"]
    body.grad, head.grad = torch.ones_like(body), torch.ones_like(head)
    optimizer.step()
    optimizer.param_groups[0].update(PATHS[path])
    head.data = torch.cat([head.data] * 10)
    with pytest.raises(RuntimeError, match=r"gradient of parameter 1 \(head\) is of shape \(10, 512\).*\(100, 512\)"):
        optimizer.step()
    head.grad = torch.ones_like(head)
    for _ in range(2):
        with pytest.raises(RuntimeError, match=r"parameter 1 \(head\) does not fit: exp_avg.* of shape \(100, 512\)"):
            optimizer.step()
    del optimizer.state[head]
    optimizer.step()
    assert float(optimizer.state[head]["step"]) == 1 and float(optimizer.state[body]["step"]) == 2


@pytest.mark.parametrize("shape", [(2, 3), (6, 2)])
def test_a_weight_of_another_shape_in_the_same_memory_is_refused_by_name(shape: tuple[int, int]) -> None:
    weight = torch.nn.Parameter(torch.ones(4, 3))
    optimizer = adabelief.AdaBelief([("head", weight)])
    weight.grad = torch.ones_like(weight)
    optimizer.step()
    whole = weight.data
    weight.data = whole.view(-1)[: shape[0] * shape[1]].view(shape)
    before = whole.clone()
    with pytest.raises(RuntimeError, match=r"parameter 0 \(head\) is of shape \(4, 3\)"):  # the gradient
        optimizer.step()
    weight.grad = torch.ones_like(weight)
    with pytest.raises(RuntimeError, match=r"parameter 0 \(head\) does not fit"):
        optimizer.step()
    assert torch.equal(whole, before)


def test_states_of_8_bits_go_on_in_16_bits_and_as_doubles() -> None:
    def after(dtype: torch.dtype, state_dtype: torch.dtype | None) -> torch.Tensor:
        weight = torch.nn.Parameter(torch.zeros(8192))
        optimizer = adabelief.AdaBelief([weight], state_dtype="8bit")
        for _ in range(2):
            weight.grad = torch.ones_like(weight)
            optimizer.step()
            weight.data = weight.data.to(dtype)
            optimizer.param_groups[0]["state_dtype"] = state_dtype
        return optimizer.state[weight]["exp_avg"]

    for dtype, state_dtype in ((torch.float32, torch.bfloat16), (torch.float64, None)):
        state = after(dtype, state_dtype)
        assert state.dtype == (state_dtype or dtype)
        assert float((state - 0.19).abs().max()) < 0.01


@pytest.mark.parametrize("path", ["native", "lists", "single"])
def test_a_tensor_subclass_is_never_taken_for_its_memory(path: str) -> None:
    start, grad = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([0.1, -0.2, 0.3])
    weight = torch.nn.Parameter(TwoTensor(start.clone(), -start))  # one of whose two is what it is on the outside
    options = PATHS[path] if path != "native" else {}
    optimizer = adabelief.AdaBelief([weight], lr=0.1, **options)
    plain = [torch.nn.Parameter(start.clone()), torch.nn.Parameter(-start)]
    other = adabelief.AdaBelief(plain, lr=0.1)
    for _ in range(3):
        weight.grad = TwoTensor(grad.clone(), 2 * grad)
        plain[0].grad, plain[1].grad = grad.clone(), 2 * grad
        optimizer.step(), other.step()
    assert not optimizer._fused
    assert_near([weight.a, weight.b], [one.detach() for one in plain], torch.float32, path)


def test_where_fused_is_impossible_it_says_what_is_wrong() -> None:
    with pytest.raises(RuntimeError, match="one is on meta"):
        adabelief.AdaBelief([torch.zeros(3, device="meta", requires_grad=True)], fused=True)
    with pytest.raises(RuntimeError, match="a view with gaps"):
        adabelief.AdaBelief([torch.zeros(6)[::2].requires_grad_()], fused=True)
    with pytest.raises(RuntimeError, match="`fused` and `foreach` cannot be `True` together"):
        adabelief.AdaBelief([torch.zeros(3)], fused=True, foreach=True)
    optimizer = adabelief.AdaBelief([torch.zeros(3)], fused=True)
    with pytest.raises(RuntimeError, match="a view with gaps"):
        optimizer.add_param_group({"params": [torch.zeros(6)[::2]]})
    assert len(optimizer.param_groups) == 1


@pytest.mark.parametrize("dtype", [torch.bfloat16, "8bit"])
def test_states_of_fewer_bits_keep_their_form_and_stay_near(dtype: Any) -> None:
    def run(state_dtype: Any) -> tuple[torch.Tensor, adabelief.Optimizer]:
        generator = torch.Generator().manual_seed(0)
        weight = torch.zeros(8192, requires_grad=True)
        optimizer = adabelief.AdaBelief([weight], lr=1e-2, state_dtype=state_dtype)
        for t in range(30):
            weight.grad = weight.detach() - 1 + 0.1 * torch.randn(8192, generator=generator)
            optimizer.step()
            if t == 15:  # through a checkpoint, too
                optimizer.load_state_dict(optimizer.state_dict())
        return weight.detach(), optimizer

    full, (low, optimizer) = run(None)[0], run(dtype)
    state = next(iter(optimizer.state.values()))
    assert state["exp_avg"].dtype == (torch.uint8 if dtype == "8bit" else dtype)
    assert state["exp_avg"].nbytes <= (1.01 if dtype == "8bit" else 2) * 8192
    assert 0 < float((full - low).abs().mean()) < 0.05
    # Where the native path ends, the states become floats.
    optimizer.param_groups[0]["fused"] = False
    optimizer.step()
    assert state["exp_avg"].dtype == torch.float32
    assert float((state["exp_avg"] - next(iter(run(None)[1].state.values()))["exp_avg"]).abs().mean()) < 0.05


@pytest.mark.parametrize("options", [{}, {"foreach": False}], ids=str)
@pytest.mark.parametrize("cls", CLASSES.values(), ids=lambda cls: cls.__name__)
def test_torch_compiles_a_step_as_one_graph(cls: type[adabelief.Optimizer], options: dict[str, Any]) -> None:
    torch._dynamo.reset()
    weights = [torch.linspace(-1, 1, 7).requires_grad_(), torch.ones(2, 3, requires_grad=True)]
    plain = [w.detach().clone().requires_grad_() for w in weights]
    compiled, eager = cls(weights, **options), cls(plain, **options)
    counter = CompileCounter()
    step = torch.compile(compiled.step, backend=counter, fullgraph=True)
    for t in range(4):
        for w, p in zip(weights, plain, strict=True):
            w.grad = torch.cos(torch.arange(w.numel()) * (t + 1.0)).view_as(w)
            p.grad = w.grad.clone()
        step()
        eager.step()
    assert counter.frame_count == 2  # one makes the states, one finds them there
    torch.testing.assert_close(weights, plain)
