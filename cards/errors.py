"""The error of a release: a folder, a manifest or a card that cannot be what it should be."""


class ReleaseError(Exception):
    """A release cannot be written or read; says what we got and what to change. Printed as one line by the CLI."""
