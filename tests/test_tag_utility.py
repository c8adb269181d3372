"""TagUtility: Eq. 1 in both variants, its table on disk, the authors' table, quartiles, and what it refuses."""

import json
import pickle
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import Dataset, load_dataset
from datasets.fingerprint import Hasher
from hypothesis import given, settings
from hypothesis import strategies as st

from tagsmith.processors.errors import InputError
from tagsmith.processors.tag_instruct.utility import TagUtility
from tagsmith.processors.tag_instruct.utility_table import UtilityTable
from tagsmith.processors.token_lengths import TokenCounter

AUTHORS_TABLE = Path(__file__).resolve().parents[2] / "shared" / "data" / "tag-instruct" / "tag_values.jsonl"
# The paper's Table 6: quartile, tag, count, utility as printed. Two of its tags are shortened in print.
TABLE_6 = [
    ("Q4", "data accuracy", 17, "321.48"),
    ("Q4", "pytorch", 125, "321.69"),
    ("Q4", "payment processing", 48, "321.72"),
    ("Q4", "food inquiry", 52, "321.88"),
    ("Q4", "graph database", 7, "321.89"),
    ("Q3", "tableau", 5, "240.90"),
    ("Q3", "satire", 7, "240.90"),
    ("Q3", "event attendance", 19, "240.95"),
    ("Q3", "comparative religion", 57, "240.99"),
    ("Q3", "personality development", 3, "241.00"),
    ("Q2", "recipe write", 7, "176.92"),
    ("Q2", "grammar check", 216, "176.99"),
    ("Q2", "punctuation check", 3, "177.00"),
    ("Q2", "physical interaction", 3, "177.00"),
    ("Q2", "work", 26, "177.13"),
    ("Q1", "mathematical expression evaluation", 3, "20.13"),  # printed: math expression eval
    ("Q1", "code execution environment", 3, "24.38"),  # printed: code execution env
    ("Q1", "repayment", 3, "27.25"),
    ("Q1", "basic operation", 10, "28.39"),
    ("Q1", "number relationship", 3, "28.52"),
]


def rows(tags, responses, **columns):
    return Dataset.from_dict({"base_tags": tags, "response": responses, **columns})


def words(n):
    return "word " * n


def table_of(utility):
    return {row["tag"]: (row["count"], row["total"], row["mean"]) for row in utility.fitted.table.to_pylist()}


def made_table(means, counts=None):
    counts = counts or dict.fromkeys(means, 1)
    lists = {"tag": list(means), "count": [counts[tag] for tag in means]}
    lists |= {"total": [means[tag] * counts[tag] for tag in means], "mean": list(means.values())}
    return pa.table(lists)


FOUR = rows([["a", "b"], ["b"], ["a", "a", "c"], []], [words(6), words(2), words(8), words(100)])


def test_paper_variant_is_the_mean_response_length():
    assert table_of(TagUtility().fit(FOUR)) == {"a": (2, 14.0, 7.0), "b": (2, 8.0, 4.0), "c": (1, 8.0, 8.0)}


def test_official_variant_divides_by_the_distinct_tags_of_the_row():
    fitted = TagUtility(variant="official").fit(FOUR)
    assert table_of(fitted) == {"a": (2, 7.0, 3.5), "b": (2, 5.0, 2.5), "c": (1, 4.0, 4.0)}


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.lists(st.sampled_from("abcde"), max_size=5), st.integers(1, 30)), min_size=1, max_size=12),
    st.sampled_from(["paper", "official"]),
    st.integers(1, 3),
)
def test_equals_a_plain_loop(made, variant, min_count):
    totals, counts = {}, {}
    for tags, length in made:
        for tag in set(tags):
            totals[tag] = totals.get(tag, 0) + (length / len(set(tags)) if variant == "official" else length)
            counts[tag] = counts.get(tag, 0) + 1
    kept = {tag: (n, totals[tag], totals[tag] / n) for tag, n in counts.items() if n >= min_count}
    utility = TagUtility(variant=variant, min_count=min_count)
    dataset = rows([tags for tags, _ in made], [words(length) for _, length in made])
    if not kept:
        with pytest.raises(InputError):
            utility.fit(dataset)
        return
    found = table_of(utility.fit(dataset))
    assert found.keys() == kept.keys()
    for tag, values in kept.items():
        assert found[tag] == pytest.approx(values, abs=1e-9)
    order = [(-mean, tag) for tag, (_, _, mean) in found.items()]
    assert order == sorted(order)  # highest first, equal ones in alphabetical order


def test_the_table_names_tokenizer_variant_and_counts():
    config = TagUtility(variant="official", min_count=1).fit(FOUR).fitted.config
    assert config["tokenizer"] == TokenCounter().identity
    assert {name: config[name] for name in ("variant", "min_count", "rows", "rows_with_tags", "response_tokens")} == {
        "variant": "official",
        "min_count": 1,
        "rows": 4,
        "rows_with_tags": 3,
        "response_tokens": 116,
    }


def test_min_count_drops_rarer_tags():
    assert set(TagUtility(min_count=2).fit(FOUR).fitted.means) == {"a", "b"}
    with pytest.raises(InputError, match="min_count=3 leaves no tag: the most frequent of 3 is in 2 rows"):
        TagUtility(min_count=3).fit(FOUR)


def test_the_processor_adds_each_tags_utility_and_their_mean():
    utility = TagUtility().fit(FOUR)
    asked = Dataset.from_dict({"base_tags": [None, [], ["new"], ["a", "new", "c"]]})
    made = asked.map(utility, batched=True, batch_size=2)
    assert made["tag_utilities"][:] == [None, [], [None], [7.0, None, 8.0]]
    assert made["utility_tokens"][:] == [None, None, None, 7.5]
    assert utility.lookup("c") == 8.0
    assert utility.lookup("C") is None


def test_saved_and_loaded_it_is_the_same(tmp_path):
    utility = TagUtility(variant="official", min_count=2).fit(FOUR)
    utility.save_pretrained(tmp_path / "utility")
    again = TagUtility.from_pretrained(tmp_path / "utility")
    assert again == utility
    assert again.fitted.table.equals(utility.fitted.table)
    assert again.fitted.config == utility.fitted.config


def test_the_folder_is_a_dataset_for_load_dataset(tmp_path):
    TagUtility().fit(FOUR).save_pretrained(tmp_path / "utility")
    loaded = load_dataset(str(tmp_path / "utility"), cache_dir=str(tmp_path / "cache"), split="train")
    assert loaded.to_list()[0] == {"tag": "c", "count": 1, "total": 8.0, "mean": 8.0}


def test_it_pickles_and_hashes_by_its_table():
    utility = TagUtility().fit(FOUR)
    before = Hasher.hash(utility)
    utility.lookup("a")  # fills a cache, which must not count
    assert Hasher.hash(utility) == before
    assert pickle.loads(pickle.dumps(utility)).lookup("b") == 4.0
    assert Hasher.hash(TagUtility(variant="official").fit(FOUR)) != before


def test_pushed_to_the_hub_it_comes_back_and_opens_as_a_dataset(hub):
    utility = TagUtility(variant="official").fit(FOUR)
    commit = utility.push_to_hub("lab/utility", token=hub.token, commit_message="Utility")
    assert "lab/utility" in commit
    again = TagUtility.from_pretrained("lab/utility")
    assert (again.variant, again.fitted.means) == ("official", utility.fitted.means)
    assert load_dataset("lab/utility", split="train").num_rows == 3


def test_a_repository_that_is_not_there_is_named(hub):
    with pytest.raises(InputError, match=r"no utility table at 'lab/nothing'.*give a folder or a dataset repository"):
        TagUtility.from_pretrained("lab/nothing")


# Bad input


def test_without_a_response_column_the_columns_are_named():
    with pytest.raises(InputError, match=r"no column 'response'.*base_tags, answer"):
        TagUtility().fit(Dataset.from_dict({"base_tags": [["a"]], "answer": ["x"]}))


@pytest.mark.parametrize(("bad", "what"), [("", "empty"), ("  \n", "empty"), (None, "null")])
def test_bad_responses_are_counted_and_the_first_row_named(bad, what):
    with pytest.raises(InputError, match=rf"2 of 4 responses are empty, null or not text; first: row 1 \({what}\)"):
        TagUtility().fit(rows([["a"]] * 4, ["x", bad, "y", bad]))


def test_responses_that_are_no_text_are_refused():
    with pytest.raises(InputError, match=r"first: row 0 \(int\)"):
        TagUtility().fit(rows([["a"]], [3]))


def test_no_tags_at_all_is_an_error():
    with pytest.raises(InputError, match="'base_tags' holds no tag in 2 rows; run the encoder first"):
        TagUtility().fit(rows([[], []], ["x", "y"]))


def test_a_row_without_tag_list_is_named():
    with pytest.raises(InputError, match="'base_tags', row 1: got null"):
        TagUtility().fit(rows([["a"], None], ["x", "y"]))


def test_a_missing_tags_column_is_named():
    with pytest.raises(InputError, match="no column 'base_tags'"):
        TagUtility().fit(Dataset.from_dict({"response": ["x"]}))


def test_an_empty_dataset_is_refused():
    with pytest.raises(InputError, match="0 rows"):
        TagUtility().fit(FOUR.select([]))


@pytest.mark.parametrize(
    "settings", [{"variant": "shapley"}, {"min_count": 0}, {"min_count": 2.5}, {"min_count": True}]
)
def test_settings_out_of_range(settings):
    with pytest.raises(InputError, match=next(iter(settings))):
        TagUtility(**settings)


def test_before_fit_there_is_no_table():
    with pytest.raises(InputError, match="no table yet"):
        TagUtility().lookup("a")


def test_a_folder_without_table_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"has no config.json"):
        TagUtility.from_pretrained(tmp_path)


def test_a_damaged_table_is_refused(tmp_path):
    TagUtility().fit(FOUR).save_pretrained(tmp_path)
    (tmp_path / "utility.parquet").write_bytes(b"no parquet")
    with pytest.raises(InputError, match="cannot be read"):
        TagUtility.from_pretrained(tmp_path)


# Tables made elsewhere


def test_both_namings_of_a_table_are_read(tmp_path):
    ours = made_table({"b": 2.0, "a": 3.0}, {"b": 2, "a": 1})
    pq.write_table(ours, tmp_path / "ours.parquet")
    theirs = ours.rename_columns(["tag", "count", "total_value", "average_value"])
    lines = [json.dumps(row) for row in theirs.to_pylist()]
    (tmp_path / "theirs.jsonl").write_text("\n".join(lines), encoding="utf-8")
    expected = [
        {"tag": "a", "count": 1, "total": 3.0, "mean": 3.0},
        {"tag": "b", "count": 2, "total": 4.0, "mean": 2.0},
    ]
    for source in (tmp_path / "ours.parquet", tmp_path / "theirs.jsonl", ours, Dataset(theirs)):
        utility = TagUtility.from_table(source)
        assert utility.fitted.table.to_pylist() == expected
        assert (utility.variant, utility.fitted.config["tokenizer"]) == ("official", None)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"count": 0, "total": 0.0, "mean": 0.0}, "row 1.*count below 1"),
        ({"mean": 9.0}, "row 1.*not total / count"),
        ({"total": float("nan"), "mean": float("nan")}, "row 1.*not total / count"),
        ({"total": float("inf"), "mean": float("inf")}, "row 1.*not total / count"),
        ({"tag": "a"}, "row 1.*seen before"),
        ({"tag": None}, "row 1.*null"),
        ({"count": "many"}, "another type"),
    ],
)
def test_a_bad_row_of_a_table_is_named(row, message):
    good = {"tag": "a", "count": 1, "total": 3.0, "mean": 3.0}
    bad = good | {"tag": "b"} | row
    columns = {name: [good[name], bad[name]] for name in good}
    if isinstance(bad["count"], str):
        columns["count"] = ["1", bad["count"]]
    with pytest.raises(InputError, match=message):
        TagUtility.from_table(pa.table(columns))


def test_other_columns_and_no_rows_are_refused():
    with pytest.raises(InputError, match="tag, count, total, mean"):
        TagUtility.from_table(pa.table({"tag": ["a"], "utility": [1.0]}))
    with pytest.raises(InputError, match="no rows"):
        TagUtility.from_table(made_table({"a": 1.0}).slice(0, 0))


def test_a_file_that_is_no_table_is_refused(tmp_path):
    (tmp_path / "table.jsonl").write_text("no json", encoding="utf-8")
    with pytest.raises(InputError, match="cannot be read"):
        TagUtility.from_table(tmp_path / "table.jsonl")
    with pytest.raises(InputError, match="cannot be read"):
        TagUtility.from_table(tmp_path / "missing.jsonl")


# Quartiles


def test_quartiles_are_quarters_by_rank_and_the_last_has_the_rest():
    means = {tag: float(rank) for rank, tag in enumerate("abcdefghij")}
    quartiles = TagUtility.from_table(made_table(means)).quartiles()
    assert [(quartile.name, "".join(quartile.tags)) for quartile in quartiles] == [
        ("Q1", "ab"),
        ("Q2", "cd"),
        ("Q3", "ef"),
        ("Q4", "ghij"),
    ]
    assert [(quartile.low, quartile.high) for quartile in quartiles] == [(0, 1), (2, 3), (4, 5), (6, 9)]


def test_equal_utilities_are_in_alphabetical_order_wherever_they_are_cut():
    quartiles = TagUtility.from_table(made_table(dict.fromkeys("dbcaefhg", 2.0))).quartiles()
    assert [quartile.tags for quartile in quartiles] == [["a", "b"], ["c", "d"], ["e", "f"], ["g", "h"]]


def test_too_few_tags_for_quartiles():
    with pytest.raises(InputError, match="3 tags are in at least 1 rows, too few"):
        TagUtility.from_table(made_table({"a": 1.0, "b": 2.0, "c": 3.0})).quartiles()


@pytest.fixture(scope="module")
def authors() -> UtilityTable:
    if not AUTHORS_TABLE.is_file():
        pytest.skip("the authors' table is not beside this checkout (../shared)")
    return TagUtility.from_table(AUTHORS_TABLE).fitted


def test_the_authors_table_is_read_whole(authors):
    assert len(authors) == 11_976
    assert authors.means["deep reinforcement learning"] == 1380.0


def test_all_rows_of_table_6_come_out_as_printed(authors):
    quartile_of = {tag: quartile.name for quartile in authors.quartiles(min_count=3) for tag in quartile.tags}
    counts = dict(zip(authors.table["tag"].to_pylist(), authors.table["count"].to_pylist(), strict=True))
    found = [(quartile_of[tag], tag, counts[tag], f"{authors.means[tag]:.2f}") for _, tag, _, _ in TABLE_6]
    assert found == TABLE_6


def test_table_6_starts_its_quartiles_where_ours_start(authors):
    first = [quartile.tags[:5] for quartile in authors.quartiles(min_count=3)]
    printed = {name: [tag for q, tag, _, _ in TABLE_6 if q == name] for name in ("Q1", "Q3", "Q4")}
    assert first[0] == printed["Q1"]  # the five lowest of all
    assert first[2] == printed["Q3"]
    assert first[3][:3] == printed["Q4"][:3]
