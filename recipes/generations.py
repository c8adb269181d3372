"""The `generations` config of a release: every reply that its rows were made from, bad ones and repairs included."""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset
from datasets.fingerprint import generate_random_fingerprint

from tagsmith.processors.endpoint.recorded import Recording
from tagsmith.processors.endpoint.store import EXPORTED, GenerationStore


def collect_generations(store: GenerationStore | Recording, *datasets: Dataset) -> Dataset:
    """Stored rows behind the `generation_keys` of the datasets, in the order of first use, each once.

    A request that got no answer is there, too: its `text` is null, and `failure` says why.
    """
    return collect_stages([(store, dataset) for dataset in datasets])


def collect_stages(stages: Sequence[tuple[GenerationStore | Recording, Dataset]]) -> Dataset:
    """The same for rows that went through several endpoints: each stage's replies come from its own store."""
    seen = pa.array([], pa.string())
    tables = [EXPORTED.empty_table()]
    for store, dataset in stages:
        keys = keys_of(dataset)
        keys = keys.filter(pc.invert(pc.is_in(keys, seen)))
        seen = pa.concat_arrays([seen, keys])
        tables.append(store.export([bytes.fromhex(key) for key in keys.to_pylist()]))
    # Nothing is cached by what it is made from, and to hash all of it for a fingerprint takes longer than the rest.
    return Dataset(pa.concat_tables(tables), fingerprint=generate_random_fingerprint())


def keys_of(dataset: Dataset) -> pa.Array:
    """The keys of all rows, in the order of first use, each once."""
    batches = dataset.select_columns("generation_keys").with_format("arrow").iter(batch_size=10_000)
    parts = [pc.list_flatten(batch["generation_keys"]).cast(pa.string()) for batch in batches]
    return pa.chunked_array([chunk for part in parts for chunk in part.chunks], pa.string()).unique().drop_null()
