# SPDX-License-Identifier: MIT
"""Draws times as horizontal bars on logarithmic axes, one panel a shape, in SVG that follows a light or dark page."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from html import escape

ROW, BAR, TOP, LABELS, PANEL, GAP = 20, 12, 62, 220, 170, 14  # pixels
NUMBER = 48  # the room for a number after the longest bar
TICK = 42  # the room for a number at the axis

STYLE = """
text { font: 12px system-ui, sans-serif; fill: #333 }
.page { fill: #fff } .title { font-weight: 600 } .tick { font-size: 10px; fill: #777; text-anchor: middle }
.grid { stroke: #e4e4e4 } .range { stroke: #333; stroke-opacity: .55 }
.k0 { fill: #c2410c } .k1 { fill: #a3a3a3 } .k2 { fill: #3b76af } .k3 { fill: #93b7d8 }
@media (prefers-color-scheme: dark) {
  text { fill: #ddd } .page { fill: #0d1117 } .tick { fill: #999 } .grid { stroke: #2b3138 } .range { stroke: #eee }
  .k0 { fill: #f08a4b } .k1 { fill: #6b7280 } .k2 { fill: #5b9bd5 } .k3 { fill: #38618a }
}
"""


def duration(seconds: float) -> str:
    """Two digits and a unit, such as 1.3 ms."""
    unit, name = next(((u, n) for u, n in ((1, "s"), (1e-3, "ms"), (1e-6, "µs")) if seconds >= 0.995 * u), (1e-9, "ns"))
    value = seconds / unit
    return f"{value:.1f} {name}" if value < 9.95 else f"{value:.0f} {name}"


def bars(panels: Mapping[str, Mapping[str, Sequence[float]]], kinds: Mapping[str, str], title: str) -> str:
    """An SVG of seconds by panel and name.

    `kinds` names the rows, from the top, and what kind each is of; a bar ends at the median, a line spans all values.
    A name that a panel lacks leaves a gap there.
    """
    legend = list(dict.fromkeys(kinds.values()))
    width = LABELS + len(panels) * (PANEL + GAP)
    bottom = TOP + ROW * len(kinds)
    height = bottom + 24
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img"><title>{escape(title)}</title><style>{STYLE}</style>',
        f'<rect class="page" width="{width}" height="{height}"/>',
    ]
    x = 12.0
    for k, kind in enumerate(legend):
        parts.append(f'<rect class="k{k}" x="{x}" y="10" width="12" height="12" rx="2"/>')
        parts.append(f'<text x="{x + 17}" y="20">{escape(kind)}</text>')
        x += 36 + 6.4 * len(kind)
    for row, name in enumerate(kinds):
        parts.append(f'<text x="{LABELS - 8}" y="{TOP + ROW * row + 14}" text-anchor="end">{escape(name)}</text>')
    for number, (panel, times) in enumerate(panels.items()):
        left = LABELS + number * (PANEL + GAP)
        every = [value for name in kinds for value in times.get(name, [])]
        low, high = math.log10(min(every)) - 0.3, math.log10(max(every))
        scale = (PANEL - NUMBER) / (high - low)

        def place(seconds: float, left: float = left, low: float = low, scale: float = scale) -> float:
            return round(left + (math.log10(seconds) - low) * scale, 1)

        parts.append(f'<text class="title" x="{left}" y="{TOP - 12}">{escape(panel)}</text>')
        for decade in range(math.ceil(low), math.floor(high) + 1):
            at = place(10.0**decade)
            parts.append(f'<path class="grid" d="M{at} {TOP - 4}V{bottom + 4}"/>')
            if scale > TICK or decade % 2 == 0:
                label = duration(10.0**decade).replace(".0", "")
                parts.append(f'<text class="tick" x="{at}" y="{bottom + 16}">{label}</text>')
        for row, (name, kind) in enumerate(kinds.items()):
            if values := times.get(name):
                y, median = TOP + ROW * row + (ROW - BAR) / 2, statistics.median(values)
                first, end, last = place(min(values)), place(median), place(max(values))
                size = f'x="{left}" y="{y}" width="{end - left:.1f}" height="{BAR}"'
                parts.append(f'<rect class="k{legend.index(kind)}" {size} rx="2"/>')
                parts.append(f'<path class="range" d="M{first} {y + BAR / 2}H{last}"/>')
                parts.append(f'<text x="{last + 5:.1f}" y="{y + 10}">{duration(median)}</text>')
    return "\n".join([*parts, "</svg>\n"])
