"""What a tag is worth, by quartile of its utility (Tag-Instruct)."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from tagsmith.cards.errors import ReleaseError
from tagsmith.cards.markdown import shorten
from tagsmith.cards.pictures.canvas import Theme, canvas

_QUARTILES = ("Q1\nlowest utility", "Q2", "Q3", "Q4\nhighest utility")


def utility_quartiles(
    values: Mapping[str, Sequence[float]], measure: str, path: str | Path, theme: Theme = "light"
) -> None:
    """A measure for each quartile of utility, as groups of bars with the number on each (Tag-Instruct, App. D).

    Args:
        values: for each series (three at most) its four numbers, from the quartile of lowest utility to the highest.
        measure: what the numbers are, with their unit, for the axis: `Derived meanings a tag`.

    Raises:
        ReleaseError: no series, more than three, one without exactly four numbers, or a negative number.
    """
    if not 1 <= len(values) <= 3 or any(len(four) != 4 or min(four) < 0 for four in values.values()):
        raise ReleaseError(f"utility_quartiles needs one to three series of four numbers from 0, got {dict(values)}")
    with canvas(path, theme, height=4.2) as (figure, look):
        axes = figure.subplots()
        width = 0.8 / len(values)
        for n, (name, four) in enumerate(values.items()):
            places = [quartile + (n - (len(values) - 1) / 2) * width for quartile in range(4)]
            bars = axes.bar(places, four, width=0.92 * width, color=look.series[n], label=shorten(name, 40))
            axes.bar_label(bars, [f"{value:,.4g}" for value in four], padding=3, fontsize=11)
        axes.set_xticks(range(4), _QUARTILES)
        axes.tick_params(axis="x", length=0)
        axes.set_ylabel(measure)
        axes.margins(y=0.12)
        if len(values) > 1:
            axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=len(values))
