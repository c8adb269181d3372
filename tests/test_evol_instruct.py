"""The baseline Evol-Instruct: operations drawn by row, its four rules of elimination, and its recipe."""

import io
import json
from collections import Counter
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset

from tagsmith.cards.release import load_config
from tagsmith.processors.baselines.evol_elimination import (
    EqualityJudge,
    eliminate_by_response,
    prompt_words,
    response_problem,
)
from tagsmith.processors.baselines.evol_instruct import IN_DEPTH, OPERATIONS, EvolInstructRewriter
from tagsmith.processors.endpoint.endpoint import Endpoint
from tagsmith.processors.errors import InputError
from tagsmith.processors.map_rows import map_rows
from tagsmith.processors.prompt_template import PromptTemplate
from tagsmith.processors.seeds import load_seeds
from tagsmith.recipes.cli import main

asked = partial(map_rows, description="asking", progress=False)


def rows(n: int, **changed: Any) -> Dataset:
    return Dataset.from_list([{"id": f"row {i}", "instruction": f"Do {i}.", **changed} for i in range(n)])


def test_operations_follow_from_row_round_and_seed_alone() -> None:
    draws = [EvolInstructRewriter(round_number=1).operation_of(row) for row in rows(1200)]
    counts = Counter(draws)
    assert set(counts) == set(OPERATIONS)
    assert max(counts.values()) - min(counts.values()) < 90  # of 200 each, about three standard deviations
    assert draws[5] == EvolInstructRewriter(round_number=1).operation_of({"id": "row 5", "instruction": "x"})
    assert draws != [EvolInstructRewriter(round_number=2).operation_of(row) for row in rows(1200)]
    assert draws != [EvolInstructRewriter(round_number=1, seed=1).operation_of(row) for row in rows(1200)]
    in_depth = EvolInstructRewriter(operations=IN_DEPTH)
    assert "breadth" not in {in_depth.operation_of(row) for row in rows(200)}


def test_each_row_gets_the_prompt_of_its_operation(scripted_server: Callable[..., Any], store_path: str) -> None:
    server = scripted_server(lambda seen: f" New: {len(seen.text)} ")
    rewriter = EvolInstructRewriter(endpoint=Endpoint(server.url, store=store_path))
    made = asked(rows(12), rewriter)
    sent = {post.text for post in server.posts}
    for row in made:
        prompt = PromptTemplate.load(f"evol_instruct/{row['operation']}").render(instruction=row["instruction"])
        assert prompt in sent
        assert row["new_instruction"] == f"New: {len(prompt)}"
    assert len(sent) == 12


@pytest.mark.parametrize("operations", [(), ("constraints", "poetry")])
def test_operations_that_are_none_are_told(operations: tuple[str, ...]) -> None:
    with pytest.raises(InputError, match="expected some of constraints, deepening"):
        EvolInstructRewriter(operations=operations)


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        ("Rewritten instruction: do it.", "Rewritten instruction"),
        ("#Rewritten Prompt#: do it.", "#Rewritten Prompt#"),
        ("Do as the given instructions say.", "given instructions"),
        ("[given instruction starts] Do it.", "[given instruction starts]"),
        ("Do it.", None),
        ("Write instructions for a given oven.", None),
    ],
)
def test_words_of_the_prompt_are_found(new: str, expected: str | None) -> None:
    assert prompt_words("Do it.", new) == expected


def test_words_that_the_original_has_are_no_leak() -> None:
    assert prompt_words("Grade the given instruction.", "Grade the given instruction strictly.") is None


@pytest.mark.parametrize(
    ("response", "code"),
    [
        ("I'm sorry, but I cannot see the picture.", "cannot_answer"),
        ("Sorry. " + "word " * 78, "cannot_answer"),
        ("Sorry. " + "word " * 79, None),  # an answer of eighty words that also says sorry
        ("It is what it is.", "empty_response"),
        ("... !?", "empty_response"),
        ("", "empty_response"),
        ("Paris.", None),
        ("42", None),
    ],
)
def test_responses_show_which_instructions_failed(response: str, code: str | None) -> None:
    found = response_problem(response)
    assert (found and found.partition(":")[0]) == code


def test_rows_fall_out_with_their_response() -> None:
    batch = {
        "response": ["Paris.", "Sorry, no.", None],
        "status": ["ok", "ok", "rejected"],
        "reason": ["", "", "no_gain: x"],
        "raw_reply": ["", "", "y"],
    }
    made = eliminate_by_response(batch)
    assert made["response"] == ["Paris.", None, None]
    assert made["status"] == ["ok", "rejected", "rejected"]
    assert made["raw_reply"] == ["", "Sorry, no.", "y"]
    assert made["reason"][1] == "cannot_answer: the response says sorry, in 2 words"


@pytest.mark.parametrize(
    ("reply", "status", "reason"),
    [
        ('{"equal": false}', "ok", ""),
        (
            '{"equal": true}',
            "rejected",
            "no_gain: the judge finds the new instruction equal to the one it was made from",
        ),
        ('{"equal": "no"}', "rejected", 'unparsed: expected {"equal": true or false}'),
    ],
)
def test_an_equal_instruction_is_no_evolution(
    scripted_server: Callable[..., Any], store_path: str, reply: str, status: str, reason: str
) -> None:
    judge = EqualityJudge(endpoint=Endpoint(scripted_server([reply]).url, store=store_path))
    (row,) = asked(rows(1, new_instruction="Do 0 better."), judge)
    assert row["status"] == status
    assert row["reason"].startswith(reason)


def test_words_of_the_prompt_cost_no_judge(scripted_server: Callable[..., Any], store_path: str) -> None:
    server = scripted_server(['{"equal": false}'])
    judge = EqualityJudge(endpoint=Endpoint(server.url, store=store_path))
    (row,) = asked(rows(1, new_instruction="The new instruction: do it."), judge)
    assert row["reason"] == "prompt_words: the new instruction contains 'new instruction'"
    assert server.posts == []


def evolve(output: str, *more: str) -> tuple[int, str, Path]:
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr("tagsmith.cards.release.render_explorer", lambda *_, **__: "")
        patch.setattr("tagsmith.recipes.evolve_evol_instruct.pictures", lambda *_: [])
        flags = ["--rounds", "2", "--measure_rows", "10", "--store", "store.sqlite", "--output", output]
        return main(["run", "evolve-evol-instruct", *flags, *more]), err.getvalue(), Path(output)


def test_the_recipe_chains_rounds_and_every_rule_acts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    many = load_seeds().select_columns(["instruction", "response"]).to_list()
    Path("rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in many), encoding="utf-8")
    status, err, folder = evolve("evolved", "--dataset", "rows.jsonl", "--max_rows", "120")
    assert status == 0, err
    read = partial(load_config, folder)
    rounds = {row["id"]: row for row in read("rounds")["train"]}
    counts = json.loads((folder / "manifest.json").read_text())["counts"]
    assert counts["rows_in"] == counts["rows_out"] + sum(counts["rejected"].values()) == 240
    assert counts["rejected"].keys() >= {"cannot_answer", "no_gain", "prompt_words"}
    for row in rounds.values():
        if row["iteration"] == 0:
            continue
        parent = rounds[row["parent_id"]]
        assert parent["status"] == "ok"  # what was eliminated went back as it was
        if row["status"] == "ok":
            assert row["operations"] == [*parent["operations"], row["operation"]]
        else:
            assert row["instruction"] == parent["instruction"]
            assert row["operation"] in OPERATIONS
    second = [row for row in rounds.values() if row["iteration"] == 2 and rounds[row["parent_id"]]["iteration"] == 1]
    assert len(second) > 60
    assert [row["rows"] > 0 for row in read("measures")["train"]] == [True] * 3


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (("--rounds", "0"), "rounds=0: expected at least 1"),
        (("--operations", "magic"), "operations ['magic']: expected some of"),
    ],
)
def test_bad_settings_are_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: tuple[str, ...], expected: str
) -> None:
    monkeypatch.chdir(tmp_path)
    status, err, folder = evolve("bad", *flags)
    assert (status, folder.exists()) == (2, False)
    assert expected in err
