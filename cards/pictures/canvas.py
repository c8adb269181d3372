"""What every picture shares: a light and a dark look, fonts and the PNG file."""

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tagsmith.cards.pictures.fonts import families

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Theme = Literal["light", "dark"]
THEMES: tuple[Theme, Theme] = ("light", "dark")

_WIDTH = 8.0  # inches, shown as 800 pixels
_DPI = 200


@dataclass(frozen=True)
class Look:
    """Colours of one theme. `series` are told apart in this order, each at 3:1 or more against the background."""

    background: str
    ink: str
    grid: str
    series: tuple[str, ...]


# Okabe and Ito's palette (2008), told apart with every common form of colour blindness. Its light members come first
# on dark ground, its dark ones on white; black and yellow are left out, each lost on one of the two.
_BLUE, _VERMILLION, _GREEN, _ORANGE, _SKY, _PURPLE = "#0072B2", "#D55E00", "#009E73", "#E69F00", "#56B4E9", "#CC79A7"
LOOKS: Mapping[Theme, Look] = {
    "light": Look("#FFFFFF", "#222222", "#DDDDDD", (_BLUE, _VERMILLION, _GREEN, _PURPLE, _ORANGE, _SKY)),
    "dark": Look("#0D1117", "#E6EDF3", "#30363D", (_SKY, _ORANGE, _GREEN, _PURPLE, _VERMILLION, _BLUE)),
}


@dataclass(frozen=True)
class Picture:
    """A picture of a release.

    Args:
        name: file name without ending; `<name>-dark.png` is the dark one.
        caption: a sentence that says what it shows, also read out where the picture is not seen.
        draw: writes the PNG of one theme to a path.
    """

    name: str
    caption: str
    draw: Callable[[Path, Theme], None]

    def files(self) -> dict[Theme, str]:
        """The path within the release of each theme's file."""
        return {"light": f"pictures/{self.name}.png", "dark": f"pictures/{self.name}-dark.png"}


@contextmanager
def canvas(path: str | Path, theme: Theme, *, height: float) -> Iterator[tuple["Figure", Look]]:
    """A figure 8 inches wide to draw on, saved at the end; the same bytes for the same drawing.

    A user's own matplotlib settings are set aside meanwhile.
    """
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    look = LOOKS[theme]
    settings: dict[str, Any] = {
        "font.family": families(),
        "font.size": 12,
        "axes.labelsize": 12,
        "axes.facecolor": look.background,
        "axes.edgecolor": look.ink,
        "axes.labelcolor": look.ink,
        "axes.titlecolor": look.ink,
        "axes.titlesize": 12,
        "axes.axisbelow": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "grid.color": look.grid,
        "grid.linewidth": 0.8,
        "legend.frameon": False,
        "legend.labelcolor": look.ink,
        "text.color": look.ink,
        "text.parse_math": False,  # a tag may be called `$x$`
        "xtick.color": look.ink,
        "ytick.color": look.ink,
    }
    with matplotlib.rc_context(), warnings.catch_warnings():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(settings)
        warnings.filterwarnings("ignore", "Glyph .* missing from")  # see `fonts.drawable`
        # Opaque, not transparent: a reader may see the light picture on a dark page.
        layout = ConstrainedLayoutEngine(w_pad=0.15, h_pad=0.15)
        figure = Figure(figsize=(_WIDTH, height), dpi=_DPI, facecolor=look.background, layout=layout)
        FigureCanvasAgg(figure)
        yield figure, look
        # The default metadata name matplotlib's version, which would change the bytes with it.
        figure.savefig(path, format="png", metadata={"Software": None})
