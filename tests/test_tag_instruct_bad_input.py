"""Bad input for the recipes of Tag-Instruct: one line before anything is sent, or a counted rejection."""

import json
from pathlib import Path
from typing import Any

import pytest

from tagsmith.cards.release import load_config
from tagsmith.recipes.cli import main

ROWS = [
    {"number": 0, "instruction": "Write a poem about the sea.", "output": "The tide is dark."},
    {"number": 1, "instruction": "Compare solar and wind energy.", "output": "The sun shines by day, wind at night."},
    {"number": 2, "instruction": "Plan a trip to Lisbon.", "output": "Day 1: the river. Day 2: the castle."},
]
# What a utility release amounts to, so that no test has to make one.
TABLE = [
    {"tag": tag, "count": 2, "total": 2.0 * mean, "mean": float(mean)}
    for mean, tag in enumerate(("greeting", "poem", "translation", "planning", "comparison", "proof"), 1)
]
LONG = "Summarize the report. " + "The harvest was good in the north and poor in the south. " * 60


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tagsmith.cards.release.render_explorer", lambda *_, **__: "")
    for module in ("build_tag_utility", "build_tag_preferences", "evolve_tag_instruct", "combine_tags"):
        monkeypatch.setattr(f"tagsmith.recipes.{module}.pictures", lambda *_: [])
    write("rows.jsonl", ROWS)
    write("table.jsonl", TABLE)
    return tmp_path


def write(path: str, rows: list[dict[str, Any]]) -> None:
    Path(path).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """The one line of a run that ended before anything was sent."""
    status = main(["run", *words, "--store", "store.sqlite", "--output", "out"])
    captured = capsys.readouterr()
    assert status == 2, captured
    assert captured.out == ""
    assert captured.err.startswith("tagsmith: error: ")
    assert captured.err.count("\n") == 1
    assert not Path("store.sqlite").exists()
    assert not Path("out").exists()
    return captured.err


def made(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    """The manifest's counts of a run that went through."""
    status = main(["run", *words, "--store", "store.sqlite", "--output", "out"])
    captured = capsys.readouterr()
    assert status == 0, captured.err
    counts: dict[str, Any] = json.loads(Path("out/manifest.json").read_text())["counts"]
    return counts


def rows_of(config: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = load_config("out", config)["train"].to_list()
    return rows


EVOLVE = ("evolve-tag-instruct", "--dataset", "rows.jsonl")
PAIRS = ("build-tag-preferences", "--dataset", "rows.jsonl")
COMBINE = ("combine-tags", "--utility", "table.jsonl", "--pool_size", "6")
UTILITY = ("build-tag-utility", "--dataset", "rows.jsonl")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((*EVOLVE, "--utility", "table.jsonl", "--rounds", "0"), "rounds=0: expected at least 1"),
        ((*EVOLVE, "--utility", "table.jsonl", "--expansion", "beam"), "expected one of best-of-n, prompt, policy"),
        ((*EVOLVE, "--expansion", "policy"), "--expansion policy and --policy_endpoint belong together"),
        ((*EVOLVE, "--utility", "table.jsonl", "--policy_endpoint", "offline:"), "belong together"),
        (EVOLVE, "best-of-n needs --utility"),
        ((*EVOLVE, "--utility", "nowhere"), "--utility 'nowhere' does not exist"),
        ((*EVOLVE, "--utility", "rows.jsonl"), "tag"),
        ((*EVOLVE, "--utility", "table.jsonl", "--pool_size", "4"), "two pools of 4 tags would overlap"),
        ((*EVOLVE, "--utility", "table.jsonl", "--pool_share", "0.6"), "share=0.6"),
        ((*EVOLVE, "--utility", "table.jsonl", "--alignment", "dance"), "band, judge, none"),
        ((*EVOLVE, "--utility", "table.jsonl", "--encoder", "simple"), "'simple' is unknown"),
        ((*EVOLVE, "--utility", "table.jsonl", "--candidates", "0"), "n=0"),
        ((*EVOLVE, "--utility", "table.jsonl", "--temperature", "0"), "equal candidates"),
        ((*EVOLVE, "--utility", "table.jsonl", "--response_format", "song"), "song"),
        ((*EVOLVE, "--utility", "table.jsonl", "--max_characters", "0"), "max_characters=0"),
        (PAIRS, "pairs need --utility"),
        ((*PAIRS, "--utility", "table.jsonl", "--candidates", "1"), "candidates=1: a pair needs at least 2 a row"),
        ((*PAIRS, "--utility", "table.jsonl", "--rejected", "best"), "expected random or worst"),
        (("combine-tags", "--rows", "3"), "combining needs --utility"),
        ((*COMBINE, "--pool_size", "7", "--rows", "3"), "pool_size=7: only 6 tags"),
        ((*COMBINE, "--rows", "16"), "has only 15 combinations"),
        ((*COMBINE, "--rows", "3", "--tags_per_row", "1"), "tags_per_row=1"),
        ((*COMBINE, "--rows", "3", "--pool", "middle"), "'middle' is unknown"),
        ((*UTILITY, "--variant", "median"), "'median' is unknown"),
        ((*UTILITY, "--min_count", "0"), "min_count=0"),
        ((*UTILITY, "--response_column", "answer"), "column 'answer' is not in the dataset"),
    ],
)
def test_settings_that_cannot_be(capsys: pytest.CaptureFixture[str], words: tuple[str, ...], message: str) -> None:
    assert message in refused(capsys, *words)


def test_utility_without_a_response_column(capsys: pytest.CaptureFixture[str]) -> None:
    write("asked.jsonl", [{"instruction": row["instruction"]} for row in ROWS])
    said = refused(capsys, "build-tag-utility", "--dataset", "asked.jsonl")
    assert "none of the 3 rows has a response" in said
    assert "--response_column" in said


def test_rows_without_response_stop_utility_or_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    write("some.jsonl", [*ROWS, {"number": 3, "instruction": "Prove it.", "output": " \n"}])
    some = ("build-tag-utility", "--dataset", "some.jsonl")
    assert "1 of 4 rows have no response, first row 3" in refused(capsys, *some)
    counts = made(capsys, *some, "--reject_bad_rows")
    assert counts["rejected"] == {"empty_response": 1}
    assert counts["rows_tagged"] == counts["requests"] == 3
    assert [row["number"] for row in rows_of("rejected")] == [3]


def test_rows_that_are_no_text_stop_evolution_or_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    bad = [{"number": 3, "instruction": None, "output": "x"}, {"number": 4, "instruction": " ", "output": "x"}]
    write("bad.jsonl", [*ROWS, *bad])
    own = ("evolve-tag-instruct", "--dataset", "bad.jsonl", "--expansion", "prompt", "--alignment", "none")
    assert "row 3: column 'instruction' is null" in refused(capsys, *own)
    counts = made(capsys, *own, "--reject_bad_rows", "--rounds", "1", "--measure", "false")
    assert counts["rejected"]["bad_row"] == counts["rejected"]["empty_instruction"] == 1
    assert counts["rows_in"] == 5
    evolved = sum(row["status"] == "ok" and row["iteration"] == 1 for row in rows_of("rounds"))
    assert evolved + sum(counts["rejected"].values()) == 5
    assert [row["number"] for row in rows_of("default")] == [0, 1, 2]


def test_without_a_row_that_can_be_read_there_is_nothing_to_evolve(capsys: pytest.CaptureFixture[str]) -> None:
    write("blank.jsonl", [{"instruction": "  ", "output": "x"}])
    own = ("evolve-tag-instruct", "--dataset", "blank.jsonl", "--expansion", "prompt")
    assert "first reason: empty_instruction" in refused(capsys, *own)


def test_an_instruction_over_the_models_context_stops_the_run_or_is_counted(
    capsys: pytest.CaptureFixture[str],
) -> None:
    write("long.jsonl", [*ROWS, {"number": 3, "instruction": LONG, "output": "So."}])
    limits = ("--endpoint", "offline:?max_input_tokens=900&max_total_tokens=4000", "--max_new_tokens", "512")
    own = ("evolve-tag-instruct", "--dataset", "long.jsonl", "--expansion", "prompt", "--alignment", "none", *limits)
    status = main(["run", *own, "--store", "store.sqlite", "--output", "out"])
    err = capsys.readouterr().err
    assert status == 2
    last = err.splitlines()[-1]
    assert "900" in last
    assert "--reject_refused" in last
    assert not Path("out").exists()
    counts = made(capsys, *own, "--reject_refused", "--rounds", "2", "--measure", "false")
    assert counts["rejected"]["too_long"] == 2  # in each round
    assert counts["rows_in"] == 8
    (kept,) = [row for row in rows_of("default") if row["number"] == 3]
    assert (kept["iteration"], kept["instruction"]) == (0, LONG)
