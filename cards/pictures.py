"""Pictures for a card: PNG, about 800 pixels wide at double resolution, the same bytes for the same numbers."""

import math
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from tagsmith.cards.errors import ReleaseError
from tagsmith.cards.labels import place_labels
from tagsmith.cards.markdown import shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's palette (2008), told apart with every common form of colour blindness.
BLUE, VERMILLION, GREEN, ORANGE, SKY, PURPLE = "#0072B2", "#D55E00", "#009E73", "#E69F00", "#56B4E9", "#CC79A7"
INK, GRID = "#222222", "#DDDDDD"
_WIDTH = 8.0  # inches, shown as 800 pixels
_DPI = 200
_LARGEST_RADIUS = 20.0  # points, of the marker for the dataset with most rows
_SMALLEST_RADIUS = 4.0


class Point(TypedDict):
    """A dataset in tag space: the share of all tags that it covers (0 to 1) and its mean tags a row."""

    name: str
    diversity: float
    complexity: float
    rows: int


@dataclass(frozen=True)
class Picture:
    """A picture of a release: file name without ending, a sentence that says what it shows, how to draw it."""

    name: str
    caption: str
    draw: Callable[[Path], None]


def diversity_complexity(points: Sequence[Point], path: str | Path) -> None:
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
    with _picture(path, height=5.2) as (figure, axes):
        xs = [point["complexity"] for point in points]
        ys = [100 * point["diversity"] for point in points]
        radii = [max(_SMALLEST_RADIUS, _LARGEST_RADIUS * math.sqrt(point["rows"] / max(1, most))) for point in points]
        # Large markers first, so that a small one on the same spot stays visible.
        order = sorted(range(len(points)), key=lambda n: -radii[n])
        axes.scatter(
            [xs[n] for n in order],
            [ys[n] for n in order],
            s=[math.pi * radii[n] ** 2 for n in order],
            color=[(BLUE, VERMILLION, GREEN, ORANGE, SKY, PURPLE)[n % 6] for n in order],
            alpha=0.85,
            edgecolor=INK,
            linewidth=0.8,
            zorder=3,
        )
        axes.set_xlim(*_limits(xs, least_span=1.0, lowest=0.0, highest=math.inf))
        axes.set_ylim(*_limits(ys, least_span=20.0, lowest=0.0, highest=100.0))
        axes.set_yticks([tick for tick in axes.get_yticks() if 0 <= tick <= 100])
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}%")
        axes.set_xlabel("Complexity: mean tags a row")
        axes.set_ylabel("Diversity: share of all tags covered")
        axes.grid(color=GRID, linewidth=0.8)
        figure.draw_without_rendering()  # settles the layout, which label positions need
        labels = [f"{shorten(point['name'], 32)}\n{point['rows']:,} rows" for point in points]
        place_labels(axes, xs, ys, radii, labels, color=INK)


def top_tags(counts: Mapping[str, int], path: str | Path, *, most: int = 20) -> None:
    """The most frequent tags as horizontal bars, with the number of rows that have each.

    Raises:
        ReleaseError: no tags.
    """
    if not counts:
        raise ReleaseError("top_tags got no tags; give at least one")
    from matplotlib.ticker import MaxNLocator

    top = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:most]
    with _picture(path, height=0.9 + 0.27 * len(top)) as (_, axes):
        places = range(len(top) - 1, -1, -1)
        bars = axes.barh(places, [rows for _, rows in top], height=0.72, color=BLUE, zorder=3)
        axes.bar_label(bars, [f"{rows:,}" for _, rows in top], padding=4, fontsize=9.5, color=INK)  # so: no grid
        axes.set_yticks(places, [shorten(tag, 40) for tag, _ in top])
        for label in axes.get_yticklabels():
            label.set_parse_math(False)
        axes.set_ylim(-0.6, len(top) - 0.4)
        axes.set_xlim(0, 1.09 * top[0][1])
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        axes.set_xlabel("Rows with the tag")
        axes.tick_params(axis="y", length=0)


def complexity_histogram(values: Mapping[str, Sequence[int]], path: str | Path) -> None:
    """How many tags the rows have, before and after: one group of bars a number of tags, as share of the rows.

    Args:
        values: for each name (in the order of the bars, four at most) the number of tags of each row.

    Raises:
        ReleaseError: no names, more than four, or one without values.
    """
    if not 1 <= len(values) <= 4 or not all(len(numbers) for numbers in values.values()):
        raise ReleaseError(f"complexity_histogram needs one to four non-empty series, got {list(values)}")
    counts = {name: Counter(int(number) for number in numbers) for name, numbers in values.items()}
    last = _last_bin(counts)
    first = min(min(count) for count in counts.values())
    with _picture(path, height=4.2) as (_, axes):
        width = 0.84 / len(counts)
        for n, (name, count) in enumerate(counts.items()):
            rows = count.total()
            bins = Counter({min(tags, last): 0 for tags in count})
            for tags, number in count.items():
                bins[min(tags, last)] += number
            mean = sum(tags * number for tags, number in count.items()) / rows
            axes.bar(
                [tags + (n - (len(counts) - 1) / 2) * width for tags in bins],
                [100 * number / rows for number in bins.values()],
                width=width,
                color=(ORANGE, BLUE, GREEN, PURPLE)[n],
                edgecolor=INK,
                linewidth=0.5,
                label=f"{shorten(name, 40)} ({rows:,} rows, mean {mean:.2f})",
                zorder=3,
            )
        ticks = range(first, last + 1, max(1, math.ceil((last - first) / 15)))
        clipped = max(max(count) for count in counts.values()) > last
        axes.set_xticks([*(t for t in ticks if t < last or not clipped), *([last] if clipped else [])])
        axes.xaxis.set_major_formatter(lambda tags, _: f"{tags:g}+" if clipped and tags == last else f"{tags:g}")
        axes.set_xlim(first - 0.6, last + 0.6)
        axes.yaxis.set_major_formatter(lambda share, _: f"{share:g}%")
        axes.set_xlabel("Tags of a row")
        axes.set_ylabel("Share of rows")
        axes.grid(axis="y", color=GRID, linewidth=0.8)
        legend = axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False)
        for text in legend.get_texts():
            text.set_parse_math(False)


def _last_bin(counts: Mapping[str, Counter[int]]) -> int:
    """Beyond this number of tags lie fewer than one row in 200 of every series; they share the last bar."""
    last = 0
    for count in counts.values():
        left = count.total() / 200
        for tags in sorted(count, reverse=True):
            left -= count[tags]
            if left < 0:
                last = max(last, tags)
                break
    return last + 1 if any(max(count) > last for count in counts.values()) else last


def _limits(values: Sequence[float], least_span: float, lowest: float, highest: float) -> tuple[float, float]:
    """Room around the values for markers and names, hardly beyond what a value can be."""
    span = max(max(values) - min(values), least_span)
    middle = (max(values) + min(values)) / 2
    low, high = middle - 0.72 * span, middle + 0.72 * span
    return max(low, lowest - 0.12 * span), min(high, highest + 0.12 * span)


@contextmanager
def _picture(path: str | Path, height: float) -> Iterator[tuple["Figure", "Axes"]]:
    """Axes to draw on, saved at the end. A user's own matplotlib settings are set aside meanwhile."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    look: dict[str, Any] = {
        "font.family": "DejaVu Sans",  # ships with matplotlib: the same picture everywhere
        "font.size": 10.5,
        "axes.edgecolor": INK,
        "axes.labelcolor": INK,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "xtick.color": INK,
        "ytick.color": INK,
    }
    with matplotlib.rc_context(), warnings.catch_warnings():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(look)
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # drawn as a box; the card has the text
        # White, not transparent: dark pages would swallow the ink.
        layout = ConstrainedLayoutEngine(w_pad=0.15, h_pad=0.15)
        figure = Figure(figsize=(_WIDTH, height), dpi=_DPI, facecolor="white", layout=layout)
        FigureCanvasAgg(figure)
        yield figure, figure.subplots()
        # The default metadata name matplotlib's version, which would change the bytes with it.
        figure.savefig(path, format="png", metadata={"Software": None})
