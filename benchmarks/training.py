# SPDX-License-Identifier: MIT
"""Images a second of `adabelief train cifar10_resnet20` beside the same training written in Python with PyTorch.

Both evaluate once and then train for --steps steps of 128 images, crops and flips included, in a process of their own,
in turn, for several rounds; only the steps are timed. The Python optimizer is torch.optim.AdamW(model.parameters()).
The table is Markdown. Run it with the Python that has torch (`make bench` does).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

import measure
import numpy
import torch
import torch.nn.functional as F
from measure import Problem, output, ratio, say, spread
from torch import nn

BATCH = 128
OURS, PEER = "adabelief", "PyTorch's Python"
MODES = {
    "float32": [],
    "float32, channels-last": ["--channels-last"],
    "bfloat16, channels-last": ["--precision=bfloat16", "--channels-last"],
}


class NoData(Problem):
    pass


class Block(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut without weights (every other pixel, new channels zero)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.more = outputs - inputs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.more:
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.more // 2, self.more - self.more // 2))
        return F.relu(y + x)


class ResNet20(nn.Module):
    """The model of trials/models/resnet_cifar.h with three blocks a stage."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
        channels = 16
        for outputs in (16, 32, 64):
            for i in range(3):
                layers.append(Block(channels, outputs, 2 if i == 0 and outputs != 16 else 1))
                channels = outputs
        self.layers = nn.Sequential(*layers)
        self.linear = nn.Linear(channels, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(self.layers(x).mean((2, 3)))


def read(folder: Path, files: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
    """The images (N, 3, 32, 32) and labels (N) of these files, uint8 and int64."""
    records = numpy.concatenate([numpy.fromfile(folder / file, numpy.uint8) for file in files]).reshape(-1, 3073)
    images = torch.from_numpy(records[:, 1:].reshape(-1, 3, 32, 32).copy())
    return images, torch.from_numpy(records[:, 0].astype(numpy.int64))


def train(folder: Path, steps: int, bfloat16: bool, channels_last: bool) -> float:
    """Evaluates, then trains; returns the seconds of training."""
    torch.manual_seed(1)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    images, labels = read(folder, [f"data_batch_{i}.bin" for i in range(1, 6)])
    test, _ = read(folder, ["test_batch.bin"])
    pixels = images.permute(1, 0, 2, 3).reshape(3, -1).float() / 255
    mean, std = (f(pixels, dim=1).view(3, 1, 1) * 255 for f in (torch.mean, torch.std))
    padded = F.pad(images, (4, 4, 4, 4))
    # Normalized by one multiplication and one addition, as the fastest of data pipelines do.
    scale, shift = 1 / std, -mean / std

    def prepare(x: torch.Tensor) -> torch.Tensor:
        return torch.addcmul(shift, x.to(torch.float32, memory_format=layout), scale)

    def batch(indices: torch.Tensor) -> torch.Tensor:
        count = len(indices)
        side = torch.arange(32)
        columns = torch.where(torch.rand(count, 1) < 0.5, side, 31 - side) + torch.randint(0, 9, (count, 1))
        rows = side + torch.randint(0, 9, (count, 1))
        i, c = indices.view(-1, 1, 1, 1), torch.arange(3).view(1, 3, 1, 1)
        return prepare(padded[i, c, rows.view(count, 1, 32, 1), columns.view(count, 1, 1, 32)])

    model = ResNet20().to(memory_format=layout)
    optimizer = torch.optim.AdamW(model.parameters())

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
        loss = F.cross_entropy(forward(batch(indices)), labels[indices])
        loss.backward()
        optimizer.step()
        loss.item()
    return time.perf_counter() - start


def find_data(given: str | None) -> tuple[Path, Path]:
    """The root of the data, as the program takes it, and the folder of CIFAR-10's files."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "adabelief"
    roots = [Path(root) for root in (given, os.environ.get("ADABELIEF_DATA"), cache) if root]
    for root in roots:
        for folder in (root / "cifar-10-batches-bin", root):
            if (folder / "test_batch.bin").exists():
                return root, folder
    raise NoData(f"no CIFAR-10 under {' or '.join(str(root) for root in roots)}; run build/adabelief data cifar10")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="how often each is measured (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=60, help="of each measurement (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="default: all cores, %(default)s")
    parser.add_argument("--data", help="folder of CIFAR-10; else $ADABELIEF_DATA, else the cache of this user")
    parser.add_argument("--skip-without-data", action="store_true", help="succeed where CIFAR-10 is not found")
    parser.add_argument("--write", action="store_true", help=f"write the table into {measure.PAGE}")
    parser.add_argument("--precision", default="float32", help=argparse.SUPPRESS)
    parser.add_argument("--channels-last", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--python-only", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.rounds < 1 or options.steps < 1 or options.threads < 1:
        raise Problem("--rounds, --steps and --threads must be positive")
    try:
        root, folder = find_data(options.data)
    except NoData as problem:
        if not options.skip_without_data:
            raise
        say(f"training: skipped: {problem}")
        return
    if options.python_only:
        torch.set_num_threads(options.threads)
        print(train(folder, options.steps, options.precision == "bfloat16", options.channels_last))
        return

    program = measure.program("adabelief")
    common = [f"--steps={options.steps}", f"--threads={options.threads}", f"--data={root}"]
    config: dict = {}

    def ours(mode: list[str]) -> float:
        with tempfile.TemporaryDirectory() as out:
            words = ["train", "cifar10_resnet20", "--rule=adabelief", f"--out={out}", "--quiet"]
            record = Path(output([program, *words, *common, *mode]).strip())
            lines = [json.loads(line) for line in record.read_text().splitlines()]
        config.update(lines[0])
        shares.append(lines[-2]["optimizer_seconds"] / lines[-1]["seconds"])
        return BATCH * options.steps / lines[-1]["seconds"]

    def python(mode: list[str]) -> float:
        return BATCH * options.steps / float(output([sys.executable, __file__, "--python-only", *common, *mode]))

    shares: list[float] = []
    machine = measure.machine()
    measures = {}
    for name, mode in MODES.items():
        measures[f"{name}, {OURS}"] = lambda mode=mode: ours(mode)
        measures[f"{name}, {PEER}"] = lambda mode=mode: python(mode)
    rates = measure.turns(options.rounds, measures)
    rows = []
    for name in MODES:
        own, other = rates[f"{name}, {OURS}"], rates[f"{name}, {PEER}"]
        rows.append([name, *spread(own, "{:,.0f}"), *spread(other, "{:,.0f}"), f"{ratio(own, other):.2f}"])
    about = (
        f"adabelief {config['version']} ({config['compiler']}, {config['machine']['isa']}), torch {torch.__version__}, "
        f"Python {sys.version.split()[0]}. ResNet-20 on CIFAR-10, batches of {BATCH}; images a second over the first "
        f"{options.steps} steps, {options.rounds} rounds in turn: medians, and the smallest and largest."
    )
    measure.report(
        "training",
        f"{machine}, {options.threads} threads. {date.today()}.\n",
        measure.paragraph(about),
        measure.table(["", OURS, "from, to", PEER, "from, to", "ratio"], rows),
        measure.paragraph(f"The optimizer's step takes {100 * max(shares):.1f} % of {OURS}'s time at most."),
        write=options.write,
    )


if __name__ == "__main__":
    measure.run(main)
