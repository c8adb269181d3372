"""HTTP to one server: a lean keep-alive connection a worker, and aiohttp where a proxy is in the way.

A generation client spends its time in the HTTP layer. One connection a worker needs no pool, and with httptools (the C
parser behind uvicorn) a bare loop sent twice as many requests a second as with a general client, 256 in flight.
"""

import asyncio
import ssl
from collections.abc import Mapping
from functools import cache
from typing import Protocol
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import httptools

from tagsmith.processors.endpoint.failures import NotAnEndpointError, UnreachableError
from tagsmith.processors.errors import EndpointError

Response = tuple[int, Mapping[str, str], bytes]  # status, headers, body
_KEPT_HEADERS = {b"retry-after": "Retry-After", b"location": "Location", b"x-prompt-tokens": "x-prompt-tokens"}


class Connection(Protocol):
    """One worker's way to the server: a request at a time."""

    async def post(self, path: str, body: bytes, timeout_sec: float) -> Response:
        """Send JSON, wait for the whole answer; UnreachableError when there is none."""

    async def close(self) -> None:
        """Let go of the socket."""


def connection(url: str, token: str | None) -> Connection:
    """A connection to `url`: through aiohttp when the environment names a proxy for it, else directly."""
    parts = urlsplit(url)
    if getproxies().get(parts.scheme) and not proxy_bypass(parts.hostname or ""):
        return _ProxiedConnection(url, token)
    return _DirectConnection(parts, token)


async def fetch(url: str, token: str | None, timeout_sec: float = 30.0) -> tuple[int, bytes]:
    """GET, once: for what is asked before a run.

    Raises:
        EndpointError: nothing answers at the address.
    """
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    timeout = aiohttp.ClientTimeout(total=timeout_sec)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, trust_env=True) as session,
            session.get(url, headers=headers) as response,
        ):
            return response.status, await response.read()
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        said = str(error) or type(error).__name__
        raise EndpointError(
            f"nothing answers at {url}: {said}; start the server, or give another --endpoint (`offline:` needs none)"
        ) from error


@cache
def _tls() -> ssl.SSLContext:
    """Reading the certificate authorities takes longer than a request: once for all connections."""
    return ssl.create_default_context()


class _DirectConnection:
    """Opens on first use, re-opens when the server has closed it, and is closed by any failure."""

    def __init__(self, parts: SplitResult, token: str | None) -> None:
        secure = parts.scheme == "https"
        self._host, self._port = parts.hostname or "", parts.port or (443 if secure else 80)
        self._ssl = _tls() if secure else None
        self._base = parts.path
        authorization = f"Authorization: Bearer {token}\r\n" if token else ""
        self._head = (
            f" HTTP/1.1\r\nHost: {parts.netloc.rpartition('@')[2]}\r\nUser-Agent: tagsmith\r\nAccept: application/json"
            f"\r\nContent-Type: application/json\r\n{authorization}Content-Length: "
        )
        self._protocol: _ResponseProtocol | None = None

    async def post(self, path: str, body: bytes, timeout_sec: float) -> Response:
        loop = asyncio.get_running_loop()
        try:
            if self._protocol is None or self._protocol.closed:
                async with asyncio.timeout(timeout_sec):
                    _, self._protocol = await loop.create_connection(
                        _ResponseProtocol, self._host, self._port, ssl=self._ssl
                    )
            protocol = self._protocol
            answer = protocol.expect(loop)
            protocol.transport.write(f"POST {self._base}{path}{self._head}{len(body)}\r\n\r\n".encode() + body)
            timer = loop.call_later(timeout_sec, protocol.fail, f"no answer within {timeout_sec:g} s")
            try:
                return await answer
            finally:
                timer.cancel()
        except OSError as error:  # includes TimeoutError
            await self.close()
            raise UnreachableError(
                f"cannot reach {self._host}:{self._port}: {error or type(error).__name__}"
            ) from error
        except BaseException:
            # Also when cancelled: an answer that still arrives must not be taken for the next request's.
            await self.close()
            raise

    async def close(self) -> None:
        if self._protocol is not None and not self._protocol.closed:
            self._protocol.transport.abort()
        self._protocol = None


class _ResponseProtocol(asyncio.Protocol):
    """Collects one response at a time; httptools calls the `on_…` methods."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.closed = False
        self._answer: asyncio.Future[Response] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def expect(self, loop: asyncio.AbstractEventLoop) -> "asyncio.Future[Response]":
        """Get ready for the answer to the request that is sent next."""
        self._parser = httptools.HttpResponseParser(self)
        self._until_close = False
        self._answer = loop.create_future()
        return self._answer

    def data_received(self, data: bytes) -> None:
        if self._answer is None or self._answer.done():
            self._drop()  # nobody asked: whatever this is, the connection is out of step
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._set_exception(NotAnEndpointError(f"the server does not speak HTTP: {error}"))
            self._drop()

    def on_message_begin(self) -> None:
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        if self._answer is None or self._answer.done():
            self._drop()  # two responses to one request: the next one must not be taken for the next request's

    def on_header(self, name: bytes, value: bytes) -> None:
        lower = name.lower()
        if lower in _KEPT_HEADERS:
            self._headers[_KEPT_HEADERS[lower]] = value.decode("latin-1")
        elif lower in (b"content-length", b"transfer-encoding"):
            self._headers["length-known"] = "yes"

    def on_headers_complete(self) -> None:
        self._until_close = self._headers.pop("length-known", None) is None

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 200:  # 100 Continue and the like: the real response follows
            self._until_close = False
            return
        if not self._parser.should_keep_alive():
            self._drop()
        self._finish(status)

    def connection_lost(self, error: Exception | None) -> None:
        self.closed = True
        if self._answer is not None and not self._answer.done():
            if self._until_close and error is None:  # HTTP/1.0 style: the end of the connection ends the body
                self._finish(self._parser.get_status_code())
            else:
                self._set_exception(UnreachableError(f"the server closed the connection: {error or 'no answer'}"))

    def fail(self, reason: str) -> None:
        """Give up on the answer: a timer's callback."""
        self._set_exception(UnreachableError(reason))
        self._drop()

    def _finish(self, status: int) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result((status, self._headers, b"".join(self._body)))

    def _set_exception(self, error: EndpointError) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)

    def _drop(self) -> None:
        self.closed = True
        self.transport.abort()


class _ProxiedConnection:
    """The same through aiohttp, which knows proxies; the environment says which."""

    def __init__(self, url: str, token: str | None) -> None:
        self._url = url
        self._headers = {"Content-Type": "application/json"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
        self._session: aiohttp.ClientSession | None = None

    async def post(self, path: str, body: bytes, timeout_sec: float) -> Response:
        if self._session is None:
            self._session = aiohttp.ClientSession(trust_env=True, headers=self._headers)
        timeout = aiohttp.ClientTimeout(total=timeout_sec)
        try:
            async with self._session.post(self._url + path, data=body, timeout=timeout) as response:
                return response.status, response.headers, await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise UnreachableError(f"cannot reach {self._url}: {error or type(error).__name__}") from error

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None
