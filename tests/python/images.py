# SPDX-License-Identifier: MIT
"""Made-up images in the files, and of the sizes, that the image workloads expect."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import numpy
import torch

# 16 x 16 pixels of colour.
JPEG = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDABsSFBcUERsXFhceHBsgKEIrKCUlKFE6PTBCYFVlZF9VXVtqeJmBanGQc1tdhbWGkJ6jq62rZ4C8yb"
    "qmx5moq6T/2wBDARweHigjKE4rK06kbl1upKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKT/wAARCAAQ"
    "ABADASIAAhEBAxEB/8QAFgABAQEAAAAAAAAAAAAAAAAABAMF/8QAGBAAAgMAAAAAAAAAAAAAAAAAAAMEEUH/xAAUAQEAAAAAAAAAAAAAAAAAAA"
    "AA/8QAGxEAAgEFAAAAAAAAAAAAAAAAAAQCAxETMfD/2gAMAwEAAhEDEQA/AMpUasHqjVgtUasLqjVgnWwdoKsXP//Z"
)


def make_cifar(root: Path) -> Path:
    """Noise at the starts of the files, then black images of class 0."""
    noise = numpy.random.default_rng(1)
    sizes = {f"cifar-10-batches-bin/data_batch_{i}.bin": 10_000 * 3073 for i in range(1, 6)}
    sizes |= {"cifar-10-batches-bin/test_batch.bin": 10_000 * 3073}
    sizes |= {"cifar-100-binary/train.bin": 50_000 * 3074, "cifar-100-binary/test.bin": 10_000 * 3074}
    for name, size in sizes.items():
        file = root / name
        file.parent.mkdir(exist_ok=True)
        record = size // 10_000 // (5 if "train" in name else 1)
        records = noise.integers(256, size=(100, record), dtype=numpy.uint8)
        records[:, : record - 3072] = noise.integers(10, size=(100, record - 3072))
        file.write_bytes(records.tobytes())
        os.truncate(file, size)
    return root


def make_photographs(root: Path) -> Path:
    """The same small picture in both classes; crops and flips make it many."""
    for part, count in (("train", 16), ("val", 4)):
        for name in ("n1", "n2"):
            folder = root / "imagenet" / part / name
            folder.mkdir(parents=True)
            for i in range(count):
                (folder / f"{i}.JPEG").write_bytes(JPEG)
    return root


class Means(torch.nn.Module):
    """The mean colour as the features of images uint8 (N, 3, H, W)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.float().mean((2, 3))


def make_features(root: Path) -> Path:
    """What distances between images are taken over, without training a classifier for it."""
    torch.jit.script(Means()).save(str(root / "inception-2015-12-05.pt"))
    return root
