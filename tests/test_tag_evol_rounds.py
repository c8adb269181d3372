"""Rounds of Tag-Evol and Evol-Instruct: from the seed or chained, with what was asked kept where a round fails."""

from typing import Any

import pytest
from datasets import Dataset

from tagsmith.processors.baselines.evol_rounds import EvolInstructRounds
from tagsmith.processors.errors import InputError
from tagsmith.processors.tag_evol.rounds import TagEvolRounds


def seeds() -> Dataset:
    return Dataset.from_dict({"id": ["a", "b"], "instruction": ["do a", "do b"], "tags": [["own a"], []]})


def result(row: dict[str, Any], new: str | None, **changed: Any) -> dict[str, Any]:
    made = {"id": row["id"], "status": "ok" if new else "rejected", "reason": "" if new else "copy: x"}
    asked = {"budget": 2, "candidates": ["x", "y", "z"], "chosen_tags": ["x", "y"], "plan": "how"}
    return made | asked | {"new_instruction": new} | changed


def advanced(rounds: TagEvolRounds, *texts: str | None) -> TagEvolRounds:
    rows = rounds.current().to_list()
    return rounds.advance(Dataset.from_list([result(row, text) for row, text in zip(rows, texts, strict=True)]))


def test_each_round_starts_from_the_seed() -> None:
    rounds = advanced(advanced(TagEvolRounds.start(seeds(), chained=False), "one a", None), "two a", "two b")
    assert rounds.current()["instruction"][:] == ["do a", "do b"]
    good = rounds.evolved().to_list()
    assert [(row["instruction"], row["iteration"], row["parent_id"]) for row in good] == [
        ("one a", 1, "a"),
        ("two a", 2, "a"),
        ("two b", 2, "b"),
    ]
    assert [row["tags"] for row in good] == [["own a", "x", "y"], ["own a", "x", "y"], ["x", "y"]]
    assert [row["injected_tags"] for row in good] == [["x", "y"]] * 3
    assert len({row["id"] for row in rounds.records}) == 6


def test_chained_rounds_start_from_the_last_good_version() -> None:
    rounds = advanced(TagEvolRounds.start(seeds(), chained=True), "one a", None)
    assert rounds.current()["instruction"][:] == ["one a", "do b"]
    assert rounds.current()["tags"][:] == [["own a", "x", "y"], []]
    rounds = advanced(rounds, "two a", "two b")
    first = rounds.evolved()[1]
    assert rounds.versions("a")[1]["id"] == first["parent_id"]
    assert first["injected_tags"] == ["x", "y", "x", "y"]
    assert first["tags"] == ["own a", "x", "y"]


def test_a_failed_round_says_what_was_asked_and_keeps_the_text() -> None:
    rounds = advanced(TagEvolRounds.start(seeds(), chained=False), None, "one b")
    failed = rounds.records[2]
    assert (failed["status"], failed["reason"], failed["instruction"]) == ("rejected", "copy: x", "do a")
    assert (failed["budget"], failed["candidates"]) == (2, ["x", "y", "z"])
    assert (failed["injected_tags"], failed["tags"], failed["plan"]) == ([], ["own a"], None)


@pytest.mark.parametrize("chosen", [None, []])
def test_a_good_row_without_tags_is_told(chosen: list[str] | None) -> None:
    rounds = TagEvolRounds.start(seeds().select([0]))
    row = rounds.current()[0]
    with pytest.raises(InputError, match="row a is ok but has no chosen_tags"):
        rounds.advance(Dataset.from_list([result(row, "one a", chosen_tags=chosen)]))


def test_evol_instruct_keeps_the_operation_of_a_failed_round() -> None:
    rounds = EvolInstructRounds.start(seeds())
    rows = rounds.current().to_list()
    made = [result(rows[0], "one a", operation="deepening"), result(rows[1], None, operation="breadth")]
    good, failed = rounds.advance(Dataset.from_list(made)).records.to_list()[2:]
    assert (good["operation"], good["operations"], good["tags"]) == ("deepening", ["deepening"], ["own a"])
    assert (failed["operation"], failed["operations"]) == ("breadth", [])
