"""Datasets in tag space: diversity against complexity."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

from tagsmith.cards.errors import ReleaseError
from tagsmith.cards.markdown import shorten
from tagsmith.cards.pictures.canvas import Theme, canvas
from tagsmith.cards.pictures.labels import place_labels

_LARGEST_RADIUS = 20.0  # points, of the marker for the dataset with most rows
_SMALLEST_RADIUS = 4.0


class Point(TypedDict):
    """A dataset in tag space: the share of all tags that it covers (0 to 1) and its mean tags a row."""

    name: str
    diversity: float
    complexity: float
    rows: int


def diversity_complexity(points: Sequence[Point], path: str | Path, theme: Theme = "light") -> None:
    """Datasets by complexity (x: mean tags a row) and diversity (y: share of the tag set), as #InsTag, Fig. 2a.

    A marker's area grows with the rows, down to a smallest size that can still be seen; each is named directly.

    Raises:
        ReleaseError: no points, or a diversity outside 0 to 1.
    """
    if not points:
        raise ReleaseError("diversity_complexity got no points; give at least one dataset")
    if wrong := [point for point in points if not 0 <= point["diversity"] <= 1]:
        raise ReleaseError(f"diversity is a share from 0 to 1, got {wrong[0]}")
    most = max(point["rows"] for point in points)
    with canvas(path, theme, height=5.2) as (figure, look):
        axes = figure.subplots()
        xs = [point["complexity"] for point in points]
        ys = [100 * point["diversity"] for point in points]
        radii = [max(_SMALLEST_RADIUS, _LARGEST_RADIUS * math.sqrt(point["rows"] / max(1, most))) for point in points]
        # Large markers first, so that a small one on the same spot stays visible.
        order = sorted(range(len(points)), key=lambda n: -radii[n])
        axes.scatter(
            [xs[n] for n in order],
            [ys[n] for n in order],
            s=[math.pi * radii[n] ** 2 for n in order],
            color=[look.series[n % len(look.series)] for n in order],
            alpha=0.85,
            edgecolor=look.ink,
            linewidth=0.8,
            zorder=3,
        )
        axes.set_xlim(*_limits(xs, least_span=1.0, lowest=0.0, highest=math.inf))
        axes.set_ylim(*_limits(ys, least_span=20.0, lowest=0.0, highest=100.0))
        axes.set_yticks([tick for tick in axes.get_yticks() if 0 <= tick <= 100])
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}%")
        axes.set_xlabel("Complexity: mean tags a row")
        axes.set_ylabel("Diversity: share of all tags covered")
        axes.grid()
        figure.draw_without_rendering()  # settles the layout, which label positions need
        labels = [f"{shorten(point['name'], 32)}\n{point['rows']:,} rows" for point in points]
        place_labels(axes, xs, ys, radii, labels, color=look.ink, ground=look.background)


def _limits(values: Sequence[float], least_span: float, lowest: float, highest: float) -> tuple[float, float]:
    """Room around the values for markers and names, hardly beyond what a value can be."""
    span = max(max(values) - min(values), least_span)
    middle = (max(values) + min(values)) / 2
    low, high = middle - 0.72 * span, middle + 0.72 * span
    return max(low, lowest - 0.12 * span), min(high, highest + 0.12 * span)
