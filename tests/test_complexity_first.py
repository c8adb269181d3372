"""Alg. 1: reading tag lists, identical picks to the plain reference, and the fitted selection as a processor."""

import importlib.util
import pickle
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from datasets import Dataset, DatasetDict, Features, LargeList, List, Value
from datasets.fingerprint import Hasher
from hypothesis import given, settings
from hypothesis import strategies as st

from tagsmith.processors.errors import InputError
from tagsmith.processors.instag.complexity_first import ComplexityFirstSelector, complexity_first
from tagsmith.processors.tag_sets import TagSets, read_tag_sets

ORACLE = Path(__file__).resolve().parents[2] / "shared" / "oracle" / "complexity_first_reference.py"

few_tags = st.sampled_from(["a", "b", "c", "d", "e", "f"])
any_tags = st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
tag_lists = st.lists(st.lists(few_tags | any_tags, max_size=6), max_size=25)


def as_lists(tag_sets: TagSets) -> list[list[str]]:
    rows = zip(tag_sets.indptr, tag_sets.indptr[1:], strict=False)
    return [[tag_sets.vocabulary[tag] for tag in tag_sets.indices[start:end]] for start, end in rows]


def plain_alg_1(tags: list[list[str]], n: int) -> tuple[list[int], list[int]]:
    """Alg. 1 as printed, with the pass in which each row was taken."""
    rest = sorted(range(len(tags)), key=lambda row: -len(set(tags[row])))
    picks, passes, number = [], [], 0
    while len(picks) < n:
        number += 1
        met: set[str] = set()
        for row in list(rest):
            if len(met | set(tags[row])) > len(met):
                picks.append(row)
                passes.append(number)
                met |= set(tags[row])
                rest.remove(row)
                if len(picks) == n:
                    break
    return picks, passes


# Reading tag lists


def test_repeated_tags_count_once_and_tags_are_numbered_as_they_occur():
    tag_sets = read_tag_sets([["b", "a", "b"], [], ["c", "b"]])
    assert tag_sets.vocabulary == ["b", "a", "c"]
    assert tag_sets.indptr.tolist() == [0, 2, 2, 4]
    assert tag_sets.indices.tolist() == [0, 1, 0, 2]
    assert tag_sets.sizes.tolist() == [2, 0, 2]
    assert tag_sets.tag_counts.tolist() == [2, 1, 1]


@pytest.mark.parametrize(
    "kind",
    [
        pa.list_(pa.string()),
        pa.large_list(pa.large_string()),
        pa.list_(pa.string_view()),
        pa.list_(pa.dictionary(pa.int8(), pa.string())),
    ],
    ids=str,
)
def test_all_arrow_list_and_string_types_read_the_same(kind):
    tags = [["x", "y", "x"], [], ["y", "ü"], ["z"]]
    expected = as_lists(read_tag_sets(tags))
    array = pa.array(tags, kind)
    assert as_lists(read_tag_sets(array)) == expected
    assert as_lists(read_tag_sets(array.slice(1, 3))) == expected[1:]
    assert as_lists(read_tag_sets(pa.chunked_array([array.slice(0, 1), array.slice(1, 0), array.slice(1)]))) == expected
    assert as_lists(read_tag_sets(pa.table({"tags": array}))) == expected


def test_fixed_size_lists_read_too():
    assert as_lists(read_tag_sets(pa.array([["a", "b"], ["b", "b"]], pa.list_(pa.string(), 2)))) == [["a", "b"], ["b"]]


@pytest.mark.parametrize("feature", [List(Value("string")), LargeList(Value("large_string"))], ids=str)
def test_selected_shuffled_and_formatted_datasets_read_the_rows_that_they_show(feature):
    tags = [[str(number), "every"] for number in range(50)]
    dataset = Dataset.from_dict({"tags": tags}, features=Features({"tags": feature}))
    for view in (dataset, dataset.shuffle(seed=3), dataset.select([7, 7, 2]), dataset.select(range(5, 9))):
        assert [set(row) for row in as_lists(read_tag_sets(view))] == [set(row) for row in view["tags"]]
        assert as_lists(read_tag_sets(view.with_format("numpy"))) == as_lists(read_tag_sets(view))
        assert as_lists(read_tag_sets(view["tags"])) == as_lists(read_tag_sets(view))


@pytest.mark.parametrize("tags", [[], [[]], [[], []], pa.chunked_array([], pa.list_(pa.string())), pa.array([[]])])
def test_no_tags_at_all_is_an_empty_vocabulary(tags):
    tag_sets = read_tag_sets(tags)
    assert len(tag_sets) == len(tags)
    assert tag_sets.vocabulary == []
    assert not tag_sets.sizes.any()


@given(tag_lists, st.data())
@settings(max_examples=60, deadline=None)
def test_any_tags_survive_the_round_trip(tags, data):
    cut = data.draw(st.integers(0, len(tags)))
    chunks = [pa.array(part, pa.list_(pa.string())) for part in (tags[:cut], tags[cut:])]
    for given_as in (tags, pa.chunked_array(chunks)):
        tag_sets = read_tag_sets(given_as)
        assert [set(row) for row in as_lists(tag_sets)] == [set(row) for row in tags]
        assert tag_sets.sizes.tolist() == [len(set(row)) for row in tags]
    order = data.draw(st.permutations(range(len(tags))))
    taken = as_lists(tag_sets.take(np.array(order, np.int64)))
    assert [set(row) for row in taken] == [set(tags[row]) for row in order]


BAD_ROWS = [
    ([["a"], None, ["b"]], "row 1: got null"),
    ([["a"], [], ["b", None]], "row 2: got "),
    ([["a"], "ab"], "row 1: got 'ab'"),
    ([["a"], ["b", 3]], "row 1: got ['b', 3]"),
    ([["a", b"b"]], "row 0: got ['a', b'b']"),
    ([["fine"], ["\ud800"]], "row 1: got a tag that is not valid Unicode"),
    (pa.array([["a"], None]), "row 1: got null"),
    (pa.array([["a"], None]).slice(1), "row 0: got null"),
    (pa.chunked_array([pa.array([["a", "b"]]), pa.array([[], ["c", None]])]), "row 2: got a list with a null tag"),
    (pa.array([[None]]), "row 0: got a list with a null tag"),
    (pa.array([None, None]), "row 0: got null"),
    (pa.array([[], [1, 2]]), "row 1: got a list of int64"),
]


@pytest.mark.parametrize(("tags", "message"), BAD_ROWS, ids=[message for _, message in BAD_ROWS])
def test_a_bad_row_is_named(tags, message):
    with pytest.raises(InputError) as error:
        read_tag_sets(tags, "labels")
    assert f"column 'labels', {message}" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_bad_row_of_a_shuffled_dataset_is_named_by_its_place_there():
    dataset = Dataset.from_dict({"tags": [["a"], None, ["b"]]}).select([2, 0, 1])
    with pytest.raises(InputError, match="row 2: got null"):
        read_tag_sets(dataset)


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        (Dataset.from_dict({"labels": [["a"]], "text": ["t"]}), "no column 'tags' .* the columns are: labels, text"),
        (Dataset.from_dict({"tags": ["a"]}), "column 'tags' holds string; expected lists"),
        (DatasetDict({"train": Dataset.from_dict({"tags": [["a"]]})}), "got DatasetDict; give a Dataset"),
        ("abc", "got str; give a Dataset"),
    ],
)
def test_what_holds_no_tag_lists_is_refused(tags, message):
    with pytest.raises(InputError, match=message):
        read_tag_sets(tags)


# Picks

# Row 1 and 4 tie on three tags, so 1 leads; row 3 is never picked. Pass 1: 1 (a b c), 4 (d), 5 (e). Pass 2: 0 (a d),
# 2 (b) adds to it, 6 adds nothing. Pass 3: 6.
HANDMADE = [["a", "d"], ["a", "b", "c"], ["b", "b"], [], ["c", "b", "d"], ["e", "e", "a"], ["d"]]


def test_handmade_pool():
    rows, passes = ComplexityFirstSelector(6).select(HANDMADE)
    assert rows.tolist() == [1, 4, 5, 0, 2, 6]
    assert passes.tolist() == [1, 1, 1, 2, 2, 3]


@given(tag_lists)
@settings(max_examples=150, deadline=None)
def test_equals_alg_1_for_every_n(tags):
    with_tags = sum(1 for row in tags if row)
    for n in range(1, with_tags + 1):
        rows, passes = ComplexityFirstSelector(n).select(tags)
        assert (rows.tolist(), passes.tolist()) == plain_alg_1(tags, n)
    with pytest.raises(InputError, match=f"only {with_tags} of the {len(tags)} rows have a tag"):
        ComplexityFirstSelector(with_tags + 1).select(tags)


@pytest.fixture(scope="module")
def oracle():
    if not ORACLE.exists():
        pytest.skip("../shared/oracle is not beside this checkout")
    spec = importlib.util.spec_from_file_location("complexity_first_reference", ORACLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@given(tags=tag_lists, n=st.integers(1, 30))
@settings(max_examples=150, deadline=None)
def test_same_picks_as_the_oracle(oracle, tags, n):
    rows, _ = complexity_first(read_tag_sets(tags), n)
    assert rows.tolist() == oracle.select(tags, n)


@pytest.mark.parametrize("n", [1, 700, 3_000])
def test_same_picks_as_the_oracle_on_a_skewed_pool(oracle, n):
    # Rare tags make the first rows all picks: runs of taken rows longer than the look-ahead window.
    generator = np.random.default_rng(0)
    tags = [[str(tag) for tag in generator.zipf(1.3, 1 + generator.poisson(4)) if tag < 500] for _ in range(4_000)]
    rows, _ = ComplexityFirstSelector(n).select(tags)
    assert rows.tolist() == oracle.select(tags, n)


@pytest.mark.parametrize("run", range(1, 100))
def test_a_tag_s_next_row_is_found_behind_any_run_of_taken_ones(run):
    # The first pass takes `run` rows for their own tags, all of which hold the common tag too.
    tags = [["common", f"own {row}"] for row in range(run)] + [["common"]] * 2
    rows, passes = ComplexityFirstSelector(run + 2).select(tags)
    assert rows.tolist() == list(range(run + 2))
    assert passes.tolist() == [1] * run + [2, 3]


def test_rows_with_very_many_tags_come_first():
    tags = [["a"], [str(number) for number in range(70_000)], [str(number) for number in range(300)], ["a", "b"]]
    assert ComplexityFirstSelector(4).select(tags)[0].tolist() == [1, 3, 2, 0]


def test_tags_that_no_row_carries_are_passed_by():
    pool = read_tag_sets([["a"], ["b"], ["c", "a"]]).take(np.array([1]))
    assert [part.tolist() for part in complexity_first(pool, 5)] == [[0], [1]]


@pytest.mark.parametrize("n", [0, -1, 2.5, True, "6"])
def test_n_must_be_a_whole_number_from_one(n):
    with pytest.raises(InputError, match=r"give the number of rows to keep"):
        ComplexityFirstSelector(n)


# The fitted selection


@pytest.fixture
def pool():
    return Dataset.from_dict({"id": list("tuvwxyz"), "tags": HANDMADE})


MARKED = {
    "selected": [True, True, False, False, True, True, False],
    "pass_number": [2, 1, None, None, 1, 1, None],
    "pick_number": [3, 0, None, None, 1, 2, None],
}


def test_choose_gives_the_rows_in_pick_order(pool):
    chosen = ComplexityFirstSelector(4).choose(pool)
    assert chosen["id"][:] == ["u", "x", "y", "t"]
    assert chosen["selected"][:] == [True] * 4
    assert chosen["pass_number"][:] == [1, 1, 1, 2]
    assert chosen["pick_number"][:] == [0, 1, 2, 3]


def test_choose_follows_a_shuffled_pool(pool):
    shuffled = pool.select([6, 5, 4, 3, 2, 1, 0])
    assert ComplexityFirstSelector(4).choose(shuffled)["id"][:] == ["x", "u", "y", "t"]


def test_mark_keeps_all_rows(pool):
    marked = ComplexityFirstSelector(4).fit(pool).mark(pool)
    assert marked["id"][:] == pool["id"][:]
    assert {name: marked[name][:] for name in MARKED} == MARKED
    assert {name: marked.features[name].dtype for name in MARKED} == {
        "selected": "bool",
        "pass_number": "int32",
        "pick_number": "int32",
    }


def test_marking_again_replaces_the_columns(pool):
    once = ComplexityFirstSelector(1).fit(pool).mark(pool)
    again = ComplexityFirstSelector(4).fit(once).mark(once)
    assert {name: again[name][:] for name in MARKED} == MARKED
    assert ComplexityFirstSelector(2).choose(once)["pick_number"][:] == [0, 1]


@pytest.mark.parametrize("batch_size", [1, 3, 1000])
def test_it_is_a_batch_function_for_dataset_map(pool, batch_size):
    pool = pool.select([3, 2, 6, 0, 1, 4, 5])  # rows that are not picked come first: their nulls need a type
    selection = ComplexityFirstSelector(4).fit(pool)
    options = {"batched": True, "with_indices": True, "batch_size": batch_size, "writer_batch_size": batch_size}
    mapped = pool.map(selection, features=selection.features(pool), **options)
    marked = selection.mark(pool)
    assert mapped.features == marked.features
    assert mapped.to_list() == marked.to_list()
    assert mapped["pick_number"][:] == [None, None, None, 3, 0, 1, 2]


def test_a_selection_filters(pool):
    selection = ComplexityFirstSelector(4).fit(pool)
    kept = pool.filter(lambda batch, rows: selection(batch, rows)["selected"], batched=True, with_indices=True)
    assert kept["id"][:] == ["t", "u", "x", "y"]


def test_a_selection_pickles_and_hashes_by_content(pool):
    selection = ComplexityFirstSelector(4).fit(pool)
    copy = pickle.loads(pickle.dumps(selection))
    assert copy.rows.tolist() == selection.rows.tolist() == [1, 4, 5, 0]
    before = Hasher.hash(selection)
    selection.mark(pool)
    assert Hasher.hash(selection) == Hasher.hash(copy) == before
    assert Hasher.hash(ComplexityFirstSelector(5).fit(pool)) != before


def test_a_selection_refuses_another_pool(pool):
    selection = ComplexityFirstSelector(2).fit(pool.select(range(5)))
    with pytest.raises(InputError, match="the dataset has 7 rows, the selection was fitted on 5"):
        selection.choose(pool)
    with pytest.raises(InputError, match="the dataset has 7 rows, the selection was fitted on 5"):
        selection.mark(pool)
    with pytest.raises(InputError, match="row 6: the selection was fitted on 5 rows"):
        selection({}, [4, 5, 6])


def test_another_tags_column(pool):
    renamed = pool.rename_column("tags", "labels")
    assert ComplexityFirstSelector(1, tags_column="labels").choose(renamed)["id"][:] == ["u"]
    with pytest.raises(InputError, match="no column 'tags'"):
        ComplexityFirstSelector(1).choose(renamed)
