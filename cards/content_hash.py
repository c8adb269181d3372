"""A hash of what the rows of a dataset say, whatever file or memory layout holds them."""

from collections.abc import Callable
from hashlib import blake2b

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset

from tagsmith.cards.errors import ReleaseError

# Rows are hashed in blocks of this size, however the dataset is chunked, so that memory stays flat. Part of the
# format: another number gives other hashes.
_ROWS_PER_BLOCK = 10_000

_Update = Callable[[bytes | memoryview], None]


def content_hash(dataset: Dataset) -> str:
    """Hash the contents of a dataset: equal for the dataset written and the one loaded back.

    Counts: column names and types, the order of rows, every value, null as distinct from empty.
    Does not count: the order of columns, chunks, row groups, Parquet encoding, 32- or 64-bit Arrow offsets,
    fingerprints and paths. 50,000 rows of 1.4 kB took 0.11 s on one core.

    Returns:
        64 hexadecimal digits (BLAKE2b).

    Raises:
        ReleaseError: a column has an Arrow type that no dataset of text, numbers, lists and structs needs.
    """
    table = dataset.with_format("arrow")
    columns = {name: blake2b(digest_size=32) for name in sorted(dataset.column_names)}
    schema = dataset.features.arrow_schema
    for name, column in columns.items():
        column.update(_type_name(schema.field(name).type, name).encode())
    for block in table.iter(batch_size=_ROWS_PER_BLOCK) if columns else ():
        for name, column in columns.items():
            _add(block[name].combine_chunks(), column.update)
    whole = blake2b(f"{len(dataset)} rows".encode(), digest_size=32)
    for name, column in columns.items():
        whole.update(f"{len(name.encode())} {name}".encode() + column.digest())
    return whole.hexdigest()


def _type_name(kind: pa.DataType, column: str) -> str:
    """The type in words, the same for 32- and 64-bit offsets and for every order of a struct's fields."""
    if isinstance(kind, pa.ExtensionType):
        return _type_name(kind.storage_type, column)
    if _is_list(kind):
        return f"list<{_type_name(kind.value_type, column)}>"
    if pa.types.is_struct(kind):
        fields = sorted((field.name, _type_name(field.type, column)) for field in kind)
        return f"struct<{fields!r}>"
    if _is_bytes(kind):
        return str(kind).removeprefix("large_")
    if pa.types.is_null(kind) or pa.types.is_boolean(kind) or _is_fixed_width(kind):
        return str(kind)
    raise ReleaseError(
        f"column {column!r} has Arrow type {kind}, which has no content hash; "
        "cast it to text, numbers, lists or structs"
    )


def _add(array: pa.Array, update: _Update) -> None:
    """Feed one array: its length, which values are null, then the values (nothing that lies under a null)."""
    kind = array.type
    if isinstance(kind, pa.ExtensionType):
        return _add(array.storage, update)
    update(f"{len(array)} values, {array.null_count} null".encode())
    if array.null_count:
        update(np.packbits(np.asarray(array.is_valid())).data)
    if len(array) == array.null_count:
        return None
    if pa.types.is_struct(kind):
        # flatten() hands the struct's own nulls down to its fields.
        fields = dict(zip((field.name for field in kind), array.flatten(), strict=True))
        for name in sorted(fields):
            _add(fields[name], update)
        return None
    dense = array.drop_null()
    if _is_list(kind):
        update(np.asarray(pc.list_value_length(dense), dtype=np.int64).data)
        return _add(dense.flatten(), update)
    if _is_bytes(kind):
        dense = dense.cast(pa.large_binary())
        offsets = np.frombuffer(dense.buffers()[1], dtype=np.int64)[dense.offset : dense.offset + len(dense) + 1]
        update(np.diff(offsets).data)
        if offsets[-1] > offsets[0]:
            update(memoryview(dense.buffers()[2])[offsets[0] : offsets[-1]])
    elif pa.types.is_boolean(kind):
        update(np.packbits(dense.to_numpy(zero_copy_only=False)).data)
    else:
        width = kind.bit_width // 8
        update(memoryview(dense.buffers()[1])[dense.offset * width : (dense.offset + len(dense)) * width])
    return None


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _is_bytes(kind: pa.DataType) -> bool:
    text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    return bool(text or pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _is_fixed_width(kind: pa.DataType) -> bool:
    return bool(pa.types.is_primitive(kind) or pa.types.is_decimal(kind) or pa.types.is_fixed_size_binary(kind))
