# SPDX-License-Identifier: MIT
"""The list of all runs: what each report tells of itself in report.json, put together into one page."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from typing import Any
from urllib.parse import quote

from page import environment, progress
from records import check
from table import Table

Json = dict[str, Any]


def digest(tables: list[Table], live: bool) -> str:
    """report.json: what the list of runs shows of a report."""
    trials = [t for table in tables for t in (*table.section.trials, *table.section.search)]
    ended, planned = progress(tables)
    dates = [t.config.get("started", "") for t in trials], [(t.end or {}).get("ended", "") for t in trials]
    sections = [
        {
            "title": table.section.title,
            "headline": table.headline,
            "verdicts": [
                {
                    "text": v.claim["text"],
                    "settings": settings if table.tuned else "",
                    "state": v.state,
                    "words": v.words,
                }
                for settings, v, _ in table.verdicts
            ],
        }
        for table in tables
    ]
    told = {
        "state": "running" if live else "finished" if ended == planned else "incomplete",
        "trials": f"{ended} of {planned} trials",
        "started": min(filter(None, dates[0]), default=""),
        "ended": max(dates[1], default=""),
        "sections": sections,
    }
    return json.dumps(told, indent=1, ensure_ascii=False) + "\n"


VERDICT = dict.fromkeys(("text", "settings", "state", "words"), str)
DIGEST = {
    **dict.fromkeys(("state", "trials", "started", "ended"), str),
    "sections": [{"title": str, "headline": str, "verdicts": [VERDICT]}],
}


def _runs_now(folder: Path) -> bool:
    """Whether a comparison holds the folder's lock."""
    try:
        with (folder / "lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _read(path: Path, shape: Json) -> Json:
    """What is in a file; nothing where it is missing or damaged."""
    try:
        found = json.loads(path.read_bytes())
        check(found, shape, path.name)
    except (OSError, ValueError):
        return {}
    return found


def list_of(root: Path, out: Path | None = None) -> str:
    """The page over the run folders root/EXPERIMENT/TIME, newest first, with links as seen from `out`."""
    runs = []
    for folder in (path.parent for path in root.glob("*/*/records")):
        told, plan = _read(folder / "report.json", DIGEST), _read(folder / "experiment.json", {"title?": str})
        if told.get("state") == "running" and not _runs_now(folder):
            told["state"] = "stopped"
        address = Path(os.path.relpath((folder / "index.html").resolve(), (out or root).resolve())).as_posix()
        runs.append(
            {
                "name": f"{folder.parent.name}/{folder.name}",
                "link": quote(address) if (folder / "index.html").exists() else None,
                "state": told.get("state", "no report yet"),
                "trials": told.get("trials", ""),
                "started": told.get("started", "") or folder.name,
                "ended": told.get("ended", "") if told.get("state") != "running" else "",
                "sections": told.get("sections")
                or [{"title": plan.get("title", folder.parent.name), "headline": "", "verdicts": []}],
            }
        )
    runs.sort(key=lambda run: run["started"], reverse=True)
    return environment().get_template("runs.html").render(runs=runs)
