"""The recipe `tag-knowledge`: rows tagged, checked and scored; every row accounted for; made again from its record."""

import io
import json
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest
from datasets import load_dataset

from tagsmith.cards.release import load_config
from tagsmith.processors.endpoint.request import UnparsedReplyError
from tagsmith.processors.tags.tag_proposer import TagProposer
from tagsmith.recipes.cli import main
from tagsmith.recipes.tag_knowledge_card import round_counts

QUESTION = "How many {thing} fit into {n} boxes if each box holds {more} of them?"
THINGS = ("blue marbles", "garden chairs", "paper lanterns", "copper kettles")
ROWS = [
    {"instruction": QUESTION.format(thing=thing, n=n, more=n + 2), "output": f"{n * (n + 2)}."}
    for n in range(1, 11)
    for thing in THINGS
] + [
    {"instruction": " ", "output": "Nothing was asked."},
    {"instruction": "Name three rivers of Asia.", "output": ""},
]


def run(*argv: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        status = main(list(argv))
    return status, out.getvalue(), err.getvalue()


@pytest.fixture(scope="module", autouse=True)
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("work"))
        Path("rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")
        yield Path.cwd()


@pytest.fixture(scope="module")
def made(folder: Path) -> Path:
    own = ["--dataset", "rows.jsonl", "--score", "quality", "complexity", "--store", "store.sqlite"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tagsmith.cards.release.render_explorer", lambda *_, **__: "")  # most of a small run's time
        status, _, err = run("run", "tag-knowledge", *own, "--output", "knowledge")
    assert status == 0, err
    return folder / "knowledge"


def config(folder: Path, name: str) -> list[dict[str, Any]]:
    return load_config(str(folder), name)["train"].to_list()


def test_every_row_is_tagged_or_rejected_with_a_reason(made):
    tagged, rejected = config(made, "default"), config(made, "rejected")
    manifest = json.loads((made / "manifest.json").read_text())
    assert len(tagged) + len(rejected) == len(ROWS) == manifest["counts"]["rows_in"]
    assert sum(manifest["counts"]["rejected"].values()) == len(rejected)
    reasons = {row["instruction"]: row["reason"].partition(":")[0] for row in rejected}
    assert reasons[" "] == "empty_instruction"
    assert reasons["Name three rivers of Asia."] == "no_text"
    for row in tagged:
        assert 1 <= len(row["raw_tags"]) <= 5
        assert len(row["raw_tags"]) == len(row["tag_explanations"])
        assert (row["raw_tags"], row["check_passed"]) == (
            row["tag_rounds"][-1]["tags"],
            row["tag_rounds"][-1]["passed"],
        )
        assert all(not one["passed"] for one in row["tag_rounds"][:-1])
        assert 1 <= row["quality_score"] <= 6
        assert row["complexity_scores"] == [row["complexity_score"]]
        assert row["attempts"] == len(row["generation_keys"]) >= 2 * len(row["tag_rounds"]) + 2
    assert {len(row["tag_rounds"]) for row in tagged} >= {1, 2}


def test_the_training_form_has_the_rows_that_passed(made):
    tagged = {row["id"]: row for row in config(made, "default")}
    examples = config(made, "sft")
    assert [one["id"] for one in examples] == [row["id"] for row in tagged.values() if row["check_passed"]]
    for one in examples:
        row = tagged[one["id"]]
        asked, answer = one["messages"]
        assert row["instruction"] in asked["content"]
        pairs = TagProposer(format="distilled").read(answer["content"])
        assert pairs == list(zip(row["raw_tags"], row["tag_explanations"], strict=True))


def test_the_release_opens_and_shows_its_rounds_and_scores(made):
    assert len(load_dataset(str(made), split="train")) == len(config(made, "default"))
    card = (made / "README.md").read_text(encoding="utf-8")
    assert "### Rounds of tagging and checking" in card
    assert "### Scores" in card
    assert "not by a language model" in card
    assert {path.name for path in (made / "pictures").iterdir()} >= {"rounds.png", "rounds-dark.png", "scores.png"}
    roles = [model["role"] for model in json.loads((made / "manifest.json").read_text())["models"]]
    assert roles == ["tagger and checker", "quality scorer", "complexity scorer"]


def test_it_is_made_again_from_its_record(made):
    status, out, err = run("reproduce", str(made))
    assert status == 0, err
    assert "verdict" in out
    assert "identical" in out.split("verdict")[1].splitlines()[0]


def test_the_same_again_asks_nothing(made):
    own = ["--dataset", "rows.jsonl", "--store", "store.sqlite", "--output", "again", "--dry_run", "true"]
    status, out, _ = run("run", "tag-knowledge", *own)
    assert status == 0
    lines = dict(line.strip().split("  ", 1) for line in out.splitlines() if "  " in line.strip())
    assert lines["requests to send"].strip() == "0"
    assert lines["requests a row, checks and refinements"].strip() == "1 to 6"


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--score", "beauty"], "score 'beauty' is unknown; expected quality or complexity"),
        (["--max_rounds", "-1"], "max_rounds must be at least 1, got -1"),
        (["--tagger_format", "xml"], "expected one of chat, distilled"),
        (["--score", "quality", "--top_n_tokens", "5"], "need at least 6"),
        (["--score", "quality", "--aggregate", "max"], "expected one of mean, sum"),
    ],
)
def test_bad_settings_end_before_anything_is_sent(made, flags, words):
    status, _, err = run("run", "tag-knowledge", "--dataset", "rows.jsonl", "--output", "bad", *flags)
    assert status != 0
    assert words in err


def test_rows_by_round_add_up():
    from datasets import Dataset

    def one(passed: bool | None) -> dict[str, Any]:
        return {"passed": passed}

    rows = [
        ([one(True)], ["a"], "ok"),
        ([one(False), one(True)], ["a"], "ok"),
        ([one(False), one(False), one(False)], ["a"], "ok"),
        ([one(False)], None, "rejected"),  # the second proposal could not be read
        ([one(False), one(None)], ["a"], "rejected"),  # the second check could not be read
        ([], None, "rejected"),
    ]
    table = Dataset.from_dict(
        {
            "tag_rounds": [rounds for rounds, _, _ in rows],
            "raw_tags": [tags for _, tags, _ in rows],
            "status": [status for _, _, status in rows],
        }
    )
    assert round_counts(table) == {
        1: {"passed": 1, "refined": 4, "rejected": 1},
        2: {"passed": 1, "refined": 1, "rejected": 2},
        3: {"never passed": 1},
    }


def test_blank_tags_in_a_reply_cannot_be_read():
    with pytest.raises(UnparsedReplyError, match="a tag is blank"):
        TagProposer().read('{"tags": [{"tag": " ", "explanation": "x"}]}')
