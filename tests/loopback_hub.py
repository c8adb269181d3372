"""A stand-in for the Hugging Face Hub on loopback, for the unchanged `huggingface_hub` and `datasets` clients.

    python tests/loopback_hub.py --port 8900 --folder hub-files

serves until Ctrl-C and prints the environment to set. In tests: the fixture `hub` of conftest.py. It knows no Xet, pull
requests or dataset viewer; what it does serve fails on purpose where `Hub.fail` says so.
"""

import argparse
import asyncio
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import loopback_hub_push  # noqa: F401 - adds its routes
from aiohttp import ClientPayloadError, web
from loopback_hub_routes import answer
from loopback_hub_state import GITATTRIBUTES, Contents, HubError, Repository, User, load, save

__all__ = ["Hub", "HubError", "Repository", "Seen", "User"]


@dataclass
class Seen:
    """A request as it came in, and how it ended: `status` is None where the connection was dropped."""

    method: str
    path: str  # decoded, with the query
    authorized: bool
    status: int | None = None
    fault: str | None = None  # what was made to fail

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass
class Fault:
    pattern: re.Pattern[str]
    kind: int | str | Callable[[], object]
    times: int
    after: int

    def applies(self, seen: Seen) -> bool:
        """Whether this request is one to fail; counts those that match."""
        if self.times == 0 or not self.pattern.search(str(seen)):
            return False
        if self.after > 0:
            self.after -= 1
            return False
        self.times -= 1
        return True


class Hub:
    """The server, in a thread of its own.

    Args:
        folder: where repositories live; left out, in memory.
        port: 0 for any free one.
        page_size: entries on a page of a listing.
        part_bytes: larger files are uploaded in parts of this size; None for one piece.
    """

    # Made up here, so that nobody's scanner takes them for real ones. All have the form of the Hub's tokens.
    token = "hf_" + "AdaMayWrite" * 3
    read_token = "hf_" + "AdaMayRead" * 3
    other_token = "hf_" + "BobIsAStranger" * 2

    def __init__(
        self, folder: Path | None = None, port: int = 0, page_size: int = 1000, part_bytes: int | None = None
    ) -> None:
        self.page_size, self.part_bytes = page_size, part_bytes
        self.users = {
            self.token: User("ada", orgs={"lab": "write"}),
            self.read_token: User("ada", role="read", orgs={"lab": "write"}),
            self.other_token: User("bob"),
        }
        self.seen: list[Seen] = []
        self.errors: list[BaseException] = []  # mistakes of this server, which a test should not overlook
        self.waits: list[float] = []  # seconds that the clients waited before trying again, filled in by the fixture
        self.home: Path | None = None  # HF_HOME of child processes, set by the fixture
        self.parts: dict[str, dict[int, bytes]] = {}
        self._faults: list[Fault] = []
        self._state = folder / "repositories.json" if folder else None
        self.contents = Contents(folder / "contents" if folder else None)
        known = load(self._state, self.contents) if self._state and self._state.exists() else []
        self.repositories = {(r.kind, r.id): r for r in known}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="loopback hub", daemon=True)
        self._thread.start()
        self._runner = asyncio.run_coroutine_threadsafe(self._start(port), self._loop).result(10)
        self.port = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{self.port}"

    def repo(self, kind: str, repo_id: str) -> Repository:
        """A repository as it is now; KeyError where there is none."""
        return self.repositories[kind, repo_id]

    def create(
        self, kind: str, repo_id: str, files: Mapping[str, bytes] | None = None, private: bool = False
    ) -> Repository:
        """Make a repository directly, without a client; `files` become its second commit."""
        repository = self.repositories[kind, repo_id] = Repository(kind, repo_id, self.contents, private)
        initial = {".gitattributes": repository.regular_file(GITATTRIBUTES)}
        repository.commit(initial, "initial commit", author="system")
        if files:
            repository.commit(files)
        return repository

    def fail(self, pattern: str, kind: int | str | Callable[[], object], times: int = 1, after: int = 0) -> None:
        """Let the next `times` requests fail whose "METHOD /path?query" the pattern finds, `after` the first few.

        Kinds:
            a status: answered with it and nothing is done; 429 says Retry-After: 1;
            "drop": the connection is dropped and nothing is done;
            "drop_after": it is done, and the connection is dropped, so that the client cannot know;
            "half": dropped after half of the request's body (nothing is done) or, where it has none, of the answer's;
            a function: called first (in the server's thread), then the request is served; for races.
        """
        if isinstance(kind, str) and kind not in ("drop", "drop_after", "half"):
            raise ValueError(f"kind is a status, a function, 'drop', 'drop_after' or 'half', not {kind!r}")
        self._faults.append(Fault(re.compile(pattern), kind, times, after))

    def count(self, pattern: str) -> int:
        """How many requests' "METHOD /path?query" the pattern finds."""
        return sum(bool(re.search(pattern, str(seen))) for seen in self.seen)

    def environment(self, token: str | None = None, home: Path | None = None) -> dict[str, str]:
        """For a child process: this one's environment, online, with this Hub. `home`: caches of another computer."""
        env = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
        return env | self.settings(token, home or self.home)

    def settings(self, token: str | None = None, home: Path | None = None) -> dict[str, str]:
        """The variables alone that lead the clients here."""
        settings = {"HF_ENDPOINT": self.url, "HF_HUB_DISABLE_XET": "1", "HF_HUB_OFFLINE": "0"}
        settings |= {"HF_HUB_DISABLE_TELEMETRY": "1", "HF_UPDATE_DOWNLOAD_COUNTS": "0"}
        if home:
            settings["HF_HOME"] = str(home)
        if token:
            settings["HF_TOKEN"] = token
        return settings

    def stop(self) -> None:
        """Close everything; a second call does nothing."""
        if self._loop.is_closed():
            return
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _start(self, port: int) -> web.AppRunner:
        app = web.Application(client_max_size=2**40)
        app.router.add_route("*", "/{path:.*}", self._serve)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        # The port may be reserved by a socket of ours that does not listen: see conftest.py.
        await web.TCPSite(runner, "127.0.0.1", port, reuse_port=True).start()
        return runner

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        path = request.path + (f"?{request.query_string}" if request.query_string else "")
        seen = Seen(request.method, path, "Authorization" in request.headers)
        self.seen.append(seen)
        try:
            response = await self._answer(request, seen)
        except (ConnectionError, ClientPayloadError, asyncio.IncompleteReadError, asyncio.CancelledError):
            raise  # the client is gone, or the test is over
        except BaseException as error:
            self.errors.append(error)
            raise
        seen.status = response.status if response else None
        if response is None and request.transport:
            request.transport.close()  # after what is still to be sent
        return response or web.Response()

    async def _answer(self, request: web.Request, seen: Seen) -> web.Response | None:
        """The answer; None where the connection is to be dropped."""
        kind: Any = next((fault.kind for fault in self._faults if fault.applies(seen)), None)
        seen.fault = None if kind is None else str(kind)
        if kind == "half" and request.content_length:
            await request.content.readexactly(request.content_length // 2)
            return None
        body = await request.read()
        if kind == "drop":
            return None
        if isinstance(kind, int):
            headers = {"Retry-After": "1"} if kind == 429 else {}
            return web.json_response({"error": f"made to fail with {kind}"}, status=kind, headers=headers)
        if callable(kind):
            kind()
        response = await answer(self, request, body)
        response.headers["X-Request-Id"] = f"loopback-{len(self.seen)}"
        if self._state and request.method not in ("GET", "HEAD"):
            save(self.repositories.values(), self._state)
        if kind == "half" and request.method != "HEAD":
            await _send_half(request, response)
        return None if kind in ("drop_after", "half") else response


async def _send_half(request: web.Request, response: web.Response) -> None:
    body = response.body if isinstance(response.body, bytes) else b""
    partial = web.StreamResponse(status=response.status, headers=response.headers)
    partial.content_length = len(body)
    await partial.prepare(request)
    await partial.write(body[: len(body) // 2])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=8900)
    parser.add_argument("--folder", type=Path, help="where repositories are kept; left out, in memory")
    options = parser.parse_args()
    hub = Hub(options.folder, options.port)
    for name, value in hub.settings(hub.token).items():
        print(f"export {name}={value}")
    sys.stdout.flush()
    try:
        signal.pause()
    except KeyboardInterrupt:
        hub.stop()


if __name__ == "__main__":
    main()
