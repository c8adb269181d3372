"""Diversity, complexity, frequencies and the recall matrix, on handmade datasets and against plain Python."""

import json
from dataclasses import asdict

import numpy as np
import pytest
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st

from tagsmith.processors.errors import InputError
from tagsmith.processors.instag.analysis import TagStatistics, recall_matrix, tag_frequencies, tag_statistics
from tagsmith.processors.tag_sets import read_tag_sets

MATH = [["algebra", "proof"], ["algebra"], [], ["algebra", "geometry", "algebra"]]
CHAT = Dataset.from_dict({"tags": [["greeting"], ["algebra", "greeting"]]})


def test_statistics_of_handmade_datasets():
    assert tag_statistics({"math": MATH, "chat": CHAT}) == [
        TagStatistics("math", rows=4, unique_tags=3, diversity=0.75, complexity=1.25),
        TagStatistics("chat", rows=2, unique_tags=2, diversity=0.5, complexity=1.5),
    ]


def test_statistics_against_a_given_tag_set():
    # "proof" is outside the set: it counts as a tag of its rows, not towards coverage.
    (statistics,) = tag_statistics({"math": MATH}, tag_set=["algebra", "geometry", "logic", "greeting", "logic"])
    assert statistics == TagStatistics("math", rows=4, unique_tags=3, diversity=0.5, complexity=1.25)


def test_frequencies_count_rows_most_frequent_first():
    assert list(tag_frequencies(MATH).items()) == [("algebra", 3), ("geometry", 1), ("proof", 1)]
    assert tag_frequencies([[], []]) == {}


def test_recall_is_of_the_row_by_the_column():
    matrix = recall_matrix({"math": MATH, "chat": CHAT, "more": [["algebra", "proof", "geometry", "greeting"]]})
    assert matrix.datasets == ["math", "chat", "more"]
    np.testing.assert_allclose(matrix.recall, [[1, 1 / 3, 1], [1 / 2, 1, 1], [3 / 4, 2 / 4, 1]])


def test_results_write_to_json():
    written = json.dumps(
        {
            "statistics": [asdict(statistics) for statistics in tag_statistics({"math": MATH})],
            "frequencies": tag_frequencies(MATH),
            "recall": recall_matrix({"math": MATH}).recall.tolist(),
        }
    )
    assert json.loads(written)["recall"] == [[1.0]]
    assert json.loads(written)["statistics"][0]["diversity"] == 1.0


def test_rows_taken_from_a_larger_pool_do_not_bring_its_other_tags():
    part = read_tag_sets(MATH).take(np.array([1]))
    assert tag_frequencies(part) == {"algebra": 1}
    assert tag_statistics({"part": part})[0].unique_tags == 1
    assert recall_matrix({"part": part, "chat": CHAT}).recall[0, 1] == 1


tag_lists = st.lists(st.lists(st.sampled_from("abcdef"), max_size=4), min_size=1, max_size=8)


@given(st.dictionaries(st.sampled_from(["x", "y", "z"]), tag_lists, min_size=1))
@settings(max_examples=100, deadline=None)
def test_equals_plain_python(datasets):
    unique = {name: set().union(*rows) for name, rows in datasets.items()}
    overall = set().union(*unique.values())
    if not overall:
        with pytest.raises(InputError, match="the overall tag set is empty"):
            tag_statistics(datasets)
        return
    for statistics in tag_statistics(datasets):
        rows = datasets[statistics.dataset]
        assert statistics.rows == len(rows)
        assert statistics.unique_tags == len(unique[statistics.dataset])
        assert statistics.diversity == len(unique[statistics.dataset]) / len(overall)
        assert statistics.complexity == pytest.approx(sum(len(set(row)) for row in rows) / len(rows))
    if all(unique.values()):
        expected = [[len(row & column) / len(row) for column in unique.values()] for row in unique.values()]
        np.testing.assert_allclose(recall_matrix(datasets).recall, expected)
    else:
        with pytest.raises(InputError, match="has no tags, so their recall is undefined"):
            recall_matrix(datasets)


def test_bad_input_names_the_dataset():
    with pytest.raises(InputError, match=r"dataset 'b': column 'tags', row 1: got null"):
        tag_statistics({"a": MATH, "b": [["x"], None]})
    with pytest.raises(InputError, match="dataset 'b' has no rows"):
        recall_matrix({"a": MATH, "b": []})
    with pytest.raises(InputError, match="no datasets were given"):
        tag_statistics({})
    with pytest.raises(InputError, match="the overall tag set is empty"):
        tag_statistics({"a": MATH}, tag_set=[])
    with pytest.raises(InputError, match=r"dataset 'c': no column 'labels'"):
        tag_statistics({"c": CHAT}, tags_column="labels")
