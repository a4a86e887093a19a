# SPDX-License-Identifier: MIT
"""The plots of a section as plotly reads them: curves, final values trial by trial, the search for options."""

from __future__ import annotations

import math
from typing import Any

from records import Section, Trial
from stats import best as top
from stats import curve, outcome
from table import Table, number, plus_minus

Json = dict[str, Any]

# Okabe and Ito's colours that stand out from white and from black, the palest last; told apart by all common kinds of
# colour vision. A rule keeps its place, so it keeps its colour; marks and dashes differ for those who see no colour.
COLORS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#888888"]
SYMBOLS = ["circle", "square", "diamond", "triangle-up", "pentagon", "star", "hexagon"]
DASHES = ["solid", "dash", "dashdot", "longdash"]
FULL_MARKS = 40  # evaluations a curve up to which each gets its mark


def symbol_of(index: int) -> str:
    """Another one where the colours begin again, so that no two of 49 rules look the same."""
    return SYMBOLS[(index + index // len(COLORS)) % len(SYMBOLS)]


def _faded(color: str) -> str:
    return f"rgba({int(color[1:3], 16)},{int(color[3:5], 16)},{int(color[5:], 16)},0.16)"


def _x(section: Section, places: list[tuple[float, float, float]]) -> Json:
    """The x of a trace on each axis; the page shows one of them at a time. The share of the training is in percent."""
    x = {axis: list(values) for axis, values in zip(("epochs", "steps", "seconds"), zip(*places), strict=True)}
    if _recorded(section):
        total = max(t.config.get("steps", 0) for t in section.trials) or 1
        x["share"] = [round(100 * step / total, 3) for step in x["steps"]]
    return x


def _recorded(section: Section) -> dict[str, dict[str, list[float]]]:
    """Curves that others recorded of the section's rules and metric, by the labels here."""
    published = section.published
    if published.metric is None or published.metric.lower() != section.metric["name"].lower():
        return {}
    found = {label: published.curves.get(label.lower()) for label in section.labels}
    return {label: curve for label, curve in found.items() if curve}


def _theirs(section: Section, field: str) -> dict[str, list[float]]:
    """What was recorded in place of an evaluation's field, epoch by epoch. A train perplexity is shown as its loss."""
    recorded = _recorded(section)
    if field == "test_metric":
        return {label: curve["test"] for label, curve in recorded.items()}
    if section.metric["name"].lower() == "perplexity":
        return {label: [math.log(value) for value in curve["train"]] for label, curve in recorded.items()}
    return {}


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
    theirs = _theirs(section, field).values()
    others = [value for values in theirs for value in values]
    low, high = min([p.low for p in points] + others), max([p.high for p in points] + others)
    if may_be_log and 0 < 20 * low < high:
        margin = 0.05 * math.log10(high / low)
        ends = [math.log10(low) - margin, math.log10(high) + margin]
        return {"type": "log", "exponentformat": "power", "range": ends}
    settled = [p for p in points if p.step >= points[-1].step / 10]
    others = [value for values in theirs for value in values[len(values) // 10 :]]
    low, high = min([p.low for p in settled] + others), max([p.high for p in settled] + others)
    margin = 0.06 * (high - low) or abs(high) or 1.0
    return {"range": [low - margin, high + margin]}


def _rule(section: Section, label: str, field: str, y: str, edge: str) -> tuple[list[Json], list[Json]]:
    """The bands and the lines of one rule in the plot on axis y; `edge` is the axis of its crosses."""
    index = section.labels.index(label)
    color, symbol = COLORS[index % len(COLORS)], symbol_of(index)
    dash = DASHES[index // len(COLORS) % len(DASHES)]
    group: Json = {"type": "scatter", "legendgroup": label, "name": label, "yaxis": y, "showlegend": False}
    bands, lines = [], []
    points = curve(section.of(label, "finished"), field)
    if points:
        at = [(p.epoch, p.step, p.seconds) for p in points]
        line = {
            "meta": _x(section, at),
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
                "meta": _x(section, at + at[::-1]),
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
                "meta": _x(section, [(p.epoch, p.step, p.seconds) for p in points]),
                "y": [p.mean for p in points],
                "hovertemplate": f"%{{y:.4g}}{extra}",
                "mode": "lines",
                "line": {"color": color, "dash": "dot", "width": 1.6},
            }
            lines.append(group | line)
        if trial.status == "diverged":
            cross = {
                "yaxis": edge,
                "meta": _x(section, [_end(trial)]),
                "y": [0.04],
                "hovertemplate": trial.ending + extra,
                "mode": "markers",
                "marker": {"symbol": "x", "color": color, "size": 11, "line": {"width": 0}},
            }
            lines.append(group | cross)
    if values := _theirs(section, field).get(label):
        epochs = list(range(1, len(values) + 1))
        longest = max(map(len, _theirs(section, field).values()))  # some were stopped early
        line = {
            "meta": {"epochs": epochs, "share": [round(100 * epoch / longest, 3) for epoch in epochs]},
            "y": [round(value, 3) for value in values],
            "hovertemplate": f"%{{y:.4g}}<extra>{label}, the authors’ log</extra>",
            "mode": "lines",
            "line": {"color": color, "dash": "4px,3px", "width": 1},
        }
        lines.append(group | line)
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
    axes = [] if section.surface else ["epochs"]
    axes += ["steps", "seconds"] + (["share"] if _recorded(section) else [])
    first = "share" if section.reduced and "share" in axes else "epochs" if epochs > 1 else "steps"
    return {"data": bands + lines, "layout": layout, "axes": axes, "axis": first}


def tuning(section: Section, metric_title: str) -> list[Json]:
    """Of each option that the search varied, what the trials reached over it; a ring marks each rule's best trial."""
    judged = top if section.plan.get("tuning", {}).get("by") == "best" else outcome
    trials = [t for t in section.search if t.status != "unfinished"]
    labels = list(dict.fromkeys([*section.labels, *(t.label for t in trials)]))
    varied: dict[str, set[str]] = {}  # option -> labels of which the search varied it
    for label in labels:
        options = [t.config.get("options", {}) for t in trials if t.label == label]
        for name in {name for o in options for name, value in o.items() if type(value) in (int, float)}:
            if len({o.get(name) for o in options}) > 1:
                varied.setdefault(name, set()).add(label)
    order = {"lr": 0, "eps": 1}
    figures = []
    for name in sorted(varied, key=lambda name: (order.get(name, 2), name)):
        data: list[Json] = []
        for index, label in enumerate(labels):
            if label not in varied[name]:
                continue
            color, symbol = COLORS[index % len(COLORS)], symbol_of(index)
            own = sorted((t for t in trials if t.label == label), key=lambda t: t.config["options"].get(name, 0))
            group = {"type": "scatter", "legendgroup": label, "name": label, "mode": "markers"}
            ended = [t for t in own if t.status == "finished"]
            reached = {t.run: judged(t, section.better) for t in ended}
            best = (max if section.better == "higher" else min)(ended, key=lambda t: reached[t.run], default=None)
            told = [", ".join(f"{k} {v}" for k, v in t.config["options"].items()) for t in own]
            alone = sum(label in labels_ for labels_ in varied.values()) == 1
            seen = {
                "x": [t.config["options"].get(name) for t in ended],
                "y": [reached[t.run] for t in ended],
                "text": [text for t, text in zip(own, told, strict=True) if t in ended],
                "hovertemplate": f"%{{y:.4g}}<br>%{{text}}<extra>{label}</extra>",
                "mode": "lines+markers" if alone else "markers",
                "line": {"color": color, "width": 1},
                "marker": {
                    "color": color,
                    "symbol": symbol,
                    "size": [13 if t is best else 7 for t in ended],
                    "line": {"color": "#888", "width": [2.5 if t is best else 0 for t in ended]},
                },
            }
            lost = [t for t in own if t.status == "diverged"]
            crosses = {
                "x": [t.config["options"].get(name) for t in lost],
                "y": [0.04] * len(lost),
                "yaxis": "y2",
                "hovertemplate": f"%{{x:.4g}} diverged<extra>{label}</extra>",
                "marker": {"symbol": "x", "color": color, "size": 10},
                "showlegend": False,
            }
            data += [group | seen, group | crosses]
        x = [value for trace in data for value in trace["x"] if value is not None]
        log = min(x) > 0 and max(x) >= 10 * min(x)
        logarithmic = {"type": "log", "dtick": 1, "exponentformat": "power"}
        layout = {
            "height": 360,
            "hovermode": "closest",
            "modebar": {"orientation": "v"},
            "xaxis": {"title": {"text": name}, "zeroline": False, **(logarithmic if log else {})},
            "yaxis": {"title": {"text": metric_title}, "zeroline": False},
            "yaxis2": {"overlaying": "y", "range": [0, 1], "fixedrange": True, "visible": False},
            "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
            "margin": {"l": 60, "r": 36, "t": 16, "b": 48},
        }
        figures.append({"data": data, "layout": layout})
    return figures


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
                "marker": {"color": color, "symbol": symbol_of(index), "size": 10},
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
        "xaxis": {
            "title": {"text": f"{table.outcome} {metric_title}"},
            "zeroline": False,
            "type": "log" if log else "linear",
        },
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
