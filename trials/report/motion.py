# SPDX-License-Identifier: MIT
"""The paths of trials on a function of two weights, over contours and in three dimensions, as plotly reads them."""

from __future__ import annotations

import math
from typing import Any

from figures import COLORS, symbol_of
from records import Section
from table import number

Json = dict[str, Any]

SOLID_SYMBOLS = ["circle", "square", "diamond", "cross"]  # that plotly has in three dimensions


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
            solid_symbol = "x" if lost else SOLID_SYMBOLS[index % len(SOLID_SYMBOLS)]
            symbol = "x" if lost else symbol_of(index)
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
