# SPDX-License-Identifier: MIT
"""The page: figures as plotly reads them, put with the tables into page.html."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from plotly.offline import get_plotlyjs
from records import Section, Trial
from stats import curve
from table import Table, number, plus_minus

Json = dict[str, Any]

# Okabe and Ito's colours that stand out from white and from black, the palest last; told apart by all common kinds of
# colour vision. A rule keeps its place, so it keeps its colour; marks and dashes differ for those who see no colour.
COLORS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#888888"]
SYMBOLS = ["circle", "square", "diamond", "triangle-up", "pentagon", "star", "hexagon"]
DASHES = ["solid", "dash", "dashdot", "longdash"]
SOLID_SYMBOLS = ["circle", "square", "diamond", "cross"]  # that plotly has in three dimensions
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
    low, high = min(p.low for p in points), max(p.high for p in points)
    if may_be_log and 0 < 20 * low < high:
        margin = 0.05 * math.log10(high / low)
        ends = [math.log10(low) - margin, math.log10(high) + margin]
        return {"type": "log", "exponentformat": "power", "range": ends}
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
    """Test metric above train loss on one x axis; a rule's traces are one legend group.

    Of a function of weights alone its value stands in the train loss's place: the mean of many steps would come late.
    """
    loss = "test_loss" if section.surface else "train_loss"
    bands: list[Json] = []
    lines: list[Json] = []
    for field, y, edge in (("test_metric", "y", "y3"), (loss, "y2", "y4")):
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
    scales = [_scale(section, "test_metric", _may_be_log(section)), _scale(section, loss, True)]
    layout = {
        "height": 760,
        "hovermode": "x unified",
        "modebar": {"orientation": "v"},
        "xaxis": {"anchor": "y2", **axis},
        "yaxis": {"domain": [0.42, 1], "title": {"text": metric_title}, **axis, **scales[0]},
        "yaxis2": {
            "domain": [0, 0.37],
            "title": {"text": "f(x, y)" if section.surface else "train loss"},
            **axis,
            **scales[1],
        },
        "yaxis3": {"overlaying": "y", **over},
        "yaxis4": {"overlaying": "y2", **over},
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        "margin": {"l": 70, "r": 36, "t": 16, "b": 48},
    }
    epochs = max((e.epoch for t in section.trials for e in t.evaluations), default=0)
    return {"data": bands + lines, "layout": layout, "axis": "epochs" if epochs > 1 else "steps"}


def motion(section: Section) -> Json | None:
    """Each trial's path on the function of two weights: over contours, and on the surface in three dimensions.

    Heights are log10(1 + f), so that valleys show beside slopes. The page fills `paths` into the traces, a line and a
    head each, as far as the step that it shows; and the contours' z into the surface.
    """
    surface = section.surface
    if surface is None:
        return None
    lowest = min(0.0, *(min(row) for row in surface["z"]))

    def height(f: float) -> float:
        return round(math.log10(1 + max(0.0, f - lowest)), 4)

    z = [[height(f) for f in row] for row in surface["z"]]
    top = max(map(max, z))
    round_values = [v * 10**power for power in range(9) for v in (1, 2, 5)]
    ticks = [0, *(v for v in round_values if height(lowest + v) <= top)]
    if len(ticks) > 8:
        ticks = [v for v in ticks if v != 1 and math.log10(v or 1).is_integer()]
    labelled = {"tickvals": [height(lowest + v) for v in ticks], "ticktext": [f"{lowest + v:g}" for v in ticks]}
    x, y = surface["x"], surface["y"]
    flat: list[Json] = [
        {
            "type": "contour",
            "x": x,
            "y": y,
            "z": z,
            "coloraxis": "coloraxis",
            "autocontour": False,
            "contours": {"start": 0, "end": top, "size": top / 18},
            "line": {"width": 0.6, "color": "rgba(128,128,128,0.6)"},
            "hoverinfo": "skip",
        }
    ]
    solid: list[Json] = [
        {
            "type": "surface",
            "x": x,
            "y": y,
            "coloraxis": "coloraxis",
            "hoverinfo": "skip",
            "contours": {"z": {"show": True, "start": 0, "end": top, "size": top / 18, "color": "#a8b0b9"}},
            "lighting": {"ambient": 0.75, "diffuse": 0.5, "specular": 0.05},
        }
    ]
    for name, symbol, solid_symbol in (("start", "circle", "circle"), ("optimum", "star", "diamond")):
        at = surface[name]
        f = surface["z"][_nearest(y, at[1])][_nearest(x, at[0])]
        mark: Json = {
            "name": name,
            "mode": "markers",
            "x": [at[0]],
            "y": [at[1]],
            "showlegend": False,
            "hovertemplate": f"{name} ({at[0]:g}, {at[1]:g})<extra></extra>",
        }
        white = {"color": "#fff", "line": {"color": "#000", "width": 1.5}}
        flat.append({**mark, "type": "scatter", "marker": {"symbol": symbol, "size": 15, **white}})
        solid.append(
            {**mark, "type": "scatter3d", "z": [height(f)], "marker": {"symbol": solid_symbol, "size": 5, **white}}
        )
    paths: list[Json] = []
    for index, label in reversed([*enumerate(section.labels)]):  # the first rule's paths lie above the others
        color = COLORS[index % len(COLORS)]
        for trial in section.of(label):
            points = [(e, e.point) for e in trial.evaluations if e.point and e.test_loss is not None]
            if not points:
                continue
            inside = [i for i, (_, p) in enumerate(points) if x[0] <= p[0] <= x[-1] and y[0] <= p[1] <= y[-1]]
            stay = max(inside, default=0)
            points = points[: stay + 2]  # no jumps across the picture between points outside
            near = [_near(p, x, y) for _, p in points]
            lost = trial.status == "diverged"
            paths.append(
                {
                    "steps": [e.step for e, _ in points],
                    "x": [p[0] for p in near],
                    "y": [p[1] for p in near],
                    "z": [min(height(e.test_loss), 2 * top) + 0.012 * top for e, _ in points],
                    "stay": stay,
                }
            )
            name = f"{label} (diverged)" if lost else label
            path: Json = {"legendgroup": label, "name": name}
            line = path | {
                "mode": "lines",
                "customdata": [[e.step, number(e.test_loss)] for e, _ in points],
                "hovertemplate": f"step %{{customdata[0]:,}}: (%{{x:.4g}}, %{{y:.4g}}), f = %{{customdata[1]}}"
                f"<extra>{label}</extra>",
            }
            head = path | {"mode": "markers", "showlegend": False, "hoverinfo": "skip"}
            marks = (SYMBOLS, SOLID_SYMBOLS)
            symbol, solid_symbol = ("x" if lost else marks_[index % len(marks_)] for marks_ in marks)
            edge = {"color": color, "line": {"color": "#fff", "width": 1}}
            flat.append({**line, "type": "scatter", "line": {"color": color, "width": 2.4}})
            flat.append({**head, "type": "scatter", "marker": {"symbol": symbol, "size": 9, **edge}})
            solid.append({**line, "type": "scatter3d", "showlegend": False, "line": {"color": color, "width": 5}})
            solid.append({**head, "type": "scatter3d", "marker": {"symbol": solid_symbol, "size": 5, **edge}})
    ranges = {"x": [x[0], x[-1]], "y": [y[0], y[-1]]}
    plain = {"zeroline": False, "showgrid": False, "constrain": "domain"}
    bar = {"title": {"text": "f"}, "thickness": 10, "outlinewidth": 0, **labelled}
    common = {"height": 470, "hovermode": "closest", "modebar": {"orientation": "v"}}
    flat_layout = {
        **common,
        "xaxis": {"title": {"text": "x"}, "range": ranges["x"], **plain},
        "yaxis": {"title": {"text": "y"}, "range": ranges["y"], "scaleanchor": "x", **plain},
        "coloraxis": {"cmin": 0, "cmax": top, "colorbar": bar},
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "traceorder": "reversed"},
        "margin": {"l": 48, "r": 8, "t": 48, "b": 44},
    }
    solid_layout = {
        **common,
        "scene": {
            "xaxis": {"title": {"text": "x"}, "range": ranges["x"]},
            "yaxis": {"title": {"text": "y"}, "range": ranges["y"]},
            "zaxis": {"title": {"text": "f"}, "range": [0, 1.02 * top], **labelled},
            "aspectmode": "manual",
            "aspectratio": {"x": 1, "y": 1, "z": 0.7},
            "camera": {"eye": {"x": -0.8, "y": -1.25, "z": 1.6}, "center": {"x": 0, "y": 0, "z": -0.15}},
        },
        "coloraxis": {"cmin": 0, "cmax": top, "showscale": False},
        "margin": {"l": 0, "r": 0, "t": 8, "b": 0},
    }
    return {
        "flat": {"data": flat, "layout": flat_layout},
        "solid": {"data": solid, "layout": solid_layout},
        "paths": paths,
    }


def _nearest(places: list[float], at: float) -> int:
    return min(range(len(places)), key=lambda i: abs(places[i] - at))


def _near(point: tuple[float, float], x: list[float], y: list[float]) -> tuple[float, float]:
    """The point, or one in its direction at ten times the size of what is drawn, which plots can still handle."""
    middle = ((x[0] + x[-1]) / 2, (y[0] + y[-1]) / 2)
    away = math.dist(point, middle)
    share = min(1.0, 10 * max(x[-1] - x[0], y[-1] - y[0]) / away) if away else 1.0
    return tuple(round(m + share * (p - m), 5) for p, m in zip(point, middle, strict=True))


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
                "hovertemplate": f"{plus_minus(row.final, row.final.mean)}<extra>{row.label} mean</extra>",
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
        metric_title = f"{table.measured}{unit}"
        figures = {
            "curves": curves(table.section, metric_title),
            "dots": dots(table, metric_title) if table.section.goal is None else None,
            "motion": motion(table.section),
        }
        sections.append({"table": table, "figures": figures})

    def followed(item: Json | None, other: Json | None) -> bool:
        """Whether both are sections of one experiment."""
        return None not in (item, other) and item["table"].section.experiment == other["table"].section.experiment

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html").render(
        sections=sections,
        warnings=warnings,
        plotly=get_plotlyjs(),
        color=lambda place: COLORS[place % len(COLORS)],
        followed=followed,
    )
