"""The comparison of two releases as a picture: what became of the rows, and which tags gained or lost share."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tagsmith.cards.diff import ReleaseDiff, SplitDiff
from tagsmith.cards.diff_tags import TagDiff
from tagsmith.cards.diff_words import one_line
from tagsmith.cards.errors import ReleaseError
from tagsmith.cards.markdown import shorten
from tagsmith.cards.pictures.canvas import Look, Theme, canvas
from tagsmith.cards.pictures.fonts import drawable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST_TAGS = 16
_MOST_SPLITS = 12
_SMALL = 10.5  # points


def draw_diff(diff: ReleaseDiff, path: str | Path, theme: Theme = "light") -> None:
    """Bars a split (rows removed, changed, same, added), and below them the tags whose share changed most.

    The tags are those of the first split that has any with another share: the default config's, mostly. A tag in a
    script that no font at hand can draw is shown by its place in the report, `no. 3`.

    Args:
        diff: from `compare_releases`.
        path: of the PNG file.
        theme: of the page that will show it.

    Raises:
        ReleaseError: no split has a row, or the file cannot be written.
    """
    splits = [split for split in diff.splits if split.rows_a or split.rows_b][:_MOST_SPLITS]
    if not splits:
        raise ReleaseError(f"{diff.a} and {diff.b} have no rows there, so there is nothing to draw")
    tags = next((tags for tags in diff.tags if tags.shifts), None)
    heights = [1.2 + 0.36 * len(splits)]
    if tags:
        heights.append(1.35 + 0.3 * len(tags.shifts[:_MOST_TAGS]))
    try:
        with canvas(path, theme, height=0.6 + sum(heights)) as (figure, look):
            panels = figure.subplots(len(heights), height_ratios=heights, squeeze=False)[:, 0]
            _draw_rows(panels[0], splits, look)
            figure.legend(
                title=f"A: {_name(diff.a)}    B: {_name(diff.b)}",
                title_fontsize=12,
                loc="outside upper center",
                ncols=4,
                fontsize=_SMALL,
                handlelength=1.1,
                columnspacing=1.4,
            )
            if tags:
                _draw_tags(panels[1], tags, look)
    except OSError as error:
        raise ReleaseError(f"picture {path} could not be written: {error}; give another path") from error


def _draw_rows(axes: "Axes", splits: Sequence[SplitDiff], look: Look) -> None:
    """One bar a split, from the rows that only A has to those that only B has."""
    kinds = (
        ("only in A (removed)", "removed", look.series[1]),
        ("in both, changed", "changed", look.series[3]),
        ("in both, same", "same", look.grid),
        ("only in B (added)", "added", look.series[0]),
    )
    places = range(len(splits) - 1, -1, -1)
    starts = [0.0] * len(splits)
    wholes = [split.removed + split.changed + split.same + split.added for split in splits]
    for label, kind, colour in kinds:
        shares = [100 * getattr(split, kind) / whole for split, whole in zip(splits, wholes, strict=True)]
        axes.barh(places, shares, left=starts, height=0.66, color=colour, label=label)
        starts = [start + share for start, share in zip(starts, shares, strict=True)]
    _beside(axes, [_counts(split) for split in splits], places)
    axes.set_yticks(places, [_split_name(split) for split in splits])
    axes.set_ylim(-0.6, len(splits) - 0.4)
    axes.set_xlim(0, 100)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}%")
    axes.set_xlabel("Share of all rows of A and B")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def _draw_tags(axes: "Axes", tags: TagDiff, look: Look) -> None:
    """Bars to the right for tags that gained share, to the left for those that lost it."""
    shown = list(enumerate(tags.shifts[:_MOST_TAGS], 1))
    shown.sort(key=lambda item: item[1].change)
    places = range(len(shown))
    changes = [100 * shift.change for _, shift in shown]
    colours = [look.series[0] if value > 0 else look.series[1] for value in changes]
    axes.barh(places, changes, height=0.72, color=colours)
    axes.axvline(0, color=look.ink, linewidth=0.8)
    _beside(axes, [f"{shift.share_a:.1%} → {shift.share_b:.1%}" for _, shift in shown], places)
    names = [shorten(one_line(shift.tag), 36) if drawable(shift.tag) else f"no. {n}" for n, shift in shown]
    axes.set_yticks(places, names)
    axes.set_ylim(-0.6, len(shown) - 0.4)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:+g}".replace("-", "−") if value else "0")
    axes.set_xlabel("Change from A to B, in percentage points of the tagged rows")
    axes.set_title(f"Tags of {shorten(one_line(tags.config), 40)}: share of rows, A → B", loc="left")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def _beside(axes: "Axes", texts: Sequence[str], places: Sequence[int]) -> None:
    """The numbers of each bar in a column of their own on the right, where no bar comes in their way."""
    for text, place in zip(texts, places, strict=True):
        axes.text(1.02, place, text, transform=axes.get_yaxis_transform(), va="center_baseline", fontsize=_SMALL)


def _counts(split: SplitDiff) -> str:
    """Beside a bar: the numbers, which its parts may be too thin to show."""
    counts = (("−", split.removed), ("~", split.changed), ("+", split.added))
    return "  ".join(f"{mark}{number:,}" for mark, number in counts if number) or (
        "other order" if split.reordered else "equal" if split.equal else "other columns"
    )


def _split_name(split: SplitDiff) -> str:
    name = split.config if split.split == "train" else f"{split.config}/{split.split}"
    return f"{shorten(one_line(name), 28)} ({split.rows_a:,} → {split.rows_b:,})"


def _name(name: str) -> str:
    """A release's name, from its end: folders differ there."""
    name = one_line(name)
    return name if len(name) <= 36 else f"…{name[-35:]}"
