"""`replay:`: answers every request from a release's recorded generations, at once, without server, store or thread."""

import threading
from collections.abc import Sequence
from dataclasses import replace
from urllib.parse import parse_qs

from tagsmith.processors.endpoint.endpoint import Endpoint
from tagsmith.processors.endpoint.recorded import Recording
from tagsmith.processors.endpoint.request import KeyMaker, Reply, Request, UnparsedReplyError
from tagsmith.processors.endpoint.server import Server
from tagsmith.processors.endpoint.ticket import Reader, Ticket
from tagsmith.processors.endpoint.unrecorded import goes_on, start_of, what_differs
from tagsmith.processors.endpoint.usage import Usage
from tagsmith.processors.endpoint.wire import Dialect
from tagsmith.processors.errors import EndpointError, InputError
from tagsmith.processors.prompt_template import PromptTemplate


class ReplayClient:
    """What `Client` is for a server, for a recording. Make it with `connect`.

    The model's identity, and whether conversations went out as such or as raw text, are those of the record. Rows that
    were refused, failed or were too long then are rejected now, with the same reasons.

    Args:
        endpoint: the URI's option `model` chooses among several recorded models; of the bounds only `max_repairs`
            matters, and must be what it was.
        recording: the release's generations.
        repair: the prompt that asked again, with the input `reason`.

    Raises:
        InputError: an unknown option, or the model is not told or not there.
    """

    concurrency = 0  # nothing is ever in flight: `map_rows` need not send ahead
    ended = False

    def __init__(self, endpoint: Endpoint, recording: Recording, repair: PromptTemplate | None = None) -> None:
        if unknown := parse_qs(endpoint.query, keep_blank_values=True).keys() - {"model"}:
            raise InputError(f"a replay has no option {', '.join(sorted(unknown))}; it has: model")
        self.endpoint = replace(endpoint, reject_refused=True)  # nothing is sent: the record decides
        self.store = recording
        model = recording.choose_model(endpoint.option("model"))
        self.server = Server("", model, Dialect(tgi=True, model=model, chat=recording.sent_as_chat(model)))
        self.usage = Usage()
        self.repair = repair or PromptTemplate.load("repair")
        self._key = KeyMaker(model)

    def submit(self, requests: Sequence[Request], read: Reader, rows: Sequence[str] | None = None) -> Ticket:
        """The recorded replies, as values that `read` makes of their texts. `rows` names each request's row.

        Raises:
            EndpointError: a request was not recorded: names the row, the prompt and what differs.
        """
        labels: Sequence[str | None] = rows or [None] * len(requests)
        return Ticket.answered([self._answer(*each, read) for each in zip(requests, labels, strict=True)])

    def key_of(self, request: Request) -> bytes:
        """The store key of a request."""
        request = self.server.dialect.as_sent(request)
        return self._key(request, request.content)

    def excess(self, request: Request) -> str | None:
        """Why the server could not take the request when the record was made; None when it could."""
        return self.store.too_long.get(self.key_of(request).hex()) if self.store.too_long else None

    def close(self, grace_sec: float = 0.0, hurry: threading.Event | None = None) -> int:
        """Nothing is in flight, ever."""
        return 0

    def _answer(self, request: Request, row: str | None, read: Reader) -> Reply:
        """Read the recorded reply, and where it cannot be read the one to the repair, as `Client` does."""
        request = self.server.dialect.as_sent(request)
        keys: list[str] = []
        before, problem = request, ""
        repairs_left = self.endpoint.max_repairs
        while True:
            key = self._key(request, request.content).hex()
            keys.append(key)
            if reason := self.store.why_unanswered(key, row):
                self.usage.failed += 1
                # Also for what gave up waiting then: here another run has no more luck.
                return Reply("refused", None, None, reason, keys)
            completion = self.store.completion(key)
            if completion is None:
                raise self._unrecorded(request, row, keys, before, problem)
            try:
                value = read(completion.text)
            except UnparsedReplyError as error:
                before, problem = request, str(error)
            else:
                self.usage.store_hits += 1
                return Reply("ok", completion.text, value, None, keys, completion, from_store=True)
            if repairs_left == 0:
                self.usage.store_hits += 1
                self.usage.unparsed += 1
                return Reply(
                    "unparsed", completion.text, None, f"unparsed: {problem}", keys, completion, from_store=True
                )
            repairs_left -= 1
            request = request.followed_by(completion.text, self.repair.render(reason=problem))

    def _unrecorded(
        self, request: Request, row: str | None, keys: list[str], before: Request, problem: str
    ) -> EndpointError:
        where = f"row {row}: " if row is not None else ""
        model, tries = self.server.model, len(keys) - 1
        if tries and not goes_on(self.store, model, before):
            return EndpointError(
                f"{where}the reply recorded for {start_of(before)!r} cannot be read ({problem}), and {self.store.name}"
                f" recorded no more than {tries} tries of it: set max_repairs to {tries - 1}, as it was then, not"
                f" {self.endpoint.max_repairs}"
            )
        asked = f"repair {tries} of the request" if tries else "the request"
        return EndpointError(
            f"{where}{asked} {start_of(request)!r} is not among the {len(self.store):,} that {self.store.name}"
            f" recorded; {what_differs(self.store, model, request, keys[-1])}; use the rows, prompts and settings of"
            " its manifest.json, or ask a server"
        )
