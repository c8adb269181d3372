"""Pictures of evolutions: shares of outcomes, grids, curves over budgets."""

import struct
from pathlib import Path
from typing import Any

import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex

from tagsmith.cards.errors import ReleaseError
from tagsmith.cards.pictures import LOOKS, THEMES, Theme, budget_curves, heat_grids, outcomes

ROUNDS = {"round 1 (b = 1)": {"accepted": 90, "copy": 10}, "round 2 (b = 3)": {"accepted": 60, "drift": 30, "copy": 10}}


def size(path: Path) -> tuple[int, int]:
    width, height = struct.unpack(">II", path.read_bytes()[16:24])
    return width, height


@pytest.fixture
def bars(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[float]]:
    """The widths of all bars, by label."""
    drawn: dict[str, list[float]] = {}
    before = Axes.barh

    def barh(self: Axes, names: Any, widths: Any, **options: Any) -> Any:
        drawn[options["label"]] = list(widths)
        return before(self, names, widths, **options)

    monkeypatch.setattr(Axes, "barh", barh)
    return drawn


@pytest.mark.parametrize("theme", THEMES)
def test_outcomes_are_shares_of_each_round(tmp_path: Path, theme: Theme, bars: dict[str, list[float]]) -> None:
    outcomes(ROUNDS, tmp_path / "a.png", theme)
    assert bars == {"accepted": [90, 60], "drift": [0, 30], "copy": [10, 10]}
    outcomes(dict(list(ROUNDS.items())[:1]), tmp_path / "b.png", theme)
    assert size(tmp_path / "b.png")[1] < size(tmp_path / "a.png")[1]


def test_the_rarest_outcomes_are_drawn_together(tmp_path: Path, bars: dict[str, list[float]]) -> None:
    counts = {"accepted": 80, "a": 8, "b": 5, "c": 3, "d": 2, "e": 1, "f": 1}
    outcomes({"all": counts}, tmp_path / "a.png")
    assert bars == {"accepted": [80], "a": [8], "b": [5], "c": [3], "d": [2], "other reasons": [2]}
    bars.clear()
    outcomes({"all": {"accepted": 8, "other reasons": 1, "a": 1}}, tmp_path / "a.png")
    assert bars == {"accepted": [80], "a": [10], "other reasons": [10]}


def test_rounds_without_rows_are_refused(tmp_path: Path) -> None:
    for rounds in ({}, {"round 1": {"accepted": 0}}):
        with pytest.raises(ReleaseError, match="outcomes need rounds with rows"):
            outcomes(rounds, tmp_path / "a.png")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("theme", THEMES)
def test_each_cell_says_its_value_in_letters_that_can_be_read(
    tmp_path: Path, theme: Theme, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: dict[str, str] = {}
    before = Axes.text

    def text(self: Axes, x: float, y: float, s: str, **options: Any) -> Any:
        said[s] = options.get("color", "")
        return before(self, x, y, s, **options)

    monkeypatch.setattr(Axes, "text", text)
    grid = [[10.0, 55.5, None], [99.0, 12.0, 70.0]]
    heat_grids({"Accepted (%)": grid}, ["math", "code"], ["math", "code", "general"], tmp_path / "a.png", theme)
    assert {"10", "55.5", "99", "12", "70", "none"} <= said.keys()
    look = LOOKS[theme]
    assert {to_hex(said[value]).upper() for value in ("10", "99")} == {look.background, look.ink}
    assert size(tmp_path / "a.png")[0] == 1600


def test_equal_values_and_a_grid_without_values_can_be_drawn(tmp_path: Path) -> None:
    heat_grids({"a": [[1.0, 1.0]], "b": [[None, None]]}, ["r"], ["x", "y"], tmp_path / "a.png")
    assert size(tmp_path / "a.png")[0] == 1600


@pytest.mark.parametrize("grids", [{}, {"a": [[1.0]]}, {"a": [[1.0, 2.0], [3.0, 4.0]]}])
def test_grids_of_another_shape_are_refused(tmp_path: Path, grids: dict[str, list[list[float]]]) -> None:
    with pytest.raises(ReleaseError, match="grids need 1 rows of 2 cells"):
        heat_grids(grids, ["r"], ["x", "y"], tmp_path / "a.png")


def test_saturation_is_marked_in_each_panel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    marked: list[float] = []
    before = Axes.axvline

    def axvline(self: Axes, x: float = 0, **options: Any) -> Any:
        marked.append(x)
        return before(self, x, **options)

    monkeypatch.setattr(Axes, "axvline", axvline)
    panels = {"Difficulty": {"rows": [(1, 3.0), (2, 5.0)]}, "Accepted (%)": {"rows": [(1, 99.0), (2, 90.0)]}}
    budget_curves(panels, tmp_path / "a.png")
    assert marked == []
    budget_curves(panels, tmp_path / "b.png", saturation=2)
    assert marked == [2, 2]
    with pytest.raises(ReleaseError, match="curves need panels"):
        budget_curves({}, tmp_path / "c.png")
