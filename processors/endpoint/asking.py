"""One request to one server: encoded, sent, tried again, decoded; without a schema where the server knows none."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import orjson

from tagsmith.processors.endpoint.endpoint import Endpoint
from tagsmith.processors.endpoint.failures import RefusedError, failure_of
from tagsmith.processors.endpoint.request import Completion, Request
from tagsmith.processors.endpoint.retry import with_retries
from tagsmith.processors.endpoint.transport import Connection
from tagsmith.processors.endpoint.wire import Dialect

_SCHEMA_WORDS = ("response_format", "grammar", "json_schema", "guided")


class Asker:
    """Sends requests over a worker's connection; what it learns about the server holds for all workers.

    Args:
        endpoint: time limits.
        dialect: how the server is spoken to; replaced by one without schemas when the server refuses them.
        url: the server's address, for errors.
        on_retry: called before each further try.
    """

    def __init__(
        self, endpoint: Endpoint, dialect: Dialect, url: Callable[[], str], on_retry: Callable[[], None]
    ) -> None:
        self.dialect = dialect
        self._endpoint, self._url, self._on_retry = endpoint, url, on_retry

    async def complete(self, request: Request, way: Connection) -> Completion:
        """The server's completion.

        Raises:
            GaveUpError: none came within the deadline. RefusedError, NotAnEndpointError: asking again cannot help.
        """

        async def attempt(left_sec: float) -> Completion:
            route, body = self.dialect.encode(request)
            headers, answer = await self._post(way, route, body, left_sec)
            return self.dialect.decode(route, answer, headers)

        try:
            return await with_retries(attempt, self._endpoint.deadline_sec, self._on_retry)
        except RefusedError as error:
            if not self._refuses_schemas(error, request):
                raise
            self.dialect = replace(self.dialect, structured=False)
            return await with_retries(attempt, self._endpoint.deadline_sec, self._on_retry)

    async def count_tokens(self, request: Request, way: Connection) -> int | None:
        """Tokens of what the request says, by the server's own tokenizer; None where it does not tell."""
        texts = [request.prompt or ""] if request.messages is None else [m["content"] for m in request.messages]
        body = orjson.dumps({"inputs": "\n".join(texts)})
        try:
            _, answer = await with_retries(
                lambda left_sec: self._post(way, "/tokenize", body, left_sec),
                self._endpoint.deadline_sec,
                self._on_retry,
            )
            tokens = orjson.loads(answer)
        except (RefusedError, orjson.JSONDecodeError):
            return None
        return len(tokens) if isinstance(tokens, list) else None

    async def _post(self, way: Connection, route: str, body: bytes, left_sec: float) -> tuple[Mapping[str, str], bytes]:
        timeout = min(self._endpoint.timeout_sec, max(left_sec, 0.001))
        status, headers, answer = await way.post(route, body, timeout)
        if status != 200:
            raise failure_of(self._url() + route, status, headers, answer)
        return headers, answer

    def _refuses_schemas(self, error: RefusedError, request: Request) -> bool:
        words = str(error).lower()
        return request.parameters.json_schema is not None and any(word in words for word in _SCHEMA_WORDS)
