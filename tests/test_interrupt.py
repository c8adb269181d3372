"""Ctrl-C and kill -9 in the middle of a run: the same command goes on, and nothing is asked twice."""

import asyncio
import io
import json
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tagsmith.processors.endpoint.connect import close_clients
from tagsmith.processors.endpoint.offline.server import OfflineServer
from tagsmith.processors.endpoint.offline.settings import OfflineSettings
from tagsmith.recipes.cli import main
from tagsmith.recipes.command import run

CONCURRENCY = 4
EARLY = 15  # replies after which a run is stopped: some are stored, most are not


class Loopback:
    """The offline answers over HTTP, from a thread, so that requests are counted beyond the end of a process."""

    def __init__(self, latency_sec: float) -> None:
        self.asked: list[bytes] = []
        self.latency_sec = latency_sec
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.uri = asyncio.run_coroutine_threadsafe(self._start(), self._loop).result()

    async def _start(self) -> str:
        app = OfflineServer(OfflineSettings()).app()
        app.middlewares.append(self._watch)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    @web.middleware
    async def _watch(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if request.method == "POST":
            self.asked.append(await request.read())
            await asyncio.sleep(self.latency_sec)
        return await handler(request)

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@pytest.fixture
def slow_server() -> Iterator[Loopback]:
    server = Loopback(latency_sec=0.1)
    yield server
    server.stop()


@pytest.fixture
def silent_server() -> Iterator[Loopback]:
    """Answers nothing for an hour."""
    server = Loopback(latency_sec=3600)
    yield server
    server.stop()


@pytest.fixture(scope="module", autouse=True)
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A user's working folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("work"))
        yield Path.cwd()


def flags(name: str, endpoint: str) -> list[str]:
    own = ["--max_rows", "100", "--n", "12", "--alpha", "1", "--min_support", "4", "--concurrency", str(CONCURRENCY)]
    return ["--endpoint", endpoint, "--output", name, "--store", f"{name}.sqlite", *own]


def start(name: str, endpoint: str) -> subprocess.Popen[str]:
    """The command in a process of its own, as a terminal would start it."""
    command = [sys.executable, "-m", "tagsmith.recipes.cli", "run", "select-instag", *flags(name, endpoint)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def go_on(name: str, endpoint: str) -> dict[str, Any]:
    """The same command once more, to its end; the manifest."""
    err = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(io.StringIO()), redirect_stderr(err):
        patch.setattr("tagsmith.recipes.select_instag.pictures", lambda *_: [])  # half of a small run's time
        status = main(["run", "select-instag", *flags(name, endpoint)])
    assert status == 0, err.getvalue()
    return json.loads((Path(name) / "manifest.json").read_text())


def stored(name: str) -> int:
    path = Path(f"{name}.sqlite")
    if not path.exists():
        return 0
    with closing(sqlite3.connect(path, timeout=30)) as connection:
        try:
            return int(connection.execute("SELECT COUNT(*) FROM generations").fetchone()[0])
        except sqlite3.OperationalError:  # the table is not there yet
            return 0


def wait_until(holds: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    while not holds():
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.01)


@pytest.fixture(scope="module")
def undisturbed(folder: Path) -> dict[str, Any]:
    """The manifest of a run that nobody stopped."""
    return go_on("undisturbed", "offline:")


def test_ctrl_c_stops_cleanly_and_the_same_command_continues(undisturbed: dict[str, Any]) -> None:
    endpoint = "offline:?latency_ms=100"
    process = start("stopped", endpoint)
    wait_until(lambda: stored("stopped") >= EARLY, process)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    assert process.returncode == 130, err
    assert "Done" not in out
    assert "Traceback" not in err
    *_, waiting, ended = err.strip().splitlines()
    assert waiting.startswith("tagsmith: stopping; waiting up to 10 s for replies in flight")
    assert ended.startswith("tagsmith: stopped; all replies are stored, no request was lost.")
    assert ended.endswith("Run the same command to continue.")
    assert sorted(path.name for path in Path().iterdir() if "stopped" in path.name) == ["stopped.sqlite"]

    paid, total = stored("stopped"), undisturbed["counts"]["requests"]
    assert EARLY <= paid < total
    manifest = go_on("stopped", endpoint)
    assert manifest["counts"]["requests"] == total - paid
    assert stored("stopped") == total
    assert manifest["configs"] == undisturbed["configs"]


def test_a_killed_run_loses_no_more_than_what_was_in_flight(undisturbed: dict[str, Any], slow_server: Loopback) -> None:
    process = start("killed", slow_server.uri)
    wait_until(lambda: stored("killed") >= EARLY, process)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not Path("killed").exists()

    paid, total = stored("killed"), undisturbed["counts"]["requests"]
    assert EARLY <= paid < total
    slow_server.latency_sec = 0
    manifest = go_on("killed", slow_server.uri)
    assert manifest["counts"]["requests"] == total - paid
    assert stored("killed") == total
    assert manifest["configs"] == undisturbed["configs"]
    twice = [body for body, times in Counter(slow_server.asked).items() if times > 1]
    assert len(set(slow_server.asked)) == total
    # At the kill a window of requests was at the server, and at most another was on its way to the disk.
    assert len(twice) == len(slow_server.asked) - total <= 2 * CONCURRENCY


def test_a_second_ctrl_c_does_not_wait(silent_server: Loopback) -> None:
    process = start("impatient", silent_server.uri)
    wait_until(lambda: len(silent_server.asked) == CONCURRENCY, process)
    assert process.stderr is not None
    process.send_signal(signal.SIGINT)
    lines = []
    for line in process.stderr:
        lines.append(line)
        if "Ctrl-C again" in line:
            process.send_signal(signal.SIGINT)
    process.communicate()
    assert process.returncode == 130, lines
    assert f"all replies are stored, {CONCURRENCY} requests in flight were dropped." in lines[-1]
    assert not Path("impatient").exists()


def test_ctrl_c_without_requests_speaks_of_none(capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    close_clients()  # of the tests before
    assert run(interrupted, []) == 130
    assert capsys.readouterr().err == "\ntagsmith: stopped. Run the same command to continue.\n"
