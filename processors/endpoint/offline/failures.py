"""How requests end badly: with TGI's own errors in JSON, its web framework's in plain text, or no answer at all."""

from typing import Any


class TgiError(Exception):
    """An error in TGI's own form: an HTTP status and a body of `error` and `error_type`."""

    def __init__(self, status: int, error: str, error_type: str, retry_after_sec: int | None = None) -> None:
        super().__init__(error)
        self.status = status
        self.error_type = error_type
        self.retry_after_sec = retry_after_sec


class DroppedConnectionError(Exception):
    """The connection closes without an answer."""


class BodyError(Exception):
    """The body is not the JSON that the route takes. TGI's web framework answers these in plain text."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


def invalid(words: str) -> TgiError:
    """A request that asks for what is not possible."""
    return TgiError(422, f"Input validation error: {words}", "validation")


def overloaded() -> TgiError:
    """More requests at a time than the server takes."""
    return TgiError(429, "Model is overloaded", "overloaded")


def generation_failed(words: str) -> TgiError:
    """A request that was accepted and could not be carried out."""
    return TgiError(424, f"Request failed during generation: {words}", "generation")


def wrong_type(path: str, value: Any, expected: str) -> BodyError:
    """A field of another type than the route declares."""
    return bad_body(f"{path}: invalid type: {_described(value)}, expected {expected}")


def missing_field(name: str) -> BodyError:
    """A field that the route requires."""
    return bad_body(f"missing field `{name}`")


def bad_body(words: str) -> BodyError:
    """A body that is JSON, but not the JSON that the route takes."""
    return BodyError(422, f"Failed to deserialize the JSON body into the target type: {words}")


def _described(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return f"boolean `{str(value).lower()}`"
    if isinstance(value, int):
        return f"integer `{value}`"
    if isinstance(value, float):
        return f"floating point `{value}`"
    if isinstance(value, str):
        return f'string "{value}"'
    return "sequence" if isinstance(value, list) else "map"
