"""Rows that are ok, and rows that were rejected."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset

from tagsmith.processors.generation_processor import OK, REJECTED
from tagsmith.processors.take_rows import take_rows


def split_by_status(dataset: Dataset) -> tuple[Dataset, Dataset]:
    """The rows with status "ok", and the others; both keep their order."""
    status = dataset.select_columns("status").with_format("arrow")[:]["status"]
    is_ok = np.asarray(pc.fill_null(pc.equal(status, OK), False))
    return take_rows(dataset, np.flatnonzero(is_ok)), take_rows(dataset, np.flatnonzero(~is_ok))


def reject_rows(dataset: Dataset, numbers: Sequence[int], reason: str) -> Dataset:
    """The rows, with those at `numbers` rejected for `reason`; one that was rejected before keeps its own."""
    given = dataset.column_names
    status = dataset["status"][:] if "status" in given else [OK] * len(dataset)
    reasons = dataset["reason"][:] if "reason" in given else [""] * len(dataset)
    for number in numbers:
        if status[number] == OK:
            status[number], reasons[number] = REJECTED, reason
    others = dataset.remove_columns([name for name in ("status", "reason") if name in given])
    return others.add_column("status", pa.array(status)).add_column("reason", pa.array(reasons))
