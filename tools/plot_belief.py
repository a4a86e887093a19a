# SPDX-License-Identifier: MIT
"""Draws the pictures of docs/belief.md, docs/belief-*.svg, from examples/belief.output. `make docs` runs it."""

import os
import pathlib
from collections.abc import Callable
from math import log10

ROOT = pathlib.Path(__file__).parents[1]
COLORS = {"SGD": "#7f7f7f", "Adam": "#1f77b4", "AdaBelief": "#d62728"}
INK, GRID = "#333", "#ddd"
WIDTH, HEIGHT, TOP, BOTTOM = 760, 300, 30, 240

Points = list[tuple[float, float]]


def line(points: Points, color: str = INK, width: float = 2) -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="{width}"/>'


def text(x: float, y: float, words: str, color: str = INK, anchor: str = "middle") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{color}" text-anchor="{anchor}">{words}</text>'


def between(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    return lambda value: start + (value - low) / (high - low) * (end - start)


def grid(
    left: float, right: float, height: Callable[[float], float], values: list[float], words: list[str]
) -> list[str]:
    parts = []
    for value, word in zip(values, words, strict=True):
        y = height(value)
        parts += [line([(left, y), (right, y)], GRID, 1), text(left - 8, y + 4, word, anchor="end")]
    return parts


def picture(parts: list[str]) -> str:
    shape = f'viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="13"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {shape}>'
    return "\n".join([head, f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>', *parts, "</svg>\n"])


def lengths(rows: list[list[str]]) -> str:
    """The curve with the three starts, and the lengths of steps there."""
    x_of, y_of = between(-6, 1.5, 20, 340), between(0, 2.1, BOTTOM, TOP + 40)
    parts = [line([(x_of(x), y_of(f)) for x, f in ((-6, 2.04), (-2, 2), (0, 0), (1.5, 1.5))])]
    for name, x, f, right, down in (("1", -5, 2.03, 0, -10), ("2", 0, 0, 0, 20), ("3", -1.9, 1.9, 12, 4)):
        parts.append(f'<circle cx="{x_of(x):.1f}" cy="{y_of(f):.1f}" r="4" fill="{INK}"/>')
        parts.append(text(x_of(x) + right, y_of(f) + down, name))

    height = between(-2, 1, BOTTOM, TOP + 30)
    parts += grid(410, 740, height, [-2, -1, 0, 1], ["0.01", "0.1", "1", "10"])
    for i, row in enumerate(rows):
        parts.append(text(465 + 108 * i, BOTTOM + 20, " ".join(row[:-3])))
        for k, color in enumerate(COLORS.values()):
            x, y = 418 + 108 * i + 34 * k, height(log10(float(row[k - 3])))
            parts.append(f'<rect x="{x}" y="{y:.1f}" width="26" height="{BOTTOM - y:.1f}" fill="{color}"/>')
            parts.append(text(x + 13, y - 4, f"{float(row[k - 3]):.2g}"))
    parts += [text(410 + 80 * k, 20, rule, color, "start") for k, (rule, color) in enumerate(COLORS.items())]
    return picture([*parts, text(575, BOTTOM + 45, "length of a step / lr")])


def squares(rows: list[list[str]]) -> str:
    """v and s, and the way in x, by steps."""
    columns = [[float(row[i]) for row in rows] for i in range(len(rows[0]))]
    steps, v_x, v_y, adam, s_x, s_y, belief = columns

    x_of, height = between(0, log10(steps[-1]), 60, 300), between(-2, 0, BOTTOM, TOP)
    parts = grid(60, 300, height, [-2, -1, 0], ["0.01", "0.1", "1"])
    for values, color, words, down in (
        (v_x, COLORS["Adam"], "", 0),
        (v_y, COLORS["Adam"], "v_x, v_y", 0),
        (s_x, COLORS["AdaBelief"], "s_x", 4),
        (s_y, COLORS["AdaBelief"], "s_y", 12),
    ):
        points = [(x_of(log10(t)), height(log10(value))) for t, value in zip(steps, values, strict=True)]
        parts += [line(points, color), text(306, points[-1][1] + down, words, color, "start")]
    parts += [text(x_of(log10(t)), BOTTOM + 18, f"{t:g}") for t in (1, 10, 100)]

    x_of, height = between(0, steps[-1], 440, 680), between(-2.5, -1.5, BOTTOM, TOP)
    parts += grid(440, 680, height, [-2.5, -2, -1.5], ["−2.5", "−2", "−1.5"])
    for values, rule in ((adam, "Adam"), (belief, "AdaBelief")):
        points = [(x_of(t), height(x)) for t, x in zip([0, *steps], [-2.5, *values], strict=True)]
        parts += [line(points, COLORS[rule]), text(686, points[-1][1] + 4, rule, COLORS[rule], "start")]
    parts += [text(x_of(t), BOTTOM + 18, f"{t:g}") for t in (0, 100, 200)]
    return picture([*parts, text(180, BOTTOM + 45, "v and s after a step"), text(560, BOTTOM + 45, "x after a step")])


def pictures() -> dict[str, str]:
    """The files' contents by their names in docs/."""
    first, second = (ROOT / "examples/belief.output").read_text().split("\n\n")
    rows = [[line.split() for line in part.strip().splitlines()] for part in (first, second)]
    return {"belief-lengths.svg": lengths(rows[0][1:]), "belief-squares.svg": squares(rows[1][2:])}


if __name__ == "__main__":
    for name, content in pictures().items():
        part = ROOT / "docs" / f"{name}.part"
        part.write_text(content, encoding="utf-8")
        os.replace(part, ROOT / "docs" / name)
