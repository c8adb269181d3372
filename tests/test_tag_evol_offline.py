"""The offline endpoint's answers to the prompts that evolve: honest work, and every mistake now and then."""

from collections import Counter
from typing import Any

import pytest

from tagsmith.processors.endpoint.offline.answers import ANSWERS
from tagsmith.processors.endpoint.offline.draw import Draw
from tagsmith.processors.seeds import load_seeds
from tagsmith.processors.tag_evol.evolve_checks import EvolveChecker
from tagsmith.processors.word_stems import words

POOL = [
    "compound interest",
    "historical context",
    "error handling",
    "set theory",
    "budget planning",
    "customer feedback",
    "sports scheduling",
    "rhyme scheme",
]
BUDGET = 3


@pytest.fixture(scope="module")
def texts() -> list[str]:
    return [text for text in load_seeds()["instruction"][:] if text and text.isascii()][:350]


def answer(name: str, **values: str) -> Any:
    return ANSWERS[name](values, Draw(0))


def evolved(name: str, text: str) -> dict[str, Any]:
    made: dict[str, Any] = answer(name, instruction=text, candidates="\n".join(POOL), budget=str(BUDGET))
    return made


def problems(originals: list[str], made: list[dict[str, Any]], final: str = "final_instruction") -> list[str]:
    n = len(originals)
    return EvolveChecker(embedder=None)(
        {
            "instruction": originals,
            "new_instruction": [each[final] for each in made],
            "chosen_tags": [each["chosen_tags"] for each in made],
            "candidates": [POOL] * n,
            "budget": [BUDGET] * n,
            "status": ["ok"] * n,
        }
    )["problem"]


@pytest.mark.parametrize("domain", ["general", "math", "code"])
def test_most_rows_are_evolved_well_and_each_mistake_is_made(domain: str, texts: list[str]) -> None:
    made = [evolved(f"tag_evol/evolve_{domain}", text) for text in texts]
    assert made == [evolved(f"tag_evol/evolve_{domain}", text) for text in texts]
    counts = Counter(problem.partition(":")[0] for problem in problems(texts, made))
    assert counts[""] > 0.75 * len(texts)
    drifted = [each for each in made if "old sailing boats" in each["final_instruction"]]
    assert drifted  # that it is another task takes embeddings to see
    assert {"budget_overflow", "ungrounded", "copy", "leaked_markup"} <= counts.keys()
    assert any(not each["chosen_tags"] for each in made)
    invented = [each for each in made if each["ungrounded_constraints"]]
    assert 0.05 < len(invented) / len(made) < 0.25
    for each in invented:
        (condition,) = each["ungrounded_constraints"]
        assert condition in each["rewritten_instruction"]
        assert condition not in each["final_instruction"]


def test_a_tag_adds_ten_to_twenty_words(texts: list[str]) -> None:
    for domain in ("general", "math", "code"):
        for text in texts[:40]:
            made = evolved(f"tag_evol/evolve_{domain}", text)
            if problems([text], [made]) == [""] and text in made["final_instruction"]:
                added = len(words(made["final_instruction"])) - len(words(text))
                assert 10 * BUDGET <= added <= 21 * BUDGET


def test_steps_make_what_one_reply_makes(texts: list[str]) -> None:
    made = []
    for text in texts:
        chosen = answer("tag_evol/choose", instruction=text, candidates="\n".join(POOL), budget=str(BUDGET))
        tags = "\n".join(chosen["chosen_tags"])
        plan = answer("tag_evol/plan", instruction=text, tags=tags)["plan"]
        rewritten = answer("tag_evol/rewrite_general", instruction=text, tags=tags, plan=plan)["rewritten_instruction"]
        final = answer("tag_evol/review", instruction=text, tags=tags, rewritten=rewritten)
        made.append(chosen | final)
    counts = Counter(problem.partition(":")[0] for problem in problems(texts, made))
    assert counts[""] > 0.75 * len(texts)
    assert {"budget_overflow", "ungrounded", "copy", "leaked_markup"} <= counts.keys()


def test_most_repairs_mend(texts: list[str]) -> None:
    attempt = {"candidates": "\n".join(POOL), "budget": str(BUDGET), "tags": "bakery", "problem": "ungrounded: x"}
    made = [answer("tag_evol/revise", instruction=text, rewritten=f"{text} Bake.", **attempt) for text in texts]
    good = sum(not problem for problem in problems(texts, made))
    assert 0.6 < good / len(texts) < 0.8
    stubborn = [each for each in made if each["chosen_tags"] == ["bakery"]]
    assert len(stubborn) == len(texts) - good


def test_the_judge_sees_which_tags_are_absent() -> None:
    values = {
        "instruction": "Plan a trip.",
        "rewritten": "Plan a trip on a budget.",
        "tags": "budget planning\nset theory",
    }
    assert answer("tag_evol/presence", **values) == {"absent_tags": ["set theory"]}
    values["rewritten"] = "Plan a trip."
    assert answer("tag_evol/presence", **values)["absent_tags"] == ["budget planning", "set theory"]
