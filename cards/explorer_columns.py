"""How the columns of a release are written for the explorer: short, and in JSON's types."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, time
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tagsmith.cards.explorer_rows import ReleaseRows, cast_or_none

_ROWS_TO_JUDGE = 512  # those whose values say how a column is written
_LONGEST_ROW = 32_768  # bytes of JSON; in a longer row texts and lists are cut
_CUTS = (8_000, 2_000, 400, 80)  # characters and items that stay, tried in this order
_LEFT_OUT = ("generation_keys",)  # hashes that no compression helps; they point at rows that the page does not have
_EXACT = 2**53  # beyond it JavaScript's numbers are not whole


@dataclass
class Column:
    """A column and the way in which its values are written."""

    name: str
    kind: str  # text: as it is; code, codes: numbers of strings; json: anything; same: that of another column
    numeric: bool = False
    of: str = ""

    def described(self) -> dict[str, Any]:
        return {"name": self.name, "kind": self.kind} | ({"of": self.of} if self.of else {"numeric": self.numeric})


@dataclass
class Strings:
    """Strings that rows share, numbered in the order in which they turn up."""

    known: list[str]
    counts: dict[str, int]
    codes: dict[str, int] = field(init=False)
    sent: int = field(init=False)

    def __post_init__(self) -> None:
        self.codes = {text: code for code, text in enumerate(self.known)}
        self.sent = len(self.known)

    def code(self, text: str) -> int:
        text = _shortened(text, _CUTS[0])
        code = self.codes.get(text)
        if code is None:
            code = self.codes[text] = len(self.known)
            self.known.append(text)
        return code

    def fresh(self) -> dict[str, Any]:
        """Strings since the last time, with the counts of those that are tags."""
        new, first = self.known[self.sent :], self.sent
        self.sent = len(self.known)
        counts = {str(first + place): self.counts[text] for place, text in enumerate(new) if text in self.counts}
        return {"strings": new, "counts": counts}


def describe_columns(rows: ReleaseRows, numbers: NDArray[np.int64]) -> list[Column]:
    """How each column is written, judged by the first rows."""
    same = rows.same_columns()
    first = rows.block(numbers[:_ROWS_TO_JUDGE])
    columns = []
    for name in rows.column_names:
        if name in _LEFT_OUT:
            continue
        if name in same:
            columns.append(Column(name, "same", of=same[name]))
            continue
        values = first.get(name, pa.nulls(0))
        kind = values.type
        if _texts(values) is not None:
            repeats = pc.count_distinct(values).as_py() * 8 < len(values)
            columns.append(Column(name, "code" if repeats else "text"))
        elif (lists := _text_lists(values)) is not None:
            inner = lists.flatten()
            repeats = name in ("tags", "raw_tags", "injected_tags") or pc.count_distinct(inner).as_py() * 3 < len(inner)
            columns.append(Column(name, "codes" if repeats else "json"))
        else:
            numeric = pa.types.is_integer(kind) or pa.types.is_floating(kind)
            columns.append(Column(name, "json", numeric=numeric))
    return columns


def encode_rows(
    rows: ReleaseRows, numbers: NDArray[np.int64], columns: Sequence[Column], table: Strings
) -> tuple[list[bytes], NDArray[np.bool_]]:
    """Each row as JSON, and whether something in it was cut."""
    block = rows.block(numbers)
    values: list[Any] = [numbers.tolist(), _memberships(rows, numbers)]
    values += [_values(block[column.name], column.kind, table) for column in columns if column.kind != "same"]
    lines, cut = [], np.zeros(len(numbers), dtype=bool)
    for place, row in enumerate(zip(*values, strict=True)):
        try:
            line = orjson.dumps(row, default=_plain, option=orjson.OPT_STRICT_INTEGER)
        except TypeError:  # a whole number that JavaScript cannot hold
            line = orjson.dumps(_shortened(row, None))
        for longest in _CUTS:
            if len(line) <= _LONGEST_ROW:
                break
            cut[place] = True
            line = orjson.dumps([*row[:2], *_shortened(row[2:], longest)])
        lines.append(line)
    return lines, cut


def _memberships(rows: ReleaseRows, numbers: NDArray[np.int64]) -> list[list[int]]:
    """For each row the configs that hold it, each followed by the row's number there."""
    places = rows.places[:, numbers].T.tolist()
    return [[value for pair in enumerate(row) if pair[1] >= 0 for value in pair] for row in places]


def _values(values: pa.Array, kind: str, table: Strings) -> list[Any]:
    if kind in ("text", "code") and (texts := _texts(values)) is not None:
        if kind == "text":
            return _python(texts)
        coded = texts.dictionary_encode()
        codes = [table.code(text) for text in _python(coded.dictionary)]
        return [None if place is None else codes[place] for place in coded.indices.to_pylist()]
    if kind == "codes" and (lists := _text_lists(values)) is not None:
        coded = lists.flatten().dictionary_encode()
        known = [table.code(text) for text in _python(coded.dictionary)]
        flat = [None if place is None else known[place] for place in coded.indices.to_pylist()]
        # flatten() leaves out what null lists might hold, so lengths, not offsets, tell where each list lies.
        ends = np.cumsum(pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)).tolist()
        valid = lists.is_valid().to_pylist()
        return [flat[a:b] if ok else None for a, b, ok in zip([0, *ends], ends, valid, strict=False)]
    return _python(values)


def _texts(values: pa.Array) -> pa.Array | None:
    kind = values.type
    known = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    known = known or (pa.types.is_dictionary(kind) and pa.types.is_string(kind.value_type))
    return cast_or_none(values, pa.large_string()) if known else None


def _text_lists(values: pa.Array) -> pa.Array | None:
    kind = values.type
    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)):
        return None
    if not (pa.types.is_string(kind.value_type) or pa.types.is_large_string(kind.value_type)):
        return None
    return cast_or_none(values, pa.large_list(pa.large_string()))


def _python(values: pa.Array) -> list[Any]:
    try:
        return list(values.to_pylist())
    except UnicodeDecodeError:  # Arrow does not check that text is UTF-8
        if _texts(values) is None:
            return [None] * len(values)
        raw = values.cast(pa.large_binary()).to_pylist()
        return [None if text is None else text.decode("utf-8", errors="replace") for text in raw]


def _plain(value: Any) -> Any:
    """What JSON has no word for, in text."""
    if isinstance(value, date | time):
        return value.isoformat()
    return f"{len(value):,} bytes" if isinstance(value, bytes | bytearray | memoryview) else str(value)


def _shortened(value: Any, longest: int | None) -> Any:
    """A copy in JSON's types, texts and lists no longer than `longest`; a cut text says so."""
    if isinstance(value, str):
        if longest is None or len(value) <= longest:
            return value
        return f"{value[:longest]}… [{len(value) - longest:,} more characters]"
    if isinstance(value, dict):
        return {str(key): _shortened(item, longest) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_shortened(item, longest) for item in value[:longest]]
    if isinstance(value, int) and abs(value) >= _EXACT:
        return str(value)
    return value if value is None or isinstance(value, bool | int | float) else str(_plain(value))
