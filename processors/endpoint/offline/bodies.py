"""Request bodies read as the router declares them: a field of another type is refused before anything is looked at."""

from dataclasses import dataclass
from typing import Any

import orjson

from tagsmith.processors.endpoint.offline.failures import bad_body, missing_field, wrong_type

Body = dict[str, Any]


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
            raise bad_body(f"{path}{name}: invalid value: integer `{value}`, expected {kind}")
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
        raise bad_body(f"{path}: missing field `type`")
    if kind not in ("json", "json_object", "regex", "json_schema"):
        raise bad_body(
            f"{path}: unknown variant `{kind}`, expected one of `json`, `json_object`, `regex`, `json_schema`"
        )
    value = given.get("value")
    if kind == "json_schema" and "value" not in given:
        value = given.get("json_schema")
    if value is None:
        raise bad_body(f"{path}: missing field `value`")
    if kind == "regex" and not isinstance(value, str):
        raise wrong_type(f"{path}.value", value, "a string")
    if kind == "json_schema" and not (isinstance(value, dict) and "schema" in value):
        raise bad_body(f"{path}.value: missing field `schema`")
    return kind, value


def generate_request(body: Body) -> tuple[str, Parameters]:
    """Inputs and parameters of TGI's own routes."""
    if "inputs" not in body:
        raise missing_field("inputs")
    return read(body, "inputs", "a string", nullable=False), read_parameters(body)


def _openai_parameters(body: Body) -> Body:
    """What chat and completions share. Greedy only at temperature 0, which is how these clients ask for it."""
    temperature = read(body, "temperature", "f32", nullable=True)
    return {
        "do_sample": temperature != 0,
        "temperature": temperature if temperature != 0 else None,
        "top_p": read(body, "top_p", "f32", nullable=True),
        "frequency_penalty": read(body, "frequency_penalty", "f32", nullable=True),
        "max_new_tokens": read(body, "max_tokens", "u32", nullable=True),
        "seed": read(body, "seed", "u64", nullable=True),
        "stop": tuple(read(body, "stop", "a sequence", nullable=True) or ()),
        "details": True,
    }


def streamed(body: Body) -> bool:
    """Whether the answer is wanted as a stream."""
    return "stream" in body and bool(read(body, "stream", "a boolean", nullable=False))


def chat_parameters(body: Body) -> Parameters:
    """A chat request's parameters in TGI's terms, converted as the router does."""
    if body.get("max_tokens") is None and "max_completion_tokens" in body:
        body = {**body, "max_tokens": body["max_completion_tokens"]}
    # TGI has no presence penalty: it makes a repetition penalty of it, and so of -2 an error.
    presence = read(body, "presence_penalty", "f32", nullable=True)
    return Parameters(
        **_openai_parameters(body),
        repetition_penalty=None if presence is None else presence + 2.0,
        top_n_tokens=read(body, "top_logprobs", "u32", nullable=True),
        grammar=read_grammar(body.get("response_format"), "response_format"),
    )


def completion_parameters(body: Body) -> Parameters:
    """The same for a completion request."""
    penalty = read(body, "repetition_penalty", "f32", nullable=True)
    return Parameters(**_openai_parameters(body), repetition_penalty=penalty)


def messages(body: Body) -> list[tuple[str, str]]:
    """(role, text) of each message; the parts of a text given in parts are joined."""
    if "messages" not in body:
        raise missing_field("messages")
    given = body["messages"]
    if not isinstance(given, list):
        raise wrong_type("messages", given, "a sequence")
    read_messages = []
    for place, message in enumerate(given):
        if not isinstance(message, dict):
            raise wrong_type(f"messages[{place}]", message, "struct Message")
        role = read(message, "role", "a string", nullable=False, path=f"messages[{place}].")
        content = message.get("content")
        if isinstance(content, list) and all(isinstance(part, dict) for part in content):
            content = "".join(str(part.get("text", "")) for part in content)
        elif content is None and isinstance(message.get("tool_calls"), list):
            content = orjson.dumps(message["tool_calls"]).decode()
        if not isinstance(content, str):
            words = f"messages[{place}]: data did not match any variant of untagged enum MessageBody"
            raise bad_body(words)
        read_messages.append((role, content))
    return read_messages


def prompts(body: Body) -> list[str]:
    """The prompts of a completion request, given alone or as a list."""
    if "prompt" not in body:
        raise missing_field("prompt")
    if isinstance(body["prompt"], str):
        return [body["prompt"]]
    given: list[str] = read(body, "prompt", "a sequence", nullable=False)
    if not given:
        words = "prompt: Empty array detected. Do not use an empty array for the prompt."
        raise bad_body(words)
    return given
