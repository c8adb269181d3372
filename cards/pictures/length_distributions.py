"""How long instructions and responses are, before and after."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from tagsmith.cards.errors import ReleaseError
from tagsmith.cards.markdown import shorten
from tagsmith.cards.pictures.canvas import Look, Theme, canvas

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Two bins an octave, on whole numbers: lengths spread over three powers of ten, and twice as long means as much at 10
# tokens as at 1,000.
_EDGES = [1, 2, 3, *(round(2 ** (half / 2)) for half in range(4, 60))]


def length_distributions(
    lengths: Mapping[str, Mapping[str, Sequence[int]]], unit: str, path: str | Path, theme: Theme = "light"
) -> None:
    """Distributions of lengths, one panel a text (such as instruction and response), one outline a dataset.

    The axis is logarithmic, the outline gives the share of texts in each half octave, the median has a line and stands
    in the legend. Empty texts count in the median and in the share but have no place on the axis.

    Args:
        lengths: for each panel's name and each dataset's (three at most) the length of every text.
        unit: of the lengths, such as `tokens`.

    Raises:
        ReleaseError: no panel, or one without datasets, with more than three, or with one without texts.
    """
    if not lengths or not all(1 <= len(of) <= 3 and all(map(len, of.values())) for of in lengths.values()):
        raise ReleaseError(
            f"length_distributions needs panels of one to three non-empty datasets, got"
            f" { ({name: list(of) for name, of in lengths.items()}) }"
        )
    with canvas(path, theme, height=4.4) as (figure, look):
        panels = figure.subplots(1, len(lengths), sharey=True, squeeze=False)[0]
        for axes, (name, datasets) in zip(panels, lengths.items(), strict=True):
            _draw(axes, datasets, look)
            axes.set_xlabel(f"{name}: {unit} (logarithmic)")
        panels[0].set_ylabel("Share of texts")
        panels[0].set_ylim(bottom=0)
        panels[0].yaxis.set_major_formatter(lambda share, _: f"{share:g}%")


def _draw(axes: "Axes", datasets: Mapping[str, Sequence[int]], look: Look) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter

    present = [length for lengths in datasets.values() for length in lengths if length > 0] or [1]
    first = bisect_right(_EDGES, min(present)) - 1
    last = bisect_right(_EDGES, max(present))
    edges = _EDGES[first : last + 1]
    for n, (name, lengths) in enumerate(datasets.items()):
        counts = [0] * (len(edges) - 1)
        for length in lengths:
            if length > 0:
                counts[bisect_right(edges, length) - 1] += 1
        middle = median(lengths)
        shares = [100 * count / len(lengths) for count in counts]
        axes.stairs(shares, edges, color=look.series[n], fill=True, alpha=0.18)
        label = f"{shorten(name, 28)}: median {middle:,.0f}"
        axes.stairs(shares, edges, color=look.series[n], linewidth=2, label=label)
        if middle > 0:
            axes.axvline(middle, color=look.series[n], linestyle=(0, (4, 3)), linewidth=1.4)
    axes.set_xscale("log")
    axes.set_xlim(edges[0], edges[-1])
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0,) if edges[-1] > 30 * edges[0] else (1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(lambda length, _: f"{length:,.0f}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.grid(axis="y")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), handlelength=1.2, borderaxespad=0.3)
