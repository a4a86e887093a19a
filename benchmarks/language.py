# SPDX-License-Identifier: MIT
"""Words a second of `adabelief train` on text beside the same training written in Python with PyTorch.

Models, data and batches are the same: lengths, orders and the share of the text are drawn as the program draws them.
The Python optimizer is torch.optim.AdamW. Words are those that are predicted, padding not counted. Both train for
--steps steps in a process of their own, in turn, for several rounds; only the steps are timed. A workload whose text is
not found is left out. The table is Markdown. Run it with the Python that has torch (`make bench` does).
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from itertools import count, pairwise
from pathlib import Path

import measure
import torch
import torch.nn.functional as F
from measure import OURS, PEER, Problem, output, ratio, say, spread
from torch import Tensor, nn

SEED = 1
Losses = Iterator[tuple[Tensor, int]]  # and of how many words it is


class Random:
    """The stream of trials/random.h."""

    def __init__(self, *key: int) -> None:
        self.state = 0
        for part in key:
            self.state = self.mix(self.state + part)

    @staticmethod
    def mix(z: int) -> int:
        z %= 2**64
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
        return z ^ (z >> 31)

    def next(self) -> int:
        self.state += 0x9E3779B97F4A7C15
        return self.mix(self.state)

    def below(self, n: int) -> int:
        return (self.next() >> 32) * n >> 32

    def uniform(self) -> float:
        return (self.next() >> 11) * 2**-53

    def normal(self) -> float:
        radius = math.sqrt(-2 * math.log(1 - self.uniform()))
        return radius * math.cos(2 * math.pi * self.uniform())

    def permutation(self, n: int) -> list[int]:
        order = list(range(n))
        for i in range(n, 1, -1):
            j = self.below(i)
            order[i - 1], order[j] = order[j], order[i - 1]
        return order


def timed(model: nn.Module, steps: int, losses: Losses, clip: float = 0) -> tuple[float, int]:
    """The seconds of so many steps of AdamW on these losses, and their words."""
    optimizer = torch.optim.AdamW(model.parameters())
    model.train()
    words = 0
    start = time.perf_counter()
    for _ in range(steps):
        optimizer.zero_grad()
        loss, more = next(losses)
        words += more
        loss.backward()
        if clip:
            nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
        loss.item()
    return time.perf_counter() - start, words


class AwdLstm(nn.Module):
    """The model of trials/models/awd_lstm.h."""

    def __init__(self, words: int, layers: int, embedding: int = 400, hidden: int = 1150) -> None:
        super().__init__()
        self.embedding, self.bias = nn.Parameter(torch.empty(words, embedding)), nn.Parameter(torch.zeros(words))
        nn.init.uniform_(self.embedding, -0.1, 0.1)
        widths = [embedding] + [hidden] * (layers - 1) + [embedding]
        self.layers = nn.ModuleList(nn.LSTM(i, o) for i, o in pairwise(widths))

    def state(self, columns: int) -> list[tuple[Tensor, Tensor]]:
        return [(torch.zeros(1, columns, lstm.hidden_size),) * 2 for lstm in self.layers]

    @staticmethod
    def locked(x: Tensor, p: float) -> Tensor:
        return x * torch.empty(1, *x.shape[1:]).bernoulli_(1 - p).div_(1 - p)

    def forward(self, words: Tensor, following: Tensor, state: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, list]:
        mask = torch.empty(len(self.embedding), 1).bernoulli_(0.9).div_(0.9)
        x = self.locked(F.embedding(words, self.embedding * mask), 0.4)
        new = []
        for number, (lstm, before) in enumerate(zip(self.layers, state, strict=True)):
            w_ih, w_hh, b_ih, b_hh = lstm._flat_weights
            weights = [w_ih, F.dropout(w_hh, 0.5), b_ih, b_hh]
            raw, h, c = torch._VF.lstm(x, before, weights, True, 1, 0.0, True, False, False)
            new.append((h.detach(), c.detach()))
            x = self.locked(raw, 0.25 if number + 1 < len(self.layers) else 0.4)
        loss = F.cross_entropy(F.linear(x.flatten(0, 1), self.embedding, self.bias), following.flatten())
        return loss + 2 * x.square().mean() + (raw[1:] - raw[:-1]).square().mean(), new


def lstm(layers: int, width: float, root: Path, train: int, steps: int) -> tuple[float, int]:
    torch.manual_seed(SEED)
    text = (root / "ptb" / "ptb.train.txt").read_text().replace("\n", " <eos> ").split()
    number = {word: i for i, word in enumerate(dict.fromkeys(text))}
    tokens = torch.tensor([number[word] for word in text[:train]])
    columns = tokens[: len(tokens) // 20 * 20].view(20, -1).t().contiguous()
    model = AwdLstm(len(number), layers, round(400 * width), round(1150 * width))

    def losses() -> Losses:
        state, first = model.state(20), 0
        for step in count():
            random = Random(SEED, 1, step)
            mean = 70 if random.uniform() < 0.95 else 35
            rows = max(5, int(mean + 5 * random.normal()))
            if first >= len(columns) - 1:
                state, first = model.state(20), 0
            following = columns[first + 1 : first + rows + 1]
            loss, state = model(columns[first : first + len(following)], following, state)
            first += rows
            yield loss, following.numel()

    return timed(model, steps, losses(), 0.25)


class GptBlock(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.attended = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        n, steps, width = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(n, steps, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.attended(mixed.transpose(1, 2).reshape(n, steps, width))
        return x + self.down(F.gelu(self.up(self.norm2(x)), approximate="tanh"))


class Gpt(nn.Module):
    """The model of trials/models/gpt.h."""

    def __init__(self, characters: int, context: int = 128, layers: int = 4, heads: int = 4, width: int = 128) -> None:
        super().__init__()
        self.embedding = nn.Parameter(torch.randn(characters, width) * 0.02)
        self.positions = nn.Parameter(torch.randn(context, width) * 0.02)
        self.bias = nn.Parameter(torch.zeros(characters))
        self.blocks = nn.Sequential(*(GptBlock(width, heads) for _ in range(layers)))
        self.norm = nn.LayerNorm(width)

    def forward(self, tokens: Tensor, following: Tensor) -> Tensor:
        x = self.norm(self.blocks(F.embedding(tokens, self.embedding) + self.positions))
        return F.cross_entropy(F.linear(x, self.embedding, self.bias).flatten(0, 1), following.flatten())


def gpt(width: float, root: Path, train: int, steps: int) -> tuple[float, int]:
    torch.manual_seed(SEED)
    text = (root / "tinyshakespeare" / "input.txt").read_bytes()
    number = {c: i for i, c in enumerate(sorted(set(text)))}
    tokens = torch.tensor([number[c] for c in text[:train]])
    model = Gpt(len(number), width=4 * round(32 * width))
    places = torch.arange(129)

    def losses() -> Losses:
        for epoch in count():
            order = torch.tensor(Random(SEED, 1, epoch).permutation((len(tokens) - 128) // 128))
            start = Random(SEED, 2, epoch).below(128)
            for starts in (start + order[: len(order) // 32 * 32] * 128).split(32):
                pieces = tokens[starts.unsqueeze(1) + places]
                yield model(pieces[:, :-1], pieces[:, 1:]), pieces[:, 1:].numel()

    return timed(model, steps, losses())


class Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))

    def forward(self, x: Tensor, other: Tensor, mask: Tensor | None, causal: bool = False) -> Tensor:
        q, k, v = (
            linear(y).view(*y.shape[:2], self.heads, -1).transpose(1, 2)
            for linear, y in ((self.query, x), (self.key, other), (self.value, other))
        )
        mixed = F.scaled_dot_product_attention(q, k, v, mask, is_causal=causal)
        return self.out(mixed.transpose(1, 2).reshape(x.shape))


class TransformerLayer(nn.Module):
    def __init__(self, width: int, inner: int, heads: int, crosses: bool) -> None:
        super().__init__()
        self.own, self.norm1 = Attention(width, heads), nn.LayerNorm(width)
        self.crosses = crosses
        if crosses:
            self.cross, self.norm2 = Attention(width, heads), nn.LayerNorm(width)
        self.up, self.down, self.norm3 = nn.Linear(width, inner), nn.Linear(inner, width), nn.LayerNorm(width)
        self.dropout = nn.Dropout(0.3)

    def forward(self, x: Tensor, mask: Tensor, source: Tensor | None = None) -> Tensor:
        own = self.own(x, x, None, True) if self.crosses else self.own(x, x, mask)
        x = self.norm1(x + self.dropout(own))
        if self.crosses:
            x = self.norm2(x + self.dropout(self.cross(x, source, mask)))
        return self.norm3(x + self.dropout(self.down(F.relu(self.up(x)))))


class Transformer(nn.Module):
    """The model of trials/models/transformer.h."""

    def __init__(self, source: int, target: int, width: int = 512, inner: int = 1024, heads: int = 4) -> None:
        super().__init__()
        self.source, self.target = nn.Embedding(source, width), nn.Embedding(target, width)
        for embedding in (self.source, self.target):
            nn.init.normal_(embedding.weight, 0, width**-0.5)
        self.encoder, self.decoder = (
            nn.ModuleList(TransformerLayer(width, inner, heads, crosses) for _ in range(6)) for crosses in (False, True)
        )
        self.dropout = nn.Dropout(0.3)

    def embed(self, embedding: nn.Embedding, words: Tensor) -> Tensor:
        width = embedding.embedding_dim
        rates = torch.exp(torch.arange(width // 2) * (-math.log(10_000) / (width // 2 - 1)))
        angle = torch.arange(words.shape[1]).unsqueeze(1) * rates
        return self.dropout(embedding(words) * width**0.5 + torch.cat([angle.sin(), angle.cos()], 1))

    def forward(self, source: Tensor, target: Tensor, following: Tensor) -> Tensor:
        mask = source.ne(0)[:, None, None, :]
        x = self.embed(self.source, source)
        for layer in self.encoder:
            x = layer(x, mask)
        y = self.embed(self.target, target)
        for layer in self.decoder:
            y = layer(y, mask, x)
        logits = F.linear(y, self.target.weight).flatten(0, 1)
        return F.cross_entropy(logits, following.flatten(), ignore_index=0, label_smoothing=0.1)


def in_batches(source: list[list[int]], target: list[list[int]], order: list[int], size: int) -> list[list[int]]:
    """These sentences by their length, as many together as have `size` words, padding included."""
    batches: list[list[int]] = [[]]
    longest = 0
    for i in sorted(order, key=lambda i: (len(target[i]), len(source[i]))):
        length = max(len(source[i]), len(target[i])) + 1
        longest = max(longest, length)
        if (len(batches[-1]) + 1) * longest > size:
            batches.append([])
            longest = length
        batches[-1].append(i)
    return batches


def translation(width: float, root: Path, train: int, steps: int) -> tuple[float, int]:
    torch.manual_seed(SEED)

    def read(language: str) -> tuple[list[list[int]], int]:
        lines = [s.split() for s in (root / "multi30k" / f"train.lc.norm.tok.{language}").read_text().splitlines()]
        frequent = [w for w, count in Counter(w for line in lines for w in line).most_common() if count > 1]
        number = {word: i for i, word in enumerate(frequent, 4)}
        return [[number.get(word, 1) for word in line] for line in lines], len(frequent) + 4

    (source, source_words), (target, target_words) = read("de"), read("en")
    batches = in_batches(source, target, Random(0, 1, 0).permutation(len(source))[:train], 4096)
    model = Transformer(source_words, target_words, 8 * round(64 * width), round(1024 * width))

    def padded(sentences: list[list[int]]) -> Tensor:
        return nn.utils.rnn.pad_sequence([torch.tensor(s) for s in sentences], batch_first=True)

    def losses() -> Losses:
        for epoch in count():
            for b in Random(SEED, 2, epoch).permutation(len(batches)):
                loss = model(
                    padded([[*source[i], 3] for i in batches[b]]),
                    padded([[2, *target[i]] for i in batches[b]]),
                    padded([[*target[i], 3] for i in batches[b]]),
                )
                yield loss, sum(len(target[i]) + 1 for i in batches[b])

    return timed(model, steps, losses())


@dataclass(frozen=True)
class Language:
    """A workload in Python, of this width, on so many words, characters or sentences, so that evaluations are short."""

    file: str
    width: float
    time: Callable[[float, Path, int, int], tuple[float, int]]  # width, data root, train, steps -> seconds, words
    train: int


PTB = "ptb/ptb.train.txt"
LANGUAGE = {
    "ptb_lstm1": Language(PTB, 1, lambda *of: lstm(1, *of), 40_000),
    "ptb_lstm2": Language(PTB, 1, lambda *of: lstm(2, *of), 40_000),
    "ptb_lstm3": Language(PTB, 1, lambda *of: lstm(3, *of), 40_000),
    "shakespeare_gpt": Language("tinyshakespeare/input.txt", 1, gpt, 200_000),
    "multi30k_transformer": Language("multi30k/train.lc.norm.tok.de", 0.25, translation, 5_000),
}


def find_data(given: str | None, file: str) -> Path | None:
    """The data root that has the file."""
    return next((root for root in measure.data_roots(given) if (root / file).exists()), None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=10, help="of each measurement (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="default: all cores, %(default)s")
    parser.add_argument("--only", nargs="+", choices=LANGUAGE, metavar="WORKLOAD", help="of " + ", ".join(LANGUAGE))
    parser.add_argument("--data", help="folder of the text; else $ADABELIEF_DATA, else the cache of this user")
    parser.add_argument("--skip-without-data", action="store_true", help="succeed where no text is found")
    parser.add_argument("--write", action="store_true", help=f"write the table into {measure.PAGE}")
    parser.add_argument("--python-only", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.rounds < 1 or options.steps < 1 or options.threads < 1:
        raise Problem("--rounds, --steps and --threads must be positive")
    found = {}
    for workload in options.only or LANGUAGE:
        root = find_data(options.data, LANGUAGE[workload].file)
        if root is None:
            say(f"language: without {workload}: no {LANGUAGE[workload].file}; docs/language.md says how to get it")
        else:
            found[workload] = root
    if not found:
        if options.skip_without_data:
            return
        raise Problem("no text; docs/language.md says how to get it")
    if options.python_only:
        torch.set_num_threads(options.threads)
        ((workload, root),) = found.items()
        of = LANGUAGE[workload]
        print(*of.time(of.width, root, of.train, options.steps))
        return

    common = [f"--steps={options.steps}", f"--threads={options.threads}"]
    config: dict = {}
    shares: list[float] = []  # of adabelief's time, that making batches ready takes
    counted = {}  # the words of a workload's steps, the same in every round

    def ours(workload: str) -> float:
        of = LANGUAGE[workload]
        words = [workload, "--rule=adamw", f"--train={of.train}", f"--width={of.width}", f"--seed={SEED}"]
        lines = measure.trial(*words, f"--data={found[workload]}", *common)
        config.update(lines[0])
        shares.append(measure.share(lines, "data"))
        return lines[-1]["seconds"]

    def python(workload: str) -> float:
        words = [sys.executable, __file__, "--python-only", "--only", workload, f"--data={found[workload]}"]
        seconds, counted[workload] = map(float, output([*words, *common]).split())
        return seconds

    machine = measure.machine()
    measures = {}
    for workload in found:
        for who, call in {OURS: ours, PEER: python}.items():
            measures[f"{workload}, {who}"] = lambda call=call, workload=workload: call(workload)
    seconds = measure.turns(options.rounds, measures)
    rows = []
    for workload in found:
        own, other = ([counted[workload] / s for s in seconds[f"{workload}, {who}"]] for who in (OURS, PEER))
        width = f"{LANGUAGE[workload].width:g}"
        rows.append([workload, width, *spread(own, "{:,.0f}"), *spread(other, "{:,.0f}"), f"{ratio(own, other):.2f}"])
    about = (
        f"{measure.versions(config)}. Words a second, of shakespeare_gpt characters, of multi30k_transformer those of "
        f"the translations, over the first {options.steps} steps, {options.rounds} rounds in turn: medians, and the "
        f"smallest and largest. Making batches ready takes {100 * max(shares):.1f} % of {OURS}'s time at most."
    )
    measure.report(
        "language",
        f"{machine}, {options.threads} threads. {date.today()}.\n",
        measure.paragraph(about),
        measure.table(["workload", "width", OURS, "from, to", PEER, "from, to", "ratio"], rows),
        write=options.write,
    )


if __name__ == "__main__":
    measure.run(main)
