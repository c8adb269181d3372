"""Which rows of two datasets belong together, and in which columns they differ: exact, a column at a time."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import ClassLabel, Dataset
from numpy.typing import NDArray

from tagsmith.cards.diff_codes import Codes, codes, joint, wide_type

KEYS = ("id", "key", "raw")  # of rows, of recorded generations, of a vocabulary

_Positions = NDArray[np.int64]
_Roots = Callable[[pa.Array], pa.Array]


@dataclass(frozen=True)
class ColumnChanges:
    """How the columns of two datasets differ, each with its type.

    Args:
        removed, added: columns of only one of the two.
        retyped: columns whose type differs, with both types. Their values are compared all the same, as the narrowest
            type that holds both, unless there is none.
        not_compared: retyped columns without such a type: numbers beside text, say.
    """

    removed: Mapping[str, str]
    added: Mapping[str, str]
    retyped: Mapping[str, tuple[str, str]]
    not_compared: Sequence[str]

    @property
    def any(self) -> bool:
        """Whether there is any difference."""
        return bool(self.removed or self.added or self.retyped)


@dataclass(frozen=True, eq=False)
class RowPairs:
    """Rows of A and B that belong together, by their positions.

    Args:
        key: the column that told rows apart; None where whole rows were compared.
        removed, added: rows of A, and of B, that belong to none of the other.
        in_a, in_b: the pairs, in the order of A.
        differs: for each column in which a pair differs, which pairs do; the column with most first.
        repeated_a, repeated_b: rows whose key an earlier row has too.
    """

    key: str | None
    removed: _Positions
    added: _Positions
    in_a: _Positions
    in_b: _Positions
    differs: Mapping[str, NDArray[np.bool_]]
    repeated_a: int
    repeated_b: int

    @property
    def changed(self) -> NDArray[np.bool_]:
        """Of each pair whether it differs at all."""
        changed = np.zeros(len(self.in_a), bool)
        for rows in self.differs.values():
            changed |= rows
        return changed

    @property
    def reordered(self) -> bool:
        """Whether the paired rows come in another order."""
        return bool((np.diff(self.in_b) < 0).any())


def compare_rows(
    a: Dataset, b: Dataset, roots_a: _Roots | None = None, roots_b: _Roots | None = None
) -> tuple[ColumnChanges, RowPairs]:
    """Pair the rows of two datasets and find what differs.

    Rows are paired in steps, each over the rows that are left:
        1. equal in every column, where a key is repeated or there is none;
        2. equal key (`id`, `key` or `raw`; the n-th with the n-th where it is repeated);
        3. equal `parent_id` and `iteration`: a made row has another id as soon as it has another text;
        4. equal first ancestor and `iteration`: its parent's text may have changed too.

    Args:
        roots_a, roots_b: from a column of parents to each one's first ancestor; without them step 4 is left out.

    Raises:
        ReleaseError: a column has a type that cannot be compared.
    """
    changes, columns = _common_columns(a, b)
    n = len(a)
    key = next((name for name in KEYS if name in columns), None)
    steps: list[tuple[Codes, NDArray[np.bool_]]] = []  # numbers of A's rows, then B's; and which rows take part
    repeated_a = repeated_b = 0
    everyone = np.ones(n + len(b), bool)
    if key:
        keys = _codes_of(columns[key])
        repeated_a, repeated_b = _repeated(keys[:n]), _repeated(keys[n:])
        steps.append((keys, everyone))
    if columns and (key is None or repeated_a or repeated_b):
        steps.insert(0, (joint([_codes_of(pair) for pair in columns.values()]), everyone))
    steps += _lineage(columns, roots_a, roots_b)

    left_a, left_b = np.ones(n, bool), np.ones(len(b), bool)
    found: list[tuple[_Positions, _Positions]] = []
    for numbers, takes_part in steps:
        able_a, able_b = np.flatnonzero(left_a & takes_part[:n]), np.flatnonzero(left_b & takes_part[n:])
        at_a, at_b = pair_up(numbers[able_a], numbers[n + able_b])
        found.append((able_a[at_a], able_b[at_b]))
        left_a[found[-1][0]] = left_b[found[-1][1]] = False
    nothing = np.zeros(0, np.int64)
    in_a, in_b = (np.concatenate(side) for side in zip((nothing, nothing), *found, strict=True))
    order = np.argsort(in_a)
    in_a, in_b = in_a[order], in_b[order]
    differs = {name: _differing(_take(x, in_a), _take(y, in_b)) for name, (x, y) in columns.items()}
    differs = {name: rows for name, rows in differs.items() if rows.any()}
    most_first = sorted(differs, key=lambda name: (-int(differs[name].sum()), name))
    pairs = RowPairs(
        key=key,
        removed=np.flatnonzero(left_a),
        added=np.flatnonzero(left_b),
        in_a=in_a,
        in_b=in_b,
        differs={name: differs[name] for name in most_first},
        repeated_a=repeated_a,
        repeated_b=repeated_b,
    )
    return changes, pairs


def pair_up(a: Codes, b: Codes) -> tuple[_Positions, _Positions]:
    """Positions of equal numbers in both, the n-th of each with the n-th."""
    if not len(a) or not len(b):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    most = max(len(a), len(b))
    _, at_a, at_b = np.intersect1d(
        a * most + _occurrence(a), b * most + _occurrence(b), assume_unique=True, return_indices=True
    )
    return at_a, at_b


def _repeated(numbers: Codes) -> int:
    """How many were there before."""
    return len(numbers) - int(np.count_nonzero(np.bincount(numbers)))


def _occurrence(numbers: Codes) -> Codes:
    """How often each number came before: 0 for the first."""
    order = np.argsort(numbers, kind="stable")
    places = np.arange(len(numbers))
    starts = np.r_[True, np.diff(numbers[order]) != 0]
    times = np.empty(len(numbers), np.int64)
    times[order] = places - np.maximum.accumulate(np.where(starts, places, 0))
    return times


def _common_columns(a: Dataset, b: Dataset) -> tuple[ColumnChanges, dict[str, tuple[pa.Array, pa.Array]]]:
    """What differs, and the columns that both have, in one type."""
    words_a, words_b = _type_words(a), _type_words(b)
    columns: dict[str, tuple[pa.Array, pa.Array]] = {}
    not_compared = []
    for name in (name for name in words_a if name in words_b):
        pair = a.data.table[name], b.data.table[name]
        try:
            both = [pa.schema([("x", wide_type(column.type))]) for column in pair]
            kind = pa.unify_schemas(both, promote_options="permissive").field("x").type
            columns[name] = _cast(pair[0], kind), _cast(pair[1], kind)
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
            not_compared.append(name)
    changes = ColumnChanges(
        removed={name: words for name, words in words_a.items() if name not in words_b},
        added={name: words for name, words in words_b.items() if name not in words_a},
        retyped={name: (w, words_b[name]) for name, w in words_a.items() if words_b.get(name, w) != w},
        not_compared=not_compared,
    )
    return changes, columns


def _type_words(dataset: Dataset) -> dict[str, str]:
    """Each column's type for people: `list<string>`, whatever its layout in memory."""
    words = {}
    for name, feature in dataset.features.items():
        if isinstance(feature, ClassLabel):
            words[name] = f"class label ({', '.join(feature.names)})"
        else:
            kind = wide_type(dataset.data.table.schema.field(name).type)
            words[name] = str(kind).replace("large_", "").replace("item: ", "")
    return words


def _cast(column: pa.ChunkedArray, kind: pa.DataType) -> pa.Array:
    chunks = [chunk.storage if isinstance(chunk, pa.ExtensionArray) else chunk for chunk in column.chunks]
    cast = [chunk if chunk.type == kind else chunk.cast(kind) for chunk in chunks]
    return cast[0] if len(cast) == 1 else pa.concat_arrays(cast) if cast else pa.array([], kind)


def _lineage(
    columns: Mapping[str, tuple[pa.Array, pa.Array]], roots_a: _Roots | None, roots_b: _Roots | None
) -> list[tuple[Codes, NDArray[np.bool_]]]:
    """The steps that pair made rows by where they come from."""
    # A `parent_id` alone is a source's own, as threads of a forum have it: it says nothing of how the row was made.
    if not {"parent_id", "iteration"} <= columns.keys() or not pa.types.is_large_string(columns["parent_id"][0].type):
        return []
    parents, iteration = pa.concat_arrays(columns["parent_id"]), _codes_of(columns["iteration"])
    made = np.asarray(pc.fill_null(pc.not_equal(parents, ""), False))
    steps = [(joint([codes(parents), iteration]), made)]
    if roots_a is not None and roots_b is not None:
        n = len(columns["parent_id"][0])
        roots = pa.concat_arrays([roots_a(parents[:n]), roots_b(parents[n:])])
        steps.append((joint([codes(roots), iteration]), made))
    return steps


def _codes_of(pair: tuple[pa.Array, pa.Array]) -> Codes:
    """Numbers of both sides' values, those of A first, so that they can be compared."""
    return codes(pa.concat_arrays(pair))


def _take(column: pa.Array, positions: _Positions) -> pa.Array:
    """The values at those positions; copying long texts costs more than all else, so not if nothing moves."""
    return column if np.array_equal(positions, np.arange(len(column))) else column.take(pa.array(positions))


def _differing(a: pa.Array, b: pa.Array) -> NDArray[np.bool_]:
    """Of each pair of values whether they differ."""
    if pa.types.is_large_string(a.type) or pa.types.is_large_binary(a.type):  # much faster than numbering them
        same = pc.or_(pc.fill_null(pc.equal(a, b), False), pc.and_(a.is_null(), b.is_null()))
        return ~np.asarray(same)
    numbers = _codes_of((a, b))
    differ: NDArray[np.bool_] = numbers[: len(a)] != numbers[len(a) :]
    return differ
