"""Rows' own tags as numbers: each once a row whatever its spelling, with its place in a pool."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.sparse import csr_array

from tagsmith.processors.errors import InputError
from tagsmith.processors.generation_processor import REJECTED
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

    def in_pool(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Starts and pool numbers of the given rows' tags that the pool has."""
        sizes = self.starts[rows + 1] - self.starts[rows]
        ends = np.cumsum(sizes)
        places = np.arange(ends[-1] if len(ends) else 0) + np.repeat(self.starts[rows] - (ends - sizes), sizes)
        numbers = self.numbers[self.tags[places]]
        held = numbers >= 0
        counts = np.bincount(np.repeat(np.arange(len(rows)), sizes)[held], minlength=len(rows))
        return np.concatenate([[0], np.cumsum(counts)]), numbers[held].astype(np.int32)

    def centroids(self, first: int, last: int, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """(rows, dim) the mean of each row's tag vectors, brought to length 1; zero for a row without tags."""
        starts = self.starts[first : last + 1]
        codes = self.tags[starts[0] : starts[-1]]
        # Summed in the row's order, row by row: so the batch that a row comes in changes no bit.
        membership = csr_array(
            (np.ones(len(codes), np.float32), codes, starts - starts[0]), shape=(last - first, len(vectors))
        )
        sums = np.asarray(membership @ vectors)
        lengths = np.linalg.norm(sums, axis=1, keepdims=True)
        made: NDArray[np.float32] = sums / np.where(lengths == 0, 1, lengths)
        return made


def _first_mentions(rows: NDArray[np.int64], keys: NDArray[np.int64], n_keys: int) -> NDArray[np.int64]:
    """Places at which a row mentions a tag for the first time."""
    _, first = np.unique(rows * max(n_keys, 1) + keys, return_index=True)
    return np.sort(first)
