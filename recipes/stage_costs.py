"""What each stage of a run cost: calls and tokens, counted from the generations behind its rows."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset

from tagsmith.processors.endpoint.recorded import Recording
from tagsmith.processors.endpoint.store import GenerationStore
from tagsmith.recipes.generations import keys_of

_COUNTS = ("rows", "calls", "prompt_tokens", "reply_tokens")
SCHEMA = pa.schema({"stage": pa.string()} | dict.fromkeys(_COUNTS, pa.int64()))


def stage_costs(stages: Sequence[tuple[str, GenerationStore | Recording, Dataset]]) -> Dataset:
    """A row a stage, as `Stages.costs` describes it. `stages`: name, where the replies are, and the rows made."""
    seen = pa.array([], pa.string())
    found = []
    for name, store, made in stages:
        keys = keys_of(made)
        keys = keys.filter(pc.invert(pc.is_in(keys, seen)))
        seen = pa.concat_arrays([seen, keys])
        table = store.export([bytes.fromhex(key) for key in keys.to_pylist()])
        table = table.filter(pc.is_valid(table["text"]))  # a request that got no answer cost nothing that is known
        tokens = {each: pc.sum(table[each]).as_py() or 0 for each in ("prompt_tokens", "reply_tokens")}
        found.append({"stage": name, "rows": _rows_with(made, keys), "calls": len(table), **tokens})
    return Dataset(pa.Table.from_pylist(found, schema=SCHEMA))


def _rows_with(made: Dataset, keys: pa.Array) -> int:
    """Rows with one of the keys: a row that was rejected before the stage carries older ones."""
    lists = made.select_columns("generation_keys").with_format("arrow")[:]["generation_keys"].combine_chunks()
    is_new = pc.is_in(lists.flatten(), keys)
    return len(pc.list_parent_indices(lists).filter(is_new).unique())


def each(costs: Sequence[Mapping[str, Any]], rows: int) -> tuple[float | None, float | None]:
    """Calls and tokens (prompt and reply) of some stages together, for each of so many rows; None for no rows."""
    calls = sum(stage["calls"] for stage in costs)
    tokens = sum(stage["prompt_tokens"] + stage["reply_tokens"] for stage in costs)
    return (calls / rows, tokens / rows) if rows else (None, None)
