# SPDX-License-Identifier: MIT
"""Makes the report of one or several run folders: index.html, results.csv, summary.csv, report.md, and a table here."""

from __future__ import annotations

import argparse
import contextlib
import csv
import io
import os
import select
import signal
import sys
import textwrap
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

PAUSE = 10.0  # seconds at least between two reports of a run that is under way
STOP = (signal.SIGINT, signal.SIGTERM)
RESULTS = ("run", "workload", "rule", "seed", "epoch", "step", "seconds", "split", "metric", "value")


class ReportError(Exception):
    """What is wrong with the input or the place for the output, in words for the user."""


def results(sections: Iterable[Any]) -> Iterable[dict[str, Any]]:
    """Every measured number as a row of its own; what is not finite has none."""
    for section in sections:
        for trial in section.trials:
            metric = trial.config["metric"]["name"]
            for e in trial.evaluations:
                values = {
                    ("train", "loss"): e.train_loss,
                    ("test", "loss"): e.test_loss,
                    (section.split, metric): e.test_metric,
                    ("validation", "loss"): e.valid_loss,
                    ("validation", metric): e.valid_metric,
                    **{(section.split, name): value for name, value in e.more.items()},
                }
                head = (trial.run, section.workload, trial.label, trial.seed, e.epoch, e.step, e.seconds)
                for (split, name), value in values.items():
                    if value is not None:
                        yield dict(zip(RESULTS, (*head, split, name, value), strict=True))


def as_csv(names: Iterable[str], rows: Iterable[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(names), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def remove_parts(out: Path) -> None:
    for part in out.glob(f"*.part{os.getpid()}"):
        part.unlink(missing_ok=True)


def stop_cleanly(out: Path) -> None:
    """On a stop signal: nothing half written in `out`, exit status 130, and no traceback wherever Python is."""

    def stop(*_: object) -> None:
        remove_parts(out)
        os._exit(130)  # an exception could be caught in a library that is being imported

    for number in STOP:
        signal.signal(number, stop)


def write(out: Path, texts: dict[str, str]) -> None:
    """All are written under other names, then renamed, so that no reader sees half a file nor half a report."""
    try:
        for name, text in texts.items():
            (out / f"{name}.part{os.getpid()}").write_text(text, encoding="utf-8")
        signal.pthread_sigmask(signal.SIG_BLOCK, STOP)
        for name in texts:
            (out / f"{name}.part{os.getpid()}").replace(out / name)
    finally:
        remove_parts(out)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP)


def imported(error: ModuleNotFoundError) -> ReportError:
    return ReportError(
        f"the Python package {error.name} is missing; run make setup, or set ADABELIEF_PYTHON to a Python that has it"
    )


def report(folders: list[Path], out: Path, quiet: bool, live: int = 0) -> None:
    """Writes the report into `out`. `live`: after how many seconds the page loads itself again, while trials run."""
    try:
        from page import page
        from records import read_folders
        from runs import digest, list_of
        from table import Table, markdown, plain, verdict_words
    except ModuleNotFoundError as error:
        raise imported(error) from None

    for folder in folders:
        if not folder.is_dir():
            raise ReportError(f"no folder {folder}; give one that adabelief compare or train wrote")
    sections, warnings = read_folders(folders, bool(live))
    for warning in [] if live else warnings + [f"{s.title}: {warning}" for s in sections for warning in s.warnings]:
        print(f"adabelief report: warning: {warning}", file=sys.stderr)
    if not sections:
        where = ", ".join(f"{folder}/records" for folder in folders)
        raise ReportError(f"no readable record in {where}; run adabelief compare first")

    tables = [Table.of(section) for section in sections]
    rows = [row for table in tables for row in table.csv()]
    header = f"> Warnings:\n{''.join(f'> - {w}{chr(10)}' for w in warnings)}\n" if warnings else ""
    texts = {
        "results.csv": as_csv(RESULTS, results(sections)),
        "summary.csv": as_csv(dict.fromkeys(name for table in tables for name in table.fields), rows),
        "report.md": header + "\n".join(map(markdown, tables)),
        "report.json": digest(tables, bool(live)),
        "index.html": page(tables, warnings, out, live),
    }
    root = out.resolve().parent.parent
    try:
        out.mkdir(parents=True, exist_ok=True)
        write(out, texts)
        if root.name == "runs":  # where adabelief keeps its runs, as runs/EXPERIMENT/TIME
            write(root, {"index.html": list_of(root)})
    except OSError as error:
        raise ReportError(f"{error.filename or out} can't be written: {error.strerror}") from None

    if not quiet:
        dumb = os.environ.get("TERM", "dumb") == "dumb"
        plain_text = dumb or os.environ.get("NO_COLOR") or not sys.stdout.isatty()
        for table in tables:
            bold = (
                (lambda text, strong: text)
                if plain_text
                else (lambda text, strong: f"\33[1m{text}\33[0m" if strong else text)
            )
            title = f"{table.section.title}\n" if len(tables) > 1 else ""
            print(f"{title}{bold(textwrap.fill(table.headline, 100), True)}\n\n{plain(table, style=bold)}\n")
            for settings, verdict, basis in table.verdicts:
                print(textwrap.fill(f"{verdict_words(table, settings, verdict)} {basis}", 100) + "\n")
    print(out / "index.html")


def index(root: Path, out: Path) -> None:
    """Writes the list of the runs under `root`."""
    try:
        from runs import list_of
    except ModuleNotFoundError as error:
        raise imported(error) from None
    if not root.is_dir():
        raise ReportError(f"no folder {root}; run adabelief compare first")
    try:
        out.mkdir(parents=True, exist_ok=True)
        write(out, {"index.html": list_of(root, out)})
    except OSError as error:
        raise ReportError(f"{error.filename or out} can't be written: {error.strerror}") from None
    print(out / "index.html")


def follow(folders: list[Path], out: Path) -> None:
    """Makes the report again and again while trials write records, until standard input ends.

    A pause is 50 times as long as the processor worked on the report before it, so that trials keep theirs. Whoever
    holds standard input ends its watching by closing it, however it ends; then the page is made once more, to tell
    what there is and load itself no more.
    """

    def made(live: int) -> None:
        with contextlib.suppress(ReportError), contextlib.redirect_stdout(io.StringIO()):  # such as: no record yet
            report(folders, out, True, live)

    pause, seen = PAUSE, 0.0
    while not select.select([sys.stdin], [], [], pause)[0]:
        try:
            newest = max((p.stat().st_mtime for f in folders for p in f.rglob("*.jsonl*")), default=0.0)
        except FileNotFoundError:  # a record was renamed, or a folder removed, since it was listed
            continue
        if newest > seen:
            before, seen = time.process_time(), newest
            made(max(5, round(pause)))
            pause = max(PAUSE, 50 * (time.process_time() - before))
    if seen:
        made(0)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="adabelief report",
        description=__doc__,
        epilog=(
            "Several folders make one page: trials of the same experiment are put together, others get a section of their "
            "own. Of a rule and seed that was run twice the newest record counts."
        ),
    )
    parser.add_argument(
        "folders", metavar="FOLDER", nargs="*", type=Path, help="a run folder: records/, experiment.json"
    )
    parser.add_argument(
        "--index", action="store_true", help="list the runs in FOLDER (default: runs) in its index.html"
    )
    parser.add_argument("--out", metavar="DIR", type=Path, help="where to write (default: the first FOLDER)")
    parser.add_argument("--quiet", action="store_true", help="print the page's path alone")
    parser.add_argument("--follow", action="store_true", help=argparse.SUPPRESS)  # until standard input ends
    args = parser.parse_args()
    if not args.folders and not args.index:
        parser.error("a FOLDER is missing")
    sys.stdout.reconfigure(errors="replace")
    folders = args.folders or [Path("runs")]
    out = args.out or folders[0]
    stop_cleanly(out)
    try:
        if args.index:
            index(folders[0], out)
        elif args.follow:
            follow(folders, out)
        else:
            report(folders, out, args.quiet)
    except ReportError as error:
        print(f"adabelief report: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
