"""Complexity-first diverse sampling: the most tagged rows of a pool, in passes that cover its tags (Alg. 1)."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from datasets import Dataset, Features, Value, concatenate_datasets
from numpy.typing import NDArray

from tagsmith.processors.errors import InputError
from tagsmith.processors.tag_sets import TagSets, read_tag_sets
from tagsmith.processors.take_rows import take_rows

OUTPUT_FEATURES = Features({"selected": Value("bool"), "pass_number": Value("int32"), "pick_number": Value("int32")})


@dataclass(frozen=True)
class ComplexityFirstSelector:
    """Pick n rows, most tags first, each pass adding unseen tags (#InsTag, §4.1, Alg. 1).

    A pass walks the rows that are left, most tags first, and takes each one that has a tag which the pass has not
    met yet. Passes repeat, each starting from no tags, until n rows are taken.

    Input columns:
        tags (``list[str]``): canonical tags of the row; a repeated tag counts once.
    Output columns:
        selected (``bool``), pass_number (``int32 | None``): the pass that took the row, from 1,
        pick_number (``int32 | None``): its place among all picks, from 0.

    Args:
        n: rows to keep, 1 ≤ n ≤ rows that have a tag.
        tags_column: name of the column with the tags.

    Raises:
        InputError: n is out of range (the message says how many rows can be picked), or a row has no tag list
            (names row and column).

    Differs from the paper: ties keep dataset order (the paper does not say). Rows without tags are never picked:
    Alg. 1 as printed would not end when only such rows are left.

    Measured: 306,044 rows, 6,398 tags, 4.48 tags a row, two cores: 6,000 rows in 0.11 s, 100,000 in 0.14 s,
    reading the strings included (`benchmarks/select_complexity_first.py`).

    Example:
        >>> selector = ComplexityFirstSelector(n=6_000)
        >>> best = selector.choose(pool)                 # the 6,000 rows, in pick order
        >>> selection = selector.fit(pool)               # or keep all rows and see which were picked
        >>> pool = selection.mark(pool)
    """

    n: int
    tags_column: str = "tags"

    def __post_init__(self) -> None:
        if isinstance(self.n, bool) or not isinstance(self.n, int) or self.n < 1:
            raise InputError(f"n={self.n!r}: give the number of rows to keep, a whole number from 1")

    def select(self, dataset: Any) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Row numbers in pick order, and the pass that took each. Takes whatever `read_tag_sets` takes."""
        tag_sets = read_tag_sets(dataset, self.tags_column)
        with_tags = int(np.count_nonzero(tag_sets.sizes))
        if self.n > with_tags:
            raise InputError(
                f"n={self.n}: only {with_tags} of the {len(tag_sets)} rows have a tag in column"
                f" {self.tags_column!r} and can be picked; lower n"
            )
        return complexity_first(tag_sets, self.n)

    def fit(self, dataset: Any) -> "ComplexityFirstSelection":
        """See the whole pool once; the result marks its rows."""
        rows, passes = self.select(dataset)
        pick_number = np.full(len(dataset), -1, np.int32)
        pick_number[rows] = np.arange(len(rows))
        pass_number = np.zeros(len(dataset), np.int32)
        pass_number[rows] = passes
        return ComplexityFirstSelection(self.n, self.tags_column, pick_number, pass_number)

    def choose(self, dataset: Dataset) -> Dataset:
        """The picked rows in pick order, with the output columns."""
        return self.fit(dataset).choose(dataset)


@dataclass(frozen=True, eq=False)
class ComplexityFirstSelection:
    """A fitted `ComplexityFirstSelector`: says of each row of its pool whether and when it was picked.

    It is a batch function. `Dataset.map` cannot tell the type of a column that starts with nulls, so name it:

        >>> pool.map(selection, batched=True, with_indices=True, features=selection.features(pool))

    `mark(pool)` gives the same columns without rewriting the rows.

    Output columns:
        selected, pass_number, pick_number: see `ComplexityFirstSelector`.

    Args:
        n, tags_column: of the selector.
        pick_number: one a row of the pool, −1 where the row was not picked.
        pass_number: one a row of the pool, 0 where the row was not picked.

    Raises:
        InputError: it is given another number of rows than it was fitted on. Rows are known by their number, so
            the pool must keep its order.
    """

    n: int
    tags_column: str
    pick_number: NDArray[np.int32]
    pass_number: NDArray[np.int32]

    @property
    def rows(self) -> NDArray[np.int64]:
        """Row numbers in pick order."""
        picked = np.flatnonzero(self.pick_number >= 0)
        rows = np.empty_like(picked)
        rows[self.pick_number[picked]] = picked
        return rows

    def __call__(self, batch: Any, indices: list[int]) -> dict[str, list[Any]]:
        """The output columns of the rows numbered `indices`; the batch itself is not looked at."""
        if len(indices) and max(indices) >= len(self.pick_number):
            raise InputError(
                f"row {max(indices)}: the selection was fitted on {len(self.pick_number)} rows; fit it on this dataset"
            )
        columns: dict[str, list[Any]] = self._columns(np.asarray(indices, np.int64)).to_pydict()
        return columns

    def features(self, dataset: Dataset) -> Features:
        """The dataset's features with the output columns, for the `features=` of `Dataset.map`."""
        return Features({**dataset.features, **OUTPUT_FEATURES})

    def mark(self, dataset: Dataset) -> Dataset:
        """All rows of the pool with the output columns."""
        self._check_length(dataset)
        return self._joined(dataset, np.arange(len(dataset)))

    def choose(self, dataset: Dataset) -> Dataset:
        """The picked rows in pick order, with the output columns."""
        self._check_length(dataset)
        return self._joined(take_rows(dataset, self.rows), self.rows)

    def _check_length(self, dataset: Dataset) -> None:
        if len(dataset) != len(self.pick_number):
            raise InputError(
                f"the dataset has {len(dataset)} rows, the selection was fitted on {len(self.pick_number)}; fit it"
                " on this dataset"
            )

    def _joined(self, dataset: Dataset, rows: NDArray[np.int64]) -> Dataset:
        dataset = dataset.remove_columns([name for name in OUTPUT_FEATURES if name in dataset.column_names])
        return concatenate_datasets([dataset, Dataset(self._columns(rows))], axis=1)

    def _columns(self, rows: NDArray[np.int64]) -> Any:
        picks, passes = self.pick_number[rows], self.pass_number[rows]
        skipped = picks < 0
        return pa.table(
            {
                "selected": ~skipped,
                "pass_number": pa.array(passes, mask=skipped),
                "pick_number": pa.array(picks, mask=skipped),
            }
        )


def complexity_first(tag_sets: TagSets, n: int) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Alg. 1 on integers: row numbers in pick order and their pass numbers; at most n, fewer when no row is left.

    A pass takes a row iff the row is, among those left, the first holder of one of its tags. If it is the first
    holder of tag t, nothing before it covered t. Otherwise each of its tags has an earlier holder, and at that
    holder the tag was covered already or the holder was taken for it: the row adds nothing. So a pass needs no
    walk, it is the set of all tags' first holders. Each tag keeps its holders in sorted order and a pointer that
    only moves forward: all passes together cost O(tags of all rows).
    """
    # Small unsigned integers, because NumPy sorts those stably in linear time.
    fewer_tags = tag_sets.sizes.max(initial=0) - tag_sets.sizes
    order = np.argsort(fewer_tags.astype(np.min_scalar_type(fewer_tags.max(initial=0))), kind="stable")
    by_tag = tag_sets.matrix()[order].tocsc()

    # Rows are known by their position in `order` from here on. Each tag's holders end with a position that is
    # never taken, which stops the pointer; a window of them follows the last tag.
    end, window = len(order), np.arange(32)
    holders = np.insert(by_tag.indices, by_tag.indptr[1:], end)
    holders = np.append(holders, np.full(len(window), end, holders.dtype))
    pointer = by_tag.indptr[:-1] + np.arange(len(by_tag.indptr) - 1)
    taken = np.zeros(end + 1, bool)

    picks: list[NDArray[np.int64]] = []
    left = n
    while left and len(pointer := pointer[holders[pointer] < end]):
        picked = np.unique(holders[pointer])[:left]
        taken[picked] = True
        picks.append(picked)
        left -= len(picked)
        # On to the next free holder. Runs of taken rows are long among the most tagged: a window of them a step.
        pointer += 1
        moving = np.flatnonzero(taken[holders[pointer]])
        while len(moving):
            is_free = ~taken[holders[pointer[moving, None] + window]]
            steps = is_free.argmax(axis=1)
            found = is_free[np.arange(len(moving)), steps]
            pointer[moving] += np.where(found, steps, len(window))
            moving = moving[~found]

    passes = np.repeat(np.arange(1, len(picks) + 1, dtype=np.int32), [len(picked) for picked in picks])
    return order[np.concatenate([np.zeros(0, np.int64), *picks])], passes
