"""Names beside the markers of a scatter plot, where they cover neither each other nor a marker nor leave the axes."""

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_GAP = 4.0  # points between a marker and its name
_SIZE = 11
_Box = tuple[float, float, float, float]  # left, bottom, right, top, in pixels


def place_labels(
    axes: "Axes",
    xs: Sequence[float],
    ys: Sequence[float],
    radii: Sequence[float],
    labels: Sequence[str],
    *,
    color: str,
    ground: str,
) -> None:
    """Write each label at the nearest free place around its marker, with a line to it where that is not beside it.

    Greedy and deterministic: the most crowded marker chooses first. Where every place is taken the one with the
    least overlap wins. The layout of the figure must be settled before.

    Args:
        xs, ys: the markers' centres, in data units.
        radii: the markers' radii, in points.
        color: of the letters.
        ground: behind them, which keeps grid lines out of the letters.
    """
    behind = {"facecolor": ground, "edgecolor": "none", "pad": 0.5}
    pixels = axes.figure.dpi / 72  # a point in pixels
    centres = [tuple(map(float, at)) for at in axes.transData.transform(list(zip(xs, ys, strict=True)))]
    markers = [_around(x, y, radius * pixels) for (x, y), radius in zip(centres, radii, strict=True)]
    frame = axes.get_window_extent()
    inside = (frame.x0 + 4, frame.y0 + 4, frame.x1 - 4, frame.y1 - 4)
    taken: list[_Box] = []
    for n in sorted(range(len(labels)), key=lambda n: (_distance_to_next(n, centres), n)):
        (x, y), radius = centres[n], radii[n] * pixels
        text = axes.text(
            0,
            0,
            labels[n],
            fontsize=_SIZE,
            color=color,
            linespacing=1.15,
            zorder=5,
            parse_math=False,
            bbox=behind,
        )
        extent = text.get_window_extent()
        places = list(_places(x, y, radius + _GAP * pixels, extent.width, extent.height, pixels))
        obstacles = [*taken, *(marker for m, marker in enumerate(markers) if m != n)]
        costs = [
            sum(_overlap(box, other) for other in obstacles) + 10 * _outside(box, inside) + far for box, far in places
        ]
        box, far = places[costs.index(min(costs))]
        taken.append(box)
        text.set_transform(None)  # from here on in pixels
        text.set_position(((box[0] + box[2]) / 2, (box[1] + box[3]) / 2))
        text.set(ha="center", va="center", multialignment=_alignment(box, x))
        if far >= 1:
            axes.annotate(
                "",
                xy=(x, y),
                xycoords="figure pixels",
                xytext=(min(max(x, box[0]), box[2]), min(max(y, box[1]), box[3])),
                textcoords="figure pixels",
                arrowprops={"arrowstyle": "-", "color": color, "linewidth": 0.7, "shrinkA": 1, "shrinkB": radii[n]},
            )


def _places(
    x: float, y: float, reach: float, width: float, height: float, pixels: float
) -> Iterator[tuple[_Box, float]]:
    """Boxes around a marker, the nearest and most usual first, each with a small cost of its own."""
    for ring, extra in enumerate((0.0, 14.0, 30.0, 50.0, 75.0)):
        for rank, degrees in enumerate((0, 180, 90, 270, 45, 315, 135, 225)):
            across, up = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
            middle_x = x + across * (reach + extra * pixels + width / 2)
            middle_y = y + up * (reach + extra * pixels + height / 2)
            box = (middle_x - width / 2, middle_y - height / 2, middle_x + width / 2, middle_y + height / 2)
            yield box, ring + rank / 100


def _around(x: float, y: float, radius: float) -> _Box:
    return (x - radius, y - radius, x + radius, y + radius)


def _overlap(a: _Box, b: _Box) -> float:
    across = min(a[2], b[2]) - max(a[0], b[0])
    up = min(a[3], b[3]) - max(a[1], b[1])
    return across * up if across > 0 and up > 0 else 0.0


def _outside(box: _Box, frame: _Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1]) - _overlap(box, frame)


def _alignment(box: _Box, x: float) -> str:
    return "left" if box[0] > x else "right" if box[2] < x else "center"


def _distance_to_next(n: int, centres: Sequence[tuple[Any, ...]]) -> float:
    return min((math.dist(centres[n], other) for m, other in enumerate(centres) if m != n), default=math.inf)
