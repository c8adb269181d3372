"""How many tags the rows have, before and after."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from tagsmith.cards.errors import ReleaseError
from tagsmith.cards.markdown import shorten
from tagsmith.cards.pictures.canvas import Theme, canvas


def complexity_histogram(values: Mapping[str, Sequence[int]], path: str | Path, theme: Theme = "light") -> None:
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
    with canvas(path, theme, height=4.4) as (figure, look):
        axes = figure.subplots()
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
                color=look.series[n],
                edgecolor=look.background,
                linewidth=0.5,
                label=f"{shorten(name, 40)} ({rows:,} rows, mean {mean:.2f})",
            )
        ticks = range(first, last + 1, max(1, math.ceil((last - first) / 15)))
        clipped = max(max(count) for count in counts.values()) > last
        axes.set_xticks([*(t for t in ticks if t < last or not clipped), *([last] if clipped else [])])
        axes.xaxis.set_major_formatter(lambda tags, _: f"{tags:g}+" if clipped and tags == last else f"{tags:g}")
        axes.set_xlim(first - 0.6, last + 0.6)
        axes.yaxis.set_major_formatter(lambda share, _: f"{share:g}%")
        axes.set_xlabel("Tags of a row")
        axes.set_ylabel("Share of rows")
        axes.grid(axis="y")
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0))


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
