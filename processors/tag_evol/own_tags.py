"""Rows' own tags as numbers: each once a row whatever its spelling, with its place in a pool."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.sparse import csr_array

from tagsmith.processors.errors import InputError
from tagsmith.processors.generation_processor import REJECTED
from tagsmith.processors.tag_evol.candidate_draws import OwnNumbers
from tagsmith.processors.tag_evol.tag_pool import TagPool


@dataclass(frozen=True, eq=False)
class OwnTags:
    """The rows' own tags, each once a row: row r has `tags[starts[r]:starts[r + 1]]`, in its order.

    Args:
        spellings: distinct tags of all rows as the rule stage writes them.
        numbers: their numbers in the pool, -1 for those that it does not have.
        takes_part: rows that were not rejected before.
    """

    starts: NDArray[np.int64]
    tags: NDArray[np.int64]
    spellings: list[str]
    numbers: NDArray[np.int64]
    takes_part: NDArray[np.bool_]

    @classmethod
    def read(cls, pool: TagPool, rows: pa.Table) -> "OwnTags":
        """From the columns `id`, `tags` and, if it is there, `status`."""
        ids, lists = rows["id"].combine_chunks(), rows["tags"].combine_chunks()
        rejected = np.zeros(len(rows), bool)
        if "status" in rows.column_names:
            rejected = pc.fill_null(pc.equal(rows["status"], REJECTED), False).to_numpy()
        for column, values in (("id", ids), ("tags", lists)):
            bad = values.is_null().to_numpy(zero_copy_only=False) & (~rejected if column == "tags" else True)
            if bad.any():
                raise InputError(
                    f"column {column!r}, row {int(np.flatnonzero(bad)[0])}: got null in {int(bad.sum()):,} rows; run"
                    " the tagger first, and give rows without tags an empty list"
                )
        flat = pc.list_flatten(lists)
        if flat.null_count:
            raise InputError("column 'tags' has a list with a null tag; expected lists of text")
        coded = flat.dictionary_encode()
        texts = coded.dictionary.to_pylist()
        # One spelling of a tag is embedded as it is: what stands for a row must not depend on the rows beside it.
        spellings = sorted({pool.clean(text) for text in texts} - {""})
        place = {text: code for code, text in enumerate(spellings)}
        spelling_of = np.array([place.get(pool.clean(text), -1) for text in texts], np.int64)
        keys = {key: code for code, key in enumerate(sorted({pool.key(text) for text in spellings}))}
        key_of = np.array([keys[pool.key(text)] for text in spellings], np.int64)
        numbers = [pool.find(text) for text in spellings]
        tags = spelling_of[coded.indices.to_numpy()] if len(coded) else np.zeros(0, np.int64)
        row_of = pc.list_parent_indices(lists).to_numpy().astype(np.int64)
        written = np.flatnonzero(tags >= 0)
        kept = written[_first_mentions(row_of[written], key_of[tags[written]], len(keys))]
        starts = np.concatenate([[0], np.cumsum(np.bincount(row_of[kept], minlength=len(rows)))])
        found = np.array([-1 if number is None else number for number in numbers], np.int64)
        return cls(starts, tags[kept], spellings, found, ~rejected)

    @cached_property
    def sizes(self) -> NDArray[np.int64]:
        """Tags of each row."""
        return np.diff(self.starts)

    def in_pool(self, rows: NDArray[np.int64]) -> OwnNumbers:
        """The given rows' tags that the pool has."""
        row_of, tags = self._of(rows)
        numbers = self.numbers[tags]
        held = numbers >= 0
        counts = np.bincount(row_of[held], minlength=len(rows))
        return OwnNumbers(np.concatenate([[0], np.cumsum(counts)]), numbers[held].astype(np.int32))

    def centroids(self, rows: NDArray[np.int64], vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """(rows, dim) the mean of each row's tag vectors, brought to length 1; none of the rows is without tags."""
        row_of, tags = self._of(rows)
        starts = np.concatenate([[0], np.cumsum(np.bincount(row_of, minlength=len(rows)))])
        # Summed in the row's order, row by row: so the batch that a row comes in changes no bit.
        membership = csr_array((np.ones(len(tags), np.float32), tags, starts), shape=(len(rows), len(vectors)))
        sums = np.asarray(membership @ vectors)
        made: NDArray[np.float32] = sums / np.linalg.norm(sums, axis=1, keepdims=True)
        return made

    def _of(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The tags of the given rows one after the other, with the place of each one's row."""
        sizes = self.sizes[rows]
        row_of = np.repeat(np.arange(len(rows)), sizes)
        before = np.cumsum(sizes) - sizes
        return row_of, self.tags[np.arange(len(row_of)) + (self.starts[rows] - before)[row_of]]


def _first_mentions(rows: NDArray[np.int64], keys: NDArray[np.int64], n_keys: int) -> NDArray[np.int64]:
    """Places at which a row mentions a tag for the first time."""
    _, first = np.unique(rows * max(n_keys, 1) + keys, return_index=True)
    return np.sort(first)
