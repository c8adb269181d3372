"""Judging cases: what they hold, that they repeat, what is planted, and how verdicts are scored."""

import math

import numpy as np
import pytest
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st

from tagsmith.processors.errors import InputError
from tagsmith.processors.instag.quality_cases import consistency_cases, precision_cases
from tagsmith.processors.instag.quality_scores import CaseScore, consistency_score, precision_score

TAGS = ["algebra", "geometry", "poem", "rhyme", "sonnet", "sorting"]
# Angles in degrees: algebra and geometry are near, poem, rhyme and sonnet are near, sorting is far from all.
ANGLES = {"algebra": 0, "geometry": 10, "poem": 100, "rhyme": 104, "sonnet": 110, "sorting": 220}


def embed(tags: list[str]) -> np.ndarray:
    radians = np.deg2rad([ANGLES[tag] for tag in tags])
    return np.stack([np.cos(radians), np.sin(radians)], axis=1)


def make_pool(rows: int = 60) -> Dataset:
    generator = np.random.default_rng(0)
    tags = [generator.choice(TAGS, generator.integers(0, 4), replace=False).tolist() for _ in range(rows)]
    texts = [f"request number {row}" for row in range(rows)]
    return Dataset.from_dict({"id": [f"id-{row:03}" for row in range(rows)], "instruction": texts, "tags": tags})


@pytest.fixture(scope="module")
def pool() -> Dataset:
    return make_pool()


def by_id(pool: Dataset) -> dict[str, dict]:
    return {row["id"]: row for row in pool}


# Precision


def test_precision_cases_are_rows_as_they_are(pool):
    rows = by_id(pool)
    with_tags = sum(1 for row in pool if row["tags"])
    cases = precision_cases(pool, with_tags, seed=1)
    assert len(set(cases["source_id"])) == len(cases) == with_tags
    for case in cases:
        assert case["query"] == rows[case["source_id"]]["instruction"]
        assert case["tags"] == rows[case["source_id"]]["tags"] != []
        assert case["planted"] == []


def test_a_repeated_tag_is_shown_once():
    pool = Dataset.from_dict({"id": ["x"], "instruction": ["q"], "tags": [["b", "a", "b"]]})
    assert precision_cases(pool, 1, seed=0)["tags"][:] == [["b", "a"]]


@pytest.mark.parametrize("counterfactual", [False, True])
def test_cases_depend_on_the_seed_and_not_on_the_order_of_rows(pool, counterfactual):
    def precision(dataset: Dataset, seed: int) -> list[dict]:
        return precision_cases(dataset, 10, seed, counterfactual, embed).to_list()

    def consistency(dataset: Dataset, seed: int) -> list[dict]:
        return consistency_cases(dataset, 4, 5, seed, counterfactual).to_list()

    for draw in (precision, consistency):
        assert draw(pool, 7) == draw(pool, 7) == draw(pool.shuffle(seed=3), 7)
        assert draw(pool, 7) != draw(pool, 8)


def test_counterfactual_tags_are_the_nearest_that_the_row_lacks(pool):
    rows = by_id(pool)
    originals = {case["source_id"]: case for case in precision_cases(pool, 30, seed=5)}
    cases = precision_cases(pool, 30, seed=5, counterfactual=True, embedder=embed)
    assert set(cases["source_id"]) == set(originals)
    for case in cases:
        before = rows[case["source_id"]]["tags"]
        assert len(case["planted"]) == math.ceil(len(before) / 2)
        lacking = set(TAGS) - set(before)
        for position, (old, new) in enumerate(zip(before, case["tags"], strict=True)):
            if position not in case["planted"]:
                assert new == old
                continue
            assert new == min(sorted(lacking), key=lambda tag: round(-float((embed([old]) @ embed([tag]).T)[0, 0]), 5))
            lacking.remove(new)


def test_counterfactual_of_one_row_by_hand():
    tags = [["poem"], ["algebra"], ["geometry"], ["rhyme"], ["sonnet"], ["sorting"]]
    pool = Dataset.from_dict({"id": list("abcdef"), "instruction": list("ABCDEF"), "tags": tags})
    cases = precision_cases(pool, 6, seed=0, counterfactual=True, embedder=embed)
    planted = dict(zip(cases["query"], cases["tags"], strict=True))
    assert planted == {
        "A": ["rhyme"],
        "B": ["geometry"],
        "C": ["algebra"],
        "D": ["poem"],
        "E": ["rhyme"],
        "F": ["sonnet"],
    }
    assert cases["planted"][:] == [[0]] * 6


# Consistency


def test_consistency_cases_carry_the_tag(pool):
    rows = by_id(pool)
    cases = consistency_cases(pool, 6, instructions_per_case=5, seed=2)
    assert sorted(cases["tag"]) == TAGS
    for case in cases:
        assert len(set(case["source_ids"])) == 5
        assert all(case["tag"] in rows[source]["tags"] for source in case["source_ids"])
        assert case["instructions"] == [rows[source]["instruction"] for source in case["source_ids"]]
        assert case["planted"] == []


def test_counterfactual_instructions_lack_the_tag(pool):
    rows = by_id(pool)
    originals = consistency_cases(pool, 6, instructions_per_case=5, seed=2)
    cases = consistency_cases(pool, 6, instructions_per_case=5, seed=2, counterfactual=True)
    assert cases["tag"][:] == originals["tag"][:]
    for case in cases:
        assert len(case["planted"]) == 3
        assert len(set(case["source_ids"])) == 5
        lacking = [case["tag"] not in rows[source]["tags"] for source in case["source_ids"]]
        assert [position for position, lacks in enumerate(lacking) if lacks] == case["planted"]
        assert case["instructions"] == [rows[source]["instruction"] for source in case["source_ids"]]


def test_only_tags_with_enough_rows_are_drawn():
    tags = [["x", "all"], ["x", "all"], ["y", "all"], ["all"]]
    pool = Dataset.from_dict({"id": [0, 1, 2, 3], "instruction": list("abcd"), "tags": tags})
    assert sorted(consistency_cases(pool, 2, 2, seed=0)["tag"]) == ["all", "x"]
    # Every row carries "all": there is nothing to plant.
    (case,) = consistency_cases(pool, 1, 2, seed=0, counterfactual=True)
    assert case["tag"] == "x"
    with pytest.raises(InputError, match=r"n=3 cases: there are 2 tags that 2 or more rows carry"):
        consistency_cases(pool, 3, 2, seed=0)


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_cases_hold_on_any_pool(data):
    tags = data.draw(st.lists(st.lists(st.sampled_from(TAGS), max_size=3), min_size=2, max_size=12))
    rows = [str(row) for row in range(len(tags))]
    pool = Dataset.from_dict({"id": rows, "instruction": rows, "tags": tags})
    seed = data.draw(st.integers(0, 2**32))
    with_tags = sum(1 for row in tags if row)
    if with_tags:
        for case in precision_cases(pool, data.draw(st.integers(1, with_tags)), seed):
            assert case["tags"] == list(dict.fromkeys(tags[int(case["source_id"])]))
    carried = {tag: sum(tag in row for row in tags) for tag in TAGS}
    eligible = [tag for tag in TAGS if carried[tag] >= 2 and len(tags) - carried[tag] >= 1]
    if eligible:
        for case in consistency_cases(pool, len(eligible), 2, seed, counterfactual=True):
            assert case["tag"] in eligible
            assert [case["tag"] in tags[int(source)] for source in case["source_ids"]] == [
                position not in case["planted"] for position in range(2)
            ]


# Scores


def judged(planted: list[list[int]], verdicts: list[list[int] | None], parts: str, verdict: str) -> Dataset:
    return Dataset.from_dict({parts: [["a", "b", "c"]] * len(planted), "planted": planted, verdict: verdicts})


@pytest.mark.parametrize(
    ("score", "parts", "verdict"),
    [(precision_score, "tags", "incorrect"), (consistency_score, "instructions", "inconsistent")],
)
def test_scores_count_objections_and_leave_unscored_cases_out(score, parts, verdict):
    planted = [[], [], [], [], [0], [1, 2], [0]]
    verdicts = [[], [1], [], None, [0], [], None]
    found = score(judged(planted, verdicts, parts, verdict))
    assert found.original == CaseScore(cases=4, unscored=1, share_correct=2 / 3, share_negative=1 / 3)
    assert found.counterfactual == CaseScore(cases=3, unscored=1, share_correct=0.5, share_negative=0.5)


def test_nothing_scored_is_no_number():
    found = precision_score(judged([[], []], [None, None], "tags", "incorrect"))
    assert found.original == CaseScore(cases=2, unscored=2, share_correct=None, share_negative=None)
    assert found.counterfactual == CaseScore(cases=0, unscored=0, share_correct=None, share_negative=None)


def test_drawn_cases_can_be_judged_and_scored(pool):
    cases = precision_cases(pool, 20, seed=1, counterfactual=True, embedder=embed)
    found_out = cases.add_column("incorrect", cases["planted"][:])
    assert precision_score(found_out).counterfactual.share_negative == 1
    drawn = consistency_cases(pool, 4, 3, seed=1)
    accepted = drawn.map(lambda case: {"inconsistent": []})
    assert consistency_score(accepted).original == CaseScore(4, 0, 1.0, 0.0)


# Bad input


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda pool: precision_cases(pool, 61, seed=0), r"n=61 cases: there are \d+ rows with tags"),
        (lambda pool: precision_cases(pool, 0, seed=0), r"n=0 cases"),
        (lambda pool: precision_cases(pool, 1, 0, text_column="query"), "no column 'query'; the columns are: id, inst"),
        (lambda pool: precision_cases(pool, 1, 0, tags_column="labels"), "no column 'labels'"),
        (lambda pool: precision_cases(pool, 1, 0, id_column="key"), "no column 'key'"),
        (lambda pool: precision_cases(pool, 1, 0, text_column="tags"), r"column 'tags', row \d+: got \["),
        (lambda pool: precision_cases(pool, 1, 0, counterfactual=True), "need an embedder"),
        (lambda pool: precision_cases(pool, 1, 0, True, lambda tags: 2 * embed(tags)), "not of length 1"),
        (
            lambda pool: precision_cases(pool, 1, 0, True, lambda tags: embed(tags[1:])),
            r"returned shape \(5, 2\) for 6",
        ),
        (lambda pool: consistency_cases(pool, 1, 1, seed=0), "instructions_per_case=1: comparing needs at least 2"),
        (lambda pool: consistency_cases(pool, 1, 61, seed=0), "there are 0 tags that 61 or more rows carry"),
        (lambda pool: precision_score(precision_cases(pool, 1, 0)), "no column 'incorrect'"),
    ],
)
def test_bad_input_is_named(pool, draw, message):
    with pytest.raises(InputError, match=message):
        draw(pool)


def test_null_ids_and_texts_are_named():
    pool = Dataset.from_dict({"id": ["a", None], "instruction": ["x", None], "tags": [["t"], ["t"]]})
    with pytest.raises(InputError, match="column 'id', row 1: got null"):
        precision_cases(pool, 1, seed=0)
    numbered = pool.remove_columns("id").add_column("id", [5, 4])
    with pytest.raises(InputError, match="column 'instruction', row 1: got None"):
        precision_cases(numbered, 2, seed=0)


def test_too_few_other_tags_to_plant():
    pool = Dataset.from_dict({"id": [1], "instruction": ["x"], "tags": [["algebra", "poem"]]})
    with pytest.raises(InputError, match="a row carries 2 of only 2 tags: too few others to plant 1"):
        precision_cases(pool, 1, seed=0, counterfactual=True, embedder=embed)


@pytest.mark.parametrize("verdict", [[3], [-1]])
def test_a_verdict_beyond_the_case_is_refused(verdict):
    with pytest.raises(
        InputError, match=r"case 1, column 'incorrect': \[-?\d\] names something beyond the case's 3 tags"
    ):
        precision_score(judged([[], []], [[], verdict], "tags", "incorrect"))
