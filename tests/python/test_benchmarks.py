# SPDX-License-Identifier: MIT
"""Tests of what the benchmark programs make of their measurements; `benchmarks/peers.py --quick` runs the peers."""

from __future__ import annotations

import os
import re
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import gans
import language
import measure
import peers
import plot
import training
from measure import Problem
from peers import Entry, Shape

SHAPE = Shape("2/3", "Two tensors of 3", [3, 3])


def entry(name: str, seconds: float | Exception, **more: str) -> Entry:
    def begin(shape: Shape) -> peers.Timer:
        if isinstance(seconds, Exception):
            raise seconds
        os.write(1, b"noise\n")
        return lambda _: seconds

    return Entry(name, "AdaBelief", 8, begin, **more)


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(peers, "FOLDER", tmp_path)
    return tmp_path / "log"


def test_a_section_is_replaced_and_what_stands_around_it_stays(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- a -->\nold\n<!-- /a -->\nbetween\n<!-- b -->\n<!-- /b -->\nafter\n")
    for text in ("first\n", "second\n"):
        measure.write_section(page, "a", text)
        expected = f"before\n<!-- a -->\n\n{text}\n<!-- /a -->\nbetween\n<!-- b -->\n<!-- /b -->\nafter\n"
        assert page.read_text() == expected
    assert list(tmp_path.iterdir()) == [page]


@pytest.mark.parametrize("text", ["", "<!-- a -->\n", "<!-- /a -->\n<!-- a -->\n"])
def test_a_page_without_its_marks_is_refused_and_stays(tmp_path: Path, text: str) -> None:
    page = tmp_path / "page.md"
    page.write_text(text)
    with pytest.raises(Problem, match="has no lines <!-- a --> and <!-- /a -->"):
        measure.write_section(page, "a", "new")
    assert page.read_text() == text


def test_the_page_has_the_sections_that_the_programs_write() -> None:
    marks = re.findall("<!-- (.*) -->", measure.PAGE.read_text())
    programs = ["step", "forms", "rules", "training", "language", "gans"]
    assert marks == [mark for name in programs for mark in (name, f"/{name}")]


def test_a_table_is_markdown_with_numbers_to_the_right() -> None:
    assert (
        measure.table(["", "from", "µs"], [["a", "b", "1"]], words=2)
        == "|  | from | µs |\n| --- | --- | ---: |\n| a | b | 1 |\n"
    )


def test_rounds_end_when_the_time_is_spent_and_all_had_as_many(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(1000))  # a second passes with every look
    monkeypatch.setattr(measure.time, "monotonic", lambda: next(clock))
    whole = measure.turns(9, {"a": lambda: 1.0, "b": lambda: 2.0})
    part = measure.turns(9, {"a": lambda: 1.0, "b": lambda: 2.0}, budget=20)
    least = measure.turns(9, {"a": lambda: 1.0, "b": lambda: 2.0}, budget=0)
    assert [len(values) for values in whole.values()] == [9, 9]
    assert 1 < len(part["a"]) == len(part["b"]) < 9
    assert least == {"a": [1.0], "b": [2.0]}


def test_an_entry_that_fails_is_a_row_with_its_reason_and_the_others_are_timed(
    log: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    lost = ImportError(f"no {measure.ROOT}/build/peers/a|b\nand more")
    entries = [entry(peers.OURS, 1e-3, source="here"), entry("lost", lost), entry("slow", 2e-3, source="there")]
    missing = {}
    times = peers.time_shape(SHAPE, entries, missing, rounds=3, seconds=0.1, budget=9)
    assert times == {peers.OURS: [1e-3] * 3, "slow": [2e-3] * 3}
    assert missing == {"lost": "failed: ImportError: no build/peers/a/b"}
    assert "| lost | AdaBelief | failed: ImportError: no build/peers/a/b | 8 |" in peers.compared(entries, missing)
    table = peers.timed(SHAPE, entries, times)
    assert "lost" not in table
    assert "| slow | 2,000 | 2,000 to 2,000 | 8.4e-05 | 2.00 |" in table  # 6 weights x 28 bytes in 2 ms
    assert log.read_text() == "noise\n" * 2 and "noise" not in "".join(capfd.readouterr())


def test_what_pip_says_last_is_cut_to_its_error() -> None:
    said = (
        "python ended with 1 and said:\nERROR: Could not find a\nERROR: No matching distribution found for a==1\nnote"
    )
    assert peers.reason(Problem(said)) == "ERROR: No matching distribution found for a==1"
    assert peers.reason(KeyError()) == "KeyError: "


def test_every_package_has_its_version() -> None:
    assert len({peer.name for peer in peers.PEERS}) == len(peers.PEERS)
    for peer in peers.PEERS:
        assert all(re.fullmatch(r"[\w-]+==[\d.]+", package) for package in peer.packages), peer.name


def test_every_workload_on_images_has_a_twin_in_python() -> None:
    workloads = [path.stem for path in (measure.ROOT / "trials/workloads").glob("*.h")]
    images = {name for name in workloads if name.startswith(("cifar", "fashion_mnist", "imagenet"))}
    assert {*training.TWINS, *gans.WORKLOADS} == images


def test_a_share_is_that_of_the_whole_training() -> None:
    record = [{"type": "config"}, *({"type": "evaluation", "data_seconds": s} for s in (0.0, 1.0, 3.0))]
    record += [{"type": "samples"}, {"type": "end", "seconds": 12.0}]
    assert measure.share(record, "data") == 0.25


def test_photographs_are_made_for_both(tmp_path: Path) -> None:
    training.make_photographs(tmp_path, 4)
    data = training.Photographs(tmp_path, training.Twin("resnet18", batch=4), torch.channels_last)
    x, y = next(data.train())
    assert x.shape == (4, 3, 224, 224) and x.is_contiguous(memory_format=torch.channels_last)
    assert sorted(y.tolist()) == [0, 0, 1, 1] and 0.2 < x.std() < 3
    (shown,) = (len(y) for _, y in data.test())
    assert shown == 100 and 90_000 < (tmp_path / "val/n0/0.JPEG").stat().st_size < 130_000
    words = ["--rule=adam", "--batch=4", "--width=0.1", "--steps=1", f"--data={tmp_path}"]
    assert measure.trial("imagenet_resnet18", *words)[-1]["status"] == "finished"


def test_random_numbers_are_those_of_the_program() -> None:
    random = language.Random()
    random.state = 1234567
    assert [random.next(), random.next()] == [6457827717110365317, 3203168211198807973]  # as published
    assert sorted(random.permutation(9)) == list(range(9))
    draws = [random.normal() for _ in range(2000)]
    assert abs(sum(draws)) < 150 and 1800 < sum(x * x for x in draws) < 2200


def test_batches_have_sentences_of_like_length_and_count_the_padding() -> None:
    sentences = [[4] * n for n in (1, 5, 2, 5, 1)]
    assert language.in_batches(sentences, sentences, [4, 3, 2, 0], 6) == [[4, 0], [2], [3]]


def test_words_are_those_that_are_predicted_without_padding(tmp_path: Path) -> None:
    def write(path: str, text: str) -> None:
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)

    write("ptb/ptb.train.txt", "a b c\n" * 1000)
    write("tinyshakespeare/input.txt", "abcd" * 2000)
    for tongue in ("de", "en"):
        write(f"multi30k/train.lc.norm.tok.{tongue}", "a b c\na b\na b c d\na a a a a\n")
    _, words = language.lstm(1, 0.02, tmp_path, 4000, 1)
    random = language.Random(1, 1, 0)
    assert random.uniform() < 0.95 and words == 20 * int(70 + 5 * random.normal())
    # Of 20 columns of 20 words all but the first word of each, and then the text begins anew.
    assert language.lstm(1, 0.02, tmp_path, 400, 3)[1] == 3 * 20 * 19
    assert language.gpt(0.1, tmp_path, 6000, 2)[1] == 2 * 32 * 128
    assert language.translation(0.02, tmp_path, 4, 1)[1] == 4 + 3 + 5 + 6  # with the mark at the end
    assert language.translation(0.02, tmp_path, 1, 1)[1] in (4, 3, 5, 6)


def test_bars_lie_in_their_panels_in_order_of_their_times() -> None:
    kinds = {"quick": "ours", "slow": "theirs", "a < b": "theirs"}
    panels = {"one": {"quick": [1e-6, 2e-6, 9e-6], "slow": [1.0]}, "two": {"quick": [0.1], "a < b": [0.3, 0.2, 0.1]}}
    root = ET.fromstring(plot.bars(panels, kinds, "title"))
    svg = "{http://www.w3.org/2000/svg}"
    bars = [(float(r.get("x")), float(r.get("width"))) for r in root.iter(f"{svg}rect") if r.get("height") == "12"][2:]
    assert len(bars) == 4
    assert bars[0][0] == bars[1][0] and bars[2][0] == bars[3][0] > bars[0][0] + bars[1][1]
    assert 0 < bars[0][1] < bars[1][1] and 0 < bars[2][1] < bars[3][1]
    assert bars[3][0] + bars[3][1] < float(root.get("width"))
    texts = [text.text for text in root.iter(f"{svg}text")]
    assert {"2.0 µs", "1.0 s", "100 ms", "200 ms", "a < b", "ours", "theirs"} <= set(texts)


@pytest.mark.parametrize(
    ("seconds", "text"), [(1.23e-6, "1.2 µs"), (9.96e-6, "10 µs"), (0.9996e-3, "1.0 ms"), (4e-8, "40 ns"), (12, "12 s")]
)
def test_a_duration_has_two_digits_and_a_unit(seconds: float, text: str) -> None:
    assert plot.duration(seconds) == text
