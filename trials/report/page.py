# SPDX-License-Identifier: MIT
"""The page: figures as plotly reads them, put with the tables into page.html."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from plotly.offline import get_plotlyjs
from records import Section, Trial
from stats import curve
from table import Table, number

Json = dict[str, Any]

# Okabe and Ito's colours that stand out from white and from black, the palest last; told apart by all common kinds of
# colour vision. A rule keeps its place, so it keeps its colour; marks and dashes differ for those who see no colour.
COLORS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#888888"]
SYMBOLS = ["circle", "square", "diamond", "triangle-up", "pentagon", "star", "hexagon"]
DASHES = ["solid", "dash", "dashdot", "longdash"]
FULL_MARKS = 40  # evaluations a curve up to which each gets its mark


def _faded(color: str) -> str:
    return f"rgba({int(color[1:3], 16)},{int(color[3:5], 16)},{int(color[5:], 16)},0.16)"


def _x(places: list[tuple[float, float, float]]) -> Json:
    """The three x of a trace; the page shows one of them at a time."""
    return {axis: list(values) for axis, values in zip(("epochs", "steps", "seconds"), zip(*places), strict=True)}


def _may_be_log(section: Section) -> bool:
    """Whether the test metric's axis may be logarithmic: not an accuracy's."""
    return section.better == "lower" or section.metric.get("unit") != "%"


def _scale(section: Section, field: str, may_be_log: bool) -> Json:
    """A y axis: logarithmic where values span a factor of 20, else from what is seen after a tenth of training on.

    What a rule without finished trials did would hide the others, so it has a say only where nothing finished.
    """
    trials = [t for t in section.trials if t.status == "finished"] or section.trials
    points = curve(trials, field)
    if not points:
        return {}
    if may_be_log and 0 < 20 * min(p.low for p in points) < max(p.high for p in points):
        return {"type": "log"}
    settled = [p for p in points if p.step >= points[-1].step / 10]
    low, high = min(p.low for p in settled), max(p.high for p in settled)
    margin = 0.06 * (high - low) or abs(high) or 1.0
    return {"range": [low - margin, high + margin]}


def _rule(section: Section, label: str, field: str, y: str, edge: str) -> tuple[list[Json], list[Json]]:
    """The bands and the lines of one rule in the plot on axis y; `edge` is the axis of its crosses."""
    index = section.labels.index(label)
    color, symbol = COLORS[index % len(COLORS)], SYMBOLS[index % len(SYMBOLS)]
    dash = DASHES[index // len(COLORS) % len(DASHES)]
    group: Json = {"type": "scatter", "legendgroup": label, "name": label, "yaxis": y, "showlegend": False}
    bands, lines = [], []
    points = curve(section.of(label, "finished"), field)
    if points:
        at = [(p.epoch, p.step, p.seconds) for p in points]
        line = {
            "meta": _x(at),
            "y": [p.mean for p in points],
            "customdata": [[number(p.mean), number(p.low), number(p.high), p.n] for p in points],
            "hovertemplate": "%{customdata[0]} (%{customdata[1]} to %{customdata[2]}, n = %{customdata[3]})"
            f"<extra>{label}</extra>",
            "mode": "lines+markers" if len(points) <= FULL_MARKS else "lines",
            "line": {"color": color, "dash": dash, "width": 2.2},
            "marker": {"color": color, "symbol": symbol, "size": 7},
        }
        lines.append(group | line)
        if max(p.n for p in points) > 1:
            band = {
                "meta": _x(at + at[::-1]),
                "y": [p.high for p in points] + [p.low for p in reversed(points)],
                "mode": "lines",
                "fill": "toself",
                "fillcolor": _faded(color),
                "line": {"width": 0},
                "hoverinfo": "skip",
            }
            bands.append(group | band)
    for trial in section.of(label, "diverged") + section.of(label, "unfinished"):
        extra = f"<extra>{label} seed {trial.seed}, {trial.status}</extra>"
        if points := curve([trial], field):
            line = {
                "meta": _x([(p.epoch, p.step, p.seconds) for p in points]),
                "y": [p.mean for p in points],
                "hovertemplate": f"%{{y:.4g}}{extra}",
                "mode": "lines",
                "line": {"color": color, "dash": "dot", "width": 1.6},
            }
            lines.append(group | line)
        if trial.status == "diverged":
            cross = {
                "yaxis": edge,
                "meta": _x([_end(trial)]),
                "y": [0.04],
                "hovertemplate": trial.ending + extra,
                "mode": "markers",
                "marker": {"symbol": "x", "color": color, "size": 11, "line": {"width": 0}},
            }
            lines.append(group | cross)
    return bands, lines


def curves(section: Section, metric_title: str) -> Json:
    """Test metric above train loss on one x axis; a rule's traces are one legend group."""
    bands: list[Json] = []
    lines: list[Json] = []
    for field, y, edge in (("test_metric", "y", "y3"), ("train_loss", "y2", "y4")):
        for label in section.labels:
            more_bands, more_lines = _rule(section, label, field, y, edge)
            bands += more_bands
            lines += more_lines
    for label in section.labels:  # in the legend stands the first line of a rule; a click on it hides the group
        first = next((line for line in lines if line["legendgroup"] == label), None)
        if first:
            lost = len(section.of(label, "diverged"))
            first |= {"showlegend": True, "name": f"{label} ({lost} diverged)" if lost else label}
    axis = {"zeroline": False}
    over = {"range": [0, 1], "fixedrange": True, "visible": False}
    scales = [_scale(section, "test_metric", _may_be_log(section)), _scale(section, "train_loss", True)]
    layout = {
        "height": 760,
        "hovermode": "x unified",
        "modebar": {"orientation": "v"},
        "xaxis": {"anchor": "y2", **axis},
        "yaxis": {"domain": [0.42, 1], "title": {"text": metric_title}, **axis, **scales[0]},
        "yaxis2": {"domain": [0, 0.37], "title": {"text": "train loss"}, **axis, **scales[1]},
        "yaxis3": {"overlaying": "y", **over},
        "yaxis4": {"overlaying": "y2", **over},
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        "margin": {"l": 70, "r": 36, "t": 16, "b": 48},
    }
    epochs = max((e.epoch for t in section.trials for e in t.evaluations), default=0)
    return {"data": bands + lines, "layout": layout, "axis": "epochs" if epochs > 1 else "steps"}


def _end(trial: Trial) -> tuple[float, float, float]:
    """Epoch, step and seconds at which a trial ended, as far as its record tells."""
    last = trial.evaluations[-1] if trial.evaluations else None
    step = trial.end.get("step", last.step if last else 0)
    each = trial.config.get("steps_per_epoch")
    epoch = step / each if each else (last.epoch if last else 0)
    return epoch, step, trial.end.get("seconds", last.seconds if last else 0)


def dots(table: Table, metric_title: str) -> Json:
    """The final test metric of every trial, the same seeds joined, and each rule's mean with its interval."""
    rows = table.rows
    places = {row.label: -index for index, row in enumerate(rows)}
    seeds = sorted({seed for row in rows for seed in row.finals})
    data: list[Json] = []
    for seed in seeds:
        joined = [row for row in rows if seed in row.finals]
        data.append(
            {
                "x": [row.finals[seed] for row in joined],
                "y": [places[row.label] for row in joined],
                "mode": "lines",
                "hoverinfo": "skip",
                "line": {"color": "rgba(128,128,128,0.45)", "width": 1},
            }
        )
    for index, row in enumerate(rows):
        if row.final is None:
            continue
        color = COLORS[index % len(COLORS)]
        data.append(
            {
                "x": list(row.finals.values()),
                "y": [places[row.label]] * len(row.finals),
                "customdata": list(row.finals),
                "mode": "markers",
                "marker": {"color": color, "symbol": SYMBOLS[index % len(SYMBOLS)], "size": 10},
                "hovertemplate": f"%{{x}}<extra>{row.label} seed %{{customdata}}</extra>",
            }
        )
        data.append(
            {
                "x": [row.final.mean],
                "y": [places[row.label] - 0.28],
                "mode": "markers",
                "marker": {"color": color, "symbol": "line-ns", "size": 12, "line": {"color": color, "width": 3}},
                "error_x": {"type": "data", "array": [row.final.half or 0], "color": color, "thickness": 2, "width": 0},
                "hovertemplate": f"%{{x:.5g}} ± {number(row.final.half, row.final.mean)}<extra>{row.label} mean</extra>",
            }
        )
    names = [f"{row.label} ({row.diverged} diverged)" if row.diverged else row.label for row in rows]
    finals = [final for row in rows for final in row.finals.values()]
    log = _may_be_log(table.section) and 0 < 20 * min(finals, default=0) < max(finals, default=0)
    layout = {
        "height": 90 + 44 * len(rows),
        "showlegend": False,
        "hovermode": "closest",
        "modebar": {"orientation": "v"},
        "xaxis": {"title": {"text": f"final {metric_title}"}, "zeroline": False, "type": "log" if log else "linear"},
        "yaxis": {
            "tickvals": list(places.values()),
            "ticktext": names,
            "range": [0.5 - len(rows), 0.5],
            "zeroline": False,
            "fixedrange": True,
            "automargin": True,
        },
        "margin": {"l": 70, "r": 36, "t": 8, "b": 48},
    }
    return {"data": [{"type": "scatter", **trace} for trace in data], "layout": layout}


def page(tables: list[Table], warnings: list[str]) -> str:
    """The whole page as HTML; it loads nothing."""
    sections = []
    for table in tables:
        unit = f" ({table.unit})" if table.unit else ""
        metric_title = f"test {table.metric}{unit}"
        figures = {"curves": curves(table.section, metric_title), "dots": dots(table, metric_title)}
        sections.append({"table": table, "figures": figures})
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html").render(
        sections=sections, warnings=warnings, plotly=get_plotlyjs(), color=lambda place: COLORS[place % len(COLORS)]
    )
