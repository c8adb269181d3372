"""Read the bodies of `/generate` and `/v1/chat/completions` as TGI does, into generation requests."""

import secrets
from typing import Any

from jinja2.exceptions import TemplateError

from tagsmith.processors.endpoint.local_batching import GenerationRequest
from tagsmith.processors.endpoint.local_model import LocalModel

MAX_NEW_TOKENS = 100  # TGI's default
MAX_CHAT_TOKENS = 1024
# Accepted and without effect: the caller parses and repairs (`/info` says so), and there is one model only.
_IGNORED = {"grammar", "response_format", "model", "user"}
_NEUTRAL = {"n": 1, "best_of": 1, "repetition_penalty": 1, "typical_p": 1}
_GENERATE = {
    "max_new_tokens",
    "temperature",
    "top_p",
    "top_k",
    "do_sample",
    "seed",
    "stop",
    "details",
    "top_n_tokens",
}
_CHAT = {"messages", "max_tokens", "temperature", "top_p", "seed", "stop", "logprobs", "top_logprobs"}


class InvalidRequestError(Exception):
    """The request is not one that this server can answer: HTTP 422. `error_type` is TGI's word for the kind."""

    def __init__(self, message: str, error_type: str = "validation") -> None:
        super().__init__(message)
        self.error_type = error_type


def generate_request(local: LocalModel, body: dict[str, Any]) -> GenerationRequest:
    """From `{"inputs": text, "parameters": {…}}`. As in TGI, no `parameters` means sampling, empty ones greedy."""
    inputs = body.get("inputs")
    if not isinstance(inputs, str) or not inputs:
        raise InvalidRequestError(f"`inputs` must be a text that is not empty, got {inputs!r}")
    parameters = body.get("parameters")
    if parameters is None:
        parameters = {"do_sample": True}
    if not isinstance(parameters, dict):
        raise InvalidRequestError(f"`parameters` must be an object, got {parameters!r}")
    _refuse_unsupported(parameters, _GENERATE)
    temperature = _number(parameters, "temperature", float, 0, None, 1.0)
    if temperature == 0:
        raise InvalidRequestError("`temperature` must be above 0; leave it out for greedy decoding")
    # As in TGI, whatever shapes the distribution turns sampling on.
    shaped = temperature != 1 or parameters.get("top_p") not in (None, 1) or parameters.get("top_k") is not None
    return _request(
        local,
        local.tokenizer(inputs)["input_ids"],
        parameters,
        max_new_tokens=_number(parameters, "max_new_tokens", int, 1, None, MAX_NEW_TOKENS),
        temperature=temperature if shaped or parameters.get("do_sample") else 0.0,
        top_n_tokens=_number(parameters, "top_n_tokens", int, 0, local.vocabulary_size, 0),
    )


def chat_request(local: LocalModel, body: dict[str, Any]) -> GenerationRequest:
    """From an OpenAI chat body. Without `temperature` it samples at 1; 0 is greedy."""
    _refuse_unsupported(body, _CHAT)
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages or not all(map(_is_message, messages)):
        raise InvalidRequestError('`messages` must be a list of {"role": text, "content": text} that is not empty')
    if not local.tokenizer.chat_template:
        raise InvalidRequestError(
            f"{local.model_id} has no chat template; send raw text to /generate (local:…?api=generate), or set"
            " `tokenizer.chat_template` and save the tokenizer",
            "template_error",
        )
    try:
        text = local.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    except TemplateError as error:
        raise InvalidRequestError(f"the chat template refuses these messages: {error}", "template_error") from error
    # The template writes the special tokens itself.
    input_ids = local.tokenizer(text, add_special_tokens=False)["input_ids"]
    room = max(1, min(MAX_CHAT_TOKENS, local.max_total_tokens - len(input_ids)))
    return _request(
        local,
        input_ids,
        body,
        max_new_tokens=_number(body, "max_tokens", int, 1, None, room),
        temperature=_number(body, "temperature", float, 0, None, 1.0),
        top_n_tokens=_number(body, "top_logprobs", int, 0, local.vocabulary_size, 0) if body.get("logprobs") else 0,
    )


def _request(
    local: LocalModel,
    input_ids: list[int],
    given: dict[str, Any],
    max_new_tokens: int,
    temperature: float,
    top_n_tokens: int,
) -> GenerationRequest:
    if not input_ids:
        raise InvalidRequestError("the input has no tokens")
    if max(input_ids) >= local.vocabulary_size:
        raise InvalidRequestError(
            f"the tokenizer gives token {max(input_ids)}, the model knows {local.vocabulary_size}: they do not"
            " belong together"
        )
    if len(input_ids) + max_new_tokens > local.max_total_tokens:
        raise InvalidRequestError(
            f"`inputs` tokens + `max_new_tokens` must be at most {local.max_total_tokens}; given: {len(input_ids)}"
            f" `inputs` tokens and {max_new_tokens} `max_new_tokens`"
        )
    stop = given.get("stop") or []
    stop = [stop] if isinstance(stop, str) else stop
    if not isinstance(stop, list) or not all(isinstance(text, str) and text for text in stop):
        raise InvalidRequestError(f"`stop` must be a list of texts that are not empty, got {stop!r}")
    return GenerationRequest(
        input_ids=input_ids,
        max_new_tokens=max_new_tokens,
        temperature=temperature,
        top_p=_number(given, "top_p", float, 1e-9, 1, 1.0),
        top_k=_number(given, "top_k", int, 1, None, 0),
        seed=_number(given, "seed", int, 0, None, secrets.randbits(32)),
        stop=tuple(stop),
        top_n_tokens=top_n_tokens,
    )


def _refuse_unsupported(given: dict[str, Any], supported: set[str]) -> None:
    """A parameter that would silently do nothing is an error; one that is off, null or neutral asks for nothing."""
    for name, value in given.items():
        if value and value != _NEUTRAL.get(name) and name not in supported | _IGNORED:
            raise InvalidRequestError(f"`{name}` is not supported by local models; leave it out (got {value!r})")


def _number(given: dict[str, Any], name: str, kind: type, low: float, high: float | None, default: Any) -> Any:
    value = given.get(name)
    if value is None:
        return default
    numeric = isinstance(value, int if kind is int else (int, float)) and not isinstance(value, bool)
    # Written so that NaN fails too.
    if not numeric or not (value >= low and (high is None or value <= high)):
        what = "a whole number" if kind is int else "a number"
        span = f"at least {low:g}" + ("" if high is None else f" and at most {high:g}")
        raise InvalidRequestError(f"`{name}` must be {what}, {span}; got {value!r}")
    return kind(value)


def _is_message(message: object) -> bool:
    return (
        isinstance(message, dict) and isinstance(message.get("role"), str) and isinstance(message.get("content"), str)
    )
