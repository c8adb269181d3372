"""The lean HTTP connection, byte by byte: what it keeps open, what it drops, and never another request's answer."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st

from tagsmith.processors.endpoint.failures import NotAnEndpointError, UnreachableError
from tagsmith.processors.endpoint.transport import Connection, _ResponseProtocol, connection

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


def posts(url: str, use: Callable[[Connection], Awaitable[Any]], token: str | None = None) -> Any:
    """What `use` returns, of a connection that is closed after it; never waits longer than 20 s."""

    async def run() -> Any:
        way = connection(url, token)
        try:
            return await asyncio.wait_for(use(way), 20)
        finally:
            await way.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:  # the client's kind of loop
        return runner.run(run())


async def three(way: Connection) -> list[tuple[int, bytes]]:
    answers = [await way.post("/generate", b'{"inputs": "x"}', 10) for _ in range(3)]
    return [(status, body) for status, _, body in answers]


async def one(way: Connection) -> tuple[int, dict[str, str], bytes]:
    status, headers, body = await way.post("/generate", b'{"inputs": "x"}', 10)
    return status, dict(headers), body


def test_one_connection_serves_all_requests(scripted_server):
    server = scripted_server([scripted_server.Raw(OK, close=False)])
    assert posts(server.url, three) == [(200, b"hi")] * 3
    assert [seen.connection for seen in server.posts] == [0, 0, 0]


def test_what_goes_over_the_wire(scripted_server):
    server = scripted_server([scripted_server.Raw(OK)])
    posts(server.url + "/base", one, token="a secret")
    (seen,) = server.posts
    assert (seen.method, seen.path, seen.body) == ("POST", "/base/generate", {"inputs": "x"})
    assert seen.headers == {
        "host": f"127.0.0.1:{server.port}",
        "user-agent": "tagsmith",
        "accept": "application/json",
        "content-type": "application/json",
        "authorization": "Bearer a secret",
        "content-length": "15",
    }


def test_without_a_token_there_is_no_authorization(scripted_server):
    server = scripted_server([scripted_server.Raw(OK)])
    posts(server.url, one)
    assert "authorization" not in server.posts[0].headers


def test_a_connection_that_the_server_closed_when_idle_is_opened_anew(scripted_server):
    server = scripted_server([scripted_server.Raw(OK, close=False)])

    async def use(way: Connection) -> bytes:
        await one(way)
        server.drop_connections()
        await asyncio.sleep(0.1)  # the end of the connection arrives
        return (await one(way))[2]

    assert posts(server.url, use) == b"hi"
    assert server.connections == 2


@pytest.mark.parametrize(
    "response",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi",
    ],
    ids=["connection: close", "http/1.0"],
)
def test_a_connection_that_will_be_closed_is_not_used_again(scripted_server, response):
    server = scripted_server([scripted_server.Raw(response, close=False)])
    assert posts(server.url, three) == [(200, b"hi")] * 3
    assert [seen.connection for seen in server.posts] == [0, 1, 2]


def test_chunked_bodies_with_extensions_and_trailers(scripted_server):
    chunked = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=1\r\n0123456789\r\n0\r\nT: 1\r\n\r\n"
    )
    server = scripted_server([scripted_server.Raw(chunked, close=False)])
    assert posts(server.url, three) == [(200, b"abc0123456789")] * 3
    assert server.connections == 1


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
def test_the_end_of_the_connection_ends_a_body_of_no_stated_length(scripted_server, version):
    server = scripted_server([scripted_server.Raw(b"HTTP/" + version + b" 200 OK\r\n\r\nall of it")])
    assert posts(server.url, three) == [(200, b"all of it")] * 3
    assert server.connections == 3


@pytest.mark.parametrize(
    "cut",
    [
        b"",
        b"HTTP/1.1 200",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\nnot all",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n20\r\nnot all",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
    ],
)
def test_half_an_answer_is_none(scripted_server, cut):
    server = scripted_server([scripted_server.Raw(cut), scripted_server.Raw(OK)])

    async def use(way: Connection) -> bytes:
        with pytest.raises(UnreachableError, match="closed the connection"):
            await one(way)
        return (await one(way))[2]  # the connection is fit for another try

    assert posts(server.url, use) == b"hi"


def test_what_is_not_http_is_said_to_be_so(scripted_server):
    server = scripted_server([scripted_server.Raw(b"SSH-2.0-OpenSSH_9.6\r\n", close=False)])
    with pytest.raises(NotAnEndpointError, match="does not speak HTTP"):
        posts(server.url, one)


def test_100_continue_is_not_the_answer(scripted_server):
    first = b"HTTP/1.1 100 Continue\r\nRetry-After: 9\r\n\r\n"
    real = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nx-prompt-tokens: 7\r\n\r\nreal"
    server = scripted_server([scripted_server.Raw(first + real, close=False)])
    assert posts(server.url, one) == (200, {"x-prompt-tokens": "7"}, b"real")


@pytest.mark.parametrize(
    "extra", [b"garbage", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nx-prompt-tokens: 9\r\n\r\nwrong", OK[:9]]
)
def test_more_than_one_answer_spoils_the_connection_not_the_next_request(scripted_server, extra):
    server = scripted_server([scripted_server.Raw(OK + extra, close=False), scripted_server.Raw(OK, close=False)])

    async def use(way: Connection) -> list[Any]:
        return [await one(way), await one(way)]

    assert posts(server.url, use) == [(200, {}, b"hi")] * 2
    assert [seen.connection for seen in server.posts] == [0, 1]


def test_bytes_that_come_unasked_close_the_connection():
    class Transport:
        aborted = False

        def abort(self) -> None:
            self.aborted = True

    protocol = _ResponseProtocol()
    protocol.connection_made(transport := Transport())
    protocol.data_received(OK)
    assert (protocol.closed, transport.aborted) == (True, True)


def test_headers_that_matter_are_kept_by_any_spelling(scripted_server):
    given = b"RETRY-AFTER: 3\r\nlocation: /x\r\nX-Prompt-Tokens: 5\r\nX: y\r\nContent-Length: 0\r\n\r\n"
    server = scripted_server([scripted_server.Raw(b"HTTP/1.1 429 Too Many Requests\r\n" + given)])
    kept = {"Retry-After": "3", "Location": "/x", "x-prompt-tokens": "5"}
    assert posts(server.url, one) == (429, kept, b"")


def test_no_answer_in_time_closes_the_connection(scripted_server):
    async def slow_once(seen: Any) -> Any:
        if seen.number == 0:
            await asyncio.sleep(30)
        return server.Raw(OK, close=False)

    server = scripted_server(slow_once)

    async def use(way: Connection) -> bytes:
        with pytest.raises(UnreachableError, match=r"no answer within 0\.1 s"):
            await way.post("/generate", b"{}", 0.1)
        return (await one(way))[2]

    assert posts(server.url, use) == b"hi"
    assert [seen.connection for seen in server.posts] == [0, 1]


def test_the_answer_to_a_cancelled_request_is_not_taken_for_the_next_ones(scripted_server):
    async def script(seen: Any) -> Any:
        await asyncio.sleep(0.2 if seen.number == 0 else 0)
        return f"answer {seen.number}"

    server = scripted_server(script)

    async def use(way: Connection) -> bytes:
        task = asyncio.create_task(one(way))
        while not server.posts:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(0.3)
        return (await one(way))[2]

    assert b"answer 1" in posts(server.url, use)


def test_ipv6_loopback(scripted_server):
    try:
        server = scripted_server([scripted_server.Raw(OK)], host="::1")
    except OSError as error:
        pytest.skip(f"no IPv6 loopback here: {error}")
    assert posts(server.url, one)[2] == b"hi"
    assert server.posts[0].headers["host"] == f"[::1]:{server.port}"


def test_nobody_listens(scripted_server):
    server = scripted_server()
    server.stop()
    with pytest.raises(UnreachableError, match=f"cannot reach 127.0.0.1:{server.port}: .*Errno"):
        posts(server.url, one)


def test_a_proxy_from_the_environment_is_used_except_for_no_proxy(scripted_server, monkeypatch):
    proxy = scripted_server(["through the proxy"])
    monkeypatch.setenv("http_proxy", proxy.url)
    status, _, body = posts("http://model.invalid:8080", one, token="a secret")
    assert (status, b"through the proxy" in body) == (200, True)
    assert proxy.posts[0].path == "http://model.invalid:8080/generate"
    assert proxy.posts[0].headers["authorization"] == "Bearer a secret"
    direct = scripted_server([scripted_server.Raw(OK)])
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert posts(direct.url, one)[2] == b"hi"
    assert len(proxy.posts) == 1


@given(
    st.lists(st.binary(min_size=1, max_size=40), max_size=6), st.lists(st.integers(1, 30), max_size=30), st.booleans()
)
@settings(max_examples=60, deadline=None)
def test_bodies_survive_any_cutting_into_packets(chunks, cuts, chunked):
    body = b"".join(chunks)
    if chunked:
        framed = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
        wire = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + framed
    else:
        wire = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    loop = asyncio.new_event_loop()
    protocol = _ResponseProtocol()
    answer = protocol.expect(loop)
    at = 0
    for size in [*cuts, len(wire)]:
        if part := wire[at : at + size]:
            protocol.data_received(part)
        at += size
    assert answer.result() == (200, {}, body)
    loop.close()
