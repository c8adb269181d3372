"""The judge's recipe on a small release: scores that tell good tags from planted ones, and nothing asked twice."""

import asyncio
import io
import json
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tagsmith.processors.endpoint.offline.server import OfflineServer
from tagsmith.processors.endpoint.offline.settings import OfflineSettings
from tagsmith.recipes.cli import main

CASES = 12


@dataclass
class Outcome:
    status: int
    out: str
    err: str

    @property
    def table(self) -> dict[str, str]:
        """The figures that were printed, by name."""
        lines = [line[2:].split("  ", 1) for line in self.out.splitlines() if line.startswith("  ")]
        return {name.strip(): value.strip() for name, value in lines}


def run(*argv: str) -> Outcome:
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        status = main(["run", *argv])
    return Outcome(status, out.getvalue(), err.getvalue())


def judge(*more: str, store: str = "store.sqlite") -> Outcome:
    own = ["--release", "release", "--cases", str(CASES), "--instructions_per_case", "3", "--store", store]
    return run("judge-instag-tags", *own, *more)


def stored(store: str = "store.sqlite") -> int:
    with sqlite3.connect(store) as connection:
        return int(connection.execute("SELECT COUNT(*) FROM generations").fetchone()[0])


@contextmanager
def offline(**settings: float) -> Iterator[str]:
    """The offline endpoint in this process: its judges embed, and the model is loaded here anyway."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    runner = web.AppRunner(OfflineServer(OfflineSettings(**settings)).app(), access_log=None)

    async def start() -> str:
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{runner.addresses[0][1]}"

    yield asyncio.run_coroutine_threadsafe(start(), loop).result()
    asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture(scope="module", autouse=True)
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A working folder with a release of 60 tagged seeds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("work"))
        flags = ["--max_rows", "60", "--n", "10", "--alpha", "2", "--min_support", "3"]
        made = run("select-instag", *flags, "--store", "store.sqlite", "--output", "release")
        assert made.status == 0, made.err
        yield Path.cwd()


@pytest.fixture(scope="module")
def first(folder: Path) -> Outcome:
    """The first run. A dry run before it says what it will send."""
    foreseen = judge("--dry_run")
    assert foreseen.status == 0, foreseen.err
    before = stored()
    with offline() as uri:
        outcome = judge("--output", "scores.json", "--endpoint", uri)
    assert outcome.status == 0, outcome.err
    sizes = [line.split()[-1] for line in foreseen.out.splitlines() if "requests to send" in line]
    assert sum(map(int, sizes)) == stored() - before > 0
    return outcome


def test_planted_faults_are_found(first: Outcome) -> None:
    report = json.loads(Path("scores.json").read_text())
    assert set(report) == {"release", "model", "offline", "seed", "scores"}
    assert report["offline"] is True
    assert report["release"] == "release"
    assert report["model"].startswith("tagsmith/offline-rules@")
    assert set(report["scores"]) == {"precision", "consistency"}
    for kinds in report["scores"].values():
        assert set(kinds) == {"original", "counterfactual"}
        for score in kinds.values():
            assert score["cases"] == CASES
            assert score["unscored"] == 0
            assert 0 <= score["share_correct"] <= 1
        assert kinds["counterfactual"]["share_correct"] < kinds["original"]["share_correct"]


def test_the_table_shows_the_scores_of_the_file(first: Outcome) -> None:
    scores = json.loads(Path("scores.json").read_text())["scores"]
    for name, kinds in scores.items():
        for kind, score in kinds.items():
            shown = f"{100 * score['share_correct']:.1f} % of {CASES} cases (0 unscored)"
            assert first.table[f"tag {name}, {kind}"] == shown
    assert int(first.table["requests answered"].split()[0]) > 0


def test_a_second_run_asks_nothing_and_scores_the_same(first: Outcome) -> None:
    before = stored()
    again = judge("--output", "again.json")
    assert again.status == 0, again.err
    assert again.table["requests answered"] == "0 (0 of them repairs)"
    assert again.table["found in the store"] == str(4 * CASES)
    assert stored() == before
    assert Path("again.json").read_text() == Path("scores.json").read_text()


def test_another_seed_draws_other_cases(first: Outcome) -> None:
    other = judge("--seed", "1", "--dry_run")
    sizes = [int(line.split()[-1]) for line in other.out.splitlines() if "requests to send" in line]
    assert sum(sizes) > 0


def test_cases_without_a_readable_verdict_are_unscored(folder: Path) -> None:
    with offline(malformed=1.0, seed=2) as uri:
        outcome = judge("--endpoint", uri, "--max_repairs", "0", "--output", "bad.json")
    assert outcome.status == 0, outcome.err
    scores = json.loads(Path("bad.json").read_text())["scores"]
    unscored = [score["unscored"] for kinds in scores.values() for score in kinds.values()]
    assert sum(unscored) > 0
    assert f"({unscored[0]} unscored)" in outcome.table["tag precision, original"]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ("--release none", ["none is not a tagsmith release"]),
        ("--output none/scores.json", ["none/scores.json cannot be written", "folder that exists"]),
        ("--output release", ["output release cannot be written", "give a file"]),
        ("--cases 5000", ["5000", "rows with tags"]),
        ("--cases 0", ["0"]),
        ("--instructions_per_case 1", ["instructions_per_case=1", "at least 2"]),
        ("--instruction_per_case 3", ["unknown flag", "did you mean --instructions_per_case?"]),
    ],
)
def test_bad_input_is_one_line_before_anything_is_sent(
    flags: str, said: list[str], scripted_server: Callable[..., Any]
) -> None:
    server = scripted_server([500])
    outcome = judge("--endpoint", server.url, *flags.split())
    assert outcome.status == 2
    assert outcome.out == ""
    (line,) = outcome.err.strip().splitlines()
    assert line.startswith("tagsmith: error: ")
    for words in said:
        assert words in line
    assert server.seen == []
