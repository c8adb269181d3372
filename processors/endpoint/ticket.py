"""Work given to the client: tickets, which callers wait on, and jobs, one for each distinct request."""

import threading
from collections.abc import Callable, Sequence
from typing import Any

from tagsmith.processors.endpoint.request import Completion, Reply, Request

Reader = Callable[[str], Any]  # one reply's text → its value; raises UnparsedReplyError


class Ticket:
    """A batch of requests under way; `result` waits for its replies, in the order of the requests."""

    def __init__(self, size: int, rows: Sequence[str] | None = None) -> None:
        self.replies: list[Reply] = [None] * size  # type: ignore[list-item]
        self.rows = rows
        self._left = size
        self._error: BaseException | None = None
        self._lock = threading.Lock()
        self._done = threading.Event()
        if size == 0:
            self._done.set()

    @classmethod
    def answered(cls, replies: list[Reply]) -> "Ticket":
        """A ticket whose replies are all there."""
        ticket = cls(0)
        ticket.replies = replies
        return ticket

    def set_reply(self, index: int, reply: Reply) -> None:
        """Fill one place."""
        self.replies[index] = reply
        with self._lock:
            self._left -= 1
            if self._left:
                return
        self._done.set()

    def fail(self, error: BaseException) -> None:
        """Let whoever waits raise `error`."""
        self._error = error
        self._done.set()

    @property
    def done(self) -> bool:
        """Whether `result` would return (or raise) at once."""
        return self._done.is_set()

    def result(self) -> list[Reply]:
        """The replies.

        Raises:
            EndpointError, StoreError, BudgetReachedError: what ended the run.
        """
        self._done.wait()
        if self._error is not None:
            raise self._error
        return self.replies


class Job:
    """One distinct request, and every place that waits for its reply."""

    __slots__ = ("content", "key", "known", "places", "read", "request")

    def __init__(self, request: Request, content: bytes, key: bytes, read: Reader) -> None:
        self.request, self.content, self.key, self.read = request, content, key, read
        self.places: list[tuple[Ticket, int]] = []
        self.known: Completion | None = None  # stored already, but it needs a repair
