"""The `generations` config of a release: every reply that its rows were made from, bad ones and repairs included."""

from collections.abc import Iterator, Sequence

import pyarrow as pa
from datasets import Dataset

from tagsmith.processors.endpoint.recorded import Recording
from tagsmith.processors.endpoint.store import EXPORTED, GenerationStore


def collect_generations(store: GenerationStore | Recording, *datasets: Dataset) -> Dataset:
    """Stored rows behind the `generation_keys` of the datasets, in the order of first use, each once.

    A request that got no answer is there, too: its `text` is null, and `failure` says why.
    """
    return collect_stages([(store, dataset) for dataset in datasets])


def collect_stages(stages: Sequence[tuple[GenerationStore | Recording, Dataset]]) -> Dataset:
    """The same for rows that went through several endpoints: each stage's replies come from its own store."""
    seen: set[str] = set()
    tables = [EXPORTED.empty_table()]
    for store, dataset in stages:
        keys = [key for key in dict.fromkeys(_keys(dataset)) if key not in seen]
        seen.update(keys)
        tables.append(store.export([bytes.fromhex(key) for key in keys]))
    return Dataset(pa.concat_tables(tables))


def _keys(dataset: Dataset) -> Iterator[str]:
    for batch in dataset.select_columns("generation_keys").iter(batch_size=10_000):
        for keys in batch["generation_keys"]:
            yield from keys or ()
