"""`tagsmith push`: a release folder made earlier, checked, named on its card, published."""

import io
import json
from contextlib import redirect_stderr, redirect_stdout
from datetime import UTC, datetime

import pytest
from datasets import Dataset, Features, Value, load_dataset

from tagsmith.cards.dataset_card import CardText
from tagsmith.cards.manifest import build_manifest
from tagsmith.cards.release import write_release
from tagsmith.recipes.cli import main

COUNTS = {"rows_in": 10, "rows_out": 2, "rejected": {"unparsed": 1}, "requests": 10, "store_hits": 0, "retries": 0}
CARD = CardText(
    title="Two rows",
    summary=["Two rows about trains."],
    configs={"default": "the rows", "rejected": "rows that fell out", "generations": "every reply"},
    citation="@misc{x}",
)


@pytest.fixture
def made(tmp_path, monkeypatch):
    """Writes `runs/made`, with what a test changes in the manifest."""
    monkeypatch.chdir(tmp_path)

    def make(**changes):
        now = datetime(2024, 5, 1, 12, tzinfo=UTC)
        facts = {
            "recipe": "select_instag",
            "command": ["tagsmith", "run", "select-instag"],
            "config": {},
            "method": "#InsTag",
            "variant": "paper",
            "inputs": [{"name": "org/pool", "rows": 10}],
            "prompts": {},
            "models": [{"model": "org/llama"}],
            "counts": COUNTS | {"prompt_tokens": 1, "reply_tokens": 1},
            "started": now,
            "finished": now,
            "offline": False,
        }
        rows = {
            "instruction": ["Plan a trip by train.", "Name three stations."],
            "response": ["Start in Basel.", "Bern"],
        }
        configs = {
            "default": Dataset.from_dict(rows),
            "rejected": Dataset.from_dict({"reason": []}, features=Features(reason=Value("string"))),
            "generations": Dataset.from_dict({"text": ["one", "two"]}),
        }
        return write_release(
            "runs/made", configs, default="default", manifest=build_manifest(**(facts | changes)), card=CARD
        )

    return make


def tagsmith(*words):
    """Exit status, output and errors of a command."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        status = main(list(words))
    return status, out.getvalue(), err.getvalue()


def test_a_folder_is_published_and_its_card_names_the_repository(hub, made, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", hub.token)
    folder = made()
    assert "lab/trains" not in (folder / "README.md").read_text()
    command = ["push", "runs/made", "lab/trains", "--release", "v1.0.0", "--private", "--max_failed", "0.1"]
    status, out, err = tagsmith(*command)
    assert (status, err) == (0, "")
    repo = hub.repo("dataset", "lab/trains")
    assert repo.private
    assert 'load_dataset("lab/trains", revision="v1.0.0")' in out
    assert repo.tags["v1.0.0"] in out
    card = repo.read("README.md", "v1.0.0").decode()
    assert 'load_dataset("lab/trains", revision="v1.0.0")' in card
    assert "tagsmith reproduce lab/trains@v1.0.0" in card
    loaded = load_dataset("lab/trains", revision="v1.0.0", split="train")
    assert loaded.to_dict() == load_dataset("runs/made", split="train").to_dict()
    # The same again: nothing is sent, and it is no error.
    before = len(hub.seen)
    assert tagsmith(*command)[0] == 0
    assert {seen.method for seen in hub.seen[before:]} == {"GET"}


def test_one_line_for_whatever_is_wrong_and_nothing_is_sent(hub, made, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", hub.token)
    made()
    push = ["push", "runs/made", "lab/trains"]
    for words, said in [
        ([*push], "--release"),
        ([*push, "--release", "1.0", "--max_failed", "1"], "release '1.0' is no version"),
        ([*push, "--release", "v1.0.0"], "1 of 10 rows were rejected (1 unparsed): 10.00%, and at most 5.00%"),
        ([*push, "--release", "v1.0.0", "--max_failed", "often"], "--max_failed"),
        ([*push, "--release", "v1.0.0", "--max_failed", "7"], "max_failed is a share from 0 to 1"),
        ([*push, "--release", "v1.0.0", "--priv"], "unrecognized arguments: --priv; `tagsmith push --help` lists"),
        (["push", "runs/other", "lab/trains", "--release", "v1.0.0"], "runs/other is no release"),
        (["push", "runs/made", "trains", "--release", "v1.0.0"], "expected org/name"),
        (["push", "runs/made", "bob/trains", "--release", "v1.0.0", "--max_failed", "1"], "may not write to 'bob'"),
    ]:
        status, out, err = tagsmith(*words)
        assert (status, out) == (2, ""), said
        assert said in err
        assert err.startswith("tagsmith: error: ")
        assert err.count("\n") == 1
    assert {seen.method for seen in hub.seen} == {"GET"}
    assert hub.repositories == {}


def test_rows_of_rules_are_published_only_with_leave(hub, made, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", hub.token)
    made(offline=True)
    command = ["push", "runs/made", "lab/trains", "--release", "v1.0.0", "--max_failed", "0.1"]
    status, _, err = tagsmith(*command)
    assert status == 2
    assert "--allow_offline" in err
    assert hub.seen == []
    assert tagsmith(*command, "--allow_offline")[0] == 0
    assert json.loads(hub.repo("dataset", "lab/trains").read("manifest.json"))["offline"] is True


def test_rows_that_were_changed_are_not_published(hub, made, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", hub.token)
    folder = made()
    Dataset.from_dict({"text": ["one", "2"]}).to_parquet(next(folder.glob("generations/*.parquet")))
    status, _, err = tagsmith("push", "runs/made", "lab/trains", "--release", "v1.0.0", "--max_failed", "0.1")
    assert status == 2
    assert "rows of config 'generations', split 'train', are not those that the manifest was written for" in err
    assert hub.seen == []
