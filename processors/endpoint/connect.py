"""From an endpoint's settings to a client: one a process for equal settings, shared by all processors that use it."""

import asyncio
import atexit
import os
import sys
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from tagsmith.processors.endpoint.child import ChildServer
from tagsmith.processors.endpoint.client import Client
from tagsmith.processors.endpoint.endpoint import Endpoint
from tagsmith.processors.endpoint.recorded import open_recording
from tagsmith.processors.endpoint.replay import ReplayClient
from tagsmith.processors.endpoint.server import HF_ROUTER, Server, discover
from tagsmith.processors.endpoint.store import GenerationStore
from tagsmith.processors.endpoint.wire import Dialect

T = TypeVar("T")
AnyClient = Client | ReplayClient
_CLIENTS: dict[tuple[int, Endpoint], AnyClient] = {}
_LOCK = threading.Lock()


def connect(endpoint: Endpoint) -> AnyClient:
    """The client for these settings. The first call asks the server who it is; a forked process gets its own.

    Raises:
        EndpointError: nothing answers, or what answers is no endpoint, or no release is there to replay. StoreError:
            the store cannot be opened.
    """
    key = (_process_of(endpoint), endpoint)
    with _LOCK:
        client = _CLIENTS.get(key)
        if client is None or client.ended:
            if client is not None:
                client.close()
            client = _CLIENTS[key] = _client(endpoint)
        return client


def has_clients() -> bool:
    """Whether this process has a client, which may have requests in flight."""
    return any(key[0] == _process_of(key[1]) for key in _CLIENTS)


def close_clients(grace_sec: float = 0.0, hurry: threading.Event | None = None) -> int:
    """Stop all clients of this process; see `Client.close`. Returns how many requests in flight were dropped."""
    with _LOCK:
        dropped = 0
        for key in [key for key in _CLIENTS if key[0] == _process_of(key[1])]:
            dropped += _CLIENTS[key].close(grace_sec, hurry)
            del _CLIENTS[key]  # not before: a second Ctrl-C during the wait comes here again, to close without it
        return dropped


def _process_of(endpoint: Endpoint) -> int:
    """The process that a client belongs to; a replay, without threads or sockets, serves forked ones too."""
    return 0 if endpoint.scheme == "replay" else os.getpid()


atexit.register(close_clients)  # what has arrived is written even when a run ends in an exception


def _client(endpoint: Endpoint) -> AnyClient:
    if endpoint.scheme == "replay":
        return ReplayClient(endpoint, open_recording(endpoint.target))
    server, locate = _server(endpoint)
    return Client(endpoint, server, locate, GenerationStore(endpoint.store_path))


def _server(endpoint: Endpoint) -> tuple[Server, Callable[[], str]]:
    if endpoint.scheme == "offline":
        from tagsmith.processors.endpoint.offline.settings import OfflineSettings, identity

        query = endpoint.server_query
        settings = OfflineSettings.from_query(query)
        model, sha = identity(settings)
        server = Server(
            url="",
            model=f"{model}@{sha}",
            dialect=Dialect(tgi=True, model=model, chat=endpoint.option("api") != "generate"),
            max_input_tokens=settings.max_input_tokens,
            max_total_tokens=settings.max_total_tokens,
            max_concurrent=settings.max_concurrent_requests,
        )
        program = [sys.executable, "-m", "tagsmith.processors.endpoint.offline", "--query", query]
        return server, lambda: ChildServer(program).url
    if endpoint.scheme == "local":
        from tagsmith.processors.endpoint.local import start_local

        url = start_local(endpoint.target).url
    else:
        url = HF_ROUTER if endpoint.scheme == "hf" else endpoint.target
    server = run_apart(discover(endpoint, url))
    return server, lambda: server.url


def run_apart(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end on a loop in a thread of its own: works where a loop is running, as in a notebook."""
    outcome: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            outcome.append(asyncio.run(coroutine))
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return outcome[0]
