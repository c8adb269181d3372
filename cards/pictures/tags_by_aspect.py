"""How many tags a pool has under each aspect (Tag-Evol)."""

from collections.abc import Mapping
from pathlib import Path

from tagsmith.cards.errors import ReleaseError
from tagsmith.cards.markdown import shorten
from tagsmith.cards.pictures.canvas import Theme, canvas
from tagsmith.cards.pictures.fonts import drawable

_MOST = 15


def tags_by_aspect(numbers: Mapping[str, int], path: str | Path, theme: Theme = "light") -> None:
    """The aspects with most tags as horizontal bars, fifteen at most.

    Args:
        numbers: aspect → different tags under it.

    Raises:
        ReleaseError: no aspects.
    """
    if not numbers:
        raise ReleaseError("tags_by_aspect got no aspects; give at least one")
    from matplotlib.ticker import MaxNLocator

    ranked = sorted(numbers.items(), key=lambda item: (-item[1], item[0]))
    shown = [(shorten(name, 40) if drawable(name) else f"no. {n}", of) for n, (name, of) in enumerate(ranked, 1)]
    with canvas(path, theme, height=1.0 + 0.3 * min(len(shown), _MOST)) as (figure, look):
        axes = figure.subplots()
        top = shown[:_MOST]
        places = range(len(top) - 1, -1, -1)
        bars = axes.barh(places, [number for _, number in top], height=0.72, color=look.series[0])
        axes.bar_label(bars, [f"{number:,}" for _, number in top], padding=4, fontsize=11, color=look.ink)
        axes.set_yticks(places, [name for name, _ in top])
        axes.set_ylim(-0.6, len(top) - 0.4)
        axes.set_xlim(0, 1.12 * top[0][1])
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        further = f" ({len(ranked) - _MOST:,} further aspects not shown)" if len(ranked) > _MOST else ""
        axes.set_xlabel(f"Different tags under the aspect{further}")
        axes.tick_params(axis="y", length=0)
