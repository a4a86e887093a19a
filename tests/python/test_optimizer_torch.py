# SPDX-License-Identifier: MIT
"""What torch tests of its own optimizers (test_optim.py, common_optimizers.py), and timm and pytorch_optimizer of theirs,
of each class of the package, by each path."""

from __future__ import annotations

import copy
import functools
import gc
import io
import pickle
import warnings
import weakref
from typing import Any

import adabelief
import pytest
import torch
from adabelief import AdaBelief
from torch.autograd import gradcheck
from torch.optim.lr_scheduler import (
    CosineAnnealingLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    OneCycleLR,
    ReduceLROnPlateau,
    StepLR,
)

CLASSES = [getattr(adabelief, name) for name in adabelief.rules.__all__]
PATHS: dict[str, dict[str, Any]] = {
    "native": {"fused": True},
    "lists": {"foreach": True},
    "single": {"foreach": False, "fused": False},
}
every_class = pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
every_path = pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(before)


def model() -> tuple[torch.nn.Module, Any]:
    """A small network, and a closure that computes its gradients for an optimizer."""
    net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1))
    x, y = torch.randn(16, 4), torch.randn(16, 1)

    def closure(optimizer: torch.optim.Optimizer) -> torch.Tensor:
        optimizer.zero_grad()
        loss = ((net(x) - y) ** 2).mean()
        loss.backward()
        return loss

    return net, closure


@every_path
@every_class
def test_the_loss_of_a_linear_model_falls(cls: type[adabelief.Optimizer], path: dict[str, Any]) -> None:
    weight, bias, x = torch.nn.Parameter(torch.randn(10, 5)), torch.nn.Parameter(torch.randn(10)), torch.randn(5)
    optimizer = cls([weight, bias], lr=min(1e-2, cls.rule.options[0].default), **path)

    def closure() -> float:
        optimizer.zero_grad()
        loss = (weight.mv(x) + bias).pow(2).sum()
        loss.backward()
        return loss.item()

    first = closure()
    for _ in range(20):
        before = [p.detach().clone() for p in (weight, bias)]
        assert isinstance(optimizer.step(closure), float)
        assert any(not torch.equal(a, b) for a, b in zip(before, (weight, bias), strict=True))
    assert closure() < first


@every_class
def test_maximize_climbs(cls: type[adabelief.Optimizer]) -> None:
    up, down = (torch.ones(4, requires_grad=True) for _ in range(2))
    a, b = cls([up], maximize=True), cls([down])
    for _ in range(3):
        up.grad, down.grad = torch.full((4,), -0.5), torch.full((4,), 0.5)
        a.step(), b.step()
    assert torch.equal(up, down)


@every_path
def test_rosenbrock_is_solved(path: dict[str, Any]) -> None:
    point = torch.tensor([-1.5, 1.5], requires_grad=True)
    optimizer = AdaBelief([point], lr=0.2, **path)
    for _ in range(800):
        optimizer.zero_grad()
        loss = (1 - point[0]) ** 2 + 100 * (point[1] - point[0] ** 2) ** 2
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.05, loss.item()


@every_class
def test_a_logistic_regression_is_learnt(cls: type[adabelief.Optimizer]) -> None:
    rates = {"ACProp": 1e-2, "Fromage": 1e-1, "LAMB": 3e-2, "Lion": 1e-2, "MSVAG": 1e-1, "Padam": 1e-1, "SGD": 1e-1}
    x = torch.randn(100, 2)
    x[:50] += 2
    x[50:] -= 2
    y = (torch.arange(100) < 50).float().unsqueeze(1)
    net = torch.nn.Linear(2, 1)
    optimizer = cls(net.parameters(), lr=rates.get(cls.__name__, 3e-2))
    losses = []
    for _ in range(100):
        optimizer.zero_grad()
        loss = torch.nn.functional.binary_cross_entropy_with_logits(net(x), y)
        loss.backward()
        losses.append(loss.item())
        optimizer.step()
    assert losses[-1] < 0.5 * losses[0]


@every_path
@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128], ids=str)
@every_class
def test_a_complex_weight_steps_as_its_two_parts(
    cls: type[adabelief.Optimizer], dtype: torch.dtype, path: dict[str, Any]
) -> None:
    weight = torch.randn(3, 4, dtype=dtype, requires_grad=True)
    parts = torch.view_as_real(weight.detach()).clone().requires_grad_()
    a, b = cls([weight], **path), cls([parts], **path)
    for _ in range(4):
        weight.grad = torch.randn(3, 4, dtype=dtype).conj()  # a lazy conjugate
        parts.grad = torch.view_as_real(weight.grad.resolve_conj()).clone()
        a.step(), b.step()
        torch.testing.assert_close(torch.view_as_real(weight.detach()), parts.detach())
    assert all(state.is_complex() for name, state in a.state[weight].items() if name != "step")


@pytest.mark.parametrize("capturable", [False, True])
@every_class
def test_gradients_flow_through_a_step(cls: type[adabelief.Optimizer], capturable: bool) -> None:
    options = {"capturable": True, "foreach": False} if capturable else {}
    states = {name: torch.rand(6, dtype=torch.float64, requires_grad=True) + 0.1 for name in cls.rule.states}

    def step(weight: torch.Tensor, grad: torch.Tensor, *kept: torch.Tensor) -> tuple[torch.Tensor, ...]:
        weight = weight.clone()
        weight.grad = grad
        optimizer = cls([weight], differentiable=True, lr=0.1, weight_decay=0.1, **options)
        optimizer.state[weight] = {"step": torch.tensor(9.0)} | {
            name: one.clone() for name, one in zip(cls.rule.states, kept, strict=True)
        }
        optimizer.step()
        return weight, *(optimizer.state[weight][name] for name in cls.rule.states)

    weight, grad = (torch.rand(6, dtype=torch.float64, requires_grad=True) for _ in range(2))
    kept = [one.detach().requires_grad_() for one in states.values()]
    assert gradcheck(step, (weight, grad, *kept))


@every_class
def test_gradients_flow_to_the_learning_rate(cls: type[adabelief.Optimizer]) -> None:
    def step(lr: torch.Tensor, start: torch.Tensor) -> torch.Tensor:
        weight = start.clone()
        optimizer = cls([weight], lr=lr, differentiable=True)
        for t in range(3):
            weight.grad = torch.linspace(-1, 1, 6, dtype=torch.float64) + 0.1 * t
            optimizer.step()
        return weight

    lr = torch.tensor(0.01, dtype=torch.float64, requires_grad=True)
    assert gradcheck(step, (lr, torch.linspace(1, 2, 6, dtype=torch.float64)))


@every_path
@pytest.mark.parametrize("shape", [(), (1,)], ids=str)
def test_a_tensor_as_learning_rate_steps_as_the_number(shape: tuple[int, ...], path: dict[str, Any]) -> None:
    lr = torch.full(shape, 0.05, dtype=torch.float64)
    weights = [torch.ones(3, requires_grad=True) for _ in range(2)]
    optimizers = [AdaBelief([weights[0]], lr=lr, **path), AdaBelief([weights[1]], lr=0.05, **path)]
    for t in range(4):
        lr.mul_(0.9)
        optimizers[1].param_groups[0]["lr"] = float(lr)
        for weight, optimizer in zip(weights, optimizers, strict=True):
            weight.grad = torch.full((3,), 1.0 + t)
            optimizer.step()
    torch.testing.assert_close(weights[0], weights[1], rtol=1e-6, atol=0)


@every_path
@every_class
def test_an_optimizer_without_gradients_changes_nothing(cls: type[adabelief.Optimizer], path: dict[str, Any]) -> None:
    weight = torch.ones(3, requires_grad=True)
    optimizer = cls([weight], **path)
    optimizer.step()
    assert torch.equal(weight, torch.ones(3)) and not optimizer.state


@every_path
@every_class
def test_gradients_of_zero_and_empty_weights_do_no_harm(cls: type[adabelief.Optimizer], path: dict[str, Any]) -> None:
    weight, empty = torch.ones(3, requires_grad=True), torch.ones(0, 4, requires_grad=True)
    path = path if "fused" not in path or not path["fused"] else {}
    optimizer = cls([weight, empty], **path)
    for _ in range(2):
        weight.grad, empty.grad = torch.zeros(3), torch.zeros(0, 4)
        optimizer.step()
    assert torch.isfinite(weight).all()
    assert all(float(state["step"]) == 2 for state in optimizer.state.values())


@every_path
@every_class
def test_gradients_are_only_read(cls: type[adabelief.Optimizer], path: dict[str, Any]) -> None:
    weight = torch.ones(3, requires_grad=True)
    optimizer = cls([weight], weight_decay=0.1, maximize=True, **path)
    weight.grad = torch.tensor([1.0, -2.0, 3.0])
    kept, version = weight.grad, weight.grad._version
    optimizer.step()
    assert weight.grad is kept and kept._version == version and kept.tolist() == [1, -2, 3]


@every_path
def test_autograd_notices_the_step_of_a_weight_that_it_had_saved(path: dict[str, Any]) -> None:
    weight = torch.ones(3, requires_grad=True)
    optimizer = AdaBelief([weight], **path)
    loss = (weight * weight).sum()
    weight.grad = torch.ones(3)
    optimizer.step()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


@every_path
def test_a_weight_without_a_gradient_is_as_autograd_had_saved_it(path: dict[str, Any]) -> None:
    nets = [torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Linear(3, 1)) for _ in range(2)]
    optimizer = AdaBelief([weight for net in nets for weight in net.parameters()], **path)
    x = torch.ones(2, 3, requires_grad=True)
    for _ in range(2):
        losses = [net(x).sum() for net in nets]
        for loss in losses:
            loss.backward()  # with the other net's weights stepped, and its own as they were
            optimizer.step()
            optimizer.zero_grad()


def test_sparse_gradients_are_refused_by_name() -> None:
    table = torch.nn.Embedding(5, 2, sparse=True)
    optimizer = AdaBelief(table.parameters())
    table(torch.tensor([1])).sum().backward()
    with pytest.raises(RuntimeError, match="AdaBelief does not support sparse gradients"):
        optimizer.step()


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"lr": -1}, ValueError, "Invalid learning rate: -1"),
        ({"eps": -1}, ValueError, "Invalid epsilon value: -1"),
        ({"betas": (1.0, 0.9)}, ValueError, "Invalid beta parameter at index 0: 1.0"),
        ({"betas": (0.9, -0.1)}, ValueError, "Invalid beta parameter at index 1: -0.1"),
        ({"weight_decay": -1}, ValueError, "Invalid weight_decay value: -1"),
        ({"lr": torch.tensor([1.0, 2.0])}, ValueError, "Tensor lr must be 1-element"),
        ({"rectify": "never"}, ValueError, "Invalid rectify value: never .one of: none, pytorch-0.0.5"),
        ({"preset": "keras"}, ValueError, "Invalid preset: keras .for adabelief there are: paper, pytorch-0.0.5"),
        ({"amsgrad": True, "accumulate": False}, ValueError, "`accumulate` has no effect with amsgrad=True"),
        ({"eps_in_max": True}, ValueError, "`eps_in_max` has no effect with amsgrad=False"),
        ({"decoupled_decay": True, "fixed_decay": True}, ValueError, "cannot be `True` together"),
        ({"fused": True, "differentiable": True}, RuntimeError, "`fused` does not support `differentiable`"),
        ({"state_dtype": torch.float16}, ValueError, "Invalid state_dtype: torch.float16"),
    ],
)
def test_a_wrong_option_is_refused_in_torchs_words(options: dict[str, Any], error: Any, words: str) -> None:
    with pytest.raises(error, match=words):
        AdaBelief([torch.zeros(1)], **options)
    if "preset" not in options:
        with pytest.raises(error, match=words):
            AdaBelief([torch.zeros(1)]).add_param_group({"params": [torch.zeros(2)], **options})


def test_wrong_parameters_are_refused_by_torch() -> None:
    with pytest.raises(TypeError, match="iterable of Tensors or dicts"):
        AdaBelief(torch.zeros(3))
    with pytest.raises(ValueError, match="empty parameter list"):
        AdaBelief([])
    with pytest.raises(ValueError, match="can't optimize a non-leaf Tensor"):
        AdaBelief([torch.zeros(3, requires_grad=True) * 2])


def test_groups_have_options_of_their_own() -> None:
    weights = [torch.ones(3, requires_grad=True) for _ in range(3)]
    optimizer = AdaBelief([{"params": [weights[0]]}, {"params": [weights[1]], "lr": 0.0}], lr=0.1)
    optimizer.add_param_group({"params": [weights[2]], "amsgrad": True, "betas": (0.5, 0.6)})
    for _ in range(2):
        for weight in weights:
            weight.grad = torch.ones(3)
        optimizer.step()
    assert torch.equal(weights[1], torch.ones(3)) and not torch.equal(weights[0], weights[2])
    assert "max_exp_avg_var" in optimizer.state[weights[2]] and "max_exp_avg_var" not in optimizer.state[weights[0]]
    alone = torch.ones(3, requires_grad=True)
    other = adabelief.AMSBelief([alone], lr=0.1, betas=(0.5, 0.6))
    for _ in range(2):
        alone.grad = torch.ones(3)
        other.step()
    assert torch.equal(alone, weights[2])


@every_path
@pytest.mark.parametrize(
    "scheduler",
    [
        lambda o: StepLR(o, 2, 0.5),
        lambda o: ExponentialLR(o, 0.9),
        lambda o: CosineAnnealingLR(o, 10),
        lambda o: LinearLR(o, 0.5),
        lambda o: LambdaLR(o, lambda t: 1 / (1 + t)),
        lambda o: OneCycleLR(o, max_lr=0.1, total_steps=10),
        lambda o: ReduceLROnPlateau(o, patience=0),
    ],
    ids=["step", "exponential", "cosine", "linear", "lambda", "one cycle", "plateau"],
)
def test_schedulers_set_the_rate_of_the_next_step(scheduler: Any, path: dict[str, Any]) -> None:
    weights = [torch.ones(3, requires_grad=True) for _ in range(2)]
    scheduled, plain = (AdaBelief([weight], lr=0.1, **path) for weight in weights)
    schedule = scheduler(scheduled)
    for t in range(5):
        plain.param_groups[0].update(lr=scheduled.param_groups[0]["lr"], betas=scheduled.param_groups[0]["betas"])
        for weight, optimizer in zip(weights, (scheduled, plain), strict=True):
            weight.grad = torch.full((3,), 1.0 + t)
            optimizer.step()
        schedule.step(1.0) if isinstance(schedule, ReduceLROnPlateau) else schedule.step()
    assert torch.equal(*weights)


@every_path
@every_class
def test_a_state_dict_through_a_file_goes_on_in_the_same_steps(
    cls: type[adabelief.Optimizer], path: dict[str, Any]
) -> None:
    net, closure = model()
    optimizer = cls(net.parameters(), **path)
    for _ in range(3):
        closure(optimizer)
        optimizer.step()
    file = io.BytesIO()
    torch.save({"net": net.state_dict(), "optimizer": optimizer.state_dict()}, file)
    file.seek(0)
    loaded = torch.load(file, weights_only=True)
    again, resumed = copy.deepcopy(net), None
    again.load_state_dict(loaded["net"])
    resumed = cls(again.parameters(), lr=0.5, **path)
    resumed.load_state_dict(loaded["optimizer"])
    assert resumed.param_groups[0]["lr"] == cls.rule.options[0].default
    for a, b in zip(net.parameters(), again.parameters(), strict=True):
        a.grad = torch.randn_like(a)
        b.grad = a.grad.clone()
    optimizer.step(), resumed.step()
    for a, b in zip(net.parameters(), again.parameters(), strict=True):
        assert torch.equal(a, b)
    state, other = optimizer.state_dict(), resumed.state_dict()
    assert state["param_groups"] == other["param_groups"]
    for key in state["state"]:
        assert all(torch.equal(state["state"][key][name], other["state"][key][name]) for name in state["state"][key])


def test_loading_changes_neither_the_type_of_a_state_nor_what_was_loaded() -> None:
    weight = torch.ones(3, dtype=torch.bfloat16, requires_grad=True)
    optimizer = AdaBelief([weight])
    weight.grad = torch.ones_like(weight)
    optimizer.step()
    saved = optimizer.state_dict()
    before = copy.deepcopy(saved)
    resumed = AdaBelief([weight])
    resumed.load_state_dict(saved)
    assert resumed.state[weight]["exp_avg"].dtype == torch.float32
    resumed.step()
    for name, value in before["state"][0].items():
        assert torch.equal(saved["state"][0][name], value)


@every_class
def test_pickle_and_deepcopy_go_on_in_the_same_steps(cls: type[adabelief.Optimizer]) -> None:
    weight = torch.nn.Parameter(torch.randn(5))
    optimizer = cls([weight])
    weight.grad = torch.randn(5)
    optimizer.step()
    copies = [pickle.loads(pickle.dumps(optimizer)), copy.deepcopy(optimizer)]
    assert str(copies[0]) == str(copies[1]) == str(optimizer)
    grad = torch.randn(5)
    for one in [optimizer, *copies]:
        one.param_groups[0]["params"][0].grad = grad.clone()
        one.step()
    for one in copies:
        assert torch.equal(one.param_groups[0]["params"][0], weight)
        assert one.param_groups[0]["params"][0] is not weight


def test_hooks_run_before_and_after_steps_and_state_dicts() -> None:
    weight, said = torch.ones(2, requires_grad=True), []
    optimizer = AdaBelief([weight])
    optimizer.register_step_pre_hook(lambda *_: said.append("before"))
    optimizer.register_step_post_hook(lambda *_: said.append("after"))
    optimizer.register_state_dict_pre_hook(lambda *_: said.append("saving"))
    optimizer.register_state_dict_post_hook(lambda _, saved: saved | {"more": 1})
    optimizer.register_load_state_dict_pre_hook(lambda _, loaded: said.append(loaded.pop("more")))
    optimizer.register_load_state_dict_post_hook(lambda *_: said.append("loaded"))
    weight.grad = torch.ones(2)
    optimizer.step()
    optimizer.load_state_dict(optimizer.state_dict())
    assert said == ["before", "after", "saving", 1, "loaded"]
    assert len(optimizer._optimizer_load_state_dict_pre_hooks) == 1


def test_one_optimizer_a_weight_steps_in_hooks_of_the_backward_pass() -> None:
    net, _ = model()
    plain = copy.deepcopy(net)
    optimizers = {weight: AdaBelief([weight], lr=0.01) for weight in net.parameters()}

    def step(weight: torch.Tensor) -> None:
        optimizers[weight].step()
        optimizers[weight].zero_grad()

    for weight in net.parameters():
        weight.register_post_accumulate_grad_hook(step)
    whole = AdaBelief(plain.parameters(), lr=0.01)
    x = torch.randn(16, 4)
    for _ in range(3):
        for one in (net, plain):
            one(x).pow(2).mean().backward()
        whole.step()
        whole.zero_grad()
    assert all(weight.grad is None for weight in net.parameters())
    for a, b in zip(net.parameters(), plain.parameters(), strict=True):
        assert torch.equal(a, b)


@every_path
def test_a_grad_scaler_scales_back_and_leaves_out_infinite_steps(path: dict[str, Any]) -> None:
    weights = [torch.ones(3, requires_grad=True) for _ in range(2)]
    scaled, plain = (AdaBelief([weight], lr=0.1, **path) for weight in weights)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    for t in range(4):
        for weight, optimizer in zip(weights, (scaled, plain), strict=True):
            optimizer.zero_grad()
            loss = (weight * (1.0 + t)).sum()
            if t == 2 and optimizer is scaled:
                loss = loss * float("inf")
            if optimizer is scaled:
                scaler.scale(loss).backward()
                scaler.step(scaled)
                scaler.update()
            elif t != 2:
                loss.backward()
                plain.step()
    assert torch.equal(*weights)
    assert scaler.get_scale() == 512.0
    assert bool(getattr(scaled, "_step_supports_amp_scaling", False)) == bool(path.get("fused"))


def test_zero_grad_drops_gradients_or_zeroes_them() -> None:
    weight = torch.ones(3, requires_grad=True)
    optimizer = AdaBelief([weight])
    weight.grad = torch.ones(3)
    optimizer.step()
    optimizer.zero_grad(set_to_none=False)
    assert weight.grad.tolist() == [0, 0, 0]
    optimizer.zero_grad()
    assert weight.grad is None


def test_an_optimizer_keeps_neither_gradients_nor_itself_alive() -> None:
    weight = torch.nn.Parameter(torch.ones(3))
    optimizer = AdaBelief([weight])
    weight.grad = torch.ones(3)
    optimizer.step()
    grad, one, state = (weakref.ref(it) for it in (weight.grad, optimizer, optimizer.state[weight]["exp_avg"]))
    weight.grad = None
    assert grad() is None
    gc.disable()  # which would end a cycle, some time
    try:
        del optimizer
        assert one() is None and state() is None
    finally:
        gc.enable()


def test_the_printed_form_shows_the_effective_eps_and_nothing_is_printed_else(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        text = repr(AdaBelief([torch.zeros(1)]))
        published = repr(AdaBelief([torch.zeros(1)], preset="pytorch-0.2.1"))
    assert "    effective eps: 0.00316\n    eps: 1e-08\n" in text and text.startswith(
        "AdaBelief (\nParameter Group 0\n"
    )
    assert "    effective eps: 3.16e-07\n    eps: 1e-16\n" in published
    assert capfd.readouterr() == ("", "")


def test_without_the_library_the_steps_are_torchs_and_fused_says_so_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from adabelief import _native, _optimizer

    monkeypatch.setattr(_native, "load", functools.cache(lambda: _native.Failure("no such file")))
    _optimizer._warn_without_library.cache_clear()
    _optimizer._effective_eps.cache_clear()
    weight = torch.ones(3, requires_grad=True)
    with pytest.warns(UserWarning, match="`fused=True`: the steps run by torch's operations, since no such file"):
        optimizer = AdaBelief([weight], fused=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        AdaBelief([weight], fused=True)
        weight.grad = torch.ones(3)
        optimizer.step()
        assert "effective eps: 0.00316\n" in repr(optimizer)
    assert not torch.equal(weight, torch.ones(3))
    _optimizer._warn_without_library.cache_clear()
    _optimizer._effective_eps.cache_clear()


def test_presets_are_those_of_the_rules() -> None:
    group = AdaBelief([torch.zeros(1)]).param_groups[0]
    assert (group["lr"], group["betas"], group["eps"], group["weight_decay"]) == (1e-3, (0.9, 0.999), 1e-8, 0)
    assert group["rectify"] == "none" and not group["decoupled_decay"]
    group = AdaBelief([torch.zeros(1)], preset="pytorch-0.2.1", weight_decay=0.1).param_groups[0]
    assert group["eps"] == 1e-16 and group["rectify"] == "pytorch-0.2.1" and group["decoupled_decay"]
    assert AdaBelief([torch.zeros(1)], rectify=True).param_groups[0]["rectify"] == "pytorch-0.2.1"
    group = adabelief.AdamW([torch.zeros(1)]).param_groups[0]
    assert group["weight_decay"] == 0.01 and group["decoupled_decay"]


@pytest.fixture(scope="module")
def mesh() -> Any:
    """Of one process."""
    import torch.distributed as dist
    from torch.distributed.device_mesh import init_device_mesh

    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield init_device_mesh("cpu", (1,))
    dist.destroy_process_group()


@every_class
def test_a_distributed_tensor_takes_the_steps_of_a_plain_one(cls: type[adabelief.Optimizer], mesh: Any) -> None:
    from torch.distributed.tensor import DTensor, Shard, distribute_tensor

    plain = torch.nn.Parameter(torch.randn(6, 4))
    whole = torch.nn.Parameter(distribute_tensor(plain.detach().clone(), mesh, [Shard(0)]))
    a, b = cls([plain], weight_decay=0.1), cls([whole], weight_decay=0.1)
    for _ in range(3):
        plain.grad = torch.randn(6, 4)
        whole.grad = distribute_tensor(plain.grad.clone(), mesh, [Shard(0)])
        a.step(), b.step()
    torch.testing.assert_close(whole.full_tensor(), plain.detach(), rtol=1e-6, atol=1e-6)
    assert all(isinstance(state, DTensor) for name, state in b.state[whole].items() if name != "step")
    if not cls.rule.norms:
        assert b._fused and torch.equal(whole.full_tensor(), plain)
        for path in ({"foreach": True}, {"foreach": False, "fused": False}):
            c = cls([whole], weight_decay=0.1, **path)
            c.load_state_dict(b.state_dict())
            c.step()
    again = cls([whole])
    again.load_state_dict(b.state_dict())
    assert all(isinstance(state, DTensor) for name, state in again.state[whole].items() if name != "step")
