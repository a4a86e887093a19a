# SPDX-License-Identifier: MIT
"""Training of two processes, over Gloo: the weights are those of one process with the mean of both gradients."""

from __future__ import annotations

import copy
import datetime
import multiprocessing
import pathlib
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from typing import Any

import adabelief
import pytest
import torch
import torch.distributed as dist
from adabelief import AdaBelief
from torch import Tensor
from torch.distributed.optim import ZeroRedundancyOptimizer
from torch.nn.parallel import DistributedDataParallel

CLASSES = [getattr(adabelief, name) for name in adabelief.rules.__all__]
PATHS: dict[str, dict[str, Any]] = {
    "chosen": {},
    "lists": {"foreach": True},
    "single": {"foreach": False, "fused": False},
}
TIMEOUT = 60  # seconds a test
Run = Callable[..., None]


def serve(rank: int, orders: Connection) -> None:
    """Runs functions of this file as one of two processes, until it is killed; answers with "" or what went wrong."""
    torch.set_num_threads(1)
    warnings.simplefilter("error", UserWarning)
    while True:
        name, store, arguments = orders.recv()
        try:
            limit = datetime.timedelta(seconds=TIMEOUT / 2)
            dist.init_process_group("gloo", store=dist.FileStore(store, 2), rank=rank, world_size=2, timeout=limit)
            torch.manual_seed(0)
            getattr(sys.modules[__name__], name)(rank, *arguments)
            orders.send("")
        except Exception:
            orders.send(traceback.format_exc())
        finally:
            if dist.is_initialized():
                dist.destroy_process_group()


class Pair:
    """Two processes, started when they are first needed."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder, self.runs = folder, 0
        self.workers: list[tuple[Any, Connection]] = []

    def start(self) -> None:
        spawn = multiprocessing.get_context("spawn")
        for rank in range(2):
            ours, theirs = spawn.Pipe()
            process = spawn.Process(target=serve, args=(rank, theirs), daemon=True)
            process.start()
            self.workers.append((process, ours))

    def stop(self) -> None:
        for process, _ in self.workers:
            process.kill()
            process.join()
        self.workers.clear()

    def __call__(self, function: Callable[..., None], *arguments: Any) -> None:
        if not self.workers:
            self.start()
        self.runs += 1
        for _, orders in self.workers:
            orders.send((function.__name__, str(self.folder / f"store{self.runs}"), arguments))
        answers = [orders.recv() if orders.poll(TIMEOUT) else "timed out" for _, orders in self.workers]
        if any(answers):
            self.stop()
            pytest.fail("\n".join(f"rank {rank}: {answer}" for rank, answer in enumerate(answers) if answer))


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    both = Pair(tmp_path_factory.mktemp("stores"))
    yield both
    both.stop()


def network(dtype: torch.dtype = torch.float32) -> torch.nn.Sequential:
    """Of tensors that two processes share evenly, unevenly, and not at all: the last bias has one element."""
    torch.manual_seed(1)
    layers = [torch.nn.Linear(6, 8), torch.nn.Tanh(), torch.nn.Linear(8, 5), torch.nn.Tanh(), torch.nn.Linear(5, 1)]
    return torch.nn.Sequential(*layers).to(dtype)


def batch(t: int, rank: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(4, 6, generator=torch.Generator().manual_seed(2 * t + rank)).to(dtype)


def train(net: torch.nn.Module, optimizer: Any, rank: int, steps: range, dtype: torch.dtype = torch.float32) -> None:
    for t in steps:
        optimizer.zero_grad()
        net(batch(t, rank, dtype)).pow(2).mean().backward()
        optimizer.step()


def train_alone(net: torch.nn.Module, optimizer: Any, steps: range, dtype: torch.dtype = torch.float32) -> None:
    """One process, with the mean of what would be the gradients of two."""
    for t in steps:
        gradients = []
        for rank in range(2):
            net.zero_grad()
            net(batch(t, rank, dtype)).pow(2).mean().backward()
            gradients.append([weight.grad for weight in net.parameters()])
        for weight, a, b in zip(net.parameters(), *gradients, strict=True):
            weight.grad = (a + b) / 2
        optimizer.step()


def whole(tensor: Tensor) -> Tensor:
    from torch.distributed.tensor import DTensor

    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor.detach()


def assert_same(ours: torch.nn.Module, optimizer: Any, theirs: torch.nn.Module, other: Any, near: float = 0) -> None:
    """Weights and states are equal, bit for bit, or `near` each other."""
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(whole(a), b.detach(), rtol=near, atol=near)
        assert optimizer.state[a].keys() == other.state[b].keys()
        for name, state in other.state[b].items():
            torch.testing.assert_close(whole(optimizer.state[a][name]), state, rtol=near, atol=near)


def data_parallel(rank: int) -> None:
    for i, cls in enumerate(CLASSES):
        net, alone = network(), network()
        parallel = DistributedDataParallel(net, gradient_as_bucket_view=i % 2 == 0)
        optimizer, other = cls(parallel.parameters(), weight_decay=0.1), cls(alone.parameters(), weight_decay=0.1)
        train(parallel, optimizer, rank, range(3))
        train_alone(alone, other, range(3))
        assert optimizer._fused, "not the native path"
        assert_same(net, optimizer, alone, other)


def test_data_parallel_training_takes_the_bits_of_one_process(pair: Pair) -> None:
    pair(data_parallel)


def sharded(net: torch.nn.Module, **options: Any) -> torch.nn.Module:
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh("cpu", (2,))
    for layer in net:
        if isinstance(layer, torch.nn.Linear):
            fully_shard(layer, mesh=mesh, **options)
    return fully_shard(net, mesh=mesh, **options)


def fully_sharded(rank: int, path: str) -> None:
    for cls in CLASSES:
        alone = network()
        net = sharded(copy.deepcopy(alone))
        options = {"weight_decay": 0.1} | PATHS[path]
        optimizer, other = cls(net.parameters(), **options), cls(alone.parameters(), **options)
        train(net, optimizer, rank, range(3))
        train_alone(alone, other, range(3))
        assert bool(optimizer._fused) == (path == "chosen" and not cls.rule.norms), "not the path that was meant"
        # Norms are of the whole tensor, summed in another order.
        assert_same(net, optimizer, alone, other, near=1e-6 if cls.rule.norms else 0)


@pytest.mark.parametrize("path", PATHS)
def test_fully_sharded_training_takes_the_bits_of_one_process_and_norms_of_whole_tensors(pair: Pair, path: str) -> None:
    pair(fully_sharded, path)


def flattened(rank: int) -> None:
    from torch.distributed.fsdp import FullyShardedDataParallel

    for use_orig_params in (True, False):
        alone = network()
        net = FullyShardedDataParallel(
            copy.deepcopy(alone), use_orig_params=use_orig_params, device_id=torch.device("cpu")
        )
        optimizer, other = AdaBelief(net.parameters()), AdaBelief(alone.parameters())
        train(net, optimizer, rank, range(3))
        train_alone(alone, other, range(3))
        with FullyShardedDataParallel.summon_full_params(net):
            for a, b in zip(net.module.parameters(), alone.parameters(), strict=True):
                assert torch.equal(a, b)
        for cls in (adabelief.LAMB, adabelief.Fromage):
            with pytest.raises(RuntimeError, match="FullyShardedDataParallel shows it parts; use fully_shard"):
                cls(net.parameters())


def test_flattened_shards_are_stepped_too_but_not_by_rules_with_norms(pair: Pair) -> None:
    pair(flattened)


def options_of_shards(rank: int) -> None:
    from torch.distributed.tensor import Shard

    for options in (
        {"amsgrad": True},
        {"preset": "pytorch-0.2.1", "weight_decay": 0.01},
        {"maximize": True, "capturable": True},
        {"lr": torch.tensor(0.01)},
    ):
        alone = network()
        net = sharded(copy.deepcopy(alone))
        optimizer, other = AdaBelief(net.parameters(), **options), AdaBelief(alone.parameters(), **options)
        train(net, optimizer, rank, range(8))
        train_alone(alone, other, range(8))
        assert_same(net, optimizer, alone, other)
    alone = network()[:1]
    net = sharded(copy.deepcopy(alone), shard_placement_fn=lambda weight: Shard(weight.ndim - 1))
    optimizer, other = AdaBelief(net.parameters()), AdaBelief(alone.parameters())
    train(net, optimizer, rank, range(3))
    train_alone(alone, other, range(3))
    assert_same(net, optimizer, alone, other)
    alone = network(torch.bfloat16)
    net = sharded(copy.deepcopy(alone))
    optimizer, other = AdaBelief(net.parameters()), AdaBelief(alone.parameters())
    train(net, optimizer, rank, range(3), torch.bfloat16)
    train_alone(alone, other, range(3), torch.bfloat16)
    assert_same(net, optimizer, alone, other)


def test_options_columns_and_16_bit_weights_of_shards_are_those_of_whole_tensors(pair: Pair) -> None:
    pair(options_of_shards)


def clipped_shards(rank: int) -> None:
    alone = network()
    net = sharded(copy.deepcopy(alone))
    optimizer, other = AdaBelief(net.parameters()), AdaBelief(alone.parameters())
    for one, step in ((net, optimizer), (alone, other)):
        x = torch.cat([batch(0, 0), batch(0, 1)])
        one(x).pow(2).mean().backward()
        torch.nn.utils.clip_grad_norm_(one.parameters(), 0.01)
        step.step()
    assert_same(net, optimizer, alone, other, near=1e-6)


def test_clipping_by_the_norm_of_all_shards_goes_before_a_step(pair: Pair) -> None:
    pair(clipped_shards)


def states_of_shards(rank: int) -> None:
    alone = torch.nn.Sequential(torch.nn.Linear(6, 2048, bias=False))
    start = copy.deepcopy(alone)
    for form, kept in ((torch.bfloat16, torch.bfloat16), ("8bit", torch.float32)):
        alone = copy.deepcopy(start)
        net = sharded(copy.deepcopy(start))
        optimizer, other = AdaBelief(net.parameters(), state_dtype=form), AdaBelief(alone.parameters())
        train(net, optimizer, rank, range(8))
        train_alone(alone, other, range(8))
        (weight,) = net.parameters()
        assert optimizer.state[weight]["exp_avg"].dtype == kept
        difference = (whole(weight) - alone[0].weight.detach()).abs().max()
        assert difference < 1e-3 and bool(difference == 0) == (kept == torch.float32), difference


def test_states_of_shards_are_kept_in_16_bits_where_asked_but_not_in_8(pair: Pair) -> None:
    pair(states_of_shards)


def zero_redundancy(rank: int) -> None:
    for i, cls in enumerate(CLASSES):
        net, alone = network(), network()
        parallel = DistributedDataParallel(net)
        options = {"weight_decay": 0.1} | ({"preset": "pytorch-0.2.1"} if cls is AdaBelief else {})
        optimizer = ZeroRedundancyOptimizer(
            parallel.parameters(), optimizer_class=cls, parameters_as_bucket_view=i % 2 == 0, **options
        )
        other = cls(alone.parameters(), **options)
        schedules = [torch.optim.lr_scheduler.ExponentialLR(one, 0.5) for one in (optimizer, other)]
        for t in range(3):
            train(parallel, optimizer, rank, range(t, t + 1))
            train_alone(alone, other, range(t, t + 1))
            for schedule in schedules:
                schedule.step()
        kept = [weight for weight in net.parameters() if weight in optimizer.optim.state]
        assert 0 < len(kept) < len(list(net.parameters())), "each process keeps its part of the states"
        for a, b in zip(net.parameters(), alone.parameters(), strict=True):
            assert torch.equal(a, b)
        # The whole state, in one process, goes on without the others.
        optimizer.consolidate_state_dict(to=0)
        if rank == 0:
            gone = cls(net.parameters())
            gone.load_state_dict(optimizer.state_dict())
            assert_same(net, gone, alone, other)
            train_alone(net, gone, range(3, 5))
            train_alone(alone, other, range(3, 5))
            assert_same(net, gone, alone, other)


def test_zero_redundancy_takes_the_bits_of_one_process_and_its_whole_state_goes_on_in_one(pair: Pair) -> None:
    pair(zero_redundancy)


def zero_redundancy_of_8_bits(rank: int) -> None:
    net = DistributedDataParallel(torch.nn.Sequential(torch.nn.Linear(6, 1024), torch.nn.Linear(1024, 6)))
    optimizer = ZeroRedundancyOptimizer(net.parameters(), optimizer_class=AdaBelief, state_dtype="8bit", rectify=True)
    train(net, optimizer, rank, range(4))
    sizes = {weight.numel(): state["exp_avg"].dtype for weight, state in optimizer.optim.state.items()}
    assert sizes and all((dtype == torch.uint8) == (size >= 4096) for size, dtype in sizes.items()), sizes
    for weight in net.parameters():
        first = weight.detach().clone()
        dist.broadcast(first, 0)
        assert torch.equal(first, weight)


def test_zero_redundancy_keeps_states_of_8_bits_and_options_under_their_other_names(pair: Pair) -> None:
    pair(zero_redundancy_of_8_bits)


def save_shards(rank: int, cls_name: str, folder: str) -> None:
    import torch.distributed.checkpoint as dcp
    from torch.distributed.checkpoint.state_dict import get_state_dict

    net = sharded(network())
    optimizer = getattr(adabelief, cls_name)(net.parameters(), lr=0.01, weight_decay=0.1)
    train(net, optimizer, rank, range(3))
    weights, states = get_state_dict(net, optimizer)
    dcp.save({"net": weights, "optimizer": states}, checkpoint_id=folder)


def load_shards(rank: int, cls_name: str, folder: str) -> None:
    net, alone = sharded(network()), network()
    optimizer, other = (getattr(adabelief, cls_name)(one.parameters(), lr=0.5) for one in (net, alone))
    load(net, optimizer, folder)
    load(alone, other, folder)
    assert_same(net, optimizer, alone, other)
    assert optimizer.param_groups[0]["lr"] == 0.01 and optimizer.param_groups[0]["weight_decay"] == 0.1
    train(net, optimizer, rank, range(3, 5))
    train_alone(alone, other, range(3, 5))
    assert_same(net, optimizer, alone, other, near=1e-6 if optimizer.rule.norms else 0)


def load(net: torch.nn.Module, optimizer: Any, folder: str) -> None:
    import torch.distributed.checkpoint as dcp
    from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict

    weights, states = get_state_dict(net, optimizer)
    dcp.load({"net": weights, "optimizer": states}, checkpoint_id=folder, no_dist=not dist.is_initialized())
    set_state_dict(net, optimizer, model_state_dict=weights, optim_state_dict=states)


@pytest.mark.parametrize("cls", [AdaBelief, adabelief.LAMB, adabelief.SGD], ids=lambda cls: cls.__name__)
def test_a_checkpoint_of_two_processes_goes_on_in_one_and_in_two(
    pair: Pair, tmp_path: pathlib.Path, cls: type[adabelief.Optimizer]
) -> None:
    pair(save_shards, cls.__name__, str(tmp_path))
    net, alone = network(), network()
    optimizer, other = cls(net.parameters(), lr=0.5), cls(alone.parameters(), lr=0.01, weight_decay=0.1)
    load(net, optimizer, str(tmp_path))
    assert optimizer.param_groups[0]["lr"] == 0.01 and optimizer.param_groups[0]["weight_decay"] == 0.1
    train_alone(net, optimizer, range(3, 5))
    train_alone(alone, other, range(5))
    assert_same(net, optimizer, alone, other, near=1e-6 if cls.rule.norms else 0)
    pair(load_shards, cls.__name__, str(tmp_path))


def save_8_bits(rank: int, folder: str) -> None:
    import torch.distributed.checkpoint as dcp
    from torch.distributed.checkpoint.state_dict import get_state_dict

    torch.manual_seed(1)
    net = torch.nn.Linear(6, 1024)
    optimizer = AdaBelief(net.parameters(), state_dtype="8bit")
    train(DistributedDataParallel(net), optimizer, rank, range(3))
    weights, states = get_state_dict(net, optimizer)
    dcp.save({"net": weights, "optimizer": states}, checkpoint_id=folder)
    train_alone(net, optimizer, range(3, 5))
    if rank == 0:
        torch.save([net.state_dict(), optimizer.state_dict()], f"{folder}/unbroken")


def test_a_checkpoint_keeps_states_of_8_bits_and_goes_on_with_the_same_bits(pair: Pair, tmp_path: pathlib.Path) -> None:
    pair(save_8_bits, str(tmp_path))
    net = torch.nn.Linear(6, 1024)
    optimizer = AdaBelief(net.parameters(), state_dtype="8bit")
    load(net, optimizer, str(tmp_path))
    train_alone(net, optimizer, range(3, 5))
    weights, states = torch.load(tmp_path / "unbroken")
    assert optimizer.state[net.weight]["exp_avg"].dtype == torch.uint8
    assert all(torch.equal(weights[name], weight) for name, weight in net.state_dict().items())
    for number, state in optimizer.state_dict()["state"].items():
        assert all(torch.equal(state[name], states["state"][number][name]) for name in state)
