"""A column that keeps its type when its first rows are null or empty."""

from collections.abc import Iterable
from typing import Any

import pyarrow as pa


class TypedColumn(list[Any]):
    """A list that Arrow reads with the given type, whatever is in it.

    A plain `Dataset.map` fixes each new column's type by the first batch. Where that has only nulls, the first value in
    a later batch breaks the run.
    """

    def __init__(self, values: Iterable[Any], kind: pa.DataType) -> None:
        super().__init__(values)
        self.kind = kind

    def __arrow_array__(self, type: Any = None) -> Any:
        return pa.array(list(self), type=type or self.kind)
