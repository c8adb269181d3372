"""A value for each pair of two things, as a grid of coloured cells with the value in each."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from tagsmith.cards.errors import ReleaseError
from tagsmith.cards.markdown import shorten
from tagsmith.cards.pictures.canvas import Theme, canvas

Grid = Sequence[Sequence[float | None]]  # rows of cells; None has no value


def heat_grids(
    grids: Mapping[str, Grid],
    rows: Sequence[str],
    columns: Sequence[str],
    path: str | Path,
    theme: Theme = "light",
    *,
    row_title: str = "",
    column_title: str = "",
) -> None:
    """Several grids over the same rows and columns, one above the other; in each, darker (or lighter) is more.

    Args:
        grids: by title, values by row and column.
        rows, columns: their names.
        row_title, column_title: what they are.

    Raises:
        ReleaseError: no grids, or one of another shape.
    """
    if not grids or any(
        len(grid) != len(rows) or any(len(row) != len(columns) for row in grid) for grid in grids.values()
    ):
        raise ReleaseError(f"grids need {len(rows)} rows of {len(columns)} cells each, got {dict(grids)}")
    with canvas(path, theme, height=len(grids) * (1.3 + 0.55 * len(rows))) as (figure, look):
        from matplotlib.colors import LinearSegmentedColormap

        ramp = LinearSegmentedColormap.from_list("ramp", [look.background, look.series[0]])
        cells = figure.subplots(len(grids), 1, squeeze=False).flatten().tolist()
        for axes, (title, grid) in zip(cells, grids.items(), strict=True):
            known = [value for row in grid for value in row if value is not None]
            low, high = min(known, default=0.0), max(known, default=0.0)
            for y, row in enumerate(grid):
                for x, value in enumerate(row):
                    strength = 0.5 if high == low else 0.15 + 0.85 * ((value or low) - low) / (high - low)
                    color = look.grid if value is None else ramp(strength)
                    axes.add_patch(_cell(x, y, color))
                    ink = max((look.ink, look.background), key=lambda letters: _contrast(letters, color))
                    axes.text(x, y, "none" if value is None else f"{value:,.3g}", ha="center", va="center", color=ink)
            axes.set_title(title, loc="left")
            axes.set_xlim(-0.5, len(columns) - 0.5)
            axes.set_ylim(len(rows) - 0.5, -0.5)
            axes.set_xticks(range(len(columns)), [shorten(name, 24) for name in columns])
            axes.set_yticks(range(len(rows)), [shorten(name, 24) for name in rows])
            axes.set_xlabel(column_title)
            axes.set_ylabel(row_title)
            axes.tick_params(left=False, bottom=False)
            for side in ("left", "bottom"):
                axes.spines[side].set_visible(False)


def _contrast(one: object, other: object) -> float:
    """The contrast ratio of two colours, as WCAG 2 defines it: from 1 to 21."""
    from matplotlib.colors import to_rgb

    lights = []
    for color in (one, other):
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in to_rgb(color)]
        lights.append(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2])
    return (max(lights) + 0.05) / (min(lights) + 0.05)


def _cell(x: int, y: int, color: object) -> object:
    from matplotlib.patches import Rectangle

    return Rectangle((x - 0.48, y - 0.47), 0.96, 0.94, facecolor=color, edgecolor="none")
