"""Lists of strings as a column that keeps its type when it is empty."""

from collections.abc import Iterable
from typing import Any

import pyarrow as pa


class TextLists(list[list[str]]):
    """A `list[list[str]]` that Arrow reads as lists of strings even when all of them are empty.

    A plain `Dataset.map` fixes each new column's type by the first batch. Where that has only empty lists, it takes
    them for lists of nulls, and the first string in a later batch breaks the run.
    """

    def __arrow_array__(self, type: Any = None) -> Any:
        return pa.array(list(self), type=type or pa.list_(pa.string()))


def text_lists(rows: Iterable[Iterable[str]]) -> TextLists:
    """The rows as lists."""
    return TextLists(list(row) for row in rows)
