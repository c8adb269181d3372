"""The errors that users see: each says what we got, what we expected and what to change."""


class TagsmithError(Exception):
    """Base of all errors that tagsmith raises on purpose; the command line prints them as one line, exit status 2."""


class InputError(TagsmithError, ValueError):
    """The data or a setting is not what a processor needs: a column, a row, a number out of range."""


class EndpointError(TagsmithError):
    """The endpoint is down, refuses a request for good, or answers something that is not its protocol."""


class StoreError(TagsmithError):
    """The generation store cannot be read or written; what it holds is left as it is."""


class BudgetReachedError(TagsmithError):
    """A run stopped on purpose at `max_tokens_total` or `max_cost`; the same command with a larger budget continues."""
