"""Requests as TGI and OpenAI-compatible servers want them, and their answers as completions. No input or output."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from tagsmith.processors.endpoint.failures import NotAnEndpointError, quoted
from tagsmith.processors.endpoint.request import Completion, Parameters, Request
from tagsmith.processors.errors import InputError


@dataclass(frozen=True)
class Dialect:
    """How one server is spoken to.

    Args:
        tgi: the server is TGI or speaks its protocol: raw text goes to `/generate`, grammars in TGI's form.
        model: the name that OpenAI-compatible routes want in each request.
        chat: send conversations to `/v1/chat/completions`; False joins their texts and sends raw text.
        structured: ask the server to enforce `json_schema`.
    """

    tgi: bool
    model: str
    chat: bool = True
    structured: bool = True

    def encode(self, request: Request) -> tuple[str, bytes]:
        """The route and the JSON body.

        Raises:
            InputError: a parameter is set that the route does not have: it would be recorded and do nothing.
        """
        request = self.as_sent(request)
        if request.messages is not None:
            return "/v1/chat/completions", orjson.dumps(self._chat(request))
        if self.tgi:
            parameters = self._generate(request.parameters)
            return "/generate", orjson.dumps({"inputs": request.prompt, "parameters": parameters})
        given = {"prompt": request.prompt, **self._openai(request.parameters)}
        if request.parameters.top_n_tokens is not None:
            given["logprobs"] = request.parameters.top_n_tokens  # this route's word for it
        return "/v1/completions", orjson.dumps(given)

    def as_sent(self, request: Request) -> Request:
        """The request as the server gets it: raw text where conversations are not sent as such. Store keys are made of
        this: the same words with and without a chat template are answered differently."""
        if request.messages is None or self.chat:
            return request
        text = "\n\n".join(message["content"] for message in request.messages)
        return Request(request.parameters, prompt=text, sample=request.sample)

    def decode(self, route: str, body: bytes, headers: Mapping[str, str]) -> Completion:
        """The completion in a successful answer.

        Raises:
            NotAnEndpointError: the body is not what the route answers.
        """
        try:
            data = orjson.loads(body)
            if route == "/generate":
                return _from_generate(data[0] if isinstance(data, list) else data, headers)
            return _from_openai(data)
        except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
            start = quoted(body)
            raise NotAnEndpointError(
                f"{route} answered HTTP 200 with something else than a completion ({error!r}): {start!r}; is the"
                " address that of a TGI or OpenAI-compatible server?"
            ) from error

    def _generate(self, p: Parameters) -> dict[str, Any]:
        given: dict[str, Any] = {"max_new_tokens": p.max_new_tokens, "details": True}
        for name in ("repetition_penalty", "frequency_penalty", "seed", "best_of", "top_n_tokens"):
            if (value := getattr(p, name)) is not None:
                given[name] = value
        if p.temperature > 0:  # otherwise neither top_k nor top_p may be sent: each of them alone turns sampling on
            given |= {"do_sample": True, "temperature": p.temperature}
            if p.top_k is not None:
                given["top_k"] = p.top_k
            if p.top_p is not None and p.top_p < 1:  # TGI wants it below 1; 1 is no restriction
                given["top_p"] = p.top_p
        if p.stop:
            given["stop"] = p.stop
        if p.json_schema is not None and self.structured:
            given["grammar"] = {"type": "json", "value": p.json_schema}
        return given

    def _openai(self, p: Parameters) -> dict[str, Any]:
        # OpenAI has neither top_k nor repetition_penalty, but vLLM, SGLang and others do, by these names.
        foreign = ("top_k", "repetition_penalty", "best_of") if self.tgi else ("best_of",)
        if lost := [name for name in foreign if getattr(p, name) is not None]:
            raise InputError(
                f"{' and '.join(lost)} cannot be set for this endpoint: it has no such parameter; leave it out, or use"
                " TGI's /generate (…?api=generate)"
            )
        given: dict[str, Any] = {"model": self.model, "max_tokens": p.max_new_tokens, "temperature": p.temperature}
        for name in ("top_p", "top_k", "repetition_penalty", "frequency_penalty", "seed"):
            if (value := getattr(p, name)) is not None:
                given[name] = value
        if p.stop:
            given["stop"] = p.stop
        return given

    def _chat(self, request: Request) -> dict[str, Any]:
        p = request.parameters
        given = self._openai(p) | {"messages": request.messages}
        if self.tgi and (p.top_p == 1 or p.temperature == 0):
            given.pop("top_p", None)  # as above; temperature 0, on the other hand, is TGI's word for greedy here
        if p.top_n_tokens is not None:
            given |= {"logprobs": True, "top_logprobs": p.top_n_tokens}
        if p.json_schema is not None and self.structured:
            schema = {"name": "reply", "schema": p.json_schema}
            given["response_format"] = (
                {"type": "json_object", "value": p.json_schema}
                if self.tgi
                else {"type": "json_schema", "json_schema": schema | {"strict": True}}
            )
        return given


def _from_generate(data: dict[str, Any], headers: Mapping[str, str]) -> Completion:
    details = data.get("details") or {}
    top = details.get("top_tokens")
    prompt_tokens = headers.get("x-prompt-tokens")  # TGI counts the prompt in a header, not in the body
    return Completion(
        text=_text(data["generated_text"]),
        finish_reason=details.get("finish_reason"),
        prompt_tokens=int(prompt_tokens) if prompt_tokens else None,
        reply_tokens=details.get("generated_tokens"),
        top_tokens=[[{"text": t["text"], "logprob": t["logprob"]} for t in position] for position in top]
        if top
        else None,
    )


def _from_openai(data: dict[str, Any]) -> Completion:
    choice = data["choices"][0]
    text = choice["message"].get("content") if "message" in choice else choice["text"]
    usage = data.get("usage") or {}
    return Completion(
        text=_text(text or ""),  # null: a refusal, or nothing but a tool call
        finish_reason=choice.get("finish_reason"),
        prompt_tokens=usage.get("prompt_tokens"),
        reply_tokens=usage.get("completion_tokens"),
        top_tokens=_openai_top_tokens(choice.get("logprobs")),
    )


def _openai_top_tokens(logprobs: Any) -> list[list[dict[str, Any]]] | None:
    """Chat answers a list of positions under `content`; completions, for each position, a mapping token → logprob."""
    if not isinstance(logprobs, dict):
        return None
    if positions := logprobs.get("content"):
        return [
            [{"text": t["token"], "logprob": t["logprob"]} for t in position.get("top_logprobs") or ()]
            for position in positions
        ]
    if positions := logprobs.get("top_logprobs"):
        return [
            [{"text": text, "logprob": logprob} for text, logprob in (position or {}).items()] for position in positions
        ]
    return None


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"the reply is not text but {type(value).__name__}")
    return value
