"""Prompts against the server's limits, before anything is sent: exact where it matters, nearly free where it does not.

A token is at least one byte of text, so a prompt of fewer bytes than the limit has tokens fits for certain. Only the
others are counted, by the server's own tokenizer.
"""

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset

from tagsmith.processors.endpoint.request import Request
from tagsmith.processors.endpoint.server import Server

# What a chat template adds round the texts, in tokens: role names and separators. Generous.
TEMPLATE_TOKENS = 64


def excess(server: Server, request: Request, count_tokens: Callable[[Request], int | None]) -> str | None:
    """Why the server cannot take the request: its length and the limit. None when it fits, or nobody can say."""
    reply = request.parameters.max_new_tokens
    room = _room(server, reply)
    if room is None or request.text_bytes + TEMPLATE_TOKENS <= room:
        return None
    tokens = count_tokens(request)
    if tokens is None or tokens <= room:
        return None
    if server.max_input_tokens and tokens > server.max_input_tokens:
        return f"the prompt has {tokens:,} tokens, the server takes {server.max_input_tokens:,}"
    return (
        f"the prompt has {tokens:,} tokens and the reply may take {reply:,}, the server takes"
        f" {server.max_total_tokens:,} together"
    )


def suspects(server: Server, dataset: Dataset, overhead_bytes: int, reply_tokens: int) -> list[int]:
    """Row numbers whose text is long enough that a prompt of it might be over the limit.

    `overhead_bytes` is what the prompt template adds. All text of the row counts, whichever columns the prompt uses.
    """
    room = _room(server, reply_tokens)
    if room is None:
        return []
    sizes = np.concatenate([_text_bytes(batch) for batch in _batches(dataset)])
    return np.flatnonzero(sizes + overhead_bytes + TEMPLATE_TOKENS > room).tolist()


def _room(server: Server, reply_tokens: int) -> int | None:
    """Tokens that a prompt may have, beside a reply of so many; below 1 when none fits; None when nobody can say."""
    limits = []
    if server.max_input_tokens:
        limits.append(server.max_input_tokens)
    if server.max_total_tokens:
        limits.append(server.max_total_tokens - reply_tokens)
    return min(limits, default=None)


def _batches(dataset: Dataset) -> list[pa.Table]:
    arrow = dataset.with_format("arrow")
    return list(arrow.iter(batch_size=10_000))


def _text_bytes(table: pa.Table) -> np.ndarray:
    """Bytes of all text in each row, nested text included. (rows,)"""
    total = np.zeros(table.num_rows, dtype=np.int64)
    for column in table.columns:
        total += _array_bytes(column.combine_chunks())
    return total


def _array_bytes(array: pa.Array) -> np.ndarray:
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks() if array.num_chunks != 1 else array.chunk(0)
    if pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
        return np.asarray(pc.fill_null(pc.binary_length(array), 0), dtype=np.int64)
    if pa.types.is_struct(array.type):
        return sum((_array_bytes(field) for field in array.flatten()), np.zeros(len(array), dtype=np.int64))
    if pa.types.is_list(array.type) or pa.types.is_large_list(array.type):
        total = np.zeros(len(array), dtype=np.int64)
        parents = pc.list_parent_indices(array).to_numpy(zero_copy_only=False)
        np.add.at(total, parents, _array_bytes(array.flatten()))
        return total
    return np.zeros(len(array), dtype=np.int64)
