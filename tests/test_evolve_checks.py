"""Tag-Evol's checks: which evolved instructions are accepted, and the reason for each that is not."""

from typing import Any

import numpy as np
import pytest
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st

from tagsmith.processors.errors import InputError
from tagsmith.processors.rewrite_checks import is_copy, leaked_markup, names_tag
from tagsmith.processors.tag_evol.evolve_checks import EvolveChecker, EvolveLimits, kept_share, reject_problems
from tagsmith.processors.tag_text import tag_key

TASK = "A baker sells 12 loaves an hour at 3 dollars each. How much does she earn in a day of 8 hours?"
POOL = ["compound interest", "unit conversion", "probability", "discount", "set theory"]
WITH_DISCOUNT = f"{TASK} After noon every loaf is sold at a discount of one dollar."


class Known:
    """Embeddings that a test says: texts of one group point the same way, all others are at right angles."""

    model = "known"

    def __init__(self, *groups: tuple[str, ...]) -> None:
        self.group = {text: number for number, group in enumerate(groups) for text in group}
        self.asked: list[str] = []

    def encode(self, texts: Any) -> Any:
        self.asked += texts
        vectors = np.zeros((len(texts), 200), np.float32)
        others = iter(range(100, 200))
        for row, text in enumerate(texts):
            vectors[row, self.group[text] if text in self.group else next(others)] = 1
        return vectors


def problem(
    new: str, chosen: list[str], *, embedder: Any = None, limits: EvolveLimits | None = None, **row: Any
) -> str:
    full = {
        "id": "a",
        "instruction": TASK,
        "candidates": POOL,
        "budget": len(chosen),
        "chosen_tags": chosen,
        "new_instruction": new,
        "status": "ok",
        **row,
    }
    checker = EvolveChecker(embedder=embedder)
    (found,) = checker({name: [value] for name, value in full.items()})["problem"]
    return found


@pytest.mark.parametrize(
    ("new", "chosen"),
    [
        (WITH_DISCOUNT, ["discount"]),
        (f"{TASK} Every discounted loaf costs a dollar less; half of them are.", ["discount"]),  # another inflection
        (f"{WITH_DISCOUNT} The probability of rain, which halves all sales, is a fifth.", ["discount", "probability"]),
        (f"{WITH_DISCOUNT} Put the result into the bank at compound interest.", ["Discount", "compound_interest"]),
    ],
)
def test_what_keeps_the_rules_is_accepted(new: str, chosen: list[str]) -> None:
    assert problem(new, chosen) == ""


@pytest.mark.parametrize(
    ("new", "chosen", "row", "expected"),
    [
        (TASK, ["discount"], {}, "copy: it says the same words as the original"),
        (TASK.upper() + "!", ["discount"], {}, "copy: it says the same words as the original"),
        (f"{TASK} Please explain the discount in full detail.", ["discount"], {}, "copy: 100% of the original's words"),
        (
            f"[instruction starts]\n{WITH_DISCOUNT}",
            ["discount"],
            {},
            "leaked_markup: the text contains '[instruc",
        ),
        (f"[problem starts] {WITH_DISCOUNT}", ["discount"], {}, "leaked_markup: the text contains '[problem starts]'"),
        (f"[candidate tags end] {WITH_DISCOUNT}", ["discount"], {}, "leaked_markup: the text contains '[candid"),
        (f'{{"chosen_tags": [], {WITH_DISCOUNT}', ["discount"], {}, 'leaked_markup: the text contains \'"chosen_tags"'),
        (WITH_DISCOUNT, ["discount"], {"budget": 2}, "budget_overflow: 1 different tags were chosen"),
        (
            WITH_DISCOUNT,
            ["discount", "probability"],
            {"budget": 1},
            "budget_overflow: 2 different tags were chosen",
        ),
        (
            WITH_DISCOUNT,
            ["discount", "Discounts"],
            {},
            "budget_overflow: 1 different tags were chosen",
        ),
        (WITH_DISCOUNT, ["bakery"], {}, "ungrounded: the chosen tag 'bakery' is none of the candidates"),
        (
            WITH_DISCOUNT,
            ["set theory"],
            {},
            "ungrounded: neither words nor meaning of 'set theory' can",
        ),
        (
            WITH_DISCOUNT,
            ["discount"],
            {"absent_tags": ["discount"]},
            "ungrounded: the judge does not find 'discount' in the text",
        ),
        ("Every second hour the discount doubles.", ["discount"], {}, "drift: 39 characters are left of 94"),
        (WITH_DISCOUNT + " loaf" * 60, ["discount"], {}, "too_long: 72 words more than the original; at most 60 for 1"),
    ],
)
def test_what_breaks_a_rule_is_told(new: str, chosen: list[str], row: dict[str, Any], expected: str) -> None:
    assert problem(new, chosen, **row).startswith(expected)


def test_marks_that_the_original_has_are_no_leak() -> None:
    original = f"[task starts] {TASK}"
    assert (
        problem(f"{original} After noon there is a discount of one dollar.", ["discount"], instruction=original) == ""
    )


def test_what_the_original_says_already_is_no_evidence() -> None:
    original = f"{TASK} There is a discount."
    added = "After noon it rains, and only half as many customers come by."
    found = problem(f"{original} {added}", ["discount"], instruction=original)
    assert found.startswith("ungrounded: neither words nor meaning of 'discount'")
    assert problem(f"{original} {added} They get a second discount.", ["discount"], instruction=original) == ""


def test_a_tag_may_be_there_in_other_words() -> None:
    new = f"{TASK} Give her income in euros as well, at 1.1 dollars a euro."
    sentence = "Give her income in euros as well, at 1.1 dollars a euro."
    near = Known(("unit conversion", sentence))
    assert problem(new, ["unit conversion"], embedder=near) == ""
    assert problem(new, ["probability"], embedder=near).startswith("ungrounded")
    assert problem(new, ["unit conversion"]).startswith("ungrounded")  # without embeddings only words count


def test_a_judges_verdict_stands_in_place_of_words() -> None:
    assert problem(f"{TASK} Give it in euros, at 1.1 dollars each.", ["unit conversion"], absent_tags=[]) == ""


def test_a_task_may_be_kept_in_other_words() -> None:
    new = "Somebody makes bread and takes in money for every piece; a discount holds after noon. What is her turnover?"
    assert kept_share(TASK, new) < 0.6
    assert problem(new, ["discount"], embedder=Known((TASK, new))) == ""
    assert problem(new, ["discount"], embedder=Known()) == "drift: cosine 0.00 to the original, below 0.45"
    assert problem(new, ["discount"]) == ""  # without embeddings nobody can tell


def test_only_what_words_leave_open_is_embedded() -> None:
    embedder = Known()
    assert problem(WITH_DISCOUNT, ["discount"], embedder=embedder) == ""
    assert embedder.asked == []


def test_rejected_rows_pass_through() -> None:
    batch = {"status": ["rejected"], "new_instruction": [None], "chosen_tags": [None]}
    assert EvolveChecker(embedder=None)(batch) == {"problem": [""]}


def test_rows_with_a_problem_are_rejected_with_their_text() -> None:
    batch = {
        "problem": ["", "copy: x", ""],
        "new_instruction": ["good", "bad", None],
        "status": ["ok", "ok", "rejected"],
        "reason": ["", "", "unparsed: y"],
        "raw_reply": ["", "", "z"],
    }
    assert reject_problems(batch) == {
        "new_instruction": ["good", None, None],
        "status": ["ok", "rejected", "rejected"],
        "reason": ["", "copy: x", "unparsed: y"],
        "raw_reply": ["", "bad", "z"],
    }


@pytest.mark.parametrize(
    ("setting", "value"),
    [("tag_similarity", 1.5), ("similarity", float("nan")), ("kept_words", 2), ("min_ratio", -1), ("words_per_tag", 0)],
)
def test_limits_out_of_range_are_told(setting: str, value: float) -> None:
    with pytest.raises(InputError, match=f"evolve limit {setting}="):
        EvolveLimits(**{setting: value})


def test_a_row_without_the_evolvers_columns_is_told() -> None:
    with pytest.raises(InputError, match=r"row a: column 'new_instruction' is missing"):
        EvolveChecker(embedder=None)({"id": ["a"], "instruction": [TASK], "status": ["ok"]})


SENTENCES = st.sampled_from(
    [
        TASK,
        "Please answer in detail.",
        "After noon there is a discount.",
        "The probability of rain is a fifth, which halves sales.",
        "[task starts]",
        "Her savings bear compound interest every year.",
        "Write a poem on set theory and on foxes.",
    ]
)
TAGS = st.lists(st.sampled_from([*POOL, "Discounts", "bakery", "rain_forest"]), min_size=1, max_size=4)


@settings(max_examples=300, deadline=None)
@given(st.lists(SENTENCES | st.text(max_size=30), min_size=1, max_size=6), TAGS, st.integers(1, 4))
def test_an_accepted_row_always_keeps_budget_and_grounding(parts: list[str], chosen: list[str], budget: int) -> None:
    new = " ".join(parts)
    if problem(new, chosen, budget=budget):
        return
    keys = {tag_key(tag) for tag in chosen}
    assert len(keys) == budget
    assert keys <= {tag_key(tag) for tag in POOL}
    assert not is_copy(TASK, new)
    assert leaked_markup(TASK, new) is None
    # No embedder: each tag's own words stand in what is not the original's.
    assert all(names_tag(tag, new.replace(TASK, " ")) for tag in chosen)


def test_a_dataset_gets_its_problems() -> None:
    rows = Dataset.from_dict(
        {
            "id": ["a", "b"],
            "instruction": [TASK] * 2,
            "candidates": [POOL] * 2,
            "budget": [1, 1],
            "chosen_tags": [["discount"], ["bakery"]],
            "new_instruction": [WITH_DISCOUNT] * 2,
            "status": ["ok", "ok"],
        }
    )
    checker = EvolveChecker(embedder=None)
    checked = rows.map(checker, batched=True, features=checker.features(rows.features))
    assert [found.partition(":")[0] for found in checked["problem"]] == ["", "ungrounded"]
