"""Rows' weights and row numbers, checked."""

import logging
from typing import Any

import numpy as np
import pyarrow as pa
from datasets import Dataset
from numpy.typing import NDArray

from tagsmith.processors.errors import InputError

logger = logging.getLogger(__name__)

Floats = NDArray[np.float64]


def check_weights(values: Any, n_rows: int, name: str) -> Floats:
    """One weight a row as float64.

    Raises:
        InputError: not one number a row, or one is missing, NaN, infinite or negative; names the first such row.
    """
    if isinstance(values, pa.Array | pa.ChunkedArray):
        if not (pa.types.is_floating(values.type) or pa.types.is_integer(values.type)):
            raise InputError(f"{name}: got {values.type}, expected numbers")
        values = (
            values.cast(pa.float64()).to_numpy(zero_copy_only=False)
            if isinstance(values, pa.Array)
            else (values.cast(pa.float64()).to_numpy())
        )
    try:
        array = np.asarray(values, np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name}: expected one number a row ({error})") from error
    if array.shape != (n_rows,):
        raise InputError(f"{name}: got shape {array.shape}, expected one number for each of the {n_rows} rows")
    wrong = np.flatnonzero(~((array >= 0) & (array < np.inf)))
    if len(wrong):
        row = int(wrong[0])
        got = "missing or NaN" if np.isnan(array[row]) else f"{array[row]:g}"
        raise InputError(
            f"{name}, row {row}: got {got}, expected a number from 0 ({len(wrong)} such rows); score those rows, drop"
            " them, or shift the scores"
        )
    return array


def combined_weights(rows: Dataset | pa.Table, parts: dict[str, float]) -> Floats:
    """Σ share · column (Eq. 4). A column whose share is 0 is not read."""
    table = rows.data.table if isinstance(rows, Dataset) else rows
    total = np.zeros(len(rows))
    for column, share in parts.items():
        if share == 0.0:
            continue
        if column not in table.column_names:
            raise InputError(
                f"no column {column!r} with the rows' scores; the columns are: {', '.join(table.column_names)}"
            )
        values = table.column(column)
        if isinstance(rows, Dataset) and rows._indices is not None:
            values = values.take(rows._indices.column(0))
        scores = check_weights(values, len(rows), f"column {column!r}")
        if len(scores) > 1 and scores.min() == scores.max():
            logger.warning(
                "column %r: all %d rows have the score %g; it decides nothing", column, len(scores), scores[0]
            )
        total += share * scores
    return total


def row_numbers(given: Any, n_rows: int, name: str) -> NDArray[np.int64]:
    """Row numbers, from numbers or from a boolean for each row.

    Raises:
        InputError: a number that is no row or is given twice, or booleans of another length.
    """
    array = np.asarray(given)
    if array.dtype == bool:
        if array.shape != (n_rows,):
            raise InputError(f"{name}: got {array.shape} booleans, expected one for each of the {n_rows} rows")
        return np.flatnonzero(array)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise InputError(f"{name}: expected row numbers or a boolean for each row, got {array.dtype}")
    wrong = array[(array < 0) | (array >= n_rows)]
    if len(wrong):
        raise InputError(f"{name}: {wrong[0]} is no row; rows are numbered 0 to {n_rows - 1}")
    if len(np.unique(array)) < len(array):
        raise InputError(f"{name}: a row number is given twice; give each once")
    return array.astype(np.int64)
