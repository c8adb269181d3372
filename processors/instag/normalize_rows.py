"""Raw tags to canonical tags over a whole dataset, by Arrow: the columns that `Dataset.map(normalizer)` makes."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset, DatasetInfo, Features, List, Value
from datasets.fingerprint import Hasher
from numpy.typing import NDArray

from tagsmith.processors.errors import InputError
from tagsmith.processors.instag.normalizer import TagNormalizer

COLUMNS = ("tags", "dropped_tags", "unseen_tags")


def normalize_rows(dataset: Dataset, normalizer: TagNormalizer) -> Dataset:
    """The dataset with `tags`, `dropped_tags` and `unseen_tags`, as `TagNormalizer` describes them.

    The same as `dataset.map(normalizer, batched=True)`. Each distinct raw tag is looked up once, and no row becomes
    Python values: 52,002 rows took 0.1 s where the map took 1.7 s.

    Args:
        dataset: rows with the normaliser's column of raw tags.
        normalizer: fitted, or loaded.

    Raises:
        InputError: there is no such column, or it holds something else than lists of strings.
    """
    name = normalizer.tags_column
    if name not in dataset.column_names:
        raise InputError(f"no column {name!r} with raw tags; the columns are: {', '.join(dataset.column_names)}")
    dataset = dataset.flatten_indices() if dataset._indices is not None else dataset
    lists = dataset.data.table[name].combine_chunks()
    flat = pc.list_flatten(lists)
    if (
        lists.null_count
        or flat.null_count
        or not (pa.types.is_string(flat.type) or pa.types.is_large_string(flat.type))
    ):
        return dataset.map(normalizer, batched=True)  # which names the row, or has nothing to do
    coded = flat.dictionary_encode()
    codes = coded.indices.to_numpy()
    rows = pc.list_parent_indices(lists).to_numpy()
    table = dataset.data.table.drop_columns([column for column in COLUMNS if column in dataset.column_names])
    for column, names in zip(COLUMNS, _targets(normalizer, coded.dictionary.to_pylist()), strict=True):
        table = table.append_column(column, _lists(rows, codes, names, len(dataset)))
    made = dict.fromkeys(COLUMNS, List(Value("string")))
    features = Features({**{n: f for n, f in dataset.features.items() if n not in COLUMNS}, **made})
    fingerprint = Hasher.hash([dataset._fingerprint, normalizer])
    return Dataset(table, info=DatasetInfo(features=features), split=dataset.split, fingerprint=fingerprint)


def _targets(normalizer: TagNormalizer, raw_tags: list[str]) -> tuple[list[str | None], ...]:
    """For each distinct raw tag: its canonical tag, itself if it was dropped, itself if it is unseen."""
    vocabulary = normalizer.fitted
    kept: list[str | None] = []
    dropped: list[str | None] = []
    unseen: list[str | None] = []
    for raw in raw_tags:
        name, is_known = vocabulary.resolve(raw)
        is_new = name is None and not is_known
        kept.append(vocabulary.clean(raw) if is_new and normalizer.unseen == "keep" else name)
        dropped.append(raw if name is None and is_known else None)
        unseen.append(raw if is_new else None)
    return kept, dropped, unseen


def _lists(rows: NDArray[np.int64], codes: NDArray[np.int32], targets: list[str | None], number: int) -> pa.ListArray:
    """A list a row: the targets of its raw tags in their order, each once, nothing for a raw tag without one."""
    named = pa.array(targets, pa.string()).dictionary_encode()
    of_raw = pc.fill_null(named.indices, -1).to_numpy(zero_copy_only=False)
    values = of_raw[codes] if len(codes) else np.zeros(0, np.int64)
    held = values >= 0
    rows, values = rows[held].astype(np.int64), values[held].astype(np.int64)
    _, first = np.unique(rows * max(1, len(named.dictionary)) + values, return_index=True)
    first.sort()
    sizes = np.bincount(rows[first], minlength=number)
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), named.dictionary.take(pa.array(values[first])))
