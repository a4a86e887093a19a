# SPDX-License-Identifier: MIT
"""Made-up text in the files, and of the numbers of words and sentences, that the language workloads expect."""

from __future__ import annotations

import random
from itertools import cycle, islice
from pathlib import Path

# What makes each language workload small: a share of the text, and narrow layers.
SMALL = {
    "ptb_lstm1": "--train 6000 --width 0.02 --batch 10",
    "ptb_lstm2": "--train 6000 --width 0.02 --batch 10",
    "ptb_lstm3": "--train 6000 --width 0.02 --batch 10",
    "words_lstm3": "--width 0.02 --batch 4",
    "shakespeare_gpt": "--train 5000 --width 0.1 --batch 4",
    "multi30k_transformer": "--train 100 --width 0.05 --batch 200",
    "iwslt14_transformer": "--train 100 --width 0.05 --batch 200",
}


def lines_of(words: int, lines: int, vocabulary: list[str]) -> str:
    """So many words in so many lines: the vocabulary again and again."""
    text = cycle(vocabulary)
    each, more = divmod(words, lines)
    return "".join(" ".join(islice(text, each + (i < more))) + "\n" for i in range(lines))


def make_words(folder: Path, prefix: str, sizes: dict[str, tuple[int, int]], vocabulary: list[str]) -> None:
    folder.mkdir(parents=True)
    for part, (words, lines) in sizes.items():
        (folder / f"{prefix}{part}.txt").write_text(lines_of(words, lines, vocabulary))


def make_pairs(folder: Path, names: dict[str, int], suffixes: tuple[str, str]) -> None:
    """Sentences of three to eight words, and a translation word by word."""
    folder.mkdir(parents=True)
    chance = random.Random(1)
    for name, count in names.items():
        sentences = [[chance.randrange(20) for _ in range(chance.randrange(3, 9))] for _ in range(count)]
        for suffix in suffixes:
            text = "".join(" ".join(f"{suffix}{word}" for word in sentence) + "\n" for sentence in sentences)
            (folder / f"{name}.{suffix}").write_text(text)


def make_corpora(root: Path) -> Path:
    """A data root for every language workload."""
    ptb = {"train": (929_589 - 42_068, 42_068), "valid": (73_760 - 3_370, 3_370), "test": (82_430 - 3_761, 3_761)}
    make_words(root / "ptb", "ptb.", ptb, [f"w{i}" for i in range(9_999)])
    sizes = {"train": (2_000, 100), "valid": (500, 25), "test": (500, 25)}
    make_words(root / "words", "", sizes, [f"w{i % 7}" for i in range(40)])
    (root / "tinyshakespeare").mkdir()
    text = "".join(map(chr, range(32, 97)))
    (root / "tinyshakespeare" / "input.txt").write_text((text * 20_000)[:1_115_394])
    make_pairs(root / "multi30k", {"train.lc.norm.tok": 29_000, "val.lc.norm.tok": 1_014,
                                   "test_2016_flickr.lc.norm.tok": 1_000}, ("de", "en"))  # fmt: skip
    make_pairs(root / "iwslt14", {"train": 400, "valid": 20, "test": 20}, ("de", "en"))
    return root
