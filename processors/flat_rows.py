"""The usual case of reading rows, instruction and response as columns of text, without a Python row for each."""

from hashlib import blake2b
from typing import Any

import orjson
import pyarrow as pa

_BLOCK = 10_000  # rows in Python at a time


def read_flat(table: pa.Table, instruction: str, extra: str | None, response: str | None) -> pa.Table | None:
    """The columns id, instruction and response of the rows of `table`, as `RowAdapter.read` makes them.

    Args:
        table: source rows.
        instruction, extra, response: names of its columns.

    Returns:
        None when some row may be bad or no plain text: then each row has to be looked at.
    """
    names = [name for name in (instruction, extra, response) if name is not None]
    if table[instruction].null_count or not all(_is_text(table[name].type) for name in names):
        return None
    columns: dict[str, list[pa.Array]] = {"id": [], "instruction": [], "response": []}
    for block in table.select(names).to_batches(max_chunksize=_BLOCK):
        asked, answers = block[instruction], pa.nulls(len(block)) if response is None else block[response]
        texts = asked.to_pylist()
        if extra is not None and any(extras := block[extra].to_pylist()):
            texts = [with_extra(*pair) if pair[1] else pair[0] for pair in zip(texts, extras, strict=True)]
            asked = pa.array(texts, pa.string())
        columns["id"].append(pa.array(map(content_id, zip(texts, answers.to_pylist(), strict=True)), pa.string()))
        columns["instruction"].append(asked.cast(pa.string()))
        columns["response"].append(answers.cast(pa.string()))
    return pa.table({name: pa.chunked_array(arrays, pa.string()) for name, arrays in columns.items()})


def with_extra(instruction: str, extra: str) -> str:
    """An instruction with its extra input, which follows after a blank line unless it is blank itself."""
    return f"{instruction}\n\n{extra}" if extra.strip() else instruction


def content_id(content: Any) -> str:
    """A row's id: the hash of what it says, 16 hexadecimal digits."""
    return blake2b(orjson.dumps(content, option=orjson.OPT_SORT_KEYS), digest_size=8).hexdigest()


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind))
