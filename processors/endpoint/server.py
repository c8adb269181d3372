"""A running server: started where the URI says so, asked for its identity and limits before anything is sent."""

import os
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import orjson

from tagsmith.processors.endpoint.endpoint import Endpoint
from tagsmith.processors.endpoint.failures import NotAnEndpointError, looks_like_html, server_words
from tagsmith.processors.endpoint.transport import fetch
from tagsmith.processors.endpoint.wire import Dialect
from tagsmith.processors.errors import EndpointError, InputError

HF_ROUTER = "https://router.huggingface.co"
_HF_HOSTS = ("huggingface.co", "huggingface.cloud", "hf.space")
_API = ("chat", "generate")


@dataclass(frozen=True)
class Server:
    """What is known of a server.

    Args:
        url: where it answers; empty for a server that is only started when a request must be sent.
        model: the model's identity, revision included where the server says it: part of every store key.
        dialect: how to speak to it.
        max_input_tokens, max_total_tokens: its limits, None where it does not say.
        max_concurrent: requests that it takes at a time, None where it does not say.
    """

    url: str
    model: str
    dialect: Dialect
    max_input_tokens: int | None = None
    max_total_tokens: int | None = None
    max_concurrent: int | None = None


def token_for(url: str) -> str | None:
    """The secret for a server: the Hugging Face login for its hosts, else `TAGSMITH_API_KEY`. Never stored or shown."""
    host = urlsplit(url).hostname or ""
    if any(host == known or host.endswith(f".{known}") for known in _HF_HOSTS):
        from huggingface_hub import get_token

        return get_token()
    return os.environ.get("TAGSMITH_API_KEY", "").strip() or None  # a line end from a file would break the header


async def discover(endpoint: Endpoint, url: str) -> Server:
    """Ask `/info` (TGI), then `/v1/models` (OpenAI-compatible).

    Raises:
        EndpointError: nothing answers at the address, or what answers is neither.
    """
    model = endpoint.option("model")
    api = endpoint.option("api") or "chat"
    if api not in _API:
        raise InputError(f"endpoint option api={api!r} is unknown; expected one of {', '.join(_API)}")
    token = token_for(url)
    if url == HF_ROUTER:
        return Server(url, endpoint.target, Dialect(tgi=False, model=endpoint.target))
    status, body = await fetch(f"{url}/info", token)
    if status == 200 and looks_like_html(body):
        raise NotAnEndpointError(
            f"{url} answers a web page, not a model: {server_words(body, 80)!r}; give the address and port of a TGI or"
            " OpenAI-compatible server"
        )
    info = _json_object(body) if status == 200 else None
    if info is not None and "model_id" in info:
        identity = model or _identity(info["model_id"], info.get("model_sha"))
        dialect = Dialect(tgi=True, model=model or str(info["model_id"]), chat=api == "chat")
        return Server(
            url,
            identity,
            dialect,
            info.get("max_input_tokens") or info.get("max_input_length"),
            info.get("max_total_tokens"),
            info.get("max_concurrent_requests"),
        )
    status, body = await fetch(f"{url}/v1/models", token)
    listed = _json_object(body) if status == 200 else None
    if listed is not None and isinstance(listed.get("data"), list):
        limits = {str(e["id"]): e.get("max_model_len") for e in listed["data"] if isinstance(e, dict) and "id" in e}
        if model is None:
            if len(limits) != 1:
                known = ", ".join(list(limits)[:8]) or "none"
                raise InputError(f"{url} serves {len(limits)} models ({known}); choose one: {url}?model=NAME")
            (model,) = limits
        limit = limits.get(model)
        return Server(url, model, Dialect(tgi=False, model=model, chat=api == "chat"), limit, limit)
    if model is not None:  # some servers list nothing; the name given is enough to speak to them
        return Server(url, model, Dialect(tgi=False, model=model, chat=api == "chat"))
    raise EndpointError(
        f"{url} answers neither /info (TGI) nor /v1/models (OpenAI-compatible): HTTP {status}:"
        f" {server_words(body, 120)!r}; check the address, or name the model: {url}?model=NAME"
    )


def _identity(model_id: object, revision: object) -> str:
    return f"{model_id}@{revision}" if revision else str(model_id)


def _json_object(body: bytes) -> dict[str, Any] | None:
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return data if isinstance(data, dict) else None
