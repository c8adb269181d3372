"""What is asked of an endpoint and what comes back: plain values, and the key that a reply is stored under."""

from dataclasses import dataclass, field, fields
from functools import cached_property
from hashlib import blake2b
from typing import Any

import orjson

from tagsmith.processors.errors import InputError

Message = dict[str, str]  # {"role": …, "content": …}


@dataclass(frozen=True)
class Parameters:
    """How to generate, in TGI's terms; each server's wire module translates.

    Args:
        max_new_tokens: upper bound of the reply, in tokens.
        temperature: 0 is greedy decoding.
        top_p, top_k, repetition_penalty, frequency_penalty: None leaves the server's default.
        seed: for sampling servers that honour it; TGI refuses it together with best_of.
        stop: texts that end the reply.
        best_of: TGI only: generate so many, answer with the likeliest.
        top_n_tokens: also return the n most likely tokens at each position. Servers have limits of their own: TGI 5
            unless started with `--max-top-n-tokens`, vLLM 20 (`--max-logprobs`).
        json_schema: the reply must satisfy it; enforced where the server can, else the reply is parsed and repaired.

    Raises:
        InputError: a value is out of range.
    """

    max_new_tokens: int = 1024
    temperature: float = 0.0
    top_p: float | None = None
    top_k: int | None = None
    repetition_penalty: float | None = None
    frequency_penalty: float | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    best_of: int | None = None
    top_n_tokens: int | None = None
    json_schema: dict[str, Any] | None = field(default=None, hash=False)

    def __post_init__(self) -> None:
        for name, low, high in (
            ("max_new_tokens", 1, None),
            ("temperature", 0, None),
            ("top_p", 0, 1),
            ("top_k", 1, None),
            ("best_of", 1, None),
            ("top_n_tokens", 1, None),
        ):
            value = getattr(self, name)
            if value is not None and not (value >= low and (high is None or value <= high)):  # NaN fails, too
                span = f"at least {low}" + (f" and at most {high}" if high is not None else "")
                raise InputError(f"{name} must be {span}, got {value!r}")
        for name in ("temperature", "top_p", "repetition_penalty", "frequency_penalty"):
            if (value := getattr(self, name)) is not None:
                object.__setattr__(self, name, float(value))  # 0 and 0.0 are one setting: one store key
        object.__setattr__(self, "stop", (self.stop,) if isinstance(self.stop, str) else tuple(self.stop))

    def __getstate__(self) -> dict[str, Any]:
        # Only the fields: a cached property must not change a pickle, since `datasets` hashes it.
        return {f.name: getattr(self, f.name) for f in fields(self)}

    @cached_property
    def as_json(self) -> bytes:
        """Canonical JSON of what is set, as hashed and stored."""
        given = {f.name: getattr(self, f.name) for f in fields(self)}
        return orjson.dumps({k: v for k, v in given.items() if v not in (None, ())}, option=orjson.OPT_SORT_KEYS)


@dataclass(frozen=True, slots=True)
class Request:
    """One generation to ask for: a conversation (`messages`), or raw text without a chat template (`prompt`).

    `sample` numbers the draws of one prompt: with the same text and parameters, another number is another reply.
    """

    parameters: Parameters
    messages: tuple[Message, ...] | None = None
    prompt: str | None = None
    sample: int = 0

    def __post_init__(self) -> None:
        if (self.messages is None) == (self.prompt is None):
            raise InputError("a request has either messages or a prompt, not both and not neither")

    @property
    def content(self) -> bytes:
        """Canonical JSON of what is said, as hashed and stored: a list of messages, or one string."""
        return orjson.dumps(self.prompt if self.messages is None else self.messages, option=orjson.OPT_SORT_KEYS)

    @property
    def text_bytes(self) -> int:
        """UTF-8 bytes of what is said: an upper bound of its tokens, since no tokenizer in use goes below a byte."""
        said = [self.prompt or ""] if self.messages is None else [m["content"] for m in self.messages]
        return sum(len(part.encode()) for part in said)

    def followed_by(self, reply: str, answer: str) -> "Request":
        """The same conversation, one reply and one user message further; raw text stays raw text."""
        if self.messages is None:
            return Request(self.parameters, prompt=f"{self.prompt}{reply}\n\n{answer}\n", sample=self.sample)
        more = ({"role": "assistant", "content": reply}, {"role": "user", "content": answer})
        return Request(self.parameters, messages=(*self.messages, *more), sample=self.sample)


@dataclass(frozen=True, slots=True)
class Completion:
    """What a server generated. Token counts are the server's own, None where it does not say."""

    text: str
    finish_reason: str | None = None
    prompt_tokens: int | None = None
    reply_tokens: int | None = None
    top_tokens: list[list[dict[str, Any]]] | None = None


@dataclass(slots=True)
class Reply:
    """The outcome of one request, repairs included.

    `status` is "ok" (`value` is what the reader made of the text), "unparsed" (`text` is the last raw reply, `reason`
    says what was wrong), "refused" (the server does not take this request) or "failed" (no answer came in time; another
    run may have more luck). `keys` are the store's keys, one a try; a refused or failed request's last try brought no
    generation.
    """

    status: str
    text: str | None
    value: Any
    reason: str | None
    keys: list[str]
    completion: Completion | None = None
    from_store: bool = False

    @property
    def received(self) -> int:
        """How many of the tries brought a generation."""
        return len(self.keys) - (self.status in ("refused", "failed"))


class UnparsedReplyError(Exception):
    """Raised by a reader: the text is not what was asked for. Its message goes back to the model on a repair."""


_BASES_KEPT = 1024


class KeyMaker:
    """Makes store keys: a hash of model identity, parameters, what is said, and the sample number.

    The address of the server is no part of it, nor is the dataset: a moved server or an edited dataset re-uses every
    reply that was paid for.
    """

    def __init__(self, model: str) -> None:
        self._model = model
        self._bases: dict[bytes, Any] = {}

    def __call__(self, request: Request, content: bytes) -> bytes:
        """The key, 16 bytes. `content` is `request.content`, passed in because the caller stores it as well."""
        parameters = request.parameters.as_json
        base = self._bases.get(parameters)
        if base is None:
            if len(self._bases) >= _BASES_KEPT:  # a seed for each request makes as many settings as requests
                self._bases.clear()
            # Lengths keep the parts apart: no two different requests run together into the same bytes.
            head = orjson.dumps([self._model, parameters.decode()])
            base = self._bases[parameters] = blake2b(len(head).to_bytes(4, "big") + head, digest_size=16)
        key = base.copy()
        key.update(request.sample.to_bytes(4, "big") + content)
        return key.digest()
