"""A large replay in several processes gives the rows, the usage and the errors of one process."""

import json
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset

from tagsmith.cards.content_hash import content_hash
from tagsmith.cards.release import load_config
from tagsmith.processors import map_rows as module
from tagsmith.processors.endpoint.connect import close_clients
from tagsmith.processors.endpoint.request import Parameters
from tagsmith.processors.errors import EndpointError
from tagsmith.processors.explained_tags import TAGS_SCHEMA
from tagsmith.processors.instag.tagger import InsTagTagger
from tagsmith.processors.map_rows import map_rows
from tagsmith.processors.replay_shares import MOST_SHARES, ROWS_A_SHARE, shares_for
from tagsmith.processors.rows import to_rows
from tagsmith.recipes.cli import main


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shares")
    rows = [{"instruction": f"Explain topic {n} in three sentences.", "output": "Done."} for n in range(41)]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = ["run", "select-instag", "--dataset", str(folder / "rows.jsonl"), "--output", str(folder / "out")]
    own = ["--n", "5", "--alpha", "1", "--store", str(folder / "s.sqlite"), "--endpoint", "offline:?malformed=0.2"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tagsmith.recipes.select_instag.pictures", lambda *_: [])
        patch.chdir(folder)
        assert main([*words, *own]) == 0
    return folder / "out"


def replayed(release: Path, rows: Dataset, shares: int, monkeypatch: pytest.MonkeyPatch) -> tuple[Dataset, Any]:
    close_clients()
    monkeypatch.setattr(module, "shares_for", lambda _: shares)
    tagger = InsTagTagger(endpoint=f"replay:{release}", parameters=Parameters(1024, json_schema=TAGS_SCHEMA))
    mapped = map_rows(rows, tagger, description="replay", progress=False)
    return mapped, tagger.client.usage


@pytest.mark.parametrize("shares", [2, 3])
def test_the_same_rows_and_usage(release: Path, shares: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = to_rows(load_config(release, "source")["train"])
    alone, used_alone = replayed(release, rows, 1, monkeypatch)
    together, used_together = replayed(release, rows, shares, monkeypatch)
    assert together["id"][:] == rows["id"][:]
    assert content_hash(together) == content_hash(alone)
    assert together.features == alone.features
    assert used_together == used_alone
    assert used_alone.store_hits == len(rows)
    shuffled = rows.select([*range(20, 41), *range(20)])
    mixed, _ = replayed(release, shuffled, shares, monkeypatch)
    assert mixed["id"][:] == shuffled["id"][:]


def test_what_another_process_lacks_is_the_same_error_here(release: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = load_config(release, "source")["train"].to_list()
    source[-1]["instruction"] = "Write a limerick about tax law."
    rows = to_rows(Dataset.from_list(source))
    with pytest.raises(EndpointError) as alone:
        replayed(release, rows, 1, monkeypatch)
    with pytest.raises(EndpointError) as together:
        replayed(release, rows, 2, monkeypatch)
    assert "limerick" in str(alone.value)
    assert str(together.value) == str(alone.value)


def test_only_large_datasets_are_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 16)
    monkeypatch.setattr("sys.platform", "linux")
    assert [shares_for(rows) for rows in (0, 2 * ROWS_A_SHARE - 1, 2 * ROWS_A_SHARE)] == [1, 1, 2]
    assert shares_for(10**9) == MOST_SHARES
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    assert shares_for(10**9) == 1
