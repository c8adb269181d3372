"""Replies that cannot be read: asked again with the reason, never too often, all kept; and servers without schemas."""

from typing import Any

import pytest

from tagsmith.processors.endpoint.client import Client
from tagsmith.processors.endpoint.connect import close_clients, connect
from tagsmith.processors.endpoint.endpoint import Endpoint
from tagsmith.processors.endpoint.request import Parameters, Request, UnparsedReplyError
from tagsmith.processors.endpoint.store import GenerationStore
from tagsmith.processors.errors import EndpointError

SCHEMA = {"type": "object"}
REPAIR = (
    "Your last answer could not be used: {} is not a number\nPlease give the complete answer once more, in exactly the"
    " form requested at the start, with nothing before or after it."
)


def number(text: str) -> int:
    if not text.isdigit():
        raise UnparsedReplyError(f"{text} is not a number")
    return int(text)


def chat(*texts: str, schema: dict[str, Any] | None = None) -> list[Request]:
    return [Request(Parameters(json_schema=schema), messages=({"role": "user", "content": text},)) for text in texts]


def fresh(server: Any, store: str, **settings: Any) -> Client:
    """A client as a new run has it."""
    close_clients()
    return connect(Endpoint(server.url, store=store, **settings))


def test_a_bad_reply_is_asked_for_again_with_the_reason(scripted_server, store_path):
    server = scripted_server(["seven", "7"])
    client = fresh(server, store_path)
    (reply,) = client.submit(chat("How many?"), number).result()
    assert (reply.status, reply.value, reply.text, reply.reason) == ("ok", 7, "7", None)
    question = {"role": "user", "content": "How many?"}
    assert [seen.body["messages"] for seen in server.posts] == [
        [question],
        [question, {"role": "assistant", "content": "seven"}, {"role": "user", "content": REPAIR.format("seven")}],
    ]
    assert (client.usage.requests, client.usage.repairs, client.usage.unparsed) == (2, 1, 0)
    # Both replies were paid for: both are kept, under the keys that the row names.
    stored = GenerationStore(store_path).export([bytes.fromhex(key) for key in reply.keys]).to_pylist()
    assert [row["text"] for row in stored] == ["seven", "7"]
    # The next run finds both, and asks nothing.
    again = fresh(server, store_path)
    (second,) = again.submit(chat("How many?"), number).result()
    assert (second.value, second.keys, second.from_store) == (7, reply.keys, True)
    assert (len(server.posts), again.usage.requests, again.usage.store_hits) == (2, 0, 1)


def test_a_bad_reply_to_raw_text_stays_raw_text(scripted_server, store_path):
    server = scripted_server(["seven", "7"])
    request = Request(Parameters(), prompt="How many? ")
    (reply,) = fresh(server, store_path).submit([request], number).result()
    assert reply.value == 7
    assert [seen.body["inputs"] for seen in server.posts] == [
        "How many? ",
        f"How many? seven\n\n{REPAIR.format('seven')}\n",
    ]


@pytest.mark.parametrize("max_repairs", [0, 1, 2, 5])
def test_never_more_than_max_repairs(scripted_server, store_path, max_repairs):
    server = scripted_server(lambda seen: f"bad {seen.number}")
    client = fresh(server, store_path, max_repairs=max_repairs)
    (reply,) = client.submit(chat("x"), number).result()
    assert (reply.status, reply.value) == ("unparsed", None)
    assert (reply.text, reply.reason) == (
        f"bad {max_repairs}",
        f"unparsed: bad {max_repairs} is not a number",
    )
    assert len(server.posts) == len(reply.keys) == len(GenerationStore(store_path)) == max_repairs + 1
    assert client.usage.unparsed == 1
    (again,) = fresh(server, store_path, max_repairs=max_repairs).submit(chat("x"), number).result()
    assert (again.status, again.text, again.reason, again.keys) == (reply.status, reply.text, reply.reason, reply.keys)
    assert len(server.posts) == max_repairs + 1


def test_more_repairs_later_go_on_where_the_last_run_stopped(scripted_server, store_path):
    server = scripted_server(["bad", "worse", "7"])
    (reply,) = fresh(server, store_path, max_repairs=1).submit(chat("x"), number).result()
    assert (reply.status, reply.text) == ("unparsed", "worse")
    (reply,) = fresh(server, store_path, max_repairs=2).submit(chat("x"), number).result()
    assert (reply.status, reply.value, len(reply.keys), len(server.posts)) == ("ok", 7, 3, 3)


def test_a_reader_that_has_learnt_to_read_it_pays_nothing(scripted_server, store_path):
    server = scripted_server(["seven"])
    fresh(server, store_path, max_repairs=0).submit(chat("x"), number).result()
    (reply,) = fresh(server, store_path).submit(chat("x"), {"seven": 7}.__getitem__).result()
    assert (reply.value, len(server.posts)) == (7, 1)


def test_a_repair_that_fails_rejects_the_row_and_keeps_the_bad_reply(scripted_server, store_path):
    down = (503, {"error": "down"}, {"Retry-After": "9999"})
    server = scripted_server(["seven", down, "7"])
    (reply,) = fresh(server, store_path).submit(chat("x"), number).result()
    assert (reply.status, reply.text, len(reply.keys), reply.received) == ("failed", None, 2, 1)
    assert len(GenerationStore(store_path).get_many([bytes.fromhex(key) for key in reply.keys])) == 1
    (reply,) = fresh(server, store_path).submit(chat("x"), number).result()
    assert (reply.value, len(reply.keys), len(server.posts)) == (7, 2, 3)


# --- schemas --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words", ["Unknown field: response_format", "grammar is not supported", "`guided_json` needs a backend"]
)
def test_a_server_that_refuses_schemas_is_asked_without_from_then_on(scripted_server, store_path, words):
    def script(seen: Any) -> Any:
        return (422, {"error": words}, {}) if "response_format" in seen.body else "7"

    server = scripted_server(script)
    client = fresh(server, store_path, concurrency=1)
    replies = client.submit(chat("a", "b", "c", schema=SCHEMA), number).result()
    assert [reply.value for reply in replies] == [7, 7, 7]
    assert [(seen.text, "response_format" in seen.body) for seen in server.posts] == [
        ("a", True),
        ("a", False),
        ("b", False),
        ("c", False),
    ]
    # The key is that of what was asked, so a server that enforces schemas would not be asked again.
    assert client.store.get_many([client.key_of(request) for request in chat("a", schema=SCHEMA)])


def test_many_in_flight_meet_the_refusal_together(scripted_server, store_path):
    def script(seen: Any) -> Any:
        return (400, {"error": {"message": "json_schema unsupported"}}, {}) if "response_format" in seen.body else "7"

    server = scripted_server(script, info=None, models=["m"])
    replies = fresh(server, store_path, concurrency=16).submit(chat(*"abcdefghijkl", schema=SCHEMA), number).result()
    assert [reply.value for reply in replies] == [7] * 12
    assert sum("response_format" not in seen.body for seen in server.posts) == 12


def test_a_refusal_of_something_else_is_none_of_schemas(scripted_server, store_path):
    server = scripted_server([(422, {"error": "inputs must not be empty"}, {})])
    with pytest.raises(EndpointError, match="inputs must not be empty"):
        fresh(server, store_path).submit(chat("a", schema=SCHEMA), number).result()
    assert len(server.posts) == 1
