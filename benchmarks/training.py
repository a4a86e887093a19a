# SPDX-License-Identifier: MIT
"""Images a second of `adabelief train` beside the same training written in Python with PyTorch, for each workload on CIFAR.

Both evaluate once and then train for some steps, crops and flips included, in a process of their own, in turn, for
several rounds; only the steps are timed. The Python optimizer is torch.optim.AdamW(model.parameters()). The table is
Markdown. A workload whose data is not found is left out. Run it with the Python that has torch (`make bench` does).
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import measure
import numpy
import torch
import torch.nn.functional as F
from measure import OURS, PEER, Problem, output, ratio, say, spread
from models import MODELS

BATCH = 128
MODES = {"float32": [], "float32, channels-last": ["--channels-last"]}
if measure.has_bfloat16():  # others convert every number of it, and take minutes for a few steps
    MODES["bfloat16, channels-last"] = ["--precision=bfloat16", "--channels-last"]
# The folder, the files of training and of test, and the bytes of a label, of which the last is the class.
DATA = {
    "cifar10": ("cifar-10-batches-bin", [f"data_batch_{i}.bin" for i in range(1, 6)], ["test_batch.bin"], 1),
    "cifar100": ("cifar-100-binary", ["train.bin"], ["test.bin"], 2),
}


@dataclass(frozen=True)
class Twin:
    """What a workload is in Python."""

    model: str
    share: float = 1  # of the steps asked for, so that all take about as long; below 1 --width holds
    modes: tuple[str, ...] = tuple(MODES)[-1:]
    pad: int = 4
    smoothing: float = 0
    size: int = 32  # of the images of the first steps


TWINS = {
    "cifar10_resnet20": Twin("resnet20", modes=tuple(MODES)),
    "cifar10_vgg11": Twin("vgg11", 0.5),
    "cifar10_resnet34": Twin("resnet34", 0.1),
    "cifar10_densenet121": Twin("densenet121", 0.1),
    "cifar100_vgg11": Twin("vgg11", 0.5),
    "cifar100_resnet34": Twin("resnet34", 0.1),
    "cifar100_densenet121": Twin("densenet121", 0.1),
    "cifar10_speed": Twin("whitened_resnet", pad=2, smoothing=0.1, size=24),
}


class NoData(Problem):
    pass


def data_of(workload: str) -> str:
    return workload.split("_")[0]


def read(folder: Path, files: list[str], label_bytes: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The images (N, 3, 32, 32) and labels (N) of these files, uint8 and int64."""
    content = numpy.concatenate([numpy.fromfile(folder / file, numpy.uint8) for file in files])
    records = content.reshape(-1, label_bytes + 3072)
    images = torch.from_numpy(records[:, label_bytes:].reshape(-1, 3, 32, 32).copy())
    return images, torch.from_numpy(records[:, label_bytes - 1].astype(numpy.int64))


def train(workload: str, folder: Path, steps: int, width: float, bfloat16: bool, channels_last: bool) -> float:
    """Evaluates, then trains; returns the seconds of training."""
    torch.manual_seed(1)
    twin = TWINS[workload]
    _, train_files, test_files, label_bytes = DATA[data_of(workload)]
    layout = torch.channels_last if channels_last else torch.contiguous_format
    images, labels = read(folder, train_files, label_bytes)
    test, _ = read(folder, test_files, label_bytes)
    pixels = images.permute(1, 0, 2, 3).reshape(3, -1).float() / 255
    mean, std = (f(pixels, dim=1).view(3, 1, 1) * 255 for f in (torch.mean, torch.std))
    padded = F.pad(images, (twin.pad,) * 4)
    # Normalized by one multiplication and one addition, as the fastest of data pipelines do.
    scale, shift = 1 / std, -mean / std

    def prepare(x: torch.Tensor) -> torch.Tensor:
        return torch.addcmul(shift, x.to(torch.float32, memory_format=layout), scale)

    def batch(indices: torch.Tensor) -> torch.Tensor:
        count, places = len(indices), 2 * twin.pad + 1
        side = torch.arange(32)
        columns = torch.where(torch.rand(count, 1) < 0.5, side, 31 - side) + torch.randint(0, places, (count, 1))
        rows = side + torch.randint(0, places, (count, 1))
        i, c = indices.view(-1, 1, 1, 1), torch.arange(3).view(1, 3, 1, 1)
        x = prepare(padded[i, c, rows.view(count, 1, 32, 1), columns.view(count, 1, 1, 32)])
        return x if twin.size == 32 else F.interpolate(x, twin.size, mode="bilinear", antialias=True)

    model = MODELS[twin.model](int(labels.max()) + 1, width).to(memory_format=layout)
    optimizer = torch.optim.AdamW(p for p in model.parameters() if p.requires_grad)

    def forward(x: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16) if bfloat16 else contextlib.nullcontext():
            return model(x).float()

    model.eval()
    with torch.no_grad():
        for chunk in test.split(500):
            forward(prepare(chunk))
    model.train()
    order: list[torch.Tensor] = []
    start = time.perf_counter()
    for _ in range(steps):
        if not order:
            order = list(torch.randperm(len(images)).split(BATCH)[:-1])
        indices = order.pop()
        optimizer.zero_grad()
        loss = F.cross_entropy(forward(batch(indices)), labels[indices], label_smoothing=twin.smoothing)
        loss.backward()
        optimizer.step()
        loss.item()
    return time.perf_counter() - start


def find_data(given: str | None, data: str) -> tuple[Path, Path]:
    """The root of the data, as the program takes it, and the folder of the data set's files."""
    roots = measure.data_roots(given)
    name, _, (test, *_), _ = DATA[data]
    for root in roots:
        for folder in (root / name, root):
            if (folder / test).exists():
                return root, folder
    raise NoData(f"no {data} under {' or '.join(str(root) for root in roots)}; run build/adabelief data {data}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=60, help="of ResNet-20, of larger networks fewer (%(default)s)")
    parser.add_argument("--width", type=float, default=0.25, help="of larger networks than ResNet-20 (%(default)s)")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="default: all cores, %(default)s")
    parser.add_argument("--only", nargs="+", choices=TWINS, metavar="WORKLOAD", help="of " + ", ".join(TWINS))
    parser.add_argument("--data", help="folder of the data; else $ADABELIEF_DATA, else the cache of this user")
    parser.add_argument("--skip-without-data", action="store_true", help="succeed where no data is found")
    parser.add_argument("--write", action="store_true", help=f"write the table into {measure.PAGE}")
    parser.add_argument("--precision", default="float32", help=argparse.SUPPRESS)
    parser.add_argument("--channels-last", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--python-only", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.rounds < 1 or options.steps < 1 or options.threads < 1 or options.width <= 0:
        raise Problem("--rounds, --steps, --threads and --width must be positive")
    if options.python_only:
        (workload,) = options.only
        folder = find_data(options.data, data_of(workload))[1]
        torch.set_num_threads(options.threads)
        bfloat16 = options.precision == "bfloat16"
        print(train(workload, folder, options.steps, options.width, bfloat16, options.channels_last))
        return
    found, missing = {}, []
    for workload in options.only or TWINS:
        try:
            found[workload] = find_data(options.data, data_of(workload))[0]
        except NoData as problem:
            say(f"training: without {workload}: {problem}")
            missing.append(problem)
    if not found:
        if not options.skip_without_data:
            raise missing[0]
        return

    config: dict = {}
    shares: dict[str, list[float]] = {"optimizer": [], "data": []}  # of adabelief's time, by what takes it

    def ours(workload: str, common: list[str], steps: int) -> float:
        lines = measure.trial(workload, "--rule=adabelief", *common)
        config.update(lines[0])
        for part, all_ in shares.items():
            all_.append(lines[-2][f"{part}_seconds"] / lines[-1]["seconds"])
        return BATCH * steps / lines[-1]["seconds"]

    def python(workload: str, common: list[str], steps: int) -> float:
        words = [sys.executable, __file__, "--python-only", "--only", workload]
        return BATCH * steps / float(output([*words, *common]))

    machine = measure.machine()
    measures, names = {}, []
    for workload, root in found.items():
        twin = TWINS[workload]
        steps, width = max(2, round(options.steps * twin.share)), options.width if twin.share < 1 else 1
        common = [f"--steps={steps}", f"--width={width:g}", f"--threads={options.threads}", f"--data={root}"]
        for mode in twin.modes:
            names.append((workload, f"{width:g}", mode))
            words = workload, [*common, *MODES[mode]], steps
            for who, call in {OURS: ours, PEER: python}.items():
                measures[", ".join([*names[-1], who])] = lambda call=call, words=words: call(*words)
    rates = measure.turns(options.rounds, measures)
    rows = []
    for name in names:
        own, other = (rates[", ".join([*name, who])] for who in (OURS, PEER))
        rows.append([*name, *spread(own, "{:,.0f}"), *spread(other, "{:,.0f}"), f"{ratio(own, other):.2f}"])
    about = (
        f"{measure.versions(config)}. Batches of {BATCH}; images a second over the first {options.steps} steps of "
        f"ResNet-20, of larger networks fewer, {options.rounds} rounds in turn: medians, and the smallest and largest."
    )
    optimizer, data = (f"{100 * max(shares[part]):.1f} %" for part in shares)
    measure.report(
        "training",
        f"{machine}, {options.threads} threads. {date.today()}.\n",
        measure.paragraph(about),
        measure.table(["workload", "width", "", OURS, "from, to", PEER, "from, to", "ratio"], rows, words=3),
        measure.paragraph(
            f"Of {OURS}'s time, reading, cropping, flipping and normalizing images takes {data} at most, and the "
            f"optimizer's step {optimizer}."
        ),
        write=options.write,
    )


if __name__ == "__main__":
    measure.run(main)
