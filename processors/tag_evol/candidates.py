"""Candidate tags for rows: drawn from the pool, never a row's own, the same in any order and any shard."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from hashlib import blake2b
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset, DatasetInfo, Features, List, Value
from datasets.fingerprint import Hasher
from numpy.typing import NDArray

from tagsmith.processors.errors import InputError
from tagsmith.processors.tag_evol.candidate_draws import Band, draw_candidates, draw_in_band
from tagsmith.processors.tag_evol.own_tags import OwnTags
from tagsmith.processors.tag_evol.tag_pool import TagPool
from tagsmith.processors.take_rows import take_rows
from tagsmith.processors.text_lists import text_lists

MODES = ("uniform", "frequency", "band")
ANCHORS = ("tags", "instruction")
ROWS_AT_A_TIME = 16_384


@dataclass(kw_only=True)
class CandidateSampler:
    """Draw n candidate tags for each row from a pool (Tag-Evol, §3.2: cand).

    Input columns:
        id (``str``), tags (``list[str]``): the row's own tags, in whatever spelling; null only in a rejected row.
        instruction (``str``), with the anchor "instruction".
    Output columns:
        candidates (``list[str]``): n different tags of the pool, in the order drawn, none of them the row's own (by
            `TagPool.key`). Fewer where no more are allowed (a narrow band, a pool hardly larger than the row's own
            tags), none for a row that was rejected before, and none by band for a row without tags.

    Args:
        pool: a fitted pool.
        n: candidates a row; the authors' code draws 21 (and takes the row's own tags out afterwards).
        mode: "uniform": each tag by its weight in the pool, which is the same for all unless pools were mixed;
            "frequency": by weight × count^(1/temperature); "band": uniformly among the tags whose cosine to the row's
            anchor lies in `band`: related, but not the same.
        temperature: of mode "frequency", above 0: 1 draws as often as tags occur, more is flatter, less is steeper.
        band: lowest and highest cosine of mode "band". With the bundled model and the centroid of six related tags for
            an anchor, 0.35 to 0.7 holds about a tenth of a pool of 12,000 tags.
        anchor: what cosines are measured from: "tags", the centroid of the embeddings of the row's own tags, or
            "instruction", the embedding of its text.
        seed, round_number: a row's draws follow from these two and its id, and from nothing else: order of rows,
            batches and shards do not matter. Another round number gives other candidates.

    Raises:
        InputError: a setting out of range, a pool with fewer than n tags, or rows without the input columns.

    In the modes "uniform" and "frequency" each row has a sequence of draws to itself. In mode "band" the rows fall, by
    id, in 1,024 groups that share one, each row from a place of its own: their cosines are then one matrix product.
    Each row's candidates are a uniform sample of its band either way; two rows of one group are not independent.

    Exact: the candidates are those of a plain loop over the draws, which compares every tag with all own tags and takes
    every cosine in float64 (`tests/test_tag_candidates.py`). Float32 products decide only what is farther from an edge
    than their error. The embedding model's own noise is all that can differ between machines.

    Differs from the authors' code: 21 tags that are not the row's own, where that has 21 less the row's own; spellings
    are levelled before they are compared.
    """

    pool: TagPool
    n: int = 21
    mode: str = "uniform"
    temperature: float = 1.0
    band: tuple[float, float] = (0.35, 0.7)
    anchor: str = "tags"
    seed: int = 0
    round_number: int = 0

    version: int = field(default=1, init=False)

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise InputError(f"mode {self.mode!r} is unknown; expected one of {', '.join(MODES)}")
        if self.anchor not in ANCHORS:
            raise InputError(f"anchor {self.anchor!r} is unknown; expected {' or '.join(ANCHORS)}")
        if isinstance(self.n, bool) or not isinstance(self.n, int) or self.n < 1:
            raise InputError(f"n={self.n!r}: expected a whole number of candidates from 1 (the authors' code: 21)")
        if not 0 < self.temperature < float("inf"):
            raise InputError(f"temperature={self.temperature!r}: expected a number above 0, 1 say")
        self.band = (float(self.band[0]), float(self.band[1]))
        if not -1 <= self.band[0] < self.band[1] <= 1:
            raise InputError(f"band={self.band!r}: expected lowest and highest cosine within -1 and 1, (0.35, 0.7) say")
        if len(self.pool) < self.n:
            raise InputError(
                f"the pool has {len(self.pool):,} tags, fewer than the n={self.n} candidates of a row; build it from"
                " more rows, mix it with another, or lower n"
            )

    def __call__(self, batch: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
        """Columns in, new column out."""
        missing = [name for name in self._inputs if name not in batch]
        if missing:
            raise InputError(f"no column {missing[0]!r}; the columns are: {', '.join(batch)}")
        names = [*self._inputs, *(["status"] if "status" in batch else [])]
        try:
            table = pa.table({name: pa.array(list(batch[name]), _TYPES[name]) for name in names})
        except (pa.ArrowException, TypeError) as error:
            raise InputError(
                f"{str(error).splitlines()[0]:.200}; expected id as text, tags as lists of text"
            ) from error
        return {"candidates": text_lists(self._sample(table).to_pylist())}

    def sample_rows(self, dataset: Dataset) -> Dataset:
        """The dataset with `candidates`: the same as `dataset.map(self, batched=True)`, by Arrow.

        Measured in `benchmarks/sample_tag_candidates.py`; the docs have the figures.
        """
        missing = [name for name in self._inputs if name not in dataset.column_names]
        if missing:
            raise InputError(f"no column {missing[0]!r}; the columns are: {', '.join(dataset.column_names)}")
        names = [*self._inputs, *(["status"] if "status" in dataset.column_names else [])]
        dataset = take_rows(dataset, np.arange(len(dataset))) if dataset._indices is not None else dataset
        source = dataset.data.table
        try:
            rows = pa.table({name: source[name].cast(_TYPES[name]) for name in names})
        except pa.ArrowException as error:
            raise InputError(
                f"{str(error).splitlines()[0]:.200}; expected id as text, tags as lists of text"
            ) from error
        table = source.drop_columns(["candidates"]) if "candidates" in source.column_names else source
        features = {name: kind for name, kind in dataset.features.items() if name != "candidates"}
        info = DatasetInfo(features=Features({**features, "candidates": List(Value("string"))}))
        table = table.append_column("candidates", self._sample(rows))
        fingerprint = Hasher.hash([dataset._fingerprint, self])
        return Dataset(table, info=info, split=dataset.split, fingerprint=fingerprint)

    @property
    def _inputs(self) -> list[str]:
        by_text = self.mode == "band" and self.anchor == "instruction"
        return ["id", "tags", *(["instruction"] if by_text else [])]

    def _sample(self, rows: pa.Table) -> pa.ChunkedArray:
        """The column."""
        own = OwnTags.read(self.pool, rows)
        takes_part = own.takes_part.copy()
        if self.mode == "band":
            takes_part &= own.sizes > 0 if self.anchor == "tags" else _has_text(rows["instruction"])
        numbers = np.flatnonzero(takes_part)
        seeds = self._seeds(rows["id"].combine_chunks().take(pa.array(numbers)).to_pylist())
        drawn = np.full((len(rows), self.n), -1, np.int32)
        if self.mode != "band":
            drawn[numbers], _ = draw_candidates(seeds, own.in_pool(numbers), self._log_weights, self.n)
        elif self.anchor == "tags":
            vectors = self._tag_vectors(own)
            drawn[numbers] = self._in_band(seeds, own, numbers, lambda part: own.centroids(numbers[part], vectors))
        else:
            for first in range(0, len(numbers), ROWS_AT_A_TIME):
                part = numbers[first : first + ROWS_AT_A_TIME]
                texts = rows["instruction"].take(pa.array(part)).to_pylist()
                vectors = self.pool.embedder.encode(texts)
                drawn[part] = self._in_band(seeds[first : first + len(part)], own, part, vectors.__getitem__)
        return _as_lists(drawn, pa.array(self.pool.tags, pa.string()))

    def _in_band(
        self,
        seeds: NDArray[np.uint64],
        own: OwnTags,
        rows: NDArray[np.int64],
        anchors_of: Callable[[NDArray[np.int64]], NDArray[np.float32]],
    ) -> NDArray[np.int32]:
        return draw_in_band(
            seeds, self._group_seed, own.in_pool(rows), self._log_weights, self.n, self._band, anchors_of
        )[0]

    def _seeds(self, ids: Sequence[str]) -> NDArray[np.uint64]:
        start = f"{self.seed}/{self.round_number}/"
        digests = [blake2b((start + row_id).encode(), digest_size=8).digest() for row_id in ids]
        return np.frombuffer(b"".join(digests), "<u8").astype(np.uint64)

    def _group_seed(self, group: int) -> np.uint64:
        digest = blake2b(f"{self.seed}/{self.round_number}/{group}".encode(), digest_size=8, person=b"group").digest()
        return np.uint64(int.from_bytes(digest, "little"))

    @cached_property
    def _log_weights(self) -> NDArray[np.float64]:
        logs: NDArray[np.float64] = np.log(self.pool.weights)
        return logs + np.log(self.pool.counts) / self.temperature if self.mode == "frequency" else logs

    @cached_property
    def _band(self) -> Band:
        low, high = self.band
        # An edge of 1 is none: rounding makes some cosines of equal vectors a little more.
        return Band(self.pool.vectors, low if low > -1 else -2.0, high if high < 1 else 2.0)

    def _tag_vectors(self, own: "OwnTags") -> NDArray[np.float32]:
        """One vector a distinct spelling of the rows: the pool's where it has the tag."""
        made = np.zeros((len(own.numbers), self.pool.vectors.shape[1]), np.float32)
        known = own.numbers >= 0
        made[known] = self.pool.vectors[own.numbers[known]]
        if len(new := np.flatnonzero(~known)):
            made[new] = self.pool.embedder.encode([own.spellings[tag] for tag in new])
        return made

    def __getstate__(self) -> dict[str, Any]:
        return {f.name: getattr(self, f.name) for f in fields(self)}


_TYPES = {
    "id": pa.string(),
    "tags": pa.list_(pa.string()),
    "instruction": pa.string(),
    "status": pa.string(),
}


def _has_text(instructions: pa.ChunkedArray) -> NDArray[np.bool_]:
    stripped = pc.utf8_trim_whitespace(pc.fill_null(instructions, ""))
    made: NDArray[np.bool_] = pc.greater(pc.utf8_length(stripped), 0).to_numpy()
    return made


def _as_lists(drawn: NDArray[np.int32], names: pa.Array) -> pa.ChunkedArray:
    """Names of the tags of each row; -1 is none. In chunks, since a list column's text ends at 2 GB."""
    chunks = []
    for first in range(0, len(drawn), ROWS_AT_A_TIME):
        part = drawn[first : first + ROWS_AT_A_TIME]
        offsets = np.concatenate([[0], np.cumsum((part >= 0).sum(axis=1))]).astype(np.int32)
        chunks.append(pa.ListArray.from_arrays(pa.array(offsets), names.take(pa.array(part[part >= 0]))))
    return pa.chunked_array(chunks, pa.list_(pa.string()))
