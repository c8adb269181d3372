"""Rows of two datasets are paired as one would by hand, and equal values have equal numbers."""

import math
from collections import Counter
from datetime import datetime

import pyarrow as pa
import pytest
from datasets import Dataset, Features, List, Value
from hypothesis import given, settings
from hypothesis import strategies as st

from tagsmith.cards.diff_codes import codes, joint, wide_type
from tagsmith.cards.diff_rows import compare_rows
from tagsmith.cards.errors import ReleaseError

TEXT = Value("string")
FEATURES = Features(
    id=TEXT,
    parent_id=TEXT,
    iteration=Value("int8"),
    x=Value("float32"),
    tags=List(TEXT),
    turns=List({"role": TEXT, "content": List(Value("int8"))}),
)
QUICK = settings(deadline=None, max_examples=50)
SMALL = st.sampled_from([None, "", "r", "s", "t"])
COLUMNS = {
    "id": SMALL,
    "parent_id": SMALL,
    "iteration": st.sampled_from([None, 1, 2]),
    "x": st.sampled_from([None, 0.0, -0.0, math.nan, 1.5]),
    "tags": st.sampled_from([None, [], [None], [""], ["r"], ["r", "s"], ["s", "r"], ["rs"]]),
    "turns": st.sampled_from(
        [
            None,
            [],
            [None],
            [None, None],
            *([{"role": role, "content": c}] for role in (None, "r") for c in (None, [], [1])),
        ]
    ),
}
A_ROW = st.tuples(*COLUMNS.values()).map(lambda values: dict(zip(COLUMNS, values, strict=True)))
SOME_ROWS = st.lists(A_ROW, max_size=8)
KEYED_ROWS = st.lists(A_ROW, max_size=8, unique_by=lambda row: row["id"])


def dataset(rows):
    return Dataset(pa.Table.from_pylist(rows, schema=FEATURES.arrow_schema), fingerprint="0")


def said(row):
    """A row or value so that what is equal has equal words: NaN is itself, 0.0 is not -0.0."""
    return repr(row)


def paired_plainly(a, b):
    """Removed, added, changed and same rows by the rule of docs/diff.md, a row at a time."""
    left_a, left_b = dict(enumerate(a)), dict(enumerate(b))
    pairs = []
    steps = (said, lambda row: ("id", row["id"]), lambda row: row["parent_id"] and (row["parent_id"], row["iteration"]))
    for key in steps:
        for i, row in list(left_a.items()):
            j = next((j for j, other in left_b.items() if key(row) and key(other) == key(row)), None)
            if j is not None:
                pairs.append((left_a.pop(i), left_b.pop(j)))
    changed = sum(said(x) != said(y) for x, y in pairs)
    return len(left_a), len(left_b), changed, len(pairs) - changed


def numbers(pairs):
    changed = int(pairs.changed.sum())
    return len(pairs.removed), len(pairs.added), changed, len(pairs.in_a) - changed


@QUICK
@given(SOME_ROWS, SOME_ROWS)
def test_rows_are_paired_as_one_would_by_hand(a, b):
    _, pairs = compare_rows(dataset(a), dataset(b))
    assert numbers(pairs) == paired_plainly(a, b)
    assert sorted([*pairs.in_a, *pairs.removed]) == list(range(len(a)))
    assert sorted([*pairs.in_b, *pairs.added]) == list(range(len(b)))
    for name, differs in pairs.differs.items():
        values = [(said(a[i][name]), said(b[j][name])) for i, j in zip(pairs.in_a, pairs.in_b, strict=True)]
        assert differs.tolist() == [x != y for x, y in values]


@QUICK
@given(SOME_ROWS)
def test_a_dataset_is_equal_to_itself(rows):
    columns, pairs = compare_rows(dataset(rows), dataset(rows))
    assert numbers(pairs) == (0, 0, 0, len(rows))
    assert not pairs.differs
    assert not pairs.reordered
    assert not columns.any


@QUICK
@given(KEYED_ROWS, KEYED_ROWS)
def test_what_was_added_is_removed_the_other_way_round(a, b):
    _, there = compare_rows(dataset(a), dataset(b))
    _, back = compare_rows(dataset(b), dataset(a))
    assert [there.removed.tolist(), there.added.tolist()] == [back.added.tolist(), back.removed.tolist()]
    assert numbers(there)[2:] == numbers(back)[2:]
    assert there.reordered == back.reordered


@QUICK
@given(SOME_ROWS, st.randoms(use_true_random=False))
def test_shuffled_rows_are_the_same_rows(rows, random):
    other = list(rows)
    random.shuffle(other)
    _, pairs = compare_rows(dataset(rows), dataset(other))
    assert numbers(pairs) == (0, 0, 0, len(rows))


@QUICK
@given(SOME_ROWS.filter(bool))
def test_values_have_the_same_number_exactly_when_they_are_equal(rows):
    table = dataset(rows).data.table.combine_chunks()
    for name in FEATURES:
        column = table[name].chunk(0)
        found = codes(column.cast(wide_type(column.type)))
        words = [said(row[name]) for row in rows]
        assert [[x == y for y in found] for x in found] == [[x == y for y in words] for x in words]
    whole = joint([codes(table[name].chunk(0).cast(wide_type(table[name].type))) for name in FEATURES])
    assert len(set(whole.tolist())) == len(Counter(map(said, rows)))


@pytest.mark.parametrize(
    "values",
    [
        pa.array([1.5, None, 1.5], pa.float16()),
        pa.array([True, None, True]),
        pa.array([datetime(2024, 5, 1), None, datetime(2024, 5, 1)]),
        pa.array([b"x", None, b"x"], pa.binary(1)),
        pa.array(["x", None, "x"]).dictionary_encode(),
        pa.array([[1, 2], None, [1, 2]], pa.list_(pa.int8(), 2)),
        pa.array([{"x": None}, None, {"x": None}], pa.struct([("x", pa.string())])),
        pa.array([7, None, 1, None, 1], pa.int64())[2:],
    ],
)
def test_every_type_of_a_dataset_has_numbers(values):
    assert len(set(codes(values.cast(wide_type(values.type))).tolist())) == 2


def test_a_type_that_no_dataset_has_is_refused():
    values = pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int64()))
    with pytest.raises(ReleaseError, match="Arrow type map<string, int64>, which cannot be compared"):
        codes(values)
