# SPDX-License-Identifier: MIT
"""Images a second of `adabelief train` beside the same training written in Python with PyTorch, for each classifier.

Both evaluate once and then train for some steps, crops and flips included, in a process of their own, in turn, for
several rounds; only the steps are timed. The Python optimizer is torch.optim.AdamW(model.parameters()). The table is
Markdown. A workload whose data is not found is left out; photographs of noise stand for ImageNet's, on every machine
the same. Run it with the Python that has torch (`make bench` does).
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import math
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import measure
import numpy
import torch
import torch.nn.functional as F
from measure import OURS, PEER, Problem, output, ratio, say, spread
from models import MODELS
from torch import Tensor

MODES = {"float32": [], "float32, channels-last": ["--channels-last"]}
if measure.has_bfloat16():  # others convert every number of it, and take minutes for a few steps
    MODES["bfloat16, channels-last"] = ["--precision=bfloat16", "--channels-last"]


class NoData(Problem):
    pass


@dataclass(frozen=True)
class Files:
    """A data set that fits into memory: its folders' names, its files of training and of test, and of which kind."""

    folders: tuple[str, ...]
    train: tuple[str, ...]
    test: tuple[str, ...]
    label_bytes: int = 0  # before an image's, in CIFAR's files, the last of which is the class; 0: MNIST's files

    def read(self, folder: Path, files: tuple[str, ...]) -> tuple[Tensor, Tensor]:
        """The images (N, C, H, W) and labels (N) of these files, uint8 and int64."""
        if not self.label_bytes:
            pixels, classes = (gzip.decompress((folder / file).read_bytes()) for file in files)
            images = numpy.frombuffer(pixels, numpy.uint8, offset=16).reshape(-1, 1, 28, 28)
            labels = numpy.frombuffer(classes, numpy.uint8, offset=8)
        else:
            content = numpy.concatenate([numpy.fromfile(folder / file, numpy.uint8) for file in files])
            records = content.reshape(-1, self.label_bytes + 3072)
            images = records[:, self.label_bytes :].reshape(-1, 3, 32, 32)
            labels = records[:, self.label_bytes - 1]
        return torch.from_numpy(images.copy()), torch.from_numpy(labels.astype(numpy.int64))


IN_MEMORY = {
    "fashion_mnist": Files(
        ("fashion-mnist", "fashion_mnist", "FashionMNIST/raw"),
        ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
        ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"),
    ),
    "cifar10": Files(
        ("cifar-10-batches-bin",), tuple(f"data_batch_{i}.bin" for i in range(1, 6)), ("test_batch.bin",), 1
    ),
    "cifar100": Files(("cifar-100-binary",), ("train.bin",), ("test.bin",), 2),
}


@dataclass(frozen=True)
class Twin:
    """What a workload is in Python."""

    model: str
    share: float = 1  # of the steps asked for, so that all take about as long
    wide: bool = False  # --width holds
    modes: tuple[str, ...] = tuple(MODES)[-1:]
    batch: int = 128
    pad: int | None = 4  # None: images as they are
    smoothing: float = 0
    size: int = 32  # of the images of the first steps, where they are cropped


TWINS = {
    "fashion_mnist_cnn": Twin("fashion_mnist_cnn", 5, modes=tuple(MODES)[:1], pad=None),
    "cifar10_resnet20": Twin("resnet20", modes=tuple(MODES)),
    "cifar10_vgg11": Twin("vgg11", 0.5, wide=True),
    "cifar10_resnet34": Twin("resnet34", 0.1, wide=True),
    "cifar10_densenet121": Twin("densenet121", 0.1, wide=True),
    "cifar100_vgg11": Twin("vgg11", 0.5, wide=True),
    "cifar100_resnet34": Twin("resnet34", 0.1, wide=True),
    "cifar100_densenet121": Twin("densenet121", 0.1, wide=True),
    "cifar10_speed": Twin("whitened_resnet", pad=2, smoothing=0.1, size=24),
    "imagenet_resnet18": Twin("resnet18", 0.05, modes=tuple(MODES)[1:], batch=256),
}
Batches = Iterator[tuple[Tensor, Tensor]]  # images float32, normalized, and labels


class Images:
    """A data set in memory, each batch made when it is asked for."""

    def __init__(self, files: Files, folder: Path, twin: Twin, layout: torch.memory_format) -> None:
        self.twin, self.layout = twin, layout
        self.images, self.labels = files.read(folder, files.train)
        self.tests = files.read(folder, files.test)
        self.classes = int(self.labels.max()) + 1
        self.padded = F.pad(self.images, (twin.pad or 0,) * 4)
        pixels = self.images.transpose(0, 1).flatten(1).float() / 255
        mean, std = (f(pixels, dim=1).view(-1, 1, 1) * 255 for f in (torch.mean, torch.std))
        # Normalized by one multiplication and one addition, as the fastest of data pipelines do.
        self.scale, self.shift = 1 / std, -mean / std

    def prepared(self, x: Tensor) -> Tensor:
        return torch.addcmul(self.shift, x.to(torch.float32, memory_format=self.layout), self.scale)

    def augmented(self, indices: Tensor) -> Tensor:
        if self.twin.pad is None:
            return self.prepared(self.images[indices])
        count, places = len(indices), 2 * self.twin.pad + 1
        side = torch.arange(32)
        columns = torch.where(torch.rand(count, 1) < 0.5, side, 31 - side) + torch.randint(0, places, (count, 1))
        rows = side + torch.randint(0, places, (count, 1))
        i, c = indices.view(-1, 1, 1, 1), torch.arange(3).view(1, 3, 1, 1)
        x = self.prepared(self.padded[i, c, rows.view(count, 1, 32, 1), columns.view(count, 1, 1, 32)])
        return x if self.twin.size == 32 else F.interpolate(x, self.twin.size, mode="bilinear", antialias=True)

    def train(self) -> Batches:
        while True:
            for indices in torch.randperm(len(self.images)).split(self.twin.batch)[:-1]:
                yield self.augmented(indices), self.labels[indices]

    def test(self) -> Batches:
        for x, y in zip(*(part.split(500) for part in self.tests), strict=True):
            yield self.prepared(x), y


ASPECTS = math.log(3 / 4), math.log(4 / 3)


class Part(torch.utils.data.Dataset):
    """The photographs of one folder of classes, by Pillow, cropped as torchvision's ImageNet example does."""

    def __init__(self, folder: Path, training: bool) -> None:
        classes = sorted(path for path in folder.iterdir() if path.is_dir())
        self.files = [(file, label) for label, path in enumerate(classes) for file in sorted(path.iterdir())]
        self.classes, self.training = len(classes), training
        self.mean, self.std = (torch.tensor(v).view(3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        from PIL import Image

        file, label = self.files[index]
        with Image.open(file) as image:
            box = self.crop(*image.size)
            x = numpy.array(image.convert("RGB").resize((224, 224), Image.Resampling.BILINEAR, box))
        if self.training and random.random() < 0.5:
            x = x[:, ::-1].copy()
        return (torch.from_numpy(x).permute(2, 0, 1) / 255 - self.mean) / self.std, label

    def crop(self, width: int, height: int) -> tuple[float, float, float, float]:
        if not self.training:
            side = min(width, height) * 224 / 256
            left, top = (width - side) / 2, (height - side) / 2
            return left, top, left + side, top + side
        for _ in range(10):
            area, aspect = width * height * random.uniform(0.08, 1), math.exp(random.uniform(*ASPECTS))
            w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
            if w <= width and h <= height:
                left, top = random.randint(0, width - w), random.randint(0, height - h)
                return left, top, left + w, top + h
        return 0, 0, width, height  # whose aspect is allowed where photographs are as below


class Photographs:
    """Folders of photographs, decoded by other processes while the network trains."""

    def __init__(self, folder: Path, twin: Twin, layout: torch.memory_format) -> None:
        self.layout, self.twin = layout, twin
        self.parts = {training: Part(folder / name, training) for name, training in (("train", True), ("val", False))}
        self.classes = self.parts[True].classes

    def loaded(self, training: bool) -> Batches:
        batch = self.twin.batch if training else 100
        workers = {"num_workers": max(2, torch.get_num_threads()), "persistent_workers": training}
        loader = torch.utils.data.DataLoader(
            self.parts[training], batch, shuffle=training, drop_last=training, **workers
        )
        while True:
            for x, y in loader:
                yield x.contiguous(memory_format=self.layout), y
            if not training:
                return

    def train(self) -> Batches:
        return self.loaded(True)

    def test(self) -> Batches:
        return self.loaded(False)


def train(workload: str, folder: Path, steps: int, width: float, bfloat16: bool, channels_last: bool) -> float:
    """Evaluates, then trains; returns the seconds of training."""
    torch.manual_seed(1)
    twin = TWINS[workload]
    layout = torch.channels_last if channels_last else torch.contiguous_format
    files = IN_MEMORY.get(data_of(workload))
    data = Images(files, folder, twin, layout) if files else Photographs(folder, twin, layout)
    model = MODELS[twin.model](data.classes, width).to(memory_format=layout)
    optimizer = torch.optim.AdamW(p for p in model.parameters() if p.requires_grad)

    def forward(x: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16) if bfloat16 else contextlib.nullcontext():
            return model(x).float()

    model.eval()
    with torch.no_grad():
        for x, _ in data.test():
            forward(x)
    model.train()
    batches = data.train()
    start = time.perf_counter()
    for _ in range(steps):
        x, y = next(batches)
        optimizer.zero_grad()
        loss = F.cross_entropy(forward(x), y, label_smoothing=twin.smoothing)
        loss.backward()
        optimizer.step()
        loss.item()
    return time.perf_counter() - start


def data_of(workload: str) -> str:
    return workload.rpartition("_")[0]


def find_data(given: str | None, data: str) -> tuple[Path, Path]:
    """The root of the data, as the program takes it, and the folder of the data set's files."""
    roots = measure.data_roots(given)
    files = IN_MEMORY[data]
    if data == "fashion_mnist":
        roots.append(Path("/usr/share/datasets"))  # Debian's
    for root in roots:
        for folder in (*(root / name for name in files.folders), root):
            if (folder / files.test[0]).exists():
                return root, folder
    raise NoData(f"no {data} under {' or '.join(str(root) for root in roots)}; run build/adabelief data {data}")


def make_photographs(root: Path, train: int) -> None:
    """Noise of 500 x 375 pixels in files of 110 kB, as ImageNet's photographs have in the mean."""
    from PIL import Image

    noise = numpy.random.default_rng(1)
    for part, count in (("train", train), ("val", 100)):
        for i in range(count):
            coarse = Image.fromarray(noise.integers(0, 256, (12, 16, 3), numpy.uint8))
            smooth = numpy.asarray(coarse.resize((500, 375), Image.Resampling.BICUBIC))
            pixels = (smooth + noise.normal(0, 22, smooth.shape)).clip(0, 255).astype(numpy.uint8)
            folder = root / part / f"n{i % 2}"
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(folder / f"{i}.JPEG", quality=90)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=60, help="of ResNet-20, of larger networks fewer (%(default)s)")
    parser.add_argument("--width", type=float, default=0.25, help="of VGG11, ResNet-34 and DenseNet-121 (%(default)s)")
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
        known = data_of(workload) in IN_MEMORY
        folder = find_data(options.data, data_of(workload))[1] if known else Path(options.data)
        torch.set_num_threads(options.threads)
        bfloat16 = options.precision == "bfloat16"
        print(train(workload, folder, options.steps, options.width, bfloat16, options.channels_last))
        return
    with tempfile.TemporaryDirectory() as made:
        compare(options, Path(made))


def steps_of(twin: Twin, steps: int) -> int:
    return max(2, round(steps * twin.share))


def compare(options: argparse.Namespace, made: Path) -> None:
    """Times every workload that is asked for; photographs may be made in the folder `made`."""
    found, missing = {}, []
    wanted = options.only or list(TWINS)
    for workload in (name for name in wanted if data_of(name) in IN_MEMORY):
        try:
            found[workload] = find_data(options.data, data_of(workload))[0]
        except NoData as problem:
            say(f"training: without {workload}: {problem}")
            missing.append(problem)
    if missing and not found:
        if not options.skip_without_data:
            raise missing[0]
        return
    for workload in (name for name in wanted if data_of(name) not in IN_MEMORY):
        make_photographs(made, TWINS[workload].batch * steps_of(TWINS[workload], options.steps))
        found[workload] = made

    config: dict = {}
    shares: dict[str, list[float]] = {"optimizer": [], "data": []}  # of adabelief's time, by what takes it

    def ours(workload: str, common: list[str], images: int) -> float:
        lines = measure.trial(workload, "--rule=adabelief", *common)
        config.update(lines[0])
        for part, all_ in shares.items():
            all_.append(measure.share(lines, part))
        return images / lines[-1]["seconds"]

    def python(workload: str, common: list[str], images: int) -> float:
        words = [sys.executable, __file__, "--python-only", "--only", workload]
        return images / float(output([*words, *common]))

    machine = measure.machine()
    measures, names = {}, []
    for workload, root in found.items():
        twin = TWINS[workload]
        steps, width = steps_of(twin, options.steps), options.width if twin.wide else 1
        common = [f"--steps={steps}", f"--width={width:g}", f"--threads={options.threads}", f"--data={root}"]
        for mode in twin.modes:
            names.append((workload, f"{width:g}", mode))
            words = workload, [*common, *MODES[mode]], twin.batch * steps
            for who, call in {OURS: ours, PEER: python}.items():
                measures[", ".join([*names[-1], who])] = lambda call=call, words=words: call(*words)
    rates = measure.turns(options.rounds, measures)
    rows = []
    for name in names:
        own, other = (rates[", ".join([*name, who])] for who in (OURS, PEER))
        rows.append([*name, *spread(own, "{:,.0f}"), *spread(other, "{:,.0f}"), f"{ratio(own, other):.2f}"])
    about = (
        f"{measure.versions(config)}. The workloads' own batches; images a second over the first {options.steps} steps "
        f"of ResNet-20, of others fewer or more, {options.rounds} rounds in turn: medians, and the smallest and "
        "largest. In ImageNet's place photographs of noise are decoded, 500 x 375 pixels in files of 110 kB."
    )
    optimizer, data = (f"{100 * max(shares[part]):.1f} %" for part in shares)
    measure.report(
        "training",
        f"{machine}, {options.threads} threads. {date.today()}.\n",
        measure.paragraph(about),
        measure.table(["workload", "width", "", OURS, "from, to", PEER, "from, to", "ratio"], rows, words=3),
        measure.paragraph(
            f"Of {OURS}'s time, making batches ready takes {data} at most (of photographs, which are decoded beside the "
            f"training, what that waits for them), and the optimizer's step {optimizer}."
        ),
        write=options.write,
    )


if __name__ == "__main__":
    measure.run(main)
