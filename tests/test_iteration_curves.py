"""Curves over rounds: means with their counts, equal to a plain loop."""

import pytest
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st

from tagsmith.processors.errors import InputError
from tagsmith.processors.iteration_curves import IterationMean, curve_rows, iteration_means

ROWS = Dataset.from_dict(
    {
        "iteration": [1, 0, 0, 1, 2],
        "raw_tags": [["a", "b", "c"], ["a"], [], None, None],
        "instruction_tokens": [30, 10, 20, 50, 60],
        "utility": [0.5, None, None, 0.25, None],
        "answerable": [True, True, False, False, None],
        "instruction": ["x"] * 5,
    }
)


def test_numbers_are_averaged_and_lists_counted():
    assert iteration_means(ROWS, ["raw_tags", "instruction_tokens", "utility", "answerable"]) == [
        IterationMean("raw_tags", 0, 0.5, 2, 2),
        IterationMean("raw_tags", 1, 3.0, 1, 2),
        IterationMean("raw_tags", 2, None, 0, 1),
        IterationMean("instruction_tokens", 0, 15.0, 2, 2),
        IterationMean("instruction_tokens", 1, 40.0, 2, 2),
        IterationMean("instruction_tokens", 2, 60.0, 1, 1),
        IterationMean("utility", 0, None, 0, 2),
        IterationMean("utility", 1, 0.375, 2, 2),
        IterationMean("utility", 2, None, 0, 1),
        IterationMean("answerable", 0, 0.5, 2, 2),
        IterationMean("answerable", 1, 0.5, 2, 2),
        IterationMean("answerable", 2, None, 0, 1),
    ]


def test_points_become_one_row_an_iteration():
    assert curve_rows(iteration_means(ROWS, ["instruction_tokens", "utility"])) == [
        {"iteration": 0, "rows": 2, "instruction_tokens": 15.0, "utility": None},
        {"iteration": 1, "rows": 2, "instruction_tokens": 40.0, "utility": 0.375},
        {"iteration": 2, "rows": 1, "instruction_tokens": 60.0, "utility": None},
    ]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.none() | st.floats(-1e6, 1e6)), min_size=1, max_size=20))
def test_equals_a_plain_loop(made):
    values: dict[int, list[float]] = {}
    rows: dict[int, int] = {}
    for iteration, value in made:
        rows[iteration] = rows.get(iteration, 0) + 1
        values.setdefault(iteration, []).extend([] if value is None else [value])
    columns = {"iteration": [iteration for iteration, _ in made], "value": [value for _, value in made]}
    points = iteration_means(Dataset.from_dict(columns), ["value"])
    assert [point.iteration for point in points] == sorted(rows)
    for point in points:
        found = values[point.iteration]
        assert (point.count, point.rows) == (len(found), rows[point.iteration])
        assert point.mean == (pytest.approx(sum(found) / len(found), abs=1e-6) if found else None)


def test_a_selection_of_rows_is_read_as_selected():
    assert iteration_means(ROWS.select([4, 0]), ["instruction_tokens"]) == [
        IterationMean("instruction_tokens", 1, 30.0, 1, 1),
        IterationMean("instruction_tokens", 2, 60.0, 1, 1),
    ]


@pytest.mark.parametrize(
    ("columns", "measure", "message"),
    [
        ({"iteration": [0]}, "tags", r"no column 'tags' to follow; the columns are: iteration"),
        ({"value": [0]}, "value", "no column 'iteration'"),
        ({"iteration": [0, None], "value": [1, 2]}, "value", "1 nulls; expected whole numbers"),
        ({"iteration": ["0"], "value": [1]}, "value", "'iteration' is string"),
        ({"iteration": [0], "value": ["long"]}, "value", "'value' holds string; expected numbers"),
        ({"iteration": [0], "value": [float("nan")]}, "value", "not finite"),
    ],
)
def test_what_does_not_fit_is_an_error(columns, measure, message):
    with pytest.raises(InputError, match=message):
        iteration_means(Dataset.from_dict(columns), [measure])
