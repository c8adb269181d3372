"""How a recipe ends for the person who started it: one line for each known error, and how to go on after Ctrl-C."""

import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import datasets

from tagsmith.cards.errors import ReleaseError
from tagsmith.cards.redact import redact_text
from tagsmith.processors.endpoint.connect import close_clients, has_clients
from tagsmith.processors.errors import BudgetReachedError, TagsmithError

_GRACE_SEC = 10.0


def run(main: Callable[[Sequence[str]], int | None], argv: Sequence[str]) -> int:
    """Call `main(argv)`; returns the exit status: its own, 2 for an error, 3 for a reached budget, 130 for Ctrl-C."""
    try:
        with _datasets_as_needed():
            return main(argv) or 0
    except BudgetReachedError as error:
        close_clients(_GRACE_SEC)  # what is in flight is paid for
        print(f"tagsmith: {redact_text(str(error))}", file=sys.stderr)
        return 3
    except (TagsmithError, ReleaseError) as error:
        print(f"tagsmith: error: {redact_text(' '.join(str(error).split()))}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return _interrupted()
    finally:
        close_clients()


@contextmanager
def _datasets_as_needed() -> Iterator[None]:
    """Only our own progress bars and error lines, and no rows from an earlier run.

    A cached `Dataset.map` knows nothing of the outside: it would bring back rows that were rejected because a server
    was down, or whose replies lie in another store. What is worth keeping is in the store, and read from there.
    """
    bars, caching = not datasets.are_progress_bars_disabled(), datasets.is_caching_enabled()
    verbosity = datasets.logging.get_verbosity()
    datasets.disable_progress_bars()
    datasets.disable_caching()
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)
    try:
        yield
    finally:
        datasets.logging.set_verbosity(verbosity)
        if caching:
            datasets.enable_caching()
        if bars:
            datasets.enable_progress_bars()


def _interrupted() -> int:
    """Wait for what is in flight; from here on Ctrl-C only ends the wait, so that no clean-up is ever cut short."""
    if not has_clients():  # while reading, or training
        print("\ntagsmith: stopped. Run the same command to continue.", file=sys.stderr)
        return 130
    hurry = threading.Event()
    before = signal.signal(signal.SIGINT, lambda *_: hurry.set())
    try:
        print(
            f"\ntagsmith: stopping; waiting up to {_GRACE_SEC:g} s for replies in flight (Ctrl-C again: do not wait)",
            file=sys.stderr,
        )
        dropped = close_clients(_GRACE_SEC, hurry)
    finally:
        signal.signal(signal.SIGINT, before)
    lost = f"{dropped} requests in flight were dropped" if dropped else "no request was lost"
    print(f"tagsmith: stopped; all replies are stored, {lost}. Run the same command to continue.", file=sys.stderr)
    return 130
