"""Rows of a release as one compressed text that a page can hold: JSON lines, deflated, in base64, up to a size."""

import base64
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from tagsmith.cards.explorer_columns import Strings, describe_columns, encode_rows
from tagsmith.cards.explorer_rows import ReleaseRows
from tagsmith.cards.explorer_sample import Order

_ROWS_AT_ONCE = 2_048  # rows that are read and turned into JSON together
_ROWS_PER_LINE = 64  # and those that are added to the page, or not, together
_LEVEL = 5  # 6 gains 1.4 % for a third more time, 9 hardly more than that


@dataclass(frozen=True)
class Payload:
    """The compressed text, the rows in it and how many of them had to be cut."""

    text: str
    rows: int
    cut: int


def pack(head: dict[str, Any], rows: ReleaseRows, order: Order, counts: dict[str, int], limit: int) -> Payload | None:
    """Put the head and as many groups of rows as fit, in their order, into a text of at most `limit` characters.

    The first line is the head, with `columns` added. Each further line is a list of new strings with the counts of
    those that are tags, or a list of rows: `[row number, [config, row in it, …], value, …]`. A group is taken whole
    or not at all.

    Args:
        head: what the page needs to know besides the rows; `strings` in it are the first codes.
        rows: the release's rows.
        order: in which rows are taken, and which belong together.
        counts: rows of each tag in the whole release.
        limit: characters.

    Returns:
        None if not even the head fits.
    """
    table = Strings(list(head["strings"]), counts)
    columns = describe_columns(rows, order.rows)
    deflated = _Deflated(limit * 3 // 4 - 64)  # base64: four characters for three bytes
    if not deflated.add(orjson.dumps({**head, "columns": [column.described() for column in columns]})):
        return None
    bounds = np.concatenate([[0], order.ends])  # group g is order.rows[bounds[g] : bounds[g + 1]]
    packed = cut = 0
    full = False
    for first, last in _portions(bounds, 0, len(order.ends), _ROWS_AT_ONCE):
        start = bounds[first]
        lines, was_cut = encode_rows(rows, order.rows[start : bounds[last]], columns, table)
        if not deflated.add(orjson.dumps(table.fresh())):
            break
        for some in _portions(bounds, first, last, _ROWS_PER_LINE):
            pieces = [some]
            while pieces:
                a, b = pieces.pop()
                part = slice(bounds[a] - start, bounds[b] - start)
                if deflated.add(b"[" + b",".join(lines[part]) + b"]"):
                    packed += part.stop - part.start
                    cut += int(was_cut[part].sum())
                elif not full:  # too much at once: the smaller ones of these groups may still fit
                    full = True
                    pieces = [(g, g + 1) for g in reversed(range(a, b))]
            if full:
                break
        if full:
            break
    return Payload(base64.b64encode(deflated.finish()).decode("ascii"), int(packed), cut)


class _Deflated:
    """A deflate stream that never grows beyond a size: what would not fit is taken back."""

    def __init__(self, limit: int) -> None:
        self._stream = zlib.compressobj(_LEVEL)
        self._parts: list[bytes] = []
        self._room = limit

    def add(self, line: bytes) -> bool:
        before = self._stream.copy()
        part = self._stream.compress(line + b"\n") + self._stream.flush(zlib.Z_SYNC_FLUSH)
        if len(part) > self._room:
            self._stream = before
            return False
        self._parts.append(part)
        self._room -= len(part)
        return True

    def finish(self) -> bytes:
        return b"".join(self._parts) + self._stream.flush()


def _portions(bounds: NDArray[np.int64], first: int, last: int, size: int) -> Iterator[tuple[int, int]]:
    """The groups from `first` to before `last` in portions of about `size` rows."""
    while first < last:
        end = min(last, max(first + 1, int(np.searchsorted(bounds, bounds[first] + size, side="right")) - 1))
        yield first, end
        first = end
