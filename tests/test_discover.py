"""Who a server is: its model, limits and dialect, asked before anything is sent; and secrets that go nowhere else."""

import asyncio
import traceback
from typing import Any

import pytest

from tagsmith.processors.endpoint import server as server_module
from tagsmith.processors.endpoint.connect import close_clients, connect
from tagsmith.processors.endpoint.endpoint import Endpoint, default_store
from tagsmith.processors.endpoint.request import Parameters, Request
from tagsmith.processors.endpoint.server import HF_ROUTER, Server, discover, token_for
from tagsmith.processors.endpoint.store import GenerationStore
from tagsmith.processors.endpoint.wire import Dialect
from tagsmith.processors.errors import EndpointError, InputError

CANARY = "hf_canary_0123456789"


def found(uri: str) -> Server:
    endpoint = Endpoint(uri)
    return asyncio.run(discover(endpoint, endpoint.target))


# --- who answers ----------------------------------------------------------------------------------------------------


def test_tgi_tells_identity_and_limits(scripted_server):
    info = {
        "model_id": "org/m",
        "model_sha": "abc",
        "max_input_tokens": 1000,
        "max_total_tokens": 2000,
        "max_concurrent_requests": 128,
    }
    server = scripted_server(info=info)
    assert found(server.url) == Server(server.url, "org/m@abc", Dialect(tgi=True, model="org/m"), 1000, 2000, 128)
    assert [(seen.method, seen.path) for seen in server.seen] == [("GET", "/info")]


def test_older_tgi_without_revision(scripted_server):
    server = scripted_server(info={"model_id": "org/m", "model_sha": None, "max_input_length": 99})
    assert found(server.url) == Server(server.url, "org/m", Dialect(tgi=True, model="org/m"), 99)


def test_one_openai_model_is_taken(scripted_server):
    server = scripted_server(info=None, models=["m"])
    assert found(server.url) == Server(server.url, "m", Dialect(tgi=False, model="m"))
    assert [seen.path for seen in server.seen] == ["/info", "/v1/models"]


def test_several_models_need_a_choice(scripted_server):
    server = scripted_server(info=None, models=["a", "b"])
    with pytest.raises(InputError) as caught:
        found(server.url)
    assert str(caught.value) == f"{server.url} serves 2 models (a, b); choose one: {server.url}?model=NAME"
    assert found(f"{server.url}?model=b").model == "b"


def test_vllm_tells_its_window_for_each_model(scripted_server):
    listed = {"data": ["odd", {"id": "a", "max_model_len": 10}, {"id": "b", "max_model_len": 20}]}
    server = scripted_server(info=404)
    server._answer = answering({"/info": 404, "/v1/models": listed})
    assert found(f"{server.url}?model=b") == Server(server.url, "b", Dialect(tgi=False, model="b"), 20, 20)


def answering(by_path: dict[str, Any]) -> Any:
    async def answer(seen: Any) -> Any:
        return by_path.get(seen.path, 404)

    return answer


def test_a_model_named_by_the_user_wins(scripted_server):
    server = scripted_server()
    assert found(f"{server.url}?model=mine").model == "mine"
    nameless = scripted_server(info=None)
    assert found(f"{nameless.url}?model=mine") == Server(nameless.url, "mine", Dialect(tgi=False, model="mine"))


def test_api_generate_sends_raw_text(scripted_server):
    for server in (scripted_server(), scripted_server(info=None, models=["m"])):
        assert found(server.url).dialect.chat
        assert not found(f"{server.url}?api=generate").dialect.chat
    with pytest.raises(InputError, match="endpoint option api='other' is unknown; expected one of chat, generate"):
        found(f"{server.url}?api=other")


@pytest.mark.parametrize("suffix", ["", "/", "/v1", "/v1/"])
def test_addresses_as_people_copy_them(scripted_server, suffix):
    server = scripted_server()
    assert found(server.url + suffix).url == server.url


def test_hf_needs_no_question():
    endpoint = Endpoint("hf:org/m")
    server = asyncio.run(discover(endpoint, HF_ROUTER))
    assert server == Server(HF_ROUTER, "org/m", Dialect(tgi=False, model="org/m"))


# --- who does not ---------------------------------------------------------------------------------------------------


def test_nobody_answers(scripted_server):
    server = scripted_server()
    server.stop()
    with pytest.raises(EndpointError) as caught:
        found(server.url)
    assert str(caught.value).startswith(f"nothing answers at {server.url}/info: Cannot connect to host 127.0.0.1")
    assert str(caught.value).endswith("; start the server, or give another --endpoint (`offline:` needs none)")


def test_a_web_page_is_not_a_model(scripted_server):
    page = (200, "<!DOCTYPE html>\n<html><title>Login</title></html>", {"Content-Type": "text/html"})
    server = scripted_server(info=page)
    with pytest.raises(EndpointError) as caught:
        found(server.url)
    assert str(caught.value) == (
        f"{server.url} answers a web page, not a model: '<!DOCTYPE html> <html><title>Login</title></html>'; give the"
        " address and port of a TGI or OpenAI-compatible server"
    )


@pytest.mark.parametrize(
    ("by_path", "said"),
    [
        ({}, "HTTP 404: 'scripted 404 (scripted)'"),
        ({"/info": (200, "<p>hello", {"Content-Type": "text/html"})}, "HTTP 404: 'scripted 404 (scripted)'"),
        ({"/info": {"status": "ok"}, "/v1/models": {"data": "none"}}, "HTTP 200: "),
        ({"/info": 503, "/v1/models": (503, {"error": "loading"}, {})}, "HTTP 503: 'loading'"),
    ],
)
def test_something_else_answers(scripted_server, by_path, said):
    server = scripted_server()
    server._answer = answering(by_path)
    with pytest.raises(EndpointError) as caught:
        found(server.url)
    assert f"{server.url} answers neither /info (TGI) nor /v1/models (OpenAI-compatible): {said}" in str(caught.value)
    assert f"check the address, or name the model: {server.url}?model=NAME" in str(caught.value)


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("ftp://x", "endpoint 'ftp://x' has no known form; expected one of: http"),
        ("localhost:8080", "endpoint 'localhost:8080' has no known form"),
        ("hf:", "endpoint 'hf:' names no model; expected hf:org/model"),
        ("http:8080", "endpoint 'http:8080' names no host; expected http://host:port"),
    ],
)
def test_addresses_that_are_none(uri, words):
    with pytest.raises(InputError, match=words):
        Endpoint(uri)


def test_a_store_of_no_given_path(monkeypatch, tmp_path):
    monkeypatch.setenv("TAGSMITH_STORE", "/somewhere/s.sqlite")
    assert Endpoint().store_path == "/somewhere/s.sqlite"
    monkeypatch.delenv("TAGSMITH_STORE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_store() == str(tmp_path / "tagsmith" / "generations.sqlite")


# --- secrets --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "token"),
    [
        ("https://router.huggingface.co", "hub"),
        ("https://huggingface.co", "hub"),
        ("https://abc.us-east-1.aws.endpoints.huggingface.cloud", "hub"),
        ("https://user-space.hf.space", "hub"),
        ("https://evilhuggingface.co", "key"),
        ("https://huggingface.co.evil.example", "key"),
        ("https://nothf.space", "key"),
        ("http://localhost:8080", "key"),
        ("https://api.example/huggingface.co", "key"),
    ],
)
def test_each_host_gets_its_own_secret(monkeypatch, url, token):
    monkeypatch.setenv("HF_TOKEN", "hub")
    monkeypatch.setenv("TAGSMITH_API_KEY", "key\n")
    assert token_for(url) == token


def test_no_secret_where_none_is_set(monkeypatch):
    assert token_for("http://localhost:8080") is None
    monkeypatch.setenv("TAGSMITH_API_KEY", " ")
    assert token_for("http://localhost:8080") is None
    monkeypatch.setenv("HF_TOKEN", CANARY)
    assert token_for("http://localhost:8080") is None


def test_the_secret_is_sent_and_neither_shown_nor_stored(scripted_server, store_path, monkeypatch, caplog, capsys):
    monkeypatch.setenv("TAGSMITH_API_KEY", CANARY)
    server = scripted_server(lambda seen: 403 if seen.text == "bad" else seen.text)
    client = connect(Endpoint(server.url, store=store_path))
    client.submit([Request(Parameters(), prompt="good")], str).result()
    with pytest.raises(EndpointError) as caught:
        client.submit([Request(Parameters(), prompt="bad")], str).result()
    assert {seen.headers.get("authorization") for seen in server.seen} == {f"Bearer {CANARY}"}
    shown = "".join(traceback.format_exception(caught.value)) + caplog.text + str(capsys.readouterr()) + repr(client)
    assert "HTTP 403" in shown
    assert CANARY not in shown
    close_clients()
    rows = list(GenerationStore(store_path)._connection().execute("SELECT * FROM generations"))
    assert len(rows) == 1
    assert CANARY not in repr(rows)


def test_the_hub_token_does_not_go_to_other_hosts(scripted_server, store_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", CANARY)
    server = scripted_server(["x"])
    connect(Endpoint(server.url, store=store_path)).submit([Request(Parameters(), prompt="x")], str).result()
    assert {seen.headers.get("authorization") for seen in server.seen} == {None}


def test_the_hub_token_goes_to_the_hub(scripted_server, store_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", CANARY)
    monkeypatch.setattr(server_module, "_HF_HOSTS", ("127.0.0.1",))
    server = scripted_server(["x"])
    connect(Endpoint(server.url, store=store_path)).submit([Request(Parameters(), prompt="x")], str).result()
    assert {seen.headers.get("authorization") for seen in server.seen} == {f"Bearer {CANARY}"}


@pytest.mark.parametrize("uri", [f"http://user:{CANARY}@localhost:8080", f"https://{CANARY}@host"])
def test_a_password_in_the_address_is_refused_and_not_repeated(uri):
    with pytest.raises(InputError, match=r"must not carry a user name or password; set TAGSMITH_API_KEY") as caught:
        Endpoint(uri)
    assert CANARY not in "".join(traceback.format_exception_only(caught.value))
