"""How a recipe ends for the person who started it: one line for each known error, and how to go on after Ctrl-C."""

import sys
from collections.abc import Callable, Sequence

from tagsmith.cards.errors import ReleaseError
from tagsmith.processors.endpoint.connect import close_clients
from tagsmith.processors.errors import BudgetReachedError, TagsmithError

_GRACE_SEC = 10.0


def run(main: Callable[[Sequence[str]], None], argv: Sequence[str]) -> int:
    """Call `main(argv)`; returns the exit status: 0, 2 for an error, 3 for a reached budget, 130 for Ctrl-C."""
    try:
        main(argv)
        return 0
    except BudgetReachedError as error:
        print(f"tagsmith: {error}", file=sys.stderr)
        return 3
    except (TagsmithError, ReleaseError) as error:
        print(f"tagsmith: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return _interrupted()
    finally:
        close_clients()


def _interrupted() -> int:
    print(
        f"\ntagsmith: stopping; waiting up to {_GRACE_SEC:g} s for replies in flight (Ctrl-C again: do not wait)",
        file=sys.stderr,
    )
    try:
        dropped = close_clients(_GRACE_SEC)
    except KeyboardInterrupt:
        dropped = close_clients()
    lost = f"{dropped} requests in flight were dropped" if dropped else "no request was lost"
    print(f"tagsmith: stopped; all replies are stored, {lost}. Run the same command to continue.", file=sys.stderr)
    return 130
