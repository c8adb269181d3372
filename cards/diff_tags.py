"""How tags shifted between two releases: shares of rows, diversity, complexity, and what raw tags became."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset
from numpy.typing import NDArray

from tagsmith.cards.diff_codes import codes, wide_type
from tagsmith.cards.diff_rows import pair_up

_TEXT = pa.large_string()
_TAGS = pa.large_list(_TEXT)


@dataclass(frozen=True)
class TagShift:
    """One tag: rows that carry it in A and in B, and their shares of the tagged rows (0 to 1)."""

    tag: str
    rows_a: int
    rows_b: int
    share_a: float
    share_b: float

    @property
    def change(self) -> float:
        """Share in B less share in A: -1 to 1."""
        return self.share_b - self.share_a


@dataclass(frozen=True)
class TagDiff:
    """The tags of one split.

    Args:
        config, split: which rows.
        rows_a, rows_b: rows with a list of tags, be it empty; one without (null) was not tagged.
        tags_a, tags_b: different tags that they carry.
        diversity_a, diversity_b: share of the tags of both together that each carries (as #InsTag, §3.4).
        complexity_a, complexity_b: different tags a row, on average; None without tagged rows.
        came, went: tags that only B has, and only A.
        shifts: every tag whose number of rows or share differs, the largest change of share first.
    """

    config: str
    split: str
    rows_a: int
    rows_b: int
    tags_a: int
    tags_b: int
    diversity_a: float
    diversity_b: float
    complexity_a: float | None
    complexity_b: float | None
    came: int
    went: int
    shifts: Sequence[TagShift]


@dataclass(frozen=True)
class VocabularyMove:
    """A raw tag that both vocabularies know and treat otherwise; None stands for dropped."""

    raw: str
    canonical_a: str | None
    canonical_b: str | None
    count_a: int
    count_b: int


@dataclass(frozen=True)
class VocabularyDiff:
    """What became of raw tags.

    Args:
        raw_a, raw_b: raw tags.
        canonical_a, canonical_b: canonical tags that they lead to.
        came, went: raw tags that only B knows, and only A.
        moves: raw tags of both with another canonical tag, the most frequent first.
    """

    raw_a: int
    raw_b: int
    canonical_a: int
    canonical_b: int
    came: int
    went: int
    moves: Sequence[VocabularyMove]


def has_tags(dataset: Dataset) -> bool:
    """Whether there is a column `tags` of lists of text."""
    return "tags" in dataset.column_names and wide_type(dataset.data.table.schema.field("tags").type) == _TAGS


def compare_tags(config: str, split: str, a: Dataset, b: Dataset) -> TagDiff | None:
    """Compare the column `tags` of a split; None where no row of either carries a tag.

    A tag that a row names twice counts once.
    """
    (rows_a, names_a), (rows_b, names_b) = _tags(a), _tags(b)
    both = pa.concat_arrays([names_a, names_b]).dictionary_encode()
    names = both.dictionary.to_pylist()
    if not names:
        return None
    numbers = np.asarray(both.indices, np.int64)
    counts = [
        np.bincount(numbers[part], minlength=len(names)) for part in (slice(0, len(names_a)), slice(len(names_a), None))
    ]
    shares = [count / max(1, rows) for count, rows in zip(counts, (rows_a, rows_b), strict=True)]
    differs = (counts[0] != counts[1]) | (shares[0] != shares[1])
    shifts = [
        TagShift(names[n], int(counts[0][n]), int(counts[1][n]), float(shares[0][n]), float(shares[1][n]))
        for n in np.flatnonzero(differs)
    ]
    present = [int((count > 0).sum()) for count in counts]
    means = [float(count.sum() / rows) if rows else None for count, rows in zip(counts, (rows_a, rows_b), strict=True)]
    return TagDiff(
        config=config,
        split=split,
        rows_a=rows_a,
        rows_b=rows_b,
        tags_a=present[0],
        tags_b=present[1],
        diversity_a=present[0] / len(names),
        diversity_b=present[1] / len(names),
        complexity_a=means[0],
        complexity_b=means[1],
        came=int((counts[0] == 0).sum()),
        went=int((counts[1] == 0).sum()),
        shifts=sorted(shifts, key=lambda shift: (-abs(shift.change), shift.tag)),
    )


def compare_vocabularies(a: Dataset, b: Dataset) -> VocabularyDiff | None:
    """Compare two vocabularies (`raw`, `canonical`, `count`); None where a column is missing."""
    if not all({"raw", "canonical", "count"} <= set(side.column_names) for side in (a, b)):
        return None
    (raw_a, canonical_a, count_a), (raw_b, canonical_b, count_b) = _vocabulary(a), _vocabulary(b)
    numbers = codes(pa.concat_arrays([raw_a, raw_b]))
    at_a, at_b = pair_up(numbers[: len(raw_a)], numbers[len(raw_a) :])
    canonical = codes(pa.concat_arrays([canonical_a, canonical_b]))
    moved = np.flatnonzero(canonical[: len(raw_a)][at_a] != canonical[len(raw_a) :][at_b])
    moves = [
        VocabularyMove(
            raw_a[i].as_py(),
            canonical_a[i].as_py(),
            canonical_b[j].as_py(),
            count_a[i].as_py() or 0,
            count_b[j].as_py() or 0,
        )
        for i, j in zip(at_a[moved].tolist(), at_b[moved].tolist(), strict=True)
    ]
    return VocabularyDiff(
        raw_a=len(raw_a),
        raw_b=len(raw_b),
        canonical_a=pc.count_distinct(canonical_a).as_py(),
        canonical_b=pc.count_distinct(canonical_b).as_py(),
        came=len(raw_b) - len(at_b),
        went=len(raw_a) - len(at_a),
        moves=sorted(moves, key=lambda move: (-max(move.count_a, move.count_b), move.raw)),
    )


def _tags(dataset: Dataset) -> tuple[int, pa.Array]:
    """How many rows are tagged, and their tags, each once a row."""
    lists = _column(dataset, "tags", _TAGS)
    rows, names = np.asarray(pc.list_parent_indices(lists), np.int64), pc.list_flatten(lists)
    known = np.asarray(names.is_valid())
    rows, names = rows[known], names.drop_null()
    numbers: NDArray[np.int64] = codes(names)
    _, first = np.unique(rows * (len(names) + 1) + numbers, return_index=True)
    return len(lists) - lists.null_count, names.take(pa.array(np.sort(first)))


def _vocabulary(dataset: Dataset) -> tuple[pa.Array, pa.Array, pa.Array]:
    return _column(dataset, "raw", _TEXT), _column(dataset, "canonical", _TEXT), _column(dataset, "count", pa.int64())


def _column(dataset: Dataset, name: str, kind: pa.DataType) -> pa.Array:
    column = dataset.data.table[name].cast(kind)
    return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
