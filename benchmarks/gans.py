# SPDX-License-Identifier: MIT
"""Steps a second of `adabelief train` for the generative networks beside the same training in Python with PyTorch.

Each trains from random weights for --steps steps on batches of 64, five of the critic and one of the generator in turn,
in a process of its own, in turn, for several rounds; only the steps are timed. The Python optimizers are
torch.optim.AdamW's. The table is Markdown. Run it with the Python that has torch (`make bench` does).
"""

from __future__ import annotations

import argparse
import sys
import time
from datetime import date
from pathlib import Path

import measure
import torch
import torch.nn.functional as F
from measure import OURS, PEER, Problem, output, ratio, say, spread
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm
from training import IN_MEMORY, NoData, find_data

BATCH, CLASSES = 64, 10
WORKLOADS = ("cifar10_wgan", "cifar10_wgan_gp", "cifar10_sngan")


class Dcgan(nn.Sequential):
    """The generator of trials/models/dcgan.h."""

    latent, side = 100, 64

    def __init__(self, channels: int) -> None:
        layers: list[nn.Module] = []
        inputs, outputs = self.latent, 8 * channels
        for i in range(4):
            layers.append(nn.ConvTranspose2d(inputs, outputs, 4, 2 if i else 1, 1 if i else 0, bias=False))
            layers += [nn.BatchNorm2d(outputs), nn.ReLU(True)]
            inputs, outputs = outputs, outputs // 2
        super().__init__(*layers, nn.ConvTranspose2d(inputs, 3, 4, 2, 1, bias=False), nn.Tanh())

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        return super().forward(z.view(-1, self.latent, 1, 1))


class DcganCritic(nn.Sequential):
    """The critic of trials/models/dcgan.h."""

    def __init__(self, channels: int, linear: bool) -> None:
        layers: list[nn.Module] = []
        inputs, outputs = 3, channels
        for i in range(4):
            layers.append(nn.Conv2d(inputs, outputs, 4, 2, 1, bias=False))
            layers += [nn.BatchNorm2d(outputs)] if i else []
            layers.append(nn.LeakyReLU(0.2, True))
            inputs, outputs = outputs, 2 * outputs
        end = (
            [nn.Flatten(), nn.Linear(16 * inputs, 1)] if linear else [nn.Conv2d(inputs, 1, 4, bias=False), nn.Sigmoid()]
        )
        super().__init__(*layers, *end)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return super().forward(x).flatten()


class ConditionalBatchNorm(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, 1e-4, affine=False)
        self.gain, self.shift = (
            nn.Embedding(CLASSES, channels),
            nn.Embedding(CLASSES, channels),
        )

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        gain, shift = (table(y)[:, :, None, None] for table in (self.gain, self.shift))
        return self.norm(x) * (1 + gain) + shift


class GeneratorBlock(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = (
            ConditionalBatchNorm(channels),
            ConditionalBatchNorm(channels),
        )
        self.conv1, self.conv2 = (nn.Conv2d(channels, channels, 3, padding=1) for _ in range(2))
        self.shortcut = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        h = self.conv1(F.interpolate(F.relu(self.norm1(x, y)), scale_factor=2))
        return self.conv2(F.relu(self.norm2(h, y))) + F.interpolate(self.shortcut(x), scale_factor=2)


class Sngan(nn.Module):
    """The generator of trials/models/sngan.h."""

    latent, side = 128, 32

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.linear = nn.Linear(self.latent, 16 * channels)
        self.blocks = nn.ModuleList(GeneratorBlock(channels) for _ in range(3))
        self.norm, self.conv = (
            nn.BatchNorm2d(channels, 1e-4),
            nn.Conv2d(channels, 3, 3, padding=1),
        )

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        x = self.linear(z).view(len(z), -1, 4, 4)
        for block in self.blocks:
            x = block(x, y)
        return torch.tanh(self.conv(F.relu(self.norm(x))))


class DiscriminatorBlock(nn.Module):
    def __init__(self, inputs: int, outputs: int, halves: bool, first: bool) -> None:
        super().__init__()
        self.conv1 = spectral_norm(nn.Conv2d(inputs, outputs, 3, padding=1))
        self.conv2 = spectral_norm(nn.Conv2d(outputs, outputs, 3, padding=1))
        self.shortcut = spectral_norm(nn.Conv2d(inputs, outputs, 1)) if halves or first else nn.Identity()
        self.pool = nn.AvgPool2d(2) if halves else nn.Identity()
        self.first = first

    def forward(self, x: Tensor) -> Tensor:
        x = x if self.first else F.relu(x)
        h = self.conv2(F.relu(self.conv1(x)))
        return self.pool(h) + self.shortcut(self.pool(x))


class SnganDiscriminator(nn.Module):
    """The discriminator of trials/models/sngan.h."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.blocks = nn.Sequential(
            *(DiscriminatorBlock(channels if i else 3, channels, i < 2, i == 0) for i in range(4))
        )
        self.linear = spectral_norm(nn.Linear(channels, 1))
        self.embedding = spectral_norm(nn.Embedding(CLASSES, channels))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        h = F.relu(self.blocks(x)).sum((2, 3))
        return self.linear(h).flatten() + (h * self.embedding(y)).sum(1)


def train(workload: str, folder: Path, steps: int, width: float) -> float:
    """Trains; returns the seconds."""
    torch.manual_seed(1)
    sn, gp = workload == "cifar10_sngan", workload == "cifar10_wgan_gp"
    images, labels = IN_MEMORY["cifar10"].read(folder, IN_MEMORY["cifar10"].train)
    generator: Dcgan | Sngan = Sngan(round(256 * width)) if sn else Dcgan(round(64 * width))
    critic = SnganDiscriminator(round(128 * width)) if sn else DcganCritic(round(64 * width), gp)
    for network in (generator, critic):
        network.to(memory_format=torch.channels_last)
    adams = {network: torch.optim.AdamW(network.parameters(), 2e-4, (0.5, 0.999)) for network in (generator, critic)}

    def reals(indices: Tensor) -> Tensor:
        x = (images[indices].float() / 127.5 - 1).contiguous(memory_format=torch.channels_last)
        if sn:
            return torch.where(torch.rand(len(x), 1, 1, 1) < 0.5, x.flip(3), x)
        return F.interpolate(x, scale_factor=2, mode="bilinear")

    def critic_loss(x: Tensor, y: Tensor, fake: Tensor, fake_y: Tensor) -> Tensor:
        if sn:
            return F.relu(1 - critic(x, y)).mean() + F.relu(1 + critic(fake, fake_y)).mean()
        loss = critic(fake, fake_y).mean() - critic(x, y).mean()
        if not gp:
            return loss
        between = torch.lerp(fake, x, torch.rand(len(x), 1, 1, 1)).requires_grad_()
        (gradient,) = torch.autograd.grad(critic(between, y).sum(), between, create_graph=True)
        return loss + 10 * (gradient.flatten(1).norm(2, 1) - 1).square().mean()

    order: list[Tensor] = []
    start = time.perf_counter()
    for t in range(steps):
        z, fake_y = (
            torch.randn(BATCH, generator.latent),
            torch.randint(CLASSES, (BATCH,)),
        )
        turn = generator if t % 6 == (5 if sn else 1) else critic
        if turn is generator:
            loss = -critic(generator(z, fake_y), fake_y).mean()
        else:
            order = order or list(torch.randperm(len(images)).split(BATCH)[:-1])
            indices = order.pop()
            with torch.no_grad():
                fake = generator(z, fake_y)
            loss = critic_loss(reals(indices), labels[indices], fake, fake_y)
        adams[turn].zero_grad()
        loss.backward(inputs=list(turn.parameters()))
        adams[turn].step()
        if turn is critic and workload == "cifar10_wgan":
            with torch.no_grad():
                torch._foreach_clamp_min_(list(critic.parameters()), -0.01)
                torch._foreach_clamp_max_(list(critic.parameters()), 0.01)
        loss.item()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=24, help="of each measurement (default: %(default)s)")
    parser.add_argument("--width", type=float, default=0.25, help="of the networks (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="default: all cores, %(default)s")
    parser.add_argument("--data", help="folder of CIFAR-10; else $ADABELIEF_DATA, else the cache of this user")
    parser.add_argument("--skip-without-data", action="store_true", help="succeed where CIFAR-10 is not found")
    parser.add_argument("--write", action="store_true", help=f"write the table into {measure.PAGE}")
    parser.add_argument("--python-only", choices=WORKLOADS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.rounds < 1 or options.steps < 1 or options.threads < 1 or options.width <= 0:
        raise Problem("--rounds, --steps, --threads and --width must be positive")
    try:
        root, folder = find_data(options.data, "cifar10")
    except NoData as problem:
        if not options.skip_without_data:
            raise
        say(f"gans: skipped: {problem}")
        return
    if options.python_only:
        torch.set_num_threads(options.threads)
        print(train(options.python_only, folder, options.steps, options.width))
        return

    common = [f"--steps={options.steps}", f"--threads={options.threads}", f"--width={options.width}", f"--data={root}"]
    config: dict = {}
    shares: list[float] = []  # of adabelief's time, that making batches ready takes

    def ours(workload: str) -> float:
        # So few images make evaluations, which aren't timed, short.
        lines = measure.trial(workload, "--rule=adabelief", "--channels-last", "--train=3200", *common)
        config.update(lines[0])
        shares.append(measure.share(lines, "data"))
        return options.steps / lines[-1]["seconds"]

    def python(workload: str) -> float:
        return options.steps / float(output([sys.executable, __file__, "--python-only", workload, *common]))

    machine = measure.machine()
    measures = {}
    for workload in WORKLOADS:
        measures[f"{workload}, {OURS}"] = lambda workload=workload: ours(workload)
        measures[f"{workload}, {PEER}"] = lambda workload=workload: python(workload)
    rates = measure.turns(options.rounds, measures)
    rows = []
    for workload in WORKLOADS:
        own, other = rates[f"{workload}, {OURS}"], rates[f"{workload}, {PEER}"]
        rows.append([workload, *spread(own), *spread(other), f"{ratio(own, other):.2f}"])
    about = (
        f"{measure.versions(config)}. Networks of {options.width:g} times the authors' width, batches of {BATCH}, "
        f"float32, channels-last; steps a second over {options.steps} steps, {options.rounds} rounds in turn: medians, "
        f"and the smallest and largest. Making batches ready takes {100 * max(shares):.1f} % of {OURS}'s time at most."
    )
    measure.report(
        "gans",
        f"{machine}, {options.threads} threads. {date.today()}.\n",
        measure.paragraph(about),
        measure.table(["", OURS, "from, to", PEER, "from, to", "ratio"], rows),
        write=options.write,
    )


if __name__ == "__main__":
    measure.run(main)
