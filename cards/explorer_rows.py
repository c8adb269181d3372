"""The rows of a release as the explorer sees them: each distinct row once, with the configs that hold it."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset
from numpy.typing import NDArray

_TEXT = pa.large_string()
_TEXTS = pa.large_list(_TEXT)
_IDENTITY = ("id", "status", "reason", "iteration")  # the same row when all of them are equal


@dataclass(frozen=True)
class ReleaseRows:
    """Distinct rows of several configs, in the order of the configs and of their rows.

    Args:
        names: the configs that hold rows to read.
        tables: their rows.
        places: for each config (first axis) and distinct row (second axis) the row's number in the config, or -1.
    """

    names: list[str]
    tables: list[pa.Table]
    places: NDArray[np.int64]

    @classmethod
    def of(cls, configs: Mapping[str, Dataset]) -> "ReleaseRows":
        """Rows of the configs with a column `instruction` or `messages`; a vocabulary or generations are left out."""
        chosen = {name: data for name, data in configs.items() if {"instruction", "messages"} & set(data.column_names)}
        tables = [_table(data) for data in chosen.values()]
        return cls(list(chosen), tables, _places(tables))

    def __len__(self) -> int:
        return int(self.places.shape[1])

    @cached_property
    def column_names(self) -> list[str]:
        """Columns of all configs, each once."""
        return list(dict.fromkeys(name for table in self.tables for name in table.column_names))

    def texts(self, name: str) -> pa.Array | None:
        """A column of text, null where a row has none; None if no config has such a column."""
        return self._column(name, _TEXT)

    def lists(self, name: str) -> pa.Array | None:
        """A column of lists of text, likewise."""
        return self._column(name, _TEXTS)

    def _column(self, name: str, kind: pa.DataType) -> pa.Array | None:
        pieces, starts, total = [], {}, 0
        for number, table in enumerate(self.tables):
            column = cast_or_none(table[name], kind) if name in table.column_names else None
            if column is not None:
                starts[number] = total
                pieces += column.chunks
                total += len(column)
        if not starts:
            return None
        source = np.full(len(self), -1)
        for number, start in reversed(starts.items()):  # the first config that has the row and the column wins
            held = self.places[number] >= 0
            source[held] = start + self.places[number][held]
        whole = pa.chunked_array(pieces, kind).combine_chunks()
        return whole.take(pa.array(source, mask=source < 0))

    def block(self, rows: NDArray[np.int64]) -> dict[str, pa.Array]:
        """All columns of some rows; where configs differ, the first one that has the row and the column counts."""
        taken = {}
        for number, table in enumerate(self.tables):
            places = self.places[number][rows]
            held = np.flatnonzero(places >= 0)
            taken[number] = (take(table, places[held]), held)
        columns = {}
        for name in self.column_names:
            parts, source, total = [], np.full(len(rows), -1), 0
            for number, table in enumerate(self.tables):
                if name not in table.column_names:
                    continue
                part, held = taken[number]
                free = source[held] < 0
                source[held[free]] = total + np.flatnonzero(free)
                parts.append(part[name])
                total += part.num_rows
            columns[name] = _joined(parts).take(pa.array(source, mask=source < 0))
        return columns

    def same_columns(self) -> dict[str, str]:
        """Text columns that repeat another one in every row, by name: an Alpaca `output` is our `response`."""
        names = [n for n in self.column_names if all(_is_text(table.schema.field(n).type) for table in self._with(n))]
        found: dict[str, str] = {}
        for place, name in enumerate(names):
            for other in dict.fromkeys(("instruction", "response", *names[:place])):
                if name in ("instruction", "response") or other == name or other not in names or other in found:
                    continue
                if all(other in table.column_names and table[name].equals(table[other]) for table in self._with(name)):
                    found[name] = other
                    break
        return found

    def _with(self, name: str) -> list[pa.Table]:
        return [table for table in self.tables if name in table.column_names]


def _table(data: Dataset) -> pa.Table:
    """The dataset's rows. Behind an index mapping `datasets` gathers them one by one, which takes seconds."""
    table = data.data.table
    return table if data._indices is None else take(table, data._indices.column(0).to_numpy().astype(np.int64))


def take(table: pa.Table, places: NDArray[np.int64]) -> pa.Table:
    """Rows of a table, in the order asked for; touches only them, however large the table."""
    ordered = np.sort(places)
    parts, start = [], 0
    for batch in table.to_batches():
        first, last = np.searchsorted(ordered, (start, start + batch.num_rows))
        if first < last:
            parts.append(batch.take(pa.array(ordered[first:last] - start)))
        start += batch.num_rows
    sorted_rows = pa.Table.from_batches(parts, table.schema).combine_chunks()
    back = np.empty(len(places), dtype=np.int64)
    back[np.argsort(places, kind="stable")] = np.arange(len(places))
    return sorted_rows.take(pa.array(back))


def cast_or_none(column: Any, kind: pa.DataType) -> Any:
    """The column as another type, or None if it cannot be that."""
    try:
        return column.cast(kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None


def _places(tables: list[pa.Table]) -> NDArray[np.int64]:
    """For each config and distinct row the row's number in the config, or -1."""
    lengths = [table.num_rows for table in tables]
    starts = np.cumsum([0, *lengths])
    keys = pa.chunked_array([_keys(table, number) for number, table in enumerate(tables)], _TEXT)
    codes = keys.combine_chunks().dictionary_encode().indices.to_numpy() if len(keys) else np.zeros(0, dtype=np.int64)
    configs = np.repeat(np.arange(len(tables)), lengths)
    # The n-th row with a key in one config is the n-th with that key in another: a config's own rows never merge.
    order = np.lexsort((configs, codes))
    ranks = np.empty(len(codes), dtype=np.int64)
    ranks[order] = _run_positions(codes[order] * max(1, len(tables)) + configs[order])
    _, first, distinct = np.unique(codes * (ranks.max(initial=0) + 1) + ranks, return_index=True, return_inverse=True)
    by_first = np.argsort(np.argsort(first))  # number distinct rows by where they first occur
    places = np.full((len(tables), len(first)), -1)
    places[configs, by_first[distinct]] = np.arange(len(codes)) - starts[configs]
    return places


def _run_positions(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Position of each value within its run of equal ones."""
    begins = np.flatnonzero(np.diff(values, prepend=-1))
    return np.arange(len(values)) - np.repeat(begins, np.diff(begins, append=len(values)))


def _keys(table: pa.Table, number: int) -> pa.Array:
    """What makes a row the same row in another config; without an `id`, nothing does."""
    separator = pa.scalar("\0", _TEXT)
    rows = pa.array(np.arange(table.num_rows)).cast(_TEXT)
    own = pc.binary_join_element_wise(pa.scalar(f"row {number}", _TEXT), rows, separator)
    ids = cast_or_none(table["id"], _TEXT) if "id" in table.column_names else None
    if ids is None:
        return own
    parts = [ids]
    for name in _IDENTITY[1:]:
        value = cast_or_none(table[name], _TEXT) if name in table.column_names else None
        parts.append(pc.fill_null(value, "") if value is not None else pa.scalar("", _TEXT))
    joined = pc.binary_join_element_wise(*parts, separator)  # null where the id is
    return pc.coalesce(joined, pa.chunked_array([own])).combine_chunks()


def _joined(parts: list[pa.ChunkedArray]) -> pa.Array:
    """Parts one behind the other; as text where their types do not fit together."""
    types = {part.type for part in parts if not pa.types.is_null(part.type)}
    kind = types.pop() if len(types) == 1 else None
    if kind is None and types:
        kind = _TEXT
        parts = [pa.chunked_array([[None if v is None else str(v) for v in part.to_pylist()]], _TEXT) for part in parts]
    chunks = [chunk for part in parts for chunk in part.cast(kind or pa.null()).chunks]
    return pa.chunked_array(chunks, kind or pa.null()).combine_chunks()


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
