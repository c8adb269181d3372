"""The client's window of requests: order, bounds, sharing, and an end that keeps all replies and lets nobody wait."""

import asyncio
import multiprocessing
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from tagsmith.processors.endpoint.client import Client
from tagsmith.processors.endpoint.connect import close_clients, connect
from tagsmith.processors.endpoint.endpoint import Endpoint
from tagsmith.processors.endpoint.request import Completion, Parameters, Request, UnparsedReplyError
from tagsmith.processors.endpoint.server import Server
from tagsmith.processors.endpoint.store import Generation, GenerationStore
from tagsmith.processors.endpoint.wire import Dialect
from tagsmith.processors.errors import EndpointError, StoreError

CLOSED = "the client was closed before all replies were in"


def requests(*texts: object) -> list[Request]:
    return [Request(Parameters(), prompt=str(text)) for text in texts]


def wait_until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not true():
        assert time.monotonic() < end, "it did not happen within 20 s"
        time.sleep(0.002)


def stored_texts(path: str) -> list[str]:
    rows = GenerationStore(path)._connection().execute("SELECT text FROM generations")
    return sorted(text for (text,) in rows)


class Gate:
    """A script whose answers wait until the test opens it."""

    def __init__(self) -> None:
        self._open = threading.Event()

    def open(self) -> None:
        self._open.set()

    async def __call__(self, seen: Any) -> str:
        for _ in range(4000):
            if self._open.is_set():
                return f"re: {seen.text}"
            await asyncio.sleep(0.005)
        raise TimeoutError("nobody opened the gate")


# --- order and window -----------------------------------------------------------------------------------------------


def test_replies_are_in_the_order_of_the_requests_whatever_order_they_come_in(scripted_server, store_path):
    async def script(seen: Any) -> str:
        await asyncio.sleep(random.Random(seen.text).random() / 20)
        return f"re: {seen.text}"

    client = connect(Endpoint(scripted_server(script).url, store=store_path, concurrency=32))
    tickets = [client.submit(requests(*range(start, start + 40)), str) for start in range(0, 160, 40)]
    replies = [reply for ticket in tickets for reply in ticket.result()]
    assert [reply.value for reply in replies] == [f"re: {number}" for number in range(160)]
    assert all(reply.status == "ok" and reply.text == reply.value and len(reply.keys) == 1 for reply in replies)
    assert len(GenerationStore(store_path)) == 160


@pytest.mark.parametrize(("given", "told", "window"), [(8, 64, 8), (None, 5, 5), (1, None, 1)])
def test_the_window_is_filled_and_never_exceeded(scripted_server, store_path, given, told, window):
    async def script(seen: Any) -> str:
        for _ in range(2000):  # the first ones wait for each other
            if server.most_in_flight >= window:
                break
            await asyncio.sleep(0.005)
        await asyncio.sleep(0.002)
        return seen.text

    info = {"model_id": "m", "max_concurrent_requests": told}
    server = scripted_server(script, info=info)
    client = connect(Endpoint(server.url, store=store_path, concurrency=given))
    assert [reply.value for reply in client.submit(requests(*range(60)), str).result()] == [str(n) for n in range(60)]
    assert server.most_in_flight == window


def test_a_slow_reply_holds_up_no_other_batch(scripted_server, store_path):
    gate = Gate()

    async def script(seen: Any) -> str:
        return await gate(seen) if seen.text == "slow" else seen.text

    client = connect(Endpoint(scripted_server(script).url, store=store_path, concurrency=2))
    first = client.submit(requests("slow", "a", "b"), str)
    second = client.submit(requests(*range(20)), str)
    assert [reply.value for reply in second.result()] == [str(n) for n in range(20)]
    assert not first.done
    gate.open()
    assert [reply.value for reply in first.result()] == ["re: slow", "a", "b"]


def test_a_batch_of_nothing_is_done(scripted_server, store_path):
    client = connect(Endpoint(scripted_server().url, store=store_path))
    ticket = client.submit([], str)
    assert (ticket.done, ticket.result()) == (True, [])


# --- shared requests ------------------------------------------------------------------------------------------------


def test_equal_requests_are_sent_once_within_and_across_batches(scripted_server, store_path):
    gate = Gate()
    server = scripted_server(gate)
    client = connect(Endpoint(server.url, store=store_path))
    first = client.submit(requests("a", "b", "a", "a"), str)
    second = client.submit(requests("b", "a"), str)
    gate.open()
    assert [reply.value for reply in first.result()] == ["re: a", "re: b", "re: a", "re: a"]
    assert [reply.value for reply in second.result()] == ["re: b", "re: a"]
    third = client.submit(requests("a", "c"), str)
    assert [(reply.value, reply.from_store) for reply in third.result()] == [("re: a", True), ("re: c", False)]
    assert sorted(seen.text for seen in server.posts) == ["a", "b", "c"]
    assert (client.usage.requests, client.usage.store_hits) == (3, 5)
    samples = [replace(request, sample=1) for request in requests("a")]
    client.submit(samples, str).result()
    assert len(server.posts) == 4  # another draw is another request


def test_who_reads_otherwise_gets_their_own_reading(scripted_server, store_path):
    gate = Gate()
    client = connect(Endpoint(scripted_server(gate).url, store=store_path))
    upper = client.submit(requests("a"), str.upper)
    length = client.submit(requests("a"), len)
    gate.open()
    assert (upper.result()[0].value, length.result()[0].value) == ("RE: A", 5)


def test_clients_are_shared_for_equal_settings_only(scripted_server, store_path):
    server = scripted_server()
    endpoint = Endpoint(server.url, store=store_path)
    assert connect(endpoint) is connect(Endpoint(server.url, store=store_path))
    assert connect(endpoint) is not connect(replace(endpoint, max_repairs=0))


# --- no server is started in vain, nor twice ------------------------------------------------------------------------


def client_of(locate: Callable[[], str], store: str) -> Client:
    server = Server("", "m@1", Dialect(tgi=True, model="m"))
    return Client(Endpoint("offline:", store=store), server, locate, GenerationStore(store))


def test_a_run_that_finds_everything_in_the_store_starts_no_server(store_path):
    def locate() -> str:
        raise AssertionError("a server was started")

    client = client_of(locate, store_path)
    (request,) = requests("a")
    kept = Generation(client.key_of(request), "m@1", request.content, b"{}", 0, Completion("kept"), 0.1)
    client.store.add([kept])
    assert client.submit([request], str).result()[0].value == "kept"
    client.close()


def test_a_server_that_cannot_start_ends_the_run_for_all_who_wait(store_path):
    def locate() -> str:
        raise EndpointError("it does not start")

    client = client_of(locate, store_path)
    for _ in range(2):
        with pytest.raises(EndpointError, match="it does not start"):
            client.submit(requests("a"), str).result()
    assert client.ended
    client.close()


def test_callers_that_come_together_start_one_server(scripted_server, store_path):
    server = scripted_server(lambda seen: seen.text)
    started = []

    def locate() -> str:
        started.append(1)
        time.sleep(0.1)
        return str(server.url)

    client = client_of(locate, store_path)
    with ThreadPoolExecutor(8) as pool:
        values = list(pool.map(lambda n: client.submit(requests(n), str).result()[0].value, range(8)))
    assert (values, len(started)) == ([str(n) for n in range(8)], 1)
    client.close()


# --- surroundings ---------------------------------------------------------------------------------------------------


def test_it_works_where_an_event_loop_is_running(scripted_server, store_path):
    endpoint = Endpoint(scripted_server(lambda seen: seen.text).url, store=store_path)

    async def notebook_cell() -> Any:
        return connect(endpoint).submit(requests("a"), str).result()[0].value

    assert asyncio.run(notebook_cell()) == "a"


def _in_child(endpoint: Endpoint, parents: int, answers: Any) -> None:
    client = connect(endpoint)
    answers.put((id(client) == parents, [reply.value for reply in client.submit(requests("a", "b"), str).result()]))


def test_a_forked_process_gets_a_client_of_its_own(scripted_server, store_path):
    server = scripted_server(lambda seen: seen.text)
    endpoint = Endpoint(server.url, store=store_path)
    client = connect(endpoint)
    assert client.submit(requests("a"), str).result()[0].value == "a"
    fork = multiprocessing.get_context("fork")
    answers = fork.SimpleQueue()
    child = fork.Process(target=_in_child, args=(endpoint, id(client), answers))
    child.start()
    child.join(30)
    assert child.exitcode == 0
    assert answers.get() == (False, ["a", "b"])
    assert [seen.text for seen in server.posts] == ["a", "b"]  # "a" was in the store
    assert client.submit(requests("c"), str).result()[0].value == "c"  # ours still works


# --- errors that end a run ------------------------------------------------------------------------------------------


def test_a_reader_that_breaks_ends_the_run_for_all_who_wait(scripted_server, store_path):
    gate = Gate()
    endpoint = Endpoint(scripted_server(gate).url, store=store_path)
    client = connect(endpoint)

    def broken(_: str) -> None:
        raise ZeroDivisionError("a bug in the reader")

    tickets = [client.submit(requests("a", "b"), broken), client.submit(requests("c", "a"), str)]
    gate.open()
    for ticket in tickets:
        with pytest.raises(ZeroDivisionError, match="a bug in the reader"):
            ticket.result()
    with pytest.raises(ZeroDivisionError):
        client.submit(requests("d"), str).result()
    # What was paid for is kept, and a new client goes on, also with what is read out of the store in `submit`.
    assert connect(endpoint) is not client
    assert not client._thread.is_alive()  # the old one is gone with its sockets
    assert connect(endpoint).submit(requests("a"), str).result()[0].value == "re: a"
    with pytest.raises(ZeroDivisionError):
        connect(endpoint).submit(requests("a"), broken)
    assert connect(endpoint).submit(requests("a"), str).result()[0].value == "re: a"


def test_a_store_that_fails_ends_the_run_for_all_who_wait(scripted_server, store_path, monkeypatch):
    def full(_: Any, __: Any) -> None:
        raise StoreError("the disk is full")

    monkeypatch.setattr(GenerationStore, "add", full)
    client = connect(Endpoint(scripted_server(lambda seen: seen.text).url, store=store_path, concurrency=2))
    tickets = [client.submit(requests(n, n + 1, n + 2), str) for n in range(3)]
    for ticket in tickets:
        with pytest.raises(StoreError, match="the disk is full"):
            ticket.result()
    assert client.close() <= 2


# --- the end --------------------------------------------------------------------------------------------------------


def test_close_with_patience_waits_for_what_is_in_flight_and_sends_nothing_new(scripted_server, store_path):
    gate = Gate()
    server = scripted_server(gate)
    client = connect(Endpoint(server.url, store=store_path, concurrency=3))
    ticket = client.submit(requests(*range(10)), str)
    wait_until(lambda: server.in_flight == 3)
    with ThreadPoolExecutor(1) as pool:
        closing = pool.submit(close_clients, 20)
        wait_until(lambda: client.ended)
        gate.open()
        assert closing.result(30) == 0
    assert stored_texts(store_path) == ["re: 0", "re: 1", "re: 2"]
    assert len(server.posts) == 3
    with pytest.raises(EndpointError, match=CLOSED):
        ticket.result()
    with pytest.raises(EndpointError, match=CLOSED):
        client.submit(requests("x"), str).result()


def test_close_at_once_drops_what_is_in_flight_and_keeps_what_arrived(scripted_server, store_path):
    gate = Gate()

    async def script(seen: Any) -> str:
        return "quick" if seen.text == "quick" else await gate(seen)

    server = scripted_server(script)
    endpoint = Endpoint(server.url, store=store_path, concurrency=3)
    ticket = connect(endpoint).submit(requests("quick", 1, 2, 3, 4), str)
    wait_until(lambda: ticket.replies[0] is not None and server.in_flight == 3)
    assert close_clients() == 3
    with pytest.raises(EndpointError, match=CLOSED):
        ticket.result()
    assert stored_texts(store_path) == ["quick"]
    gate.open()
    again = connect(endpoint).submit(requests("quick", 1, 2, 3, 4), str).result()
    assert [reply.value for reply in again] == ["quick", "re: 1", "re: 2", "re: 3", "re: 4"]
    assert again[0].from_store


def test_a_second_close_during_the_first_ones_patience_ends_it(scripted_server, store_path):
    server = scripted_server(Gate())
    client = connect(Endpoint(server.url, store=store_path, concurrency=2))
    client.submit(requests(1, 2), str)
    wait_until(lambda: server.in_flight == 2)
    with ThreadPoolExecutor(1) as pool:
        patient = pool.submit(client.close, 100)
        wait_until(lambda: client.ended)
        dropped = client.close()
        assert dropped == 2
        patient.result(20)
    assert client.close() == 0


def test_an_interrupted_close_can_be_repeated(scripted_server, store_path, monkeypatch):
    """Ctrl-C during the wait for what is in flight: the next `close_clients` finds the client still there."""
    server = scripted_server(Gate())
    client = connect(Endpoint(server.url, store=store_path))
    client.submit(requests(1), str)
    wait_until(lambda: server.in_flight == 1)

    def interrupted(*_: Any) -> int:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Client, "close", interrupted)
        with pytest.raises(KeyboardInterrupt):
            close_clients(20)
    assert close_clients() == 1
    assert not client._thread.is_alive()
    assert close_clients() == 0


def test_replies_that_wait_for_the_disk_are_written_when_the_client_closes(scripted_server, store_path, monkeypatch):
    """A worker that waits for the disk is told by the writer through the loop, which must not be gone by then."""
    gate, add = threading.Semaphore(0), GenerationStore.add
    taken: list[int] = []  # sizes of the transactions that were begun

    def slow_add(self: GenerationStore, generations: Any) -> None:
        taken.append(len(generations))
        assert gate.acquire(timeout=20)
        add(self, generations)

    monkeypatch.setattr(GenerationStore, "add", slow_add)
    client = connect(Endpoint(scripted_server(lambda seen: seen.text).url, store=store_path, concurrency=4))
    client.submit(requests(1), str)
    wait_until(lambda: taken == [1])
    client.submit(requests(2, 3, 4, 5), str)
    wait_until(lambda: client._writer.waiting == 4)  # two of their workers wait for the disk
    gate.release()
    wait_until(lambda: taken == [1, 4])
    client.submit(requests(6, 7), str)
    wait_until(lambda: client._writer.waiting == 2)
    threading.Timer(0.2, gate.release, [10]).start()
    client.close()
    assert taken == [1, 4, 2]
    assert stored_texts(store_path) == ["1", "2", "3", "4", "5", "6", "7"]


def test_closing_starts_no_repair(scripted_server, store_path):
    gate = Gate()
    server = scripted_server(gate)

    def read(_: str) -> None:
        raise UnparsedReplyError("never good")

    client = connect(Endpoint(server.url, store=store_path))
    ticket = client.submit(requests("a"), read)
    wait_until(lambda: server.in_flight == 1)
    with ThreadPoolExecutor(1) as pool:
        closing = pool.submit(client.close, 20)
        wait_until(lambda: client.ended)
        gate.open()
        assert closing.result(30) == 0
    assert (len(server.posts), stored_texts(store_path)) == (1, ["re: a"])
    with pytest.raises(EndpointError, match=CLOSED):
        ticket.result()
