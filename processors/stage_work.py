"""What the stages of a round cost a row together: attempts, generations and prompts summed up over processors."""

from typing import Any

import pyarrow as pa
from datasets import Dataset

from tagsmith.processors.errors import InputError

_SUMMED = ("model", "prompt_hash", "attempts", "generation_keys")


def add_stage(before: Dataset, after: Dataset) -> Dataset:
    """`after` with the counts of the stages before it added to its own.

    Each prompted processor writes the same columns about its own work. After this they speak of all stages so far:
    `attempts` is summed, `generation_keys` are joined, and `model` and `prompt_hash` list each value once, joined by
    "+", in the order of stages. A row that was rejected before took no part in the stage and keeps what it had.

    Args:
        before: the rows as they went into the processor, with or without these columns.
        after: what `map_rows` made of them.

    Raises:
        InputError: the ids of the two differ.
    """
    if before["id"][:] != after["id"][:]:
        raise InputError(
            "the rows after a stage are not those before it: their ids differ; pass what map_rows returned"
        )
    if "attempts" not in before.column_names:
        return after
    had = before.select_columns([*_SUMMED, "status"]).with_format(None).to_dict()
    made = after.select_columns(list(_SUMMED)).with_format(None).to_dict()
    took_part = [status == "ok" for status in had["status"]]
    kinds = after.features.arrow_schema
    after = after.remove_columns(list(_SUMMED))
    for name in _SUMMED:
        rows = zip(had[name], made[name], took_part, strict=True)
        values = [_join(old, new) if worked else old for old, new, worked in rows]
        after = after.add_column(name, pa.array(values, kinds.field(name).type))
    return after


def _join(old: Any, new: Any) -> Any:
    if isinstance(new, str):
        return "+".join(dict.fromkeys(part for part in (*(old or "").split("+"), *new.split("+")) if part))
    return new if old is None else old + new
