"""Curves over rounds: the mean of each measure in each iteration, with the rows behind it (Tag-Instruct, Fig. 3)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset

from tagsmith.processors.errors import InputError


@dataclass(frozen=True)
class IterationMean:
    """One point of a curve.

    Args:
        measure: the column's name.
        iteration: the round, from 0 (the seed rows).
        mean: over the rows that have a value; None where none has.
        count: rows with a value. rows: all rows of the iteration.
    """

    measure: str
    iteration: int
    mean: float | None
    count: int
    rows: int


def iteration_means(
    dataset: Dataset, measures: Sequence[str], iteration_column: str = "iteration"
) -> list[IterationMean]:
    """The mean of each measure in each iteration, by measure, then by iteration.

    Input columns:
        iteration (``int``), and each measure: a number, a truth value (0 or 1), or a list, which counts its entries.
        Null is no value. So `raw_tags` of the InsTag tagger gives tags a row (Fig. 3a), `instruction_tokens` and
        `response_tokens` of `TokenCounter` lengths (Fig. 3c), `complexity_score` the judge's opinion, `utility` the
        score of the tag that a round added.

    Args:
        dataset: rows of all rounds, such as `Rounds.records` with the measures added. There a row that failed a round
            counts with its last good version, so that every mean is over the same rows.
        measures: columns.
        iteration_column: name of the column with the round.

    Raises:
        InputError: a column is missing, an iteration is null or no whole number, or a measure is neither numbers nor
            lists, or has a value that is not finite.

    Differs from the paper: Fig. 3b's quality (AlpacaEval and Arena-Hard of a trained model) is no measure of rows.
    """
    if missing := [name for name in (iteration_column, *measures) if name not in dataset.column_names]:
        raise InputError(f"no column {missing[0]!r} to follow; the columns are: {', '.join(dataset.column_names)}")
    table = dataset.select_columns(list(dict.fromkeys((iteration_column, *measures)))).with_format("arrow")[:]
    rounds = table[iteration_column]
    if rounds.null_count or not pa.types.is_integer(rounds.type):
        raise InputError(
            f"column {iteration_column!r} is {rounds.type} with {rounds.null_count} nulls; expected whole"
            " numbers, the round of each row"
        )
    points = []
    rows_of = _as_dict(pc.value_counts(rounds))
    for name in measures:
        values = _numbers(table[name], name)
        grouped = pa.table({"round": rounds, "value": values}).group_by("round")
        means = grouped.aggregate([("value", "mean"), ("value", "count")]).sort_by("round").to_pylist()
        for point in means:
            rows = rows_of[point["round"]]
            points.append(IterationMean(name, point["round"], point["value_mean"], point["value_count"], rows))
    return points


def curve_rows(points: Sequence[IterationMean]) -> list[Mapping[str, Any]]:
    """The points as one row an iteration, for a table on a card: `iteration`, `rows`, and each measure's mean."""
    rows: dict[int, dict[str, Any]] = {}
    for point in points:
        row = rows.setdefault(point.iteration, {"iteration": point.iteration, "rows": point.rows})
        row[point.measure] = point.mean
    return [rows[iteration] for iteration in sorted(rows)]


def _numbers(column: Any, name: str) -> Any:
    kind = column.type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return pc.list_value_length(column).cast(pa.float64())
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind) or _is_empty(kind)):
        raise InputError(f"column {name!r} holds {kind}; expected numbers, or lists to count")
    numbers = column.cast(pa.int64()) if pa.types.is_boolean(kind) else column
    numbers = numbers.cast(pa.float64())
    if not np.isfinite(numbers.drop_null().to_numpy()).all():
        raise InputError(f"column {name!r} has values that are not finite; use null for rows without a value")
    return numbers


def _is_empty(kind: Any) -> bool:
    return bool(pa.types.is_null(kind))


def _as_dict(counted: Any) -> dict[int, int]:
    return {entry["values"]: entry["counts"] for entry in counted.to_pylist()}
