"""Requests checked as TGI's router checks them: the same order, statuses and words, with the offline limits."""

from dataclasses import dataclass
from typing import Any

import orjson

from tagsmith.processors.endpoint.offline.grammar import SchemaError, check_schema
from tagsmith.processors.endpoint.offline.settings import OfflineSettings
from tagsmith.processors.endpoint.offline.tokens import tokenize

MAX_BEST_OF = 2
MAX_STOP_SEQUENCES = 4
MAX_TOP_N_TOKENS = 5
MAX_CLIENT_BATCH_SIZE = 4
# TGI reserves room for at most this many new tokens at first, whatever is asked for, and prolongs as it goes.
_FIRST_RESERVATION = 1024


class TgiError(Exception):
    """An error in TGI's own form: an HTTP status and a body of `error` and `error_type`."""

    def __init__(self, status: int, error: str, error_type: str) -> None:
        super().__init__(error)
        self.status = status
        self.error_type = error_type


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


@dataclass(frozen=True)
class Grammar:
    """What the reply must match: a JSON schema or a regular expression, one of the two."""

    schema: dict[str, Any] | None = None
    regex: str | None = None


@dataclass(frozen=True)
class Parameters:
    """TGI's generation parameters by their own names. `do_sample` defaults to False, as in a `parameters` of `{}`."""

    best_of: int | None = None
    temperature: float | None = None
    repetition_penalty: float | None = None
    frequency_penalty: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    typical_p: float | None = None
    do_sample: bool = False
    max_new_tokens: int | None = None
    return_full_text: bool | None = None
    stop: tuple[str, ...] = ()
    truncate: int | None = None
    watermark: bool = False
    details: bool = False
    decoder_input_details: bool = False
    seed: int | None = None
    top_n_tokens: int | None = None
    grammar: Any = None

    @property
    def sampling(self) -> bool:
        chosen = (self.temperature, self.top_k, self.top_p, self.typical_p)
        return self.do_sample or any(value is not None for value in chosen)


@dataclass(frozen=True)
class Valid:
    """What validation finds out: the input's tokens after truncation, the room for new ones, the checked grammar."""

    input_tokens: list[str]
    max_new_tokens: int
    grammar: Grammar | None


# The types as the router declares them: (kind, may be null).
_UNSIGNED = {"usize": 2**64, "u64": 2**64, "u32": 2**32}
_FIELDS: dict[str, tuple[str, bool]] = {
    "best_of": ("usize", True),
    "temperature": ("f32", True),
    "repetition_penalty": ("f32", True),
    "frequency_penalty": ("f32", True),
    "top_k": ("i32", True),
    "top_p": ("f32", True),
    "typical_p": ("f32", True),
    "do_sample": ("a boolean", False),
    "max_new_tokens": ("u32", True),
    "return_full_text": ("a boolean", True),
    "stop": ("a sequence", False),
    "truncate": ("usize", True),
    "watermark": ("a boolean", False),
    "details": ("a boolean", False),
    "decoder_input_details": ("a boolean", False),
    "seed": ("u64", True),
    "top_n_tokens": ("u32", True),
}


def read_parameters(body: dict[str, Any]) -> Parameters:
    """The `parameters` of a body. Left out altogether they mean sampling; `{}` means greedy."""
    if "parameters" not in body:
        return Parameters(do_sample=True)
    given = body["parameters"]
    if not isinstance(given, dict):
        raise wrong_type("parameters", given, "struct GenerateParameters")
    values = {name: read(given, name, *_FIELDS[name], path="parameters.") for name in _FIELDS if name in given}
    if "stop" in values:
        values["stop"] = tuple(values["stop"])
    return Parameters(**values, grammar=read_grammar(given.get("grammar"), "parameters.grammar"))


def read(body: dict[str, Any], name: str, kind: str, nullable: bool, path: str = "") -> Any:
    """One field of a body, checked to be of its declared type."""
    value = body.get(name)
    if value is None and nullable:
        return None
    whole = isinstance(value, int) and not isinstance(value, bool)
    if kind in _UNSIGNED or kind == "i32":
        low, high = (-(2**31), 2**31) if kind == "i32" else (0, _UNSIGNED[kind])
        if whole and not low <= value < high:  # type: ignore[operator]
            raise _bad_body(f"{path}{name}: invalid value: integer `{value}`, expected {kind}")
        fits = whole
    elif kind == "f32":
        fits = whole or isinstance(value, float)
    elif kind == "a boolean":
        fits = isinstance(value, bool)
    elif kind == "a string":
        fits = isinstance(value, str)
    else:
        fits = isinstance(value, list)
        for index, item in enumerate(value if isinstance(value, list) else ()):
            if not isinstance(item, str):
                raise wrong_type(f"{path}{name}[{index}]", item, "a string")
    if not fits:
        raise wrong_type(f"{path}{name}", value, kind)
    return value


def read_grammar(given: Any, path: str) -> Any:
    """A grammar or response format as (kind, value), or None. OpenAI's spelling of `json_schema` is taken too."""
    if given is None:
        return None
    if not isinstance(given, dict):
        raise wrong_type(path, given, "adjacently tagged enum GrammarType")
    kind = given.get("type")
    if kind is None:
        raise _bad_body(f"{path}: missing field `type`")
    if kind not in ("json", "json_object", "regex", "json_schema"):
        raise _bad_body(
            f"{path}: unknown variant `{kind}`, expected one of `json`, `json_object`, `regex`, `json_schema`"
        )
    value = given.get("value")
    if kind == "json_schema" and "value" not in given:
        value = given.get("json_schema")
    if value is None:
        raise _bad_body(f"{path}: missing field `value`")
    if kind == "regex" and not isinstance(value, str):
        raise wrong_type(f"{path}.value", value, "a string")
    if kind == "json_schema" and not (isinstance(value, dict) and "schema" in value):
        raise _bad_body(f"{path}.value: missing field `schema`")
    return kind, value


def validate(parameters: Parameters, inputs: str, limits: OfflineSettings) -> Valid:
    """Check one request, in the router's order.

    Raises:
        TgiError: 422 `validation`, in the router's words.
    """
    p = parameters
    best_of = p.best_of or 1
    if best_of > 1 and best_of > MAX_BEST_OF:
        raise invalid(f"`best_of` must be > 0 and <= {MAX_BEST_OF}. Given: {best_of}")
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
    if p.top_n_tokens is not None and p.top_n_tokens > MAX_TOP_N_TOKENS:
        raise invalid(f"`top_n_tokens` must be >= 0 and <= {MAX_TOP_N_TOKENS}. Given: {p.top_n_tokens}")
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


def wrong_type(path: str, value: Any, expected: str) -> BodyError:
    """A field of another type than the route declares."""
    return _bad_body(f"{path}: invalid type: {_described(value)}, expected {expected}")


def missing_field(name: str) -> BodyError:
    """A field that the route requires."""
    return _bad_body(f"missing field `{name}`")


def _bad_body(words: str) -> BodyError:
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
