"""What a sampler picked: rows in pick order, with gain and reason, and the same as columns of the pool."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from datasets import Dataset, Features, List, Value, concatenate_datasets
from numpy.typing import NDArray

from tagsmith.processors.errors import InputError
from tagsmith.processors.take_rows import take_rows

OUTPUT_FEATURES = Features(
    {
        "selected": Value("bool"),
        "pick_number": Value("int32"),
        "gain": Value("float64"),
        "new_leaves": List(Value("int64")),
    }
)


@dataclass(frozen=True, eq=False)
class TreeSelection:
    """The picked rows of a pool. Every prefix is the selection that a smaller n gives.

    Output columns (`mark`, `choose`):
        selected (``bool``), pick_number (``int32 | None``): the row's place among all picks, from 0,
        gain (``float64 | None``): the information that the row added when it was picked (Eq. 8),
        new_leaves (``list[int64] | None``): the reason: the leaves that no earlier pick had covered.

    Args:
        rows: row numbers in pick order.
        gains: one a pick.
        leaf_starts, leaves: pick i newly covered `leaves[leaf_starts[i]:leaf_starts[i + 1]]`, node numbers.
        n_rows: rows of the pool.
        kl: KL(Q ‖ P) in nats before the first pick and after each (aligned sampling only); P is smoothed.
        statistics: rows scored and nodes touched by the run, and untagged rows picked.
    """

    rows: NDArray[np.int64]
    gains: NDArray[np.float64]
    leaf_starts: NDArray[np.int64]
    leaves: NDArray[np.int64]
    n_rows: int
    kl: NDArray[np.float64] | None = None
    statistics: dict[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.rows)

    def new_leaves(self, pick: int) -> NDArray[np.int64]:
        """The leaves that this pick was the first to cover."""
        return self.leaves[self.leaf_starts[pick] : self.leaf_starts[pick + 1]]

    def first(self, n: int) -> "TreeSelection":
        """The selection of the first n picks.

        Raises:
            InputError: n is not between 1 and the number of picks.
        """
        if not 1 <= n <= len(self):
            raise InputError(f"first: n={n}, expected 1 to {len(self)}, the number of picks")
        end = self.leaf_starts[n]
        kl = None if self.kl is None else self.kl[: n + 1]
        return TreeSelection(
            self.rows[:n], self.gains[:n], self.leaf_starts[: n + 1], self.leaves[:end], self.n_rows, kl
        )

    def mark(self, dataset: Dataset) -> Dataset:
        """All rows of the pool with the output columns.

        Raises:
            InputError: the dataset has another number of rows than the pool.
        """
        self._check_length(dataset)
        return self._joined(dataset, np.arange(len(dataset)))

    def choose(self, dataset: Dataset) -> Dataset:
        """The picked rows in pick order, with the output columns; raises as `mark`."""
        self._check_length(dataset)
        return self._joined(take_rows(dataset, self.rows), self.rows)

    def _check_length(self, dataset: Dataset) -> None:
        if len(dataset) != self.n_rows:
            raise InputError(
                f"the dataset has {len(dataset)} rows, the selection was made of {self.n_rows}; give the same pool"
            )

    def _joined(self, dataset: Dataset, rows: NDArray[np.int64]) -> Dataset:
        dataset = dataset.remove_columns([name for name in OUTPUT_FEATURES if name in dataset.column_names])
        pick_number = np.full(self.n_rows, -1, np.int32)
        pick_number[self.rows] = np.arange(len(self), dtype=np.int32)
        picks = pick_number[rows]
        skipped = picks < 0
        lists = pa.ListArray.from_arrays(pa.array(self.leaf_starts, pa.int32()), pa.array(self.leaves, pa.int64()))
        table = pa.table(
            {
                "selected": ~skipped,
                "pick_number": pa.array(picks, mask=skipped),
                "gain": pa.array(self.gains[picks], mask=skipped),
                "new_leaves": lists.take(pa.array(picks, mask=skipped)),
            }
        )
        return concatenate_datasets([dataset, Dataset(table)], axis=1)


def newly_covered(
    picks: NDArray[np.int64], starts: NDArray[np.int64], leaves: NDArray[Any], taken: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The leaves that each pick is the first to have, rows `taken` coming before all: (leaf_starts, leaves)."""
    order = np.concatenate([taken, picks])
    sizes = starts[order + 1] - starts[order]
    ends = np.cumsum(sizes)
    entries = np.arange(sizes.sum()) - np.repeat(ends - sizes - starts[order], sizes)
    values = leaves[entries]
    by_value = np.argsort(values, kind="stable")
    is_first = np.ones(len(values), bool)
    is_first[by_value[1:]] = values[by_value[1:]] != values[by_value[:-1]]
    is_first[: sizes[: len(taken)].sum()] = False
    owner = np.repeat(np.arange(len(order)), sizes)[is_first] - len(taken)
    counts = np.bincount(owner, minlength=len(picks))
    return np.concatenate([[0], np.cumsum(counts)]), values[is_first].astype(np.int64)
