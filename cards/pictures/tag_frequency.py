"""How often the tags of a pool occur: the long tail."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tagsmith.cards.errors import ReleaseError
from tagsmith.cards.pictures.canvas import Theme, canvas


def tag_frequency(counts: Sequence[int], path: str | Path, theme: Theme = "light") -> None:
    """Rows with each tag against the tag's rank, both on a logarithmic scale, and the share of tags in one row alone.

    Args:
        counts: rows that carry each tag, in any order.

    Raises:
        ReleaseError: no counts, or one below 1.
    """
    ordered = np.sort(np.asarray(counts))[::-1]
    if not len(ordered) or ordered[-1] < 1:
        raise ReleaseError("tag_frequency needs counts of at least one row, one a tag")
    once = float(np.mean(ordered == 1))
    with canvas(path, theme, height=4.2) as (figure, look):
        axes = figure.subplots()
        ranks = np.arange(1, len(ordered) + 1)
        # Between two changes of the count the line is straight: their ends are enough.
        kept = np.flatnonzero(np.diff(ordered, prepend=0, append=0)[:-1] | np.diff(ordered, append=0))
        axes.step(ranks[kept], ordered[kept], where="post", color=look.series[0], linewidth=2)
        axes.set_xscale("log")
        axes.set_yscale("log")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(lambda value, _: f"{value:,.0f}" if value >= 1 else "")
        axes.set_ylim(0.8, 1.6 * ordered[0])
        axes.set_xlabel("Rank of the tag")
        axes.set_ylabel("Rows with the tag")
        axes.set_title(f"{len(ordered):,} tags, {once:.0%} of them in one row alone", loc="left")
        axes.grid()
