# SPDX-License-Identifier: MIT
"""The page: figures, tables and pictures of samples, put into page.html."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from urllib.parse import quote

from figures import COLORS, curves, dots, tuning
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from motion import motion
from plotly.offline import get_plotlyjs
from records import Section
from table import Table, verdict_words

Json = dict[str, Any]


def samples(section: Section, out: Path) -> list[Json]:
    """Each rule's pictures of one seed, step by step, with their addresses as seen from the page's folder."""
    found = []
    for index, label in enumerate(section.labels):
        trial = min((t for t in section.of(label) if t.samples), key=lambda t: t.seed, default=None)
        if trial is None:
            continue
        frames = [
            {"step": s.step, "src": quote(Path(os.path.relpath(s.path, out.resolve())).as_posix())}
            for s in trial.samples
        ]
        found.append({"label": label, "seed": trial.seed, "color": COLORS[index % len(COLORS)], "frames": frames})
    return found


def environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def progress(tables: list[Table]) -> tuple[int, int]:
    """How many trials have ended, of how many: those that were planned and those that there are."""
    trials = [t for table in tables for t in (*table.section.trials, *table.section.search)]
    planned = sum(table.section.planned for table in tables)
    return sum(t.end is not None for t in trials), max(planned, len(trials))


def page(tables: list[Table], warnings: list[str], out: Path, live: int = 0) -> str:
    """The whole page as HTML for the folder `out`; it loads nothing but pictures of samples that lie there.

    `live`: after how many seconds the page loads itself again; 0 where the trials have ended.
    """
    sections = []
    for table in tables:
        unit = f" ({table.unit})" if table.unit else ""
        metric_title = f"{table.measured}{unit}"
        figures = {
            "curves": curves(table.section, metric_title),
            "dots": dots(table, metric_title) if table.section.goal is None else None,
            "motion": motion(table.section),
            "tuning": tuning(table.section, f"validation {table.metric}{unit}"),
        }
        sections.append({"table": table, "figures": figures, "samples": samples(table.section, out)})

    def followed(item: Json | None, other: Json | None) -> bool:
        """Whether both are sections of one experiment."""
        return None not in (item, other) and item["table"].section.experiment == other["table"].section.experiment

    return (
        environment()
        .get_template("page.html")
        .render(
            sections=sections,
            warnings=warnings,
            plotly=get_plotlyjs(),
            color=lambda place: COLORS[place % len(COLORS)],
            followed=followed,
            verdict_words=verdict_words,
            live=live,
            progress=progress(tables),
        )
    )
