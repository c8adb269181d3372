"""The content hash: equal exactly where the rows are, however they lie in memory or in files."""

import pytest
from datasets import ClassLabel, Dataset, Features, List, Value, concatenate_datasets
from hypothesis import given, settings
from hypothesis import strategies as st

from tagsmith.cards.content_hash import content_hash
from tagsmith.cards.errors import ReleaseError

FEATURES = Features(
    {
        "text": Value("string"),
        "messages": List({"role": Value("string"), "content": Value("string")}),
        "tags": List(Value("string")),
        "score": Value("float32"),
        "kept": Value("bool"),
        "kind": ClassLabel(names=["plain", "hard"]),
        "nothing": Value("null"),
    }
)
TURNS = [{"role": "user", "content": "hé"}, {"role": "assistant", "content": None}]
ROWS = [
    {"text": "one", "messages": TURNS, "tags": ["a", "bc"], "score": 0.5, "kept": True, "kind": 0},
    {"text": "", "messages": [], "tags": [], "score": None, "kept": None, "kind": 1},
    {"text": None, "messages": None, "tags": None, "score": -1.0, "kept": False, "kind": None},
    {"text": "四 🌅", "messages": TURNS[:1], "tags": [None], "score": 2.0, "kept": True, "kind": 1},
]


def rows(items=ROWS):
    return Dataset.from_list([item | {"nothing": None} for item in items], features=FEATURES)


def test_layout_does_not_count(tmp_path):
    whole = rows()
    expected = content_hash(whole)
    assert content_hash(concatenate_datasets([whole.select([n]) for n in range(4)])) == expected
    assert content_hash(whole.select([3, 2, 1, 0]).select([3, 2, 1, 0])) == expected
    assert content_hash(concatenate_datasets([whole, whole]).select(range(4, 8))) == expected
    assert content_hash(whole.select_columns(list(reversed(whole.column_names)))) == expected
    for group in (1, 3, 100):
        whole.to_parquet(tmp_path / f"{group}.parquet", batch_size=group)
        loaded = Dataset.from_parquet(str(tmp_path / f"{group}.parquet"), cache_dir=str(tmp_path / "cache"))
        assert content_hash(loaded) == expected


def test_chunks_that_cross_the_blocks_of_the_hash_do_not_count():
    numbers = Dataset.from_dict({"text": [f"row {n}" for n in range(25_000)]})
    parts = [numbers.select(range(a, b)) for a, b in ((0, 1), (1, 9_999), (9_999, 20_001), (20_001, 25_000))]
    assert content_hash(concatenate_datasets(parts)) == content_hash(numbers)


@pytest.mark.parametrize(
    ("row", "column", "value"),
    [
        (0, "text", "One"),
        (1, "text", None),
        (2, "text", ""),
        (0, "messages", [TURNS[0], {"role": "assistant", "content": ""}]),
        (0, "messages", [TURNS[0], None]),
        (1, "messages", None),
        (0, "tags", ["ab", "c"]),
        (1, "tags", [""]),
        (2, "tags", []),
        (3, "tags", [""]),
        (1, "score", 0.0),
        (0, "score", 0.25),
        (1, "kept", False),
        (0, "kept", False),
        (2, "kind", 0),
    ],
)
def test_one_changed_cell_counts(row, column, value):
    changed = [dict(item) for item in ROWS]
    changed[row][column] = value
    assert content_hash(rows(changed)) != content_hash(rows())


def test_a_value_that_moves_to_the_next_list_counts():
    one, other = ([{**ROWS[0], "tags": tags} for tags in pair] for pair in ((["a", "b"], ["c"]), (["a"], ["b", "c"])))
    assert content_hash(rows(one)) != content_hash(rows(other))


def test_order_names_types_and_nulls_count():
    datasets = [
        Dataset.from_dict({"a": [1, 2], "b": [0, 0]}),
        Dataset.from_dict({"a": [2, 1], "b": [0, 0]}),
        Dataset.from_dict({"b": [1, 2], "a": [0, 0]}),
        Dataset.from_dict({"a": ["1", "2"], "b": [0, 0]}),
        Dataset.from_dict({"a": [None, 2], "b": [0, 0]}),
        Dataset.from_dict({"a": [1, 2]}),
        Dataset.from_dict({"a": [1, 2], "b": [0, 0]}).select([]),
        Dataset.from_dict({"a": [0]}, features=Features(a=Value("int8"))),
        Dataset.from_dict({"a": [None]}, features=Features(a=Value("int8"))),
    ]
    assert len({content_hash(dataset) for dataset in datasets}) == len(datasets)


_ITEMS = st.fixed_dictionaries(
    {
        "text": st.none() | st.text(max_size=3),
        "tags": st.none() | st.lists(st.none() | st.text(max_size=2), max_size=3),
        "score": st.none() | st.integers(-2, 2).map(float),
        "kept": st.none() | st.booleans(),
    }
)


@settings(max_examples=20, deadline=None)
@given(st.lists(_ITEMS, min_size=1, max_size=5), st.data())
def test_equal_exactly_where_the_rows_are(items, data):
    items = [ROWS[0] | item for item in items]
    cut = data.draw(st.integers(0, len(items)))
    parts = [rows(part) for part in (items[:cut], items[cut:]) if part]
    assert content_hash(concatenate_datasets(parts)) == content_hash(rows(items))
    other = data.draw(st.permutations(items))
    assert (content_hash(rows(other)) == content_hash(rows(items))) == (other == items)


def test_a_type_without_a_hash_is_named():
    import pyarrow as pa

    views = Dataset(pa.table({"v": pa.array(["a"], pa.string_view())}))
    with pytest.raises(ReleaseError, match="column 'v' has Arrow type string_view, which has no content hash"):
        content_hash(views)
