"""Tag-Evol's evolver, its steps, repair and judge, by handmade replies; budgets."""

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st

from tagsmith.processors.endpoint.endpoint import Endpoint
from tagsmith.processors.endpoint.request import UnparsedReplyError
from tagsmith.processors.errors import InputError
from tagsmith.processors.map_rows import map_rows
from tagsmith.processors.tag_evol.budget import Budgets, BudgetSetter
from tagsmith.processors.tag_evol.evolve_repair import EvolveRepairer
from tagsmith.processors.tag_evol.evolve_reply import CHOSEN, FINAL, PLAN, REWRITTEN, UNGROUNDED, read_reply
from tagsmith.processors.tag_evol.evolve_steps import (
    ConstraintReviewer,
    InjectionPlanner,
    InstructionRewriter,
    TagChooser,
)
from tagsmith.processors.tag_evol.evolver import TagEvolver
from tagsmith.processors.tag_evol.presence_judge import PresenceJudge

asked = partial(map_rows, description="asking", progress=False)
WHOLE = {
    "chosen_tags": ["Rate_of_Work", "geometry"],
    "plan": "First one, then the other.",
    "rewritten_instruction": "draft",
    "ungrounded_constraints": ["nobody over sixty"],
    "final_instruction": " The text. ",
}
ALL = (CHOSEN, PLAN, REWRITTEN, UNGROUNDED, FINAL)


def rows(**changed: Any) -> Dataset:
    row = {"id": "a", "instruction": "Solve it.", "candidates": ["rate of work", "geometry"], "budget": 2, **changed}
    return Dataset.from_list([row])


@pytest.fixture
def answers(scripted_server: Callable[..., Any], store_path: str) -> Callable[..., tuple[Endpoint, list[Any]]]:
    """An endpoint that gives these replies, and the requests that it got."""

    def make(*replies: Any) -> tuple[Endpoint, list[Any]]:
        server = scripted_server([reply if isinstance(reply, str) else json.dumps(reply) for reply in replies])
        return Endpoint(server.url, store=store_path), server.posts

    return make


def test_one_reply_holds_all_steps(answers: Callable[..., Any]) -> None:
    endpoint, posts = answers(WHOLE)
    (row,) = asked(rows(), TagEvolver(endpoint=endpoint, domain="math"))
    assert row["chosen_tags"] == ["rate of work", "geometry"]
    assert (row["plan"], row["new_instruction"]) == ("First one, then the other.", "The text.")
    assert (row["ungrounded"], row["status"]) == (["nobody over sixty"], "ok")
    assert len(posts) == row["attempts"] == 1
    said = posts[0].text
    for part in ("mathematical problem", "Choose exactly 2 of", "rate of work\ngeometry\n[candidate tags end]"):
        assert part in said


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ("Sure! Here you go.", "there is no JSON in the answer"),
        ([1], "expected a JSON object"),
        ({"chosen_tags": []}, 'no tag is named under "chosen_tags"'),
        ({"chosen_tags": ["—"]}, 'no tag is named under "chosen_tags"'),
        ({"chosen_tags": "geometry"}, 'expected a list of texts under "chosen_tags"'),
        ({"final_instruction": "  "}, 'the text under "final_instruction" is empty'),
        ({"final_instruction": 7}, 'expected text under "final_instruction"'),
        ({"ungrounded_constraints": [None]}, 'expected a list of texts under "ungrounded_constraints"'),
    ],
)
def test_what_cannot_be_read_is_asked_for_again_then_rejected(
    answers: Callable[..., Any], changed: Any, why: str
) -> None:
    bad = {**WHOLE, **changed} if isinstance(changed, dict) else changed
    endpoint, posts = answers(bad)
    (row,) = asked(rows(), TagEvolver(endpoint=endpoint))
    assert (row["status"], row["reason"]) == ("rejected", f"unparsed: {why}")
    assert row["new_instruction"] is row["chosen_tags"] is None
    assert row["raw_reply"] == (bad if isinstance(bad, str) else json.dumps(bad))
    assert len(posts) == 3
    assert why in posts[1].text


def test_a_plan_may_be_a_list_or_missing() -> None:
    assert read_reply(json.dumps(WHOLE | {"plan": ["a", "b"]}), *ALL).plan == "a\nb"
    assert read_reply(json.dumps({name: WHOLE[name] for name in WHOLE if name != "plan"}), *ALL).plan == ""
    with pytest.raises(UnparsedReplyError, match='expected text under "plan"'):
        read_reply("{}", PLAN)


@given(st.text(max_size=60) | st.recursive(st.none() | st.text(max_size=5), lambda x: st.lists(x, max_size=3)))
def test_random_replies_are_read_whole_or_not_at_all(value: Any) -> None:
    text = value if isinstance(value, str) else json.dumps(WHOLE | {"chosen_tags": value})
    try:
        reply = read_reply(text, *ALL)
    except UnparsedReplyError:
        return
    assert reply.final
    assert len(reply.chosen_tags) > 0
    assert all(reply.chosen_tags)


def test_rows_with_too_few_candidates_cost_nothing(answers: Callable[..., Any]) -> None:
    endpoint, posts = answers(WHOLE)
    for processor in (TagEvolver(endpoint=endpoint), TagChooser(endpoint=endpoint)):
        (row,) = asked(rows(budget=3), processor)
        assert row["reason"] == "few_candidates: 2 candidates for a budget of 3 tags"
        assert (row["status"], row["attempts"]) == ("rejected", 0)
    (row,) = asked(rows(instruction=" "), TagEvolver(endpoint=endpoint))
    assert row["reason"] == "empty_instruction: the instruction has no text"
    assert posts == []


@pytest.mark.parametrize("budget", [0, -1])
def test_a_budget_below_one_is_told(answers: Callable[..., Any], budget: int) -> None:
    endpoint, _ = answers(WHOLE)
    with pytest.raises(InputError, match=f"row a: budget {budget}: expected a whole number of at least 1"):
        asked(rows(budget=budget), TagEvolver(endpoint=endpoint))


def test_missing_columns_domains_and_foreign_prompts_are_told(answers: Callable[..., Any], tmp_path: Any) -> None:
    endpoint, _ = answers(WHOLE)
    with pytest.raises(InputError, match="column 'candidates' is missing"):
        asked(rows().remove_columns("candidates"), TagEvolver(endpoint=endpoint))
    for processor in (TagEvolver, InstructionRewriter):
        with pytest.raises(InputError, match="domain 'law' is unknown; expected one of general, math, code"):
            processor(endpoint=endpoint, domain="law")
    own = tmp_path / "own.jinja"
    own.write_text("Rewrite {{ instruction }} by {{ tags }}")
    with pytest.raises(InputError, match=r"uses \['instruction', 'tags'\], but it is given"):
        TagEvolver(endpoint=endpoint, prompt=str(own))


def test_steps_are_asked_one_by_one(answers: Callable[..., Any]) -> None:
    replies = [{name: WHOLE[name]} for name in ("chosen_tags", "plan", "rewritten_instruction")]
    last = {name: WHOLE[name] for name in ("ungrounded_constraints", "final_instruction")}
    endpoint, posts = answers(*replies, last)
    done = rows()
    for processor in (TagChooser, InjectionPlanner, InstructionRewriter, ConstraintReviewer):
        done = asked(done, processor(endpoint=endpoint))
    (row,) = done
    assert (row["chosen_tags"], row["plan"], row["rewritten"]) == (["rate of work", "geometry"], WHOLE["plan"], "draft")
    assert (row["ungrounded"], row["new_instruction"]) == (["nobody over sixty"], "The text.")
    assert len(posts) == 4
    assert "[rewritten instruction starts]\ndraft\n" in posts[3].text


def test_a_repair_is_told_the_problem(answers: Callable[..., Any]) -> None:
    endpoint, posts = answers({"chosen_tags": ["geometry"], "final_instruction": "mended"})
    attempt = rows(budget=1, chosen_tags=["x", "y"], new_instruction="broken", problem="budget_overflow: 2 tags")
    (row,) = asked(attempt, EvolveRepairer(endpoint=endpoint))
    assert (row["chosen_tags"], row["new_instruction"], row["status"]) == (["geometry"], "mended", "ok")
    said = posts[0].text
    assert "[problem]\nbudget_overflow: 2 tags\n" in said
    assert "[attempt starts]\nbroken\n" in said


def test_the_judge_names_absent_tags_in_the_rows_spelling(answers: Callable[..., Any]) -> None:
    endpoint, _ = answers({"absent_tags": ["Discounts", "something else"]})
    made = rows(chosen_tags=["discount", "geometry"], new_instruction="new")
    (row,) = asked(made, PresenceJudge(endpoint=endpoint))
    assert row["absent_tags"] == ["discount"]


@pytest.mark.parametrize(
    ("text", "rounds", "adaptive"),
    [("1/3/5", (1, 3, 5), False), ("3, 5,7", (3, 5, 7), False), ("adaptive:6/8", (6, 8), True), ("4", (4,), False)],
)
def test_budgets_are_read(text: str, rounds: tuple[int, ...], adaptive: bool) -> None:
    budgets = Budgets.parse(text)
    assert (budgets.rounds, budgets.adaptive) == (rounds, adaptive)
    assert Budgets.parse(str(budgets)) == budgets
    assert budgets.most == (7 if adaptive else max(rounds))


@pytest.mark.parametrize("text", ["", "x", "1/", "1/0/3", "-1", "adaptive", "adaptive:0", "1.5"])
def test_budgets_that_are_none_are_told(text: str) -> None:
    with pytest.raises(InputError, match="budgets"):
        Budgets.parse(text)


@given(st.integers(1, 20), st.lists(st.text(min_size=1, max_size=3), max_size=12), st.integers(1, 7))
def test_adaptive_budgets_fill_up_to_the_target_within_bounds(target: int, tags: list[str], highest: int) -> None:
    budgets = Budgets((target,), adaptive=True, highest=highest)
    (budget,) = BudgetSetter(budgets, 1)({"id": ["a"], "tags": [tags]})["budget"]
    assert 1 <= budget <= highest
    assert budget == target - len(tags) or (budget == 1 and target - len(tags) < 1) or budget == highest


def test_adaptive_budgets_need_tags() -> None:
    setter = BudgetSetter(Budgets.parse("adaptive:6"), 1)
    with pytest.raises(InputError, match="a row has none"):
        setter({"id": ["a"], "tags": [None]})
    assert BudgetSetter(Budgets.parse("2"), 1)({"id": ["a"]})["budget"][:] == [2]
