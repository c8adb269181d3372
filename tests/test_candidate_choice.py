"""CandidateChoice: the first valid candidate or the best one, and rows without any."""

import pytest
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st

from tagsmith.processors.errors import InputError
from tagsmith.processors.tag_instruct.candidate_choice import CandidateChoice


def candidate(tag, score=None, status="ok"):
    return {"tag": tag, "score": score, "status": status}


def choose(way, *rows, **columns):
    return CandidateChoice(way)({"candidates": list(rows), **columns})


ROW = [candidate("a", 0.9, "rejected"), candidate("b", 0.1), candidate("c", 0.3), candidate("d", 0.3)]


def test_prompt_takes_the_first_valid_answer():
    assert choose("prompt", ROW) == {
        "new_tag": ["b"],
        "new_tag_score": [0.1],
        "candidate_number": [1],
        "status": ["ok"],
        "reason": [""],
    }


def test_best_of_n_takes_the_highest_score_and_the_earlier_of_equals():
    made = choose("best-of-n", ROW)
    assert (made["new_tag"], made["new_tag_score"], made["candidate_number"]) == (["c"], [0.3], [2])


def test_prompt_needs_no_scores():
    assert choose("prompt", [{"tag": "a", "status": "ok"}])["new_tag_score"] == [None]


@pytest.mark.parametrize("way", ["prompt", "best-of-n"])
def test_a_row_without_valid_candidate_is_rejected_and_a_rejected_one_passes(way):
    made = choose(
        way, [candidate("a", 1.0, "rejected"), candidate(None, None)], None, [], ROW,
        status=["ok", "rejected", "ok", "rejected"], reason=["", "unparsed: x", "", "earlier: y"],
    )  # fmt: skip
    assert made["new_tag"] == [None] * 4
    assert made["candidate_number"] == [None] * 4
    assert made["status"] == ["rejected"] * 4
    assert made["reason"] == [
        "no_candidate: none of 2 is valid",
        "unparsed: x",
        "no_candidate: none of 0 is valid",
        "earlier: y",
    ]


@given(st.lists(st.tuples(st.booleans(), st.sampled_from([-0.5, 0.0, 0.25])), max_size=8))
def test_best_of_n_equals_a_plain_loop(made):
    row = [candidate(f"t{i}", score, "ok" if valid else "rejected") for i, (valid, score) in enumerate(made)]
    best = None
    for number, (valid, score) in enumerate(made):
        if valid and (best is None or score > made[best][1]):
            best = number
    assert CandidateChoice("best-of-n").choose(row) == best


def test_in_a_dataset_whose_first_batch_has_no_candidate():
    rows = Dataset.from_dict({"candidates": [[candidate("a", 0.1, "rejected")], [candidate("a", 0.1)]]})
    made = rows.map(CandidateChoice(), batched=True, batch_size=1)
    assert made["new_tag"][:] == [None, "a"]
    assert made["new_tag_score"][:] == [None, 0.1]


def test_best_of_n_without_scores_says_what_to_run():
    with pytest.raises(InputError, match="'a' has no score; run TagScorer"):
        choose("best-of-n", [candidate("a")])


def test_settings_and_columns_that_do_not_fit():
    with pytest.raises(InputError, match=r"'policy' is unknown; expected prompt or best-of-n"):
        CandidateChoice("policy")
    with pytest.raises(InputError, match="no column 'candidates'; the columns are: id"):
        CandidateChoice()({"id": ["x"]})
