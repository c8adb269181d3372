"""What goes wrong at a server: asked again, one row rejected, or the end of the run, with the server's own words."""

import asyncio
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from datasets import Dataset, load_from_disk

from tagsmith.processors.endpoint import retry
from tagsmith.processors.endpoint.client import _DEAD_AFTER
from tagsmith.processors.endpoint.connect import close_clients, connect
from tagsmith.processors.endpoint.endpoint import Endpoint
from tagsmith.processors.endpoint.failures import OverloadedError, ServerFaultError, UnreachableError, failure_of
from tagsmith.processors.endpoint.request import Parameters, Reply, Request
from tagsmith.processors.endpoint.retry import GaveUpError, with_retries
from tagsmith.processors.endpoint.store import GenerationStore
from tagsmith.processors.errors import EndpointError
from tagsmith.processors.instag.tagger import InsTagTagger
from tagsmith.processors.map_rows import map_rows

DOWN = (503, {"error": "down for today"}, {"Retry-After": "9999"})  # past any deadline: given up without waiting
TAGS = '{"tags": [{"tag": "a", "explanation": "b"}]}'


def ask(server: Any, store: str, *texts: str, rows: list[str] | None = None, **settings: Any) -> list[Reply]:
    client = connect(Endpoint(server.url, store=store, **settings))
    return client.submit([Request(Parameters(), prompt=text) for text in texts], str, rows).result()


# --- when to ask again ----------------------------------------------------------------------------------------------


def waits_of(
    failures: list[Exception], deadline_sec: float, monkeypatch: pytest.MonkeyPatch
) -> tuple[Any, list[float]]:
    """Outcome and seconds slept of `with_retries` on a clock of its own, with jitter at its upper end."""
    now, slept = [0.0], []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds

    monkeypatch.setattr(retry, "asyncio", SimpleNamespace(sleep=sleep))
    monkeypatch.setattr(retry, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(retry, "random", SimpleNamespace(uniform=lambda low, high: high))
    ahead = iter(failures)

    async def attempt(left_sec: float) -> float:
        if failure := next(ahead, None):
            raise failure
        return left_sec

    try:
        return asyncio.run(with_retries(attempt, deadline_sec, lambda: None)), slept
    except EndpointError as error:
        return error, slept


def overloaded(retry_after_sec: float | None) -> OverloadedError:
    error = OverloadedError("busy")
    error.retry_after_sec = retry_after_sec
    return error


def test_backoff_doubles_up_to_its_longest(monkeypatch):
    outcome, slept = waits_of([UnreachableError("x")] * 9, 600, monkeypatch)
    assert slept == [1.5 * delay for delay in (0.25, 0.5, 1, 2, 4, 8, 16, 30, 30)]
    assert outcome == 600 - sum(slept)


def test_retry_after_is_kept_to_with_jitter_on_top(monkeypatch):
    assert waits_of([overloaded(7), overloaded(0), overloaded(None)], 600, monkeypatch)[1] == [7.25, 0.25, 1.5]


def test_no_try_is_started_past_the_deadline(monkeypatch):
    outcome, slept = waits_of([overloaded(2), overloaded(100)], 100, monkeypatch)
    assert isinstance(outcome, GaveUpError)
    assert (str(outcome), slept) == ("gave up after 2 tries in 100 s: busy", [2.25])


def test_what_asking_again_cannot_mend_is_raised_at_once(monkeypatch):
    outcome, slept = waits_of([EndpointError("wrong")], 100, monkeypatch)
    assert (str(outcome), slept) == ("wrong", [])


@pytest.mark.parametrize(
    ("status", "kind", "header", "seconds"),
    [
        (429, OverloadedError, "12", 12.0),
        (503, ServerFaultError, "0.5", 0.5),
        (429, OverloadedError, "-3", 0.0),
        (429, OverloadedError, "Wed, 21 Oct 2026 07:28:00 GMT", None),
        (429, OverloadedError, None, None),
        (424, ServerFaultError, None, None),
        (500, ServerFaultError, None, None),
    ],
)
def test_the_servers_wish_is_read(status, kind, header, seconds):
    error = failure_of("http://x/generate", status, {} if header is None else {"Retry-After": header}, b"")
    assert type(error) is kind
    assert error.retry_after_sec == seconds


@pytest.mark.parametrize(
    "first",
    [
        429,
        500,
        502,
        503,
        424,
        (429, {"error": "Model is overloaded", "error_type": "overloaded"}, {"Retry-After": "0"}),
        None,
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{",
        "timeout",
    ],
    ids=str,
)
def test_passing_failures_are_tried_again(scripted_server, store_path, fast_retries, first):
    async def script(seen: Any) -> Any:
        if seen.number >= 2:
            return f"re: {seen.text}"
        if first == "timeout":
            await asyncio.sleep(30)
        return server.Raw(first) if isinstance(first, bytes) else first

    server = scripted_server(script)
    timeout_sec = 0.6 if first == "timeout" else 60
    (reply,) = ask(server, store_path, "x", timeout_sec=timeout_sec)
    assert (reply.status, reply.value) == ("ok", "re: x")
    assert len(server.posts) == 3
    assert connect(Endpoint(server.url, store=store_path, timeout_sec=timeout_sec)).usage.retries == 2


def test_past_the_deadline_the_row_fails_and_the_next_run_asks_again(scripted_server, store_path):
    server = scripted_server(lambda seen: DOWN if seen.text == "bad" else seen.text)
    replies = ask(server, store_path, "a", "bad", "c")
    assert [reply.status for reply in replies] == ["ok", "failed", "ok"]
    failed = replies[1]
    assert (failed.text, failed.value, failed.received) == (None, None, 0)
    client = connect(Endpoint(server.url, store=store_path))
    assert failed.keys == [client.key_of(Request(Parameters(), prompt="bad")).hex()]
    said = f"{server.url}/generate answered HTTP 503: down for today"
    assert failed.reason == f"endpoint: gave up after 1 try in 600 s: {said}"
    assert len(GenerationStore(store_path)) == 2
    server.script = lambda seen: seen.text
    close_clients()
    before = len(server.posts)
    assert [reply.value for reply in ask(server, store_path, "a", "bad", "c")] == ["a", "bad", "c"]
    assert [seen.text for seen in server.posts[before:]] == ["bad"]


def test_failures_go_on_until_the_deadline(scripted_server, store_path, fast_retries):
    server = scripted_server([500])
    (reply,) = ask(server, store_path, "x", deadline_sec=0.3)
    assert (reply.status, len(server.posts) > 1) == ("failed", True)
    assert re.match(r"endpoint: gave up after \d+ tries in 0\.3 s: http", str(reply.reason))


def on_disk(rows: list[dict[str, Any]], folder: Path) -> Dataset:
    Dataset.from_list(rows).save_to_disk(str(folder))
    return load_from_disk(str(folder))  # `datasets` caches what is made of this


def test_rows_that_failed_are_in_no_cache(scripted_server, store_path, tmp_path):
    server = scripted_server(lambda seen: DOWN if "bad" in seen.text else TAGS)
    dataset = on_disk([{"id": text, "instruction": text} for text in ("good", "bad", "fine")], tmp_path / "data")

    def run() -> Dataset:
        close_clients()
        tagger = InsTagTagger(endpoint=Endpoint(server.url, store=store_path))
        return map_rows(dataset, tagger, description="tagging", progress=False)

    first, before = run(), len(server.posts)
    assert first["status"][:] == ["ok", "rejected", "ok"]
    assert first["reason"][1].startswith("endpoint: gave up after ")
    assert (first["raw_tags"][:], first["attempts"][:]) == ([["a"], None, ["a"]], [1, 0, 1])
    lengths = first.map(lambda row: {"tags": len(row["raw_tags"] or ())})["tags"][:]
    server.script = [TAGS]
    second = run()
    assert (second["status"][:], second["raw_tags"][:]) == (["ok"] * 3, [["a"]] * 3)
    assert len(server.posts) == before + 1
    assert second.map(lambda row: {"tags": len(row["raw_tags"] or ())})["tags"][:] == [1, 1, 1] != lengths


def test_a_plain_map_stops_at_a_failed_row_rather_than_cache_it(scripted_server, store_path, tmp_path):
    server = scripted_server([DOWN])
    dataset = on_disk([{"id": "1", "instruction": "x"}], tmp_path / "data")
    tagger = InsTagTagger(endpoint=Endpoint(server.url, store=store_path))
    with pytest.raises(EndpointError, match=r"1 requests got no answer; first: endpoint: gave up"):
        dataset.map(tagger, batched=True)
    server.script = [TAGS]
    assert dataset.map(tagger, batched=True)["raw_tags"][:] == [["a"]]


# --- refused --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "remedy"),
    [
        (401, "set a token that may use it: HF_TOKEN (or `hf auth login`) for Hugging Face, else TAGSMITH_API_KEY"),
        (403, "set a token that may use it: HF_TOKEN (or `hf auth login`) for Hugging Face, else TAGSMITH_API_KEY"),
        (404, "check the address and the model's name (…?model=NAME)"),
        (405, "check the address and the model's name (…?model=NAME)"),
    ],
)
@pytest.mark.parametrize("reject_refused", [False, True])
def test_what_concerns_the_whole_run_ends_it_at_once(scripted_server, store_path, status, remedy, reject_refused):
    server = scripted_server([status])
    with pytest.raises(EndpointError) as caught:
        ask(server, store_path, *"abcdef", concurrency=1, reject_refused=reject_refused)
    said = f"{server.url}/generate answered HTTP {status}: scripted {status} (scripted)"
    assert str(caught.value) == f"{said}; {remedy}"
    assert len(server.posts) == 1


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_refused_row_is_named(scripted_server, store_path, status):
    error = {"error": "Input validation error:\n too long", "error_type": "validation"}
    server = scripted_server(lambda seen: (status, error, {}) if seen.text == "bad" else seen.text)
    with pytest.raises(EndpointError) as caught:
        ask(server, store_path, "a", "bad", rows=["row-7", "row-8"], concurrency=1)
    assert str(caught.value) == (
        f"row row-8: {server.url}/generate answered HTTP {status}: Input validation error: too long (validation);"
        " mend the row, or pass --reject_refused to reject such rows"
    )


def test_reject_refused_rejects_that_row_alone(scripted_server, store_path):
    server = scripted_server(lambda seen: (422, {"error": "no"}, {}) if seen.text == "bad" else seen.text)
    replies = ask(server, store_path, "a", "bad", "c", reject_refused=True)
    assert [reply.value for reply in replies] == ["a", None, "c"]
    assert (replies[1].status, replies[1].text, replies[1].received) == ("refused", None, 0)
    client = connect(Endpoint(server.url, store=store_path, reject_refused=True))
    assert replies[1].keys == [client.key_of(Request(Parameters(), prompt="bad")).hex()]
    assert replies[1].reason == f"refused: {server.url}/generate answered HTTP 422: no"
    assert len(server.posts) == 3


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"error": {"message": "bad key", "type": "x"}}, "bad key"),
        ({"message": "gone"}, "gone"),
        ({"detail": [{"loc": ["body"], "msg": "missing"}]}, "[{'loc': ['body'], 'msg': 'missing'}]"),
        ({"error": None}, '{"error": null}'),
        ("<html>\n <b>Bad</b>\n</html>", "<html> <b>Bad</b> </html>"),
        ("", "(empty)"),
        ("x" * 500, "x" * 299 + "…"),
    ],
)
def test_the_servers_words_are_found_in_any_shape(scripted_server, store_path, body, words):
    server = scripted_server([(404, body, {"Content-Type": "text/plain"})])
    with pytest.raises(EndpointError) as caught:
        ask(server, store_path, "x")
    assert f"answered HTTP 404: {words}; check" in str(caught.value)


def test_a_redirect_names_where_to(scripted_server, store_path):
    server = scripted_server([(308, "", {"Location": "https://elsewhere.example/generate"})])
    with pytest.raises(EndpointError) as caught:
        ask(server, store_path, "x", reject_refused=True)
    assert str(caught.value) == (
        f"{server.url}/generate redirects (HTTP 308) to https://elsewhere.example/generate; give the address that it"
        " leads to"
    )


@pytest.mark.parametrize("page", ["<html>Sign in</html>", "OK", '{"status": "healthy"}'])
def test_a_200_that_is_no_completion_ends_the_run_and_is_quoted(scripted_server, store_path, page):
    server = scripted_server([(200, page, {"Content-Type": "text/html"})])
    with pytest.raises(EndpointError) as caught:
        ask(server, store_path, "x", reject_refused=True)
    assert "/generate answered HTTP 200 with something else than a completion" in str(caught.value)
    assert page in str(caught.value)
    assert len(GenerationStore(store_path)) == 0


# --- the server is gone ---------------------------------------------------------------------------------------------


def test_a_server_that_is_gone_ends_the_run_for_all_who_wait(scripted_server, store_path):
    server = scripted_server([DOWN])
    client = connect(Endpoint(server.url, store=store_path, concurrency=1))
    tickets = [client.submit([Request(Parameters(), prompt=f"{n}-{i}") for i in range(9)], str) for n in range(3)]
    for ticket in tickets:
        with pytest.raises(EndpointError) as caught:
            ticket.result()
        assert str(caught.value).startswith(f"{server.url} has not answered {_DEAD_AFTER} requests in a row (gave up")
        assert str(caught.value).endswith(
            "all replies so far are stored: see to the server and run the same command again"
        )
    assert client.usage.failed == _DEAD_AFTER - 1
    assert {seen.text for seen in server.posts} == {f"0-{i}" for i in range(_DEAD_AFTER)}


def test_rows_that_fail_now_and_then_do_not_end_the_run(scripted_server, store_path):
    server = scripted_server(lambda seen: DOWN if int(seen.text) % _DEAD_AFTER else seen.text)
    replies = ask(server, store_path, *map(str, range(3 * _DEAD_AFTER)), concurrency=1)
    answered = [n for n, reply in enumerate(replies) if reply.status == "ok"]
    assert answered == [0, _DEAD_AFTER, 2 * _DEAD_AFTER]
    assert {reply.status for reply in replies} == {"ok", "failed"}


def test_a_server_that_stops_in_mid_run(scripted_server, store_path, fast_retries):
    server = scripted_server(lambda seen: seen.text)
    assert ask(server, store_path, "a", deadline_sec=1)[0].value == "a"
    server.stop()
    with pytest.raises(EndpointError, match=rf"has not answered {_DEAD_AFTER} requests .*cannot reach 127\.0\.0\.1"):
        ask(server, store_path, "a", *map(str, range(20)), deadline_sec=1)
    assert len(GenerationStore(store_path)) == 1
