# SPDX-License-Identifier: MIT
"""Tests of `adabelief data`: downloads from a server on this machine that breaks off, refuses, and sends wrong files.

The program is $ADABELIEF_PROGRAM, or build/adabelief. The server has the four official files of Fashion-MNIST: Debian's
package has the same compressed streams and differs only in the header, which lacks the file's name and time.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import pty
import re
import resource
import signal
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

PROGRAM = Path(os.environ.get("ADABELIEF_PROGRAM", Path(__file__).parents[2] / "build" / "adabelief")).resolve()
DEBIAN = Path("/usr/share/datasets/fashion-mnist")
TIMES = {"train-images-idx3-ubyte": 1504176606, "train-labels-idx1-ubyte": 1504176606,
         "t10k-images-idx3-ubyte": 1504176627, "t10k-labels-idx1-ubyte": 1504176627}
LABELS = "t10k-labels-idx1-ubyte.gz"  # the smallest of them, 5,148 bytes
LABELS_SHA256 = "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"

pytestmark = [
    pytest.mark.skipif("ADABELIEF_PROGRAM" not in os.environ and not PROGRAM.exists(), reason=f"no {PROGRAM}"),
    pytest.mark.skipif(not DEBIAN.exists(), reason="needs Debian's dataset-fashion-mnist"),
]


@pytest.fixture(scope="session")
def official() -> dict[str, bytes]:
    """The official files by name."""
    files = {}
    for name, modified in TIMES.items():
        stream = (DEBIAN / f"{name}.gz").read_bytes()[10:]
        files[f"{name}.gz"] = struct.pack("<BBBBIBB", 0x1F, 0x8B, 8, 8, modified, 0, 3) + name.encode() + b"\0" + stream
    assert hashlib.sha256(files[LABELS]).hexdigest() == LABELS_SHA256
    return files


class Server(ThreadingHTTPServer):
    """Sends `files`. Each setting is for all requests, each list for the next ones, in turn."""

    def __init__(self, files: dict[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = dict(files)
        self.ranges = True  # whether it knows Range
        self.lengths = True  # whether it says Content-Length
        self.cuts: list[int] = []  # bytes after which it breaks off
        self.refusals: list[int] = []  # HTTP statuses
        self.pause = 0.0  # seconds before every 500 bytes
        self.asked: list[tuple[str, str | None]] = []  # path and Range of every request

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/mirror"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        server, span = self.server, self.headers["Range"]
        server.asked.append((self.path, span))
        content = server.files.get(self.path.removeprefix("/mirror/"))
        if server.refusals:
            return self.send_error(server.refusals.pop(0))
        if content is None:
            return self.send_error(404)
        start = int(re.fullmatch(r"bytes=(\d+)-", span)[1]) if span and server.ranges else 0
        if start and start >= len(content):
            return self.send_error(416)
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        if server.lengths:
            self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        content = content[start : start + server.cuts.pop(0)] if server.cuts else content[start:]
        with contextlib.suppress(ConnectionError):
            step = 500 if server.pause else 1 << 20
            for at in range(0, len(content), step):
                time.sleep(server.pause)
                self.wfile.write(content[at : at + step])
                self.wfile.flush()
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(official: dict[str, bytes]) -> Iterator[Server]:
    server = Server(official)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


class Place:
    """A folder for the data, in which only the test labels are missing, and the program run on it."""

    def __init__(self, root: Path) -> None:
        self.root = root / "data"
        self.folder = self.root / "fashion-mnist"
        self.folder.mkdir(parents=True)
        for name in TIMES:
            if f"{name}.gz" != LABELS:
                (self.folder / f"{name}.gz").symlink_to(DEBIAN / f"{name}.gz")
        self.labels = self.folder / LABELS
        self.part = self.folder / f"{LABELS}.part"
        self.env = {"PATH": os.environ["PATH"], "HOME": str(root), "LC_ALL": "C.UTF-8"}

    def command(self, server: Server | str, *more: str) -> list[str]:
        url = server if isinstance(server, str) else server.url
        return [str(PROGRAM), "data", "fashion_mnist", "--data", str(self.root), "--from", url, *more]

    def fetch(self, server: Server | str, *more: str, setup: Callable[[], None] | None = None) -> tuple[int, str, str]:
        """The exit code, what it printed, and its messages."""
        done = subprocess.run(self.command(server, *more), check=False, env=self.env, capture_output=True, text=True,
                              timeout=60, preexec_fn=setup, restore_signals=setup is None)
        return done.returncode, done.stdout, done.stderr

    def names(self) -> set[str]:
        return {path.name for path in self.folder.iterdir()}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_all_four_official_files_are_fetched_and_then_found(server: Server, place: Place, official: dict[str, bytes]):
    for path in list(place.folder.iterdir()):
        path.unlink()
    code, out, err = place.fetch(server)
    assert (code, out) == (0, f"fashion_mnist: in {place.folder}\n"), err
    assert "MIT" in err and "SHA-256 as expected" in err and "\r" not in err
    assert [path for path, _ in server.asked] == [f"/mirror/{name}" for name in official]
    assert {path.name: path.read_bytes() for path in place.folder.iterdir()} == official

    server.asked.clear()
    assert place.fetch(server) == (0, f"fashion_mnist: in {place.folder}\n", "")
    assert server.asked == []


def test_a_broken_download_is_resumed_where_it_broke(server: Server, place: Place, official: dict[str, bytes]):
    server.cuts = [2000, 1000]
    code, _, err = place.fetch(server)
    assert code == 0, err
    assert [span for _, span in server.asked] == [None, "bytes=2000-", "bytes=3000-"]
    assert place.labels.read_bytes() == official[LABELS]
    assert not place.part.exists()
    assert "trying again in 1 s at 2.0 kB" in err


def test_a_break_without_a_known_length_is_noticed(server: Server, place: Place, official: dict[str, bytes]):
    server.lengths = False
    server.cuts = [2000]
    code, _, err = place.fetch(server)
    assert code == 0, err
    assert "the connection ended early" in err
    assert [span for _, span in server.asked] == [None, "bytes=2000-"]
    assert place.labels.read_bytes() == official[LABELS]


def test_a_later_run_resumes(server: Server, place: Place, official: dict[str, bytes]):
    place.part.write_bytes(official[LABELS][:1234])
    code, _, err = place.fetch(server)
    assert code == 0, err
    assert "resuming" in err
    assert [span for _, span in server.asked] == ["bytes=1234-"]
    assert place.labels.read_bytes() == official[LABELS]


def test_an_interrupted_run_leaves_its_part(server: Server, place: Place, official: dict[str, bytes]):
    server.pause = 0.2
    # What a shell started in the background ignores SIGINT, and so do its children; here it must not.
    heard = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    with subprocess.Popen(
        place.command(server), env=place.env, stderr=subprocess.DEVNULL, preexec_fn=heard
    ) as process:
        end = time.monotonic() + 20
        while not (place.part.exists() and place.part.stat().st_size) and time.monotonic() < end:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        assert process.wait(10) != 0
    size = place.part.stat().st_size
    assert 0 < size < len(official[LABELS])
    assert not place.labels.exists()

    server.pause = 0
    code, _, err = place.fetch(server)
    assert code == 0, err
    assert server.asked[-1][1] == f"bytes={size}-"
    assert place.labels.read_bytes() == official[LABELS]


def test_a_server_that_ignores_ranges_is_read_from_the_start(server: Server, place: Place, official: dict[str, bytes]):
    server.ranges = False
    server.cuts = [3000]
    code, _, err = place.fetch(server)
    assert code == 0, err
    assert [span for _, span in server.asked] == [None, "bytes=3000-"]
    assert "the server doesn't resume, starting anew" in err
    assert place.labels.read_bytes() == official[LABELS]


def test_a_wrong_checksum_is_refused_and_the_next_try_starts_anew(
    server: Server, place: Place, official: dict[str, bytes]
):
    wrong = official[LABELS][:-1] + b"?"
    server.files[LABELS] = wrong
    before = place.names()
    code, out, err = place.fetch(server)
    assert (code, out) == (1, "")
    assert f"SHA-256 expected {LABELS_SHA256}, found {hashlib.sha256(wrong).hexdigest()}" in err
    assert f"{server.url}/{LABELS}" in err
    assert place.names() == before

    server.files[LABELS] = official[LABELS]
    assert place.fetch(server)[0] == 0


@pytest.mark.parametrize(("content", "found"), [(b"<html>log in</html>", "19"), (b"x" * 9999, "more"), (b"", "0")])
def test_a_file_of_another_length_is_refused(server: Server, place: Place, content: bytes, found: str):
    server.files[LABELS] = content
    before = place.names()
    code, _, err = place.fetch(server)
    assert code == 1
    assert f"expected 5148 bytes, found {found}" in err
    assert place.names() == before
    assert len(server.asked) == 1


def test_a_part_longer_than_the_servers_file_ends_in_a_refusal(server: Server, place: Place):
    server.files[LABELS] = b"short"
    place.part.write_bytes(b"x" * 1000)
    before = place.names()
    code, _, err = place.fetch(server)
    assert code == 1
    assert "expected 5148 bytes, found 5;" in err
    assert [span for _, span in server.asked] == ["bytes=1000-", None]
    assert place.names() == before - {place.part.name}


def test_a_missing_file_is_refused_at_once(server: Server, place: Place):
    del server.files[LABELS]
    before = place.names()
    code, _, err = place.fetch(server)
    assert code == 1
    assert f"fashion_mnist: {server.url}/{LABELS}: HTTP 404" in err
    assert len(server.asked) == 1
    assert place.names() == before


def test_a_refusal_that_passes_is_tried_again(server: Server, place: Place):
    server.refusals = [503, 429]
    code, _, err = place.fetch(server)
    assert code == 0, err
    assert "HTTP 503; trying again in 1 s" in err
    assert "HTTP 429; trying again in 2 s" in err


def test_an_unreachable_server_ends_with_a_message_and_keeps_the_part(place: Place, official: dict[str, bytes]):
    place.part.write_bytes(official[LABELS][:1234])
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # nobody listens
        code, _, err = place.fetch(f"http://127.0.0.1:{free.getsockname()[1]}")
    assert code == 1
    assert err.count("trying again") == 3
    assert f"1.2 kB are kept in {place.part}: run this again to resume" in err
    assert place.part.read_bytes() == official[LABELS][:1234]


def test_a_full_disk_ends_with_a_message_and_keeps_the_part(server: Server, place: Place, official: dict[str, bytes]):
    # A limit on the size of files stands for the full disk: writing fails in the same way, with another reason.
    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))

    code, _, err = place.fetch(server, setup=limit)
    assert code == 1
    assert f"{place.part}: File too large" in err
    assert place.part.read_bytes() == official[LABELS][:3000]
    assert place.fetch(server)[0] == 0
    assert server.asked[-1][1] == "bytes=3000-"


def test_an_unknown_kind_of_address_is_refused(place: Place):
    code, _, err = place.fetch("gopherus://nowhere")
    assert code == 1
    assert "gopherus" in err and "trying again" not in err


def test_quiet_prints_the_folder_only(server: Server, place: Place):
    server.cuts = [2000]
    assert place.fetch(server, "--quiet") == (0, f"{place.folder}\n", "")


def test_a_terminal_sees_a_line_that_renews_itself(server: Server, place: Place):
    server.pause = 0.1
    ours, theirs = pty.openpty()
    with subprocess.Popen(place.command(server), env=place.env, stdout=subprocess.DEVNULL, stderr=theirs) as process:
        os.close(theirs)
        seen = b""
        with contextlib.suppress(OSError):  # how the end shows
            while chunk := os.read(ours, 4096):
                seen += chunk
    os.close(ours)
    assert process.returncode == 0
    text = seen.decode()
    lines = re.findall(r"\r(t10k[^\r\n]*)\x1b\[K", text)
    assert len(lines) >= 3, text
    assert re.fullmatch(LABELS + r": \d\.\d kB of 5\.1 kB, \d+ %, \d\.\d kB/s, \d s left", lines[1])
    shares = [int(line.split(", ")[1].removesuffix(" %")) for line in lines]
    assert shares == sorted(shares) and shares[0] < 50 < shares[-1]
