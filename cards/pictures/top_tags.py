"""The most frequent tags of a dataset."""

from collections.abc import Mapping
from pathlib import Path

from tagsmith.cards.errors import ReleaseError
from tagsmith.cards.markdown import shorten
from tagsmith.cards.pictures.canvas import Theme, canvas
from tagsmith.cards.pictures.fonts import drawable

_MOST = 20


def top_tags(counts: Mapping[str, int], path: str | Path, theme: Theme = "light", *, most: int = _MOST) -> None:
    """The most frequent tags as horizontal bars, with the number of rows that have each.

    A tag in a script that no font at hand can draw is shown by its place, `no. 3`; `top_tags_caption` spells it out.

    Raises:
        ReleaseError: no tags.
    """
    if not counts:
        raise ReleaseError("top_tags got no tags; give at least one")
    from matplotlib.ticker import MaxNLocator

    top = _top(counts, most)
    with canvas(path, theme, height=1.0 + 0.3 * len(top)) as (figure, look):
        axes = figure.subplots()
        places = range(len(top) - 1, -1, -1)
        bars = axes.barh(places, [rows for _, rows in top], height=0.72, color=look.series[0])
        # A number at each bar, so no grid.
        axes.bar_label(bars, [f"{rows:,}" for _, rows in top], padding=4, fontsize=11, color=look.ink)
        axes.set_yticks(
            places, [shorten(tag, 40) if drawable(tag) else f"no. {n}" for n, (tag, _) in enumerate(top, 1)]
        )
        axes.set_ylim(-0.6, len(top) - 0.4)
        axes.set_xlim(0, 1.09 * top[0][1])
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        axes.set_xlabel("Rows with the tag")
        axes.tick_params(axis="y", length=0)


def top_tags_caption(counts: Mapping[str, int], sentence: str, *, most: int = _MOST) -> str:
    """The caption of `top_tags`: the sentence, and by number those tags that no font at hand can draw."""
    hidden = [f"{n}. {shorten(tag, 40)}" for n, (tag, _) in enumerate(_top(counts, most), 1) if not drawable(tag)]
    return f"{sentence} By number: {', '.join(hidden)}." if hidden else sentence


def _top(counts: Mapping[str, int], most: int) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:most]
