"""When to ask again: exponential backoff with jitter, Retry-After, one deadline for all tries of a request."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from tagsmith.processors.endpoint.failures import RETRYABLE, OverloadedError, ServerFaultError
from tagsmith.processors.errors import EndpointError

T = TypeVar("T")
FIRST_DELAY_SEC, LONGEST_DELAY_SEC = 0.25, 30.0


class GaveUpError(EndpointError):
    """All tries of one request within its deadline failed."""


async def with_retries(
    attempt: Callable[[float], Awaitable[T]], deadline_sec: float, on_retry: Callable[[], None]
) -> T:
    """Call `attempt(seconds left)` until it succeeds, fails for good, or the next try would start past the deadline.

    Raises:
        GaveUpError: the deadline is reached; names the last failure.
        EndpointError: `attempt` failed in a way that asking again cannot mend.
    """
    end = time.monotonic() + deadline_sec
    delay, tries = FIRST_DELAY_SEC, 0
    while True:
        tries += 1
        try:
            return await attempt(end - time.monotonic())
        except RETRYABLE as error:
            wait = delay * random.uniform(0.5, 1.5)  # jitter: workers that failed together must not return together
            if isinstance(error, OverloadedError | ServerFaultError) and error.retry_after_sec is not None:
                wait = error.retry_after_sec + random.uniform(0, FIRST_DELAY_SEC)
            if time.monotonic() + wait >= end:
                counted = "1 try" if tries == 1 else f"{tries} tries"
                raise GaveUpError(f"gave up after {counted} in {deadline_sec:g} s: {error}") from error
            delay = min(2 * delay, LONGEST_DELAY_SEC)
            on_retry()
            await asyncio.sleep(wait)
