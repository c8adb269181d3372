"""The `generations` config of a release: every reply that its rows were made from, bad ones and repairs included."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import pyarrow as pa
from datasets import Dataset

from tagsmith.processors.endpoint.store import GenerationStore

_TEXT, _COUNT = pa.string(), pa.int64()
SCHEMA = pa.schema(
    [
        ("key", _TEXT),
        ("model", _TEXT),
        ("content", _TEXT),
        ("parameters", _TEXT),
        ("sample", _COUNT),
        ("text", _TEXT),
        ("finish_reason", _TEXT),
        ("prompt_tokens", _COUNT),
        ("reply_tokens", _COUNT),
        ("top_tokens", _TEXT),
    ]
)


def collect_generations(store: GenerationStore, *datasets: Dataset) -> Dataset:
    """Stored rows behind the `generation_keys` of the datasets, in the order of first use, each once."""
    keys = dict.fromkeys(_keys(datasets))
    exported = store.export([bytes.fromhex(key) for key in keys])
    tables = [pa.Table.from_pylist(chunk, schema=SCHEMA) for chunk in _chunks(exported, 10_000)]
    return Dataset(pa.concat_tables(tables) if tables else SCHEMA.empty_table())


def _keys(datasets: Iterable[Dataset]) -> Iterator[str]:
    for dataset in datasets:
        for batch in dataset.select_columns("generation_keys").iter(batch_size=10_000):
            for keys in batch["generation_keys"]:
                yield from keys or ()


def _chunks(rows: Iterator[dict[str, Any]], size: int) -> Iterator[list[dict[str, Any]]]:
    while chunk := list(islice(rows, size)):
        yield chunk
