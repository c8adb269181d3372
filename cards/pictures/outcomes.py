"""What became of the rows of each round: accepted, or rejected and why, as one bar of shares a round."""

from collections.abc import Mapping
from pathlib import Path

from tagsmith.cards.errors import ReleaseError
from tagsmith.cards.markdown import shorten
from tagsmith.cards.pictures.canvas import Theme, canvas

_MOST_REASONS = 5
_OTHERS = "other reasons"


def outcomes(rounds: Mapping[str, Mapping[str, int]], path: str | Path, theme: Theme = "light") -> None:
    """One bar a round, all of the same length: the share of the rows with each outcome.

    Args:
        rounds: for each round (or budget, or dataset) the rows by outcome; an outcome of all rounds together that is
            among the rarest is drawn as "other reasons". The first outcome of the first round is drawn first.

    Raises:
        ReleaseError: no rounds, or one without rows.
    """
    if not rounds or not all(sum(counts.values()) > 0 for counts in rounds.values()):
        raise ReleaseError(f"outcomes need rounds with rows, got {dict(rounds)}")
    totals: dict[str, int] = {}
    for counts in rounds.values():
        for name, number in counts.items():
            totals[name] = totals.get(name, 0) + number
    first, *others = totals
    named = sorted((name for name in others if name != _OTHERS), key=lambda name: -totals[name])
    room = _MOST_REASONS if len(named) == len(others) <= _MOST_REASONS else _MOST_REASONS - 1
    kept = [first, *named[:room]]
    shown = {name: [name] for name in kept}
    if rare := [name for name in others if name not in shown]:
        shown[_OTHERS] = rare
    with canvas(path, theme, height=1.7 + 0.5 * len(rounds)) as (figure, look):
        axes = figure.subplots()
        names = [shorten(name, 40) for name in rounds]
        starts = [0.0] * len(rounds)
        for place, (outcome, among) in enumerate(shown.items()):
            shares = [
                100 * sum(counts.get(name, 0) for name in among) / sum(counts.values()) for counts in rounds.values()
            ]
            axes.barh(names, shares, left=starts, height=0.7, color=look.series[place], label=outcome)
            if place == 0:
                for row, share in enumerate(shares):
                    axes.text(1, row, f"{share:.1f} %", va="center", color=look.background)
            starts = [start + share for start, share in zip(starts, shares, strict=True)]
        axes.set_ylim(len(names) - 0.4, -0.6)
        axes.set_xlim(0, 100)
        axes.set_xlabel("Share of the rows (%)")
        axes.spines["left"].set_visible(False)
        axes.tick_params(left=False)
        figure.legend(loc="outside upper center", ncols=3)
