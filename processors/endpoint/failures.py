"""What can go wrong at an endpoint, as types: whether to wait, to ask again, or to stop."""

import os
from collections.abc import Mapping

import orjson

from tagsmith.processors.errors import EndpointError


class UnreachableError(EndpointError):
    """No connection, a dropped one, or no answer in time. Worth another try."""


class OverloadedError(EndpointError):
    """HTTP 429 (TGI: `overloaded`): ask again after `retry_after_sec`, or after a backoff when that is None."""

    retry_after_sec: float | None = None


class ServerFaultError(EndpointError):
    """HTTP 5xx or TGI's 424 (`generation`, `incomplete_generation`): the server's fault. Worth another try.

    503 comes with `retry_after_sec` where a model is being loaded.
    """

    retry_after_sec: float | None = None


class RefusedError(EndpointError):
    """Any other 4xx (TGI: 422 `validation`): asking the same again cannot help. `status` is the HTTP status."""

    status: int = 0


class NotAnEndpointError(EndpointError):
    """Something answered, but not in the protocol: a web page, a proxy's notice, another service."""


RETRYABLE = (UnreachableError, OverloadedError, ServerFaultError)
_TOP_TOKENS = ("top_n_tokens", "logprobs")
# These speak of the whole run (wrong key, wrong route, wrong model), never of one row.
SYSTEMATIC = frozenset({401, 402, 403, 404, 405, 407})


def failure_of(url: str, status: int, headers: Mapping[str, str], body: bytes) -> EndpointError:
    """The typed error for a response that is not a success, with the server's own words."""
    words = server_words(body)
    said = f"{url} answered HTTP {status}: {words}"
    if status == 429 or status >= 500 or status == 424:
        passing = OverloadedError(said) if status == 429 else ServerFaultError(said)
        passing.retry_after_sec = _seconds(headers.get("Retry-After"))
        return passing
    if 300 <= status < 400:  # not followed: a POST that is redirected often arrives as a GET
        elsewhere = _without_tokens(headers.get("Location") or "an address that it does not give")
        return NotAnEndpointError(f"{url} redirects (HTTP {status}) to {elsewhere}; give the address that it leads to")
    if status in (401, 403):
        said += "; set a token that may use it: HF_TOKEN (or `hf auth login`) for Hugging Face, else TAGSMITH_API_KEY"
    elif status in (400, 422) and any(word in words for word in _TOP_TOKENS):
        said += "; raise the server's limit (TGI: --max-top-n-tokens, vLLM: --max-logprobs), or ask for fewer"
    elif status in (404, 405):
        said += "; check the address and the model's name (…?model=NAME)"
    refused = RefusedError(said)
    refused.status = status
    return refused


def server_words(body: bytes, limit: int = 300) -> str:
    """The message in an error body: TGI's {error, error_type}, OpenAI's {error: {message}}, else its first text.

    Without our own token: there are servers and proxies that quote the request's headers, and these words go into the
    reasons of rejected rows.
    """
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError:
        data = None
    text = None
    if isinstance(data, dict):
        error = data.get("error", data.get("message", data.get("detail")))
        text = error.get("message") if isinstance(error, dict) else error
        if text and data.get("error_type"):
            text = f"{text} ({data['error_type']})"
    if not text:
        text = body.decode("utf-8", "replace").strip() or "(empty)"
    text = " ".join(_without_tokens(str(text)).split())
    return text if len(text) <= limit else text[: limit - 1] + "…"


def quoted(body: bytes, limit: int = 120) -> str:
    """The start of a body as it stands, without our own token."""
    return _without_tokens(body.decode("utf-8", "replace"))[:limit]


def looks_like_html(body: bytes) -> bool:
    """Whether a body is a web page: what a wrong port, a login wall or a proxy answers."""
    head = body[:256].lstrip().lower()
    return head.startswith((b"<!doctype", b"<html", b"<?xml", b"<head"))


def _without_tokens(text: str) -> str:
    from huggingface_hub import get_token  # slow to import, and rarely needed

    for token in (get_token(), os.environ.get("TAGSMITH_API_KEY", "").strip()):
        if token and len(token) >= 8:  # a very short one would wipe out ordinary words
            text = text.replace(token, "[removed]")
    return text


def _seconds(header: str | None) -> float | None:
    try:
        return max(0.0, float(header)) if header is not None else None
    except ValueError:
        return None  # an HTTP date: rare from inference servers, and the backoff serves as well
