"""Rows whose responses will be measured: one without a response is found before anything is paid for."""

from datasets import Dataset

from tagsmith.processors.errors import InputError
from tagsmith.recipes.row_status import reject_rows


def with_responses(rows: Dataset, *, reject: bool) -> Dataset:
    """The rows, those without a response rejected as `empty_response`.

    Args:
        rows: from `to_rows`.
        reject: whether to reject such rows; else the first one raises.

    Raises:
        InputError: a response is null or blank (and `reject` is false), or all of them are.
    """
    responses = rows["response"][:]
    empty = [number for number, text in enumerate(responses) if not (text or "").strip()]
    if not empty:
        return rows
    if len(empty) == len(rows):
        raise InputError(
            f"none of the {len(rows):,} rows has a response, and utility is measured on responses; name their column"
            " with --response_column, or give a dataset with responses"
        )
    if not reject:
        raise InputError(
            f"{len(empty):,} of {len(rows):,} rows have no response, first row {empty[0]}; utility is measured on"
            " responses: mend the rows, or pass --reject_bad_rows to reject them with the reason"
        )
    return reject_rows(rows, empty, "empty_response: the row has no response to measure")
