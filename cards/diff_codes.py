"""Whole numbers for the values of Arrow columns: two values have the same number exactly when they are equal."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tagsmith.cards.errors import ReleaseError

Codes = NDArray[np.int64]


def codes(values: pa.Array) -> Codes:
    """One number a value, in order of first occurrence at the top level.

    Null equals null and differs from empty. Floats are compared by their bits, as `content_hash` does: NaN equals
    itself, 0.0 differs from -0.0. No hash is trusted: values that share one are told apart by Arrow's dictionary.

    Raises:
        ReleaseError: an Arrow type that no dataset of text, numbers, lists and structs needs.
    """
    kind = values.type
    if isinstance(kind, pa.ExtensionType):
        return codes(values.storage)
    if pa.types.is_null(kind):
        return np.zeros(len(values), np.int64)
    if pa.types.is_floating(kind):
        return codes(values.view({16: pa.int16(), 32: pa.int32(), 64: pa.int64()}[kind.bit_width]))
    if pa.types.is_struct(kind):
        # flatten() hands the struct's own nulls down to its fields, so whether it is null counts beside them.
        return joint([np.asarray(values.is_valid()), *map(codes, values.flatten())])
    if pa.types.is_large_list(kind):
        lengths = np.asarray(pc.fill_null(pc.list_value_length(values), 0), np.int64)
        ends = np.concatenate([[0], np.cumsum(lengths)])
        # A list's items, as numbers, side by side: bytes that only equal lists share. Flattening skips null lists.
        return _codes_of_bytes(codes(values.flatten()), 8 * ends, np.asarray(values.is_valid()))
    try:
        encoded = values.dictionary_encode(null_encoding="encode")
    except pa.ArrowNotImplementedError as error:
        raise ReleaseError(
            f"a column has Arrow type {kind}, which cannot be compared; leave that column out"
        ) from error
    return np.asarray(encoded.indices, np.int64)


def joint(columns: Sequence[NDArray[np.generic]]) -> Codes:
    """One number for each combination of numbers, of columns of equal length (at least one column)."""
    if len(columns) == 1:
        return columns[0].astype(np.int64)
    side_by_side = np.ascontiguousarray(np.stack(columns, axis=1), np.int64)
    ends = 8 * len(columns) * np.arange(len(side_by_side) + 1)
    return _codes_of_bytes(side_by_side.reshape(-1), ends, np.ones(len(side_by_side), bool))


def wide_type(kind: pa.DataType) -> pa.DataType:
    """The type with 64-bit offsets, plain lists and no dictionary: what differs only in memory becomes one type."""
    if isinstance(kind, pa.ExtensionType):
        return wide_type(kind.storage_type)
    if pa.types.is_dictionary(kind):
        return wide_type(kind.value_type)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return pa.large_list(wide_type(kind.value_type))
    if pa.types.is_struct(kind):
        fields = sorted(((field.name, wide_type(field.type)) for field in kind), key=lambda field: field[0])
        return pa.struct(fields)
    if pa.types.is_string(kind) or pa.types.is_string_view(kind):
        return pa.large_string()
    if pa.types.is_binary(kind) or pa.types.is_fixed_size_binary(kind) or pa.types.is_binary_view(kind):
        return pa.large_binary()
    return kind


def _codes_of_bytes(numbers: Codes, ends: NDArray[np.int64], valid: NDArray[np.bool_]) -> Codes:
    """Stretches of numbers as byte strings, encoded like any other; `ends` counts bytes, from 0."""
    buffers = [
        pa.py_buffer(np.packbits(valid, bitorder="little")),
        pa.py_buffer(ends.astype(np.int64)),
        pa.py_buffer(numbers),
    ]
    strings = pa.Array.from_buffers(pa.large_binary(), len(valid), buffers)
    return np.asarray(strings.dictionary_encode(null_encoding="encode").indices, np.int64)
