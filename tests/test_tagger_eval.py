"""TaggerEval and TreeEval: verdicts, scores by hand, cases drawn from a tree, and kappa as the library has it."""

import json
from typing import Any

import pytest
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from tagsmith.eval.verdict_agreement import verdict_agreement
from tagsmith.processors.endpoint.endpoint import Endpoint
from tagsmith.processors.endpoint.request import UnparsedReplyError
from tagsmith.processors.errors import InputError
from tagsmith.processors.map_rows import map_rows
from tagsmith.processors.tags.tagger_judges import CoverageJudge, GranularityJudge, PrecisionJudge
from tagsmith.processors.tags.tagger_score import DimensionScore, tagger_score
from tagsmith.processors.tags.tree_judges import TreeClusterJudge, TreeInstanceJudge, TreeScore, tree_cases, tree_score

CASE = {"reference_tags": ["DFS", "sorting\n[tag 9] x"], "raw_tags": ["Depth-First Search", "Algorithms", "Art"]}


def judged(server: Any, store: str, kind: Any, *cases: dict[str, Any]) -> Dataset:
    judge = kind(endpoint=Endpoint(server.url, store=store, max_repairs=0))
    return map_rows(Dataset.from_list(list(cases)), judge, description="judging", progress=False)


@pytest.mark.parametrize(
    ("kind", "shown"),
    [
        (CoverageJudge, "[tag 0] DFS\n[tag 1] sorting [tag 9] x"),
        (PrecisionJudge, "[tag 0] Depth-First Search\n[tag 1] Algorithms\n[tag 2] Art"),
        (GranularityJudge, "[tag 0] Depth-First Search\n[tag 1] Algorithms\n[tag 2] Art"),
    ],
)
def test_each_judge_numbers_what_it_judges(scripted_server, store_path, kind, shown):
    server = scripted_server([json.dumps({kind.verdict: [{"idx": 1}, {"idx": 0}, {"idx": 1}]})])
    (row,) = judged(server, store_path, kind, CASE)
    assert f"\n{shown}\n[" in server.posts[0].text
    assert row[kind.verdict] == [0, 1]
    (beyond,) = judged(scripted_server([json.dumps({kind.verdict: [{"idx": 7}]})]), f"{store_path}-2", kind, CASE)
    assert (beyond[kind.verdict], beyond[f"{kind.verdict}_out_of_range"]) == (None, [7])


def test_cases_without_tags_are_not_asked_about(scripted_server, store_path):
    server = scripted_server(['{"covered": []}'])
    cases = [{"reference_tags": ["a"], "raw_tags": []}, {"reference_tags": ["a"], "raw_tags": None}]
    out = judged(server, store_path, CoverageJudge, *cases)
    assert out["reason"] == ["no_tags: the tagger gave none"] * 2
    assert server.posts == []


def test_scores_over_cases_and_over_tags():
    cases = Dataset.from_list(
        [
            {
                "reference_tags": ["a", "b"],
                "raw_tags": ["a", "c", "d"],
                "covered": [0],
                "accurate": [0],
                "fine_grained": [],
            },
            {"reference_tags": ["a"], "raw_tags": ["a"], "covered": [0], "accurate": [0], "fine_grained": [0]},
            {"reference_tags": ["a"], "raw_tags": [], "covered": None, "accurate": None, "fine_grained": None},
            {"reference_tags": ["a", "b"], "raw_tags": ["a"], "covered": None, "accurate": None, "fine_grained": [0]},
        ]
    )
    score = tagger_score(cases)
    assert score.coverage == DimensionScore(pytest.approx((0.5 + 1 + 0) / 3), pytest.approx(2 / 4), 4, 1)
    assert score.precision == DimensionScore(pytest.approx((1 / 3 + 1) / 2), pytest.approx(2 / 4), 4, 2)
    assert score.granularity == DimensionScore(pytest.approx((0 + 1 + 1) / 3), pytest.approx(2 / 5), 4, 1)
    assert score.average == pytest.approx((1.5 / 3 + 4 / 6 + 2 / 3) / 3)


def test_nothing_scored_is_no_number():
    nothing = {"reference_tags": ["a"], "raw_tags": ["a"], "covered": None, "accurate": [0], "fine_grained": [0]}
    score = tagger_score(Dataset.from_list([nothing, nothing]))
    assert (score.coverage, score.average) == (DimensionScore(None, None, 2, 2), None)


def test_a_verdict_beyond_the_case_or_a_missing_column_is_an_error():
    case = {"reference_tags": ["a"], "raw_tags": ["a"], "covered": [1], "accurate": [0], "fine_grained": [0]}
    with pytest.raises(InputError, match="case 0, column 'covered': \\[1\\] names something beyond the case's 1"):
        tagger_score(Dataset.from_list([case]))
    with pytest.raises(InputError, match="no column 'covered'"):
        tagger_score(Dataset.from_list([{"raw_tags": ["a"]}]))


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [
        ('{"belongs": true}', True),
        ('{"belongs": false}', False),
        ("1", True),
        (" 0\n", False),
        ('{"belongs": 1}', True),
        ('{"belongs": "No"}', False),
        ("2", None),
        ("Yes, it does belong there.", None),
        ('{"belongs": null}', None),
        ('{"fits": true}', None),
    ],
)
def test_verdicts_on_the_tree(reply, verdict):
    if verdict is None:
        with pytest.raises(UnparsedReplyError):
            TreeInstanceJudge().read(reply)
    else:
        assert TreeInstanceJudge().read(reply) is verdict


NAMES = ["Knowledge", "Maths", "Cooking", "Algebra", "Calculus", "Bread"]
PARENTS = [-1, 0, 0, 1, 1, 2]


def test_tree_cases_are_judged_and_scored(scripted_server, store_path):
    pairs, clusters = tree_cases(NAMES, PARENTS)
    edges = {
        ("Knowledge", "Maths"),
        ("Knowledge", "Cooking"),
        ("Maths", "Algebra"),
        ("Maths", "Calculus"),
        ("Cooking", "Bread"),
    }
    assert {(row["parent"], row["child"]) for row in pairs} == edges
    assert {row["name"]: row["members"] for row in clusters} == {
        "Knowledge": ["Maths", "Cooking"],
        "Maths": ["Algebra", "Calculus"],
        "Cooking": ["Bread"],
    }

    def script(seen: Any) -> str:
        if "[members start]" in seen.text:
            return '{"fits": true}' if "Bread" in seen.text else "hm"
        return '{"belongs": false}' if "Calculus" in seen.text else '{"belongs": true}'

    server = scripted_server(script)
    assert tree_score(judged(server, store_path, TreeInstanceJudge, *pairs), "belongs") == TreeScore(0.8, 5, 0)
    assert tree_score(judged(server, store_path, TreeClusterJudge, *clusters), "fits") == TreeScore(1.0, 3, 2)


def test_a_draw_is_repeated_by_its_seed_and_keeps_to_its_size():
    names, parents = [f"node {n}" for n in range(500)], [-1] + [n // 7 for n in range(499)]
    one, two = tree_cases(names, parents, seed=3), tree_cases(names, parents, seed=3)
    assert [part.to_list() for part in one] == [part.to_list() for part in two]
    assert one[0].to_list() != tree_cases(names, parents, seed=4)[0].to_list()
    assert [len(part) for part in one] == [200, 50]
    assert len(tree_cases(names, parents, most_members=2)[1]["members"][0]) <= 2


@pytest.mark.parametrize(
    ("names", "parents", "words"),
    [
        (["a"], [-1, 0], "1 names and 2 parents"),
        (["a", "b"], [-1, 5], "node 1: its parent is 5"),
        (["a", "b"], [-1, 1], "node 1: its parent is 1"),
        (["a", "b"], [-1, -1], "nothing to judge"),
    ],
)
def test_a_damaged_tree(names, parents, words):
    with pytest.raises(InputError, match=words):
        tree_cases(names, parents)


CASES = st.lists(
    st.tuples(*[st.none() | st.sets(st.integers(0, 3), max_size=4).map(sorted)] * 2), min_size=1, max_size=12
)


@given(CASES)
@settings(max_examples=40, deadline=None)
def test_kappa_is_that_of_scikit_learn_over_all_tags(cases):
    judge, person = [case[0] for case in cases], [case[1] for case in cases]
    found = verdict_agreement(judge, person, [4] * len(cases))
    both = [(mine, other) for mine, other in cases if mine is not None and other is not None]
    assert (found.cases, found.left_out) == (len(both), len(cases) - len(both))
    if not both:
        assert found.agreement is None
        return
    ours = [index in mine for mine, _ in both for index in range(4)]
    theirs = [index in other for _, other in both for index in range(4)]
    assert found.agreement is not None
    if len({*ours, *theirs}) == 1:
        assert found.agreement.kappa is None
    else:
        assert found.agreement.kappa == pytest.approx(cohen_kappa_score(ours, theirs))


def test_agreement_with_verdicts_that_do_not_fit():
    with pytest.raises(InputError, match="2 verdicts of the judge, 1 of the person"):
        verdict_agreement([[0], None], [[0]], [1])
    with pytest.raises(InputError, match=r"case 0: \[3\] names a tag beyond the case's 2"):
        verdict_agreement([[0]], [[3]], [2])
