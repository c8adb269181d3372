"""Rows whose responses will be measured: one without a response is found before anything is paid for."""

import pyarrow as pa
from datasets import Dataset

from tagsmith.processors.errors import InputError


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
    status = rows["status"][:] if "status" in rows.column_names else ["ok"] * len(rows)
    reason = rows["reason"][:] if "reason" in rows.column_names else [""] * len(rows)
    for number in empty:
        if status[number] == "ok":
            status[number], reason[number] = "rejected", "empty_response: the row has no response to measure"
    kept = rows.remove_columns([name for name in ("status", "reason") if name in rows.column_names])
    return kept.add_column("status", pa.array(status)).add_column("reason", pa.array(reason))
