"""The leaves that each row is anchored to, read from any of the shapes in which people hold them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Column, Dataset
from numpy.typing import NDArray
from scipy.sparse import issparse

from tagsmith.processors.errors import InputError


@dataclass(frozen=True, eq=False)
class LeafSets:
    """Row i is anchored to the leaves `leaves[starts[i]:starts[i + 1]]`, node numbers of the tree in any order."""

    starts: NDArray[np.int64]
    leaves: NDArray[Any]

    def __len__(self) -> int:
        return len(self.starts) - 1


def read_leaf_sets(rows: Any, column: str = "leaves") -> LeafSets:
    """Read the rows' leaves.

    Args:
        rows: a `Dataset` or `pyarrow.Table` (its column named `column` is read), a column of a `Dataset`, a pyarrow
            list array, a list of lists of whole numbers, a pair `(starts, leaves)` of arrays in compressed sparse row
            form, or a SciPy sparse matrix (rows × nodes).

    Raises:
        InputError: there is no such column, it does not hold lists of whole numbers, or a list is null; names column
            and row (counted from 0).
    """
    if isinstance(rows, LeafSets):
        return rows
    if issparse(rows):
        matrix = rows.tocsr()
        return LeafSets(matrix.indptr.astype(np.int64), matrix.indices)
    if isinstance(rows, tuple) and len(rows) == 2 and all(isinstance(part, np.ndarray) for part in rows):
        return _from_arrays(*rows)
    lists = _lists(rows, column)
    if lists.null_count:
        row = int(np.flatnonzero(lists.is_null().to_numpy(zero_copy_only=False))[0])
        raise InputError(f"column {column!r}, row {row}: got null, expected a list of leaves; give an empty list")
    if not len(lists):
        return LeafSets(np.zeros(1, np.int64), np.zeros(0, np.int64))
    lengths = pc.list_value_length(lists).to_numpy(zero_copy_only=False).astype(np.int64)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    flat = pc.list_flatten(lists)
    if flat.null_count:
        entry = int(np.flatnonzero(flat.is_null().to_numpy(zero_copy_only=False))[0])
        row = int(np.searchsorted(starts, entry, side="right")) - 1
        raise InputError(f"column {column!r}, row {row}: got a null in its list, expected node numbers of leaves")
    if len(flat) and not pa.types.is_integer(flat.type):
        raise InputError(f"column {column!r} holds lists of {flat.type}; expected lists of node numbers of leaves")
    return LeafSets(starts, flat.to_numpy(zero_copy_only=False) if len(flat) else np.zeros(0, np.int64))


def _from_arrays(starts: NDArray[Any], leaves: NDArray[Any]) -> LeafSets:
    for name, array in (("starts", starts), ("leaves", leaves)):
        if array.ndim != 1 or (len(array) and array.dtype.kind not in "iu"):
            raise InputError(f"{name}: got {array.dtype} in {array.ndim} dimensions, expected a row of whole numbers")
    if not len(starts) or starts[0] != 0 or starts[-1] != len(leaves) or (np.diff(starts) < 0).any():
        raise InputError(
            f"starts: expected 0 first, {len(leaves)} (the number of leaves given) last, and never falling; see the"
            " indptr of a compressed sparse row matrix"
        )
    return LeafSets(starts.astype(np.int64), leaves)


def _lists(rows: Any, column: str) -> Any:
    if isinstance(rows, Column) and isinstance(rows.source, Dataset):
        rows, column = rows.source, rows.column_name
    if isinstance(rows, Dataset | pa.Table):
        if column not in rows.column_names:
            raise InputError(
                f"no column {column!r} with the rows' leaves; the columns are: {', '.join(rows.column_names)}"
            )
        lists = (rows.data if isinstance(rows, Dataset) else rows).column(column)
        if isinstance(rows, Dataset) and rows._indices is not None:
            lists = lists.take(rows._indices.column(0))
    elif isinstance(rows, pa.Array | pa.ChunkedArray):
        lists = rows
    elif isinstance(rows, list):
        try:
            lists = pa.array(rows, pa.large_list(pa.int64()))
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            raise InputError(f"column {column!r}: expected a list of whole numbers a row ({error})") from error
    else:
        raise InputError(
            f"column {column!r}: got {type(rows).__name__}; give a Dataset (one split), a list of lists, or arrays"
            " (starts, leaves)"
        )
    kind = lists.type
    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)):
        raise InputError(f"column {column!r} holds {kind}; expected lists of node numbers of leaves, one list a row")
    return lists
