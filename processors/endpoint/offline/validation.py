"""Requests checked as TGI's router checks them: the same order, statuses and words, with the offline limits."""

from dataclasses import dataclass
from typing import Any

import orjson

from tagsmith.processors.endpoint.offline.bodies import Parameters
from tagsmith.processors.endpoint.offline.failures import invalid
from tagsmith.processors.endpoint.offline.schema_check import SchemaError, check_schema
from tagsmith.processors.endpoint.offline.settings import OfflineSettings
from tagsmith.processors.endpoint.offline.tokens import tokenize

MAX_BEST_OF = 2
MAX_STOP_SEQUENCES = 4
MAX_CLIENT_BATCH_SIZE = 4
# TGI reserves room for at most this many new tokens at first, whatever is asked for, and prolongs as it goes.
_FIRST_RESERVATION = 1024


@dataclass(frozen=True)
class Grammar:
    """What the reply must match: a JSON schema or a regular expression, one of the two."""

    schema: dict[str, Any] | None = None
    regex: str | None = None


@dataclass(frozen=True)
class Valid:
    """What validation finds out: the input's tokens after truncation, the room for new ones, the checked grammar."""

    input_tokens: list[str]
    max_new_tokens: int
    grammar: Grammar | None


def validate_best_of(parameters: Parameters) -> int:
    """How many sequences to generate, checked before a place in the queue is taken for each."""
    best_of = parameters.best_of or 1
    if best_of > MAX_BEST_OF:
        raise invalid(f"`best_of` must be > 0 and <= {MAX_BEST_OF}. Given: {best_of}")
    return best_of


def validate(parameters: Parameters, inputs: str, limits: OfflineSettings) -> Valid:
    """Check one request, in the router's order.

    Raises:
        TgiError: 422 `validation`, in the router's words.
    """
    p = parameters
    best_of = p.best_of or 1
    if best_of > 1 and not p.sampling:
        raise invalid("you must use sampling when `best_of` is > 1")
    if p.temperature is not None and p.temperature <= 0:
        raise invalid("`temperature` must be strictly positive")
    if p.repetition_penalty is not None and p.repetition_penalty <= 0:
        raise invalid("`repetition_penalty` must be strictly positive")
    if p.frequency_penalty is not None and not -2 <= p.frequency_penalty <= 2:
        raise invalid("`frequency_penalty` must be >= -2.0 and <= 2.0")
    if p.top_p is not None and not 0 < p.top_p < 1:
        raise invalid("`top_p` must be > 0.0 and < 1.0")
    if p.typical_p is not None and not 0 < p.typical_p < 1:
        raise invalid("`typical_p` must be > 0.0 and < 1.0")
    if p.top_k is not None and p.top_k <= 0:
        raise invalid("`top_k` must be strictly positive")
    if p.max_new_tokens == 0:
        raise invalid("`max_new_tokens` must be strictly positive")
    if len(p.stop) > MAX_STOP_SEQUENCES:
        raise invalid(f"`stop` supports up to {MAX_STOP_SEQUENCES} stop sequences. Given: {len(p.stop)}")
    if p.seed is not None and best_of > 1:
        raise invalid("`seed` must not be set when `best_of` > 1")
    if p.top_n_tokens is not None and p.top_n_tokens > limits.max_top_n_tokens:
        raise invalid(f"`top_n_tokens` must be >= 0 and <= {limits.max_top_n_tokens}. Given: {p.top_n_tokens}")
    if not inputs:
        raise invalid("`inputs` cannot be empty")
    if p.truncate is not None and not 0 < p.truncate <= limits.max_input_tokens:
        raise invalid(
            f"`truncate` must be strictly positive and less than {limits.max_input_tokens}. Given: {p.truncate}"
        )
    tokens = tokenize(inputs)
    if p.truncate is not None:
        tokens = tokens[-p.truncate :]
    room = limits.max_total_tokens - len(tokens)
    wanted = max(room, 0) if p.max_new_tokens is None else p.max_new_tokens
    reserved = min(wanted, _FIRST_RESERVATION)
    if reserved > room:
        raise invalid(
            f"`inputs` tokens + `max_new_tokens` must be <= {limits.max_total_tokens}."
            f" Given: {len(tokens)} `inputs` tokens and {reserved} `max_new_tokens`"
        )
    if len(tokens) > limits.max_input_tokens:
        raise invalid(f"`inputs` must have less than {limits.max_input_tokens} tokens. Given: {len(tokens)}")
    return Valid(tokens, min(wanted, room), _valid_grammar(p.grammar))


def validate_stream(parameters: Parameters) -> None:
    """What streaming excludes, checked before anything else."""
    if (1 if parameters.best_of is None else parameters.best_of) != 1:
        raise invalid("`best_of` != 1 is not supported when streaming tokens")
    if parameters.decoder_input_details:
        raise invalid("`decoder_input_details` == true is not supported when streaming tokens")


def _valid_grammar(given: tuple[str, Any] | None) -> Grammar | None:
    if given is None:
        return None
    kind, value = given
    if kind == "regex":
        return Grammar(regex=value)
    if kind == "json_schema":
        value = value["schema"]
    elif isinstance(value, str):
        try:
            value = orjson.loads(value)
        except orjson.JSONDecodeError as error:
            raise invalid(f"grammar is not valid: {error}") from error
    elif not isinstance(value, dict):
        raise invalid("grammar is not supported")
    try:
        check_schema(value)
    except SchemaError as error:
        raise invalid(f"grammar is not valid: {error}") from error
    if not isinstance(value, dict) or "properties" not in value:
        raise invalid("grammar is not valid: Grammar must have a 'properties' field")
    return Grammar(schema=value)
