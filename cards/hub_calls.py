"""Asking the Hub: again where that can help, else one line of text without a secret in it."""

import json
import logging
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from huggingface_hub import constants

# `HTTPError` is the base class of the library's HTTP client, whichever that is.
from huggingface_hub.errors import (  # type: ignore[attr-defined]
    HfHubHTTPError,
    HTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
)
from huggingface_hub.utils import parse_ratelimit_headers  # type: ignore[attr-defined]

from tagsmith.cards.errors import ReleaseError
from tagsmith.cards.redact import redact_text

T = TypeVar("T")
WAITS_SEC = (1.0, 3.0, 9.0)  # before each further try
_LONGEST_WAIT_SEC = 60.0
# The conflicts among them (409, 412) are settled by looking again, which every step does first.
_PASSING = frozenset({408, 409, 412, 425, 429})
_URL_QUERY = re.compile(r"(https?://[^\s?\"']+)\?[^\s\"']*")  # an upload's address carries its signature there
_LONGEST_TEXT = 300


class NotYetError(Exception):
    """The Hub does not show yet what it was told, or somebody else was faster: look again."""


def settled(failed: str, step: Callable[[], T], *, waits: Sequence[float] | None = None, then: str = "") -> T:
    """Call `step` until it succeeds, fails for good, or has failed once more than there are waits.

    A call whose answer was lost may have done its work. So a step must look at what is there before it acts.

    Args:
        failed: begins the error's text: what did not work.
        step: talks to the Hub.
        waits: seconds before each further try, instead of `WAITS_SEC`; the Hub's own `Retry-After` may lengthen them.
        then: ends the error's text: what to do.

    Raises:
        ReleaseError: in one line, and not chained to the library's exception, which holds the request and its token.
    """
    left = iter(WAITS_SEC if waits is None else waits)
    while True:
        try:
            with _signatures_unlogged():
                return step()
        except ReleaseError:
            raise
        except Exception as error:  # the library's own, its HTTP client's, RuntimeError, ValueError, KeyError, OSError
            if isinstance(error, LocalEntryNotFoundError) and isinstance(error.__cause__, Exception):
                error = error.__cause__  # a download that failed speaks of the cache; why is beneath
            said, wait = words(error), _wait(error, next(left, None))
        if wait is None:
            raise ReleaseError(f"{failed}: {said}{then}")
        time.sleep(wait)


def words(error: BaseException) -> str:
    """What went wrong, in one line that is fit to print."""
    text = " ".join(_URL_QUERY.sub(r"\1", redact_text(_reason(error))).split())
    return text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 1] + "…"


def _reason(error: BaseException) -> str:
    if isinstance(error, OfflineModeIsEnabled):
        return "HF_HUB_OFFLINE is set; unset it to reach the Hub"
    if isinstance(error, HfHubHTTPError):
        response = error.response
        said = f"the Hub answered HTTP {response.status_code}: {error.server_message or response.reason_phrase}"
        if response.status_code == 401:
            said += " (log in with `hf auth login`, or set HF_TOKEN to a valid token)"
        elif response.status_code == 403:
            said += " (use a token that may write there: see hf.co/settings/tokens)"
        return said
    if isinstance(error, HTTPError):
        return f"no answer from {constants.ENDPOINT}: {error or type(error).__name__}"
    if isinstance(error, json.JSONDecodeError):
        return f"what {constants.ENDPOINT} answered is not JSON: is that the Hub?"
    if isinstance(error, RuntimeError) and error.__cause__ is not None:  # how an upload fails in one of its threads
        return f"{str(error).rstrip('.')}: {_reason(error.__cause__)}"
    if isinstance(error, OSError | ValueError | NotYetError):
        return str(error)
    return f"{type(error).__name__}: {error}"


def _wait(error: Exception, planned: float | None) -> float | None:
    """Seconds until the next try; None for none."""
    if planned is None or isinstance(error, OfflineModeIsEnabled):
        return None
    if isinstance(error, HfHubHTTPError):
        headers, status = error.response.headers, error.response.status_code
        if status not in _PASSING and status < 500:
            return None
        limit = parse_ratelimit_headers(headers)
        wanted = headers.get("Retry-After", "")
        asked = float(wanted) if wanted.isdigit() else limit.reset_in_seconds if limit and not limit.remaining else 0
        return max(planned, asked) if asked <= _LONGEST_WAIT_SEC else None
    return planned if isinstance(error, HTTPError | NotYetError | ConnectionError | json.JSONDecodeError) else None


@contextmanager
def _signatures_unlogged() -> Iterator[None]:
    """Keep the library's lines about its own retries, without the signatures in the addresses of uploads."""

    def shortened(record: logging.LogRecord) -> bool:
        record.msg, record.args = _URL_QUERY.sub(r"\1", redact_text(record.getMessage())), ()
        return True

    logger = logging.getLogger("huggingface_hub.utils._http")
    logger.addFilter(shortened)
    try:
        yield
    finally:
        logger.removeFilter(shortened)
