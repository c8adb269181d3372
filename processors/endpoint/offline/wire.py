"""The JSON bodies that the routes answer, field by field as TGI writes them."""

import time
from typing import Any

import orjson

from tagsmith.processors.endpoint.offline.generation import Generation
from tagsmith.processors.endpoint.offline.tokens import Token, end_of_sequence, token, token_id, top_tokens

Json = dict[str, Any]


def tokens_of(generation: Generation) -> list[Token]:
    """The reply's tokens with ids and probabilities. Never empty: a reply without text still ends."""
    tokens = [token(text, place) for place, text in enumerate(generation.tokens)] or [end_of_sequence()]
    return [*_likely(generation, 0)[:1], *tokens[1:]] if generation.likely else tokens


def _likely(generation: Generation, place: int) -> list[Token]:
    """The candidates for a place that the rules name: for the first one, if any."""
    return [] if place else [Token(token_id(text), text, logprob) for text, logprob in generation.likely]


def mean_logprob(generation: Generation) -> float:
    """How likely the model finds its reply, by which `best_of` chooses."""
    tokens = tokens_of(generation)
    return sum(each.logprob for each in tokens) / len(tokens)


def as_json(each: Token) -> Json:
    """A token as `details` and streams show it."""
    return {"id": each.id, "text": each.text, "logprob": each.logprob, "special": each.special}


def details(
    generation: Generation, prefill: list[Json], top_n: int, others: list[Generation] | None, head: str
) -> Json:
    """`details` of a reply. `others` are the best-of replies that were not chosen, `head` the text before each."""
    body = _sequence(generation, prefill, top_n)
    if others is not None:
        body["best_of_sequences"] = [
            {"generated_text": head + other.text, **_sequence(other, prefill, top_n)} for other in others
        ]
    return body


def _sequence(generation: Generation, prefill: list[Json], top_n: int) -> Json:
    tokens = tokens_of(generation)
    body: Json = {
        "finish_reason": generation.finish_reason,
        "generated_tokens": len(tokens),
        "seed": generation.seed,
        "prefill": prefill,
        "tokens": [as_json(each) for each in tokens],
    }
    if top_n:
        body["top_tokens"] = [
            [as_json(one) for one in top_tokens(each, top_n, _likely(generation, place))]
            for place, each in enumerate(tokens)
        ]
    return body


def prefill(input_tokens: list[str]) -> list[Json]:
    """The prompt's tokens. Nothing comes before the first, so it has no probability."""
    tokens = [token(text, place) for place, text in enumerate(input_tokens)]
    return [
        {"id": each.id, "text": each.text, "logprob": each.logprob if place else None}
        for place, each in enumerate(tokens)
    ]


def stream_events(generation: Generation, input_length: int, top_n: int, head: str, with_details: bool) -> list[Json]:
    """One event a token; the last also carries the whole text and, when asked for, details."""
    tokens = tokens_of(generation)
    events: list[Json] = []
    for place, each in enumerate(tokens, 1):
        event: Json = {"index": place, "token": as_json(each)}
        if top_n:
            event["top_tokens"] = [as_json(one) for one in top_tokens(each, top_n, _likely(generation, place - 1))]
        last = place == len(tokens)
        event["generated_text"] = head + generation.text if last else None
        event["details"] = None
        if last and with_details:
            event["details"] = {
                "finish_reason": generation.finish_reason,
                "generated_tokens": len(tokens),
                "seed": generation.seed,
                "input_length": input_length,
            }
        events.append(event)
    return events


def chat_completion(
    generation: Generation, prompt_tokens: int, model: str, fingerprint: str, top_n: int | None
) -> Json:
    """`top_n` runners-up a token, or None for no log-probabilities at all."""
    logprobs = None
    if top_n is not None:
        logprobs = {
            "content": [
                _logprob(each, top_n, _likely(generation, place)) for place, each in enumerate(tokens_of(generation))
            ]
        }
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": generation.text},
        "logprobs": logprobs,
        "finish_reason": openai_reason(generation),
    }
    return {
        "object": "chat.completion",
        **_head(model, fingerprint),
        "choices": [choice],
        "usage": usage(prompt_tokens, generation),
    }


def chat_chunks(
    generation: Generation, prompt_tokens: int, model: str, fingerprint: str, top_n: int | None, with_usage: bool
) -> list[Json]:
    """One chunk a token, and one for the usage when `stream_options` asks for it."""
    head = {"object": "chat.completion.chunk", **_head(model, fingerprint)}
    tokens = tokens_of(generation)
    chunks = []
    for place, each in enumerate(tokens, 1):
        choice = {
            "index": 0,
            # TGI leaves `tool_calls` out; `text-generation` 0.7.0 insists on it, and null says the same.
            "delta": {"role": "assistant", "content": each.text, "tool_calls": None},
            "logprobs": None if top_n is None else {"content": [_logprob(each, top_n, _likely(generation, place - 1))]},
            "finish_reason": openai_reason(generation) if place == len(tokens) else None,
        }
        chunks.append({**head, "choices": [choice], "usage": None})
    if with_usage:
        chunks.append({**head, "choices": [], "usage": usage(prompt_tokens, generation)})
    return chunks


def completion(generations: list[Generation], prompt_tokens: int, model: str, fingerprint: str) -> Json:
    """Replies to one or more raw prompts, in the prompts\' order."""
    reply_tokens = sum(len(tokens_of(each)) for each in generations)
    return {
        "object": "text_completion",
        **_head(model, fingerprint),
        "choices": [
            {"index": place, "text": each.text, "logprobs": None, "finish_reason": openai_reason(each)}
            for place, each in enumerate(generations)
        ],
        "usage": {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": reply_tokens,
            "total_tokens": prompt_tokens + reply_tokens,
        },
    }


def completion_chunks(
    generation: Generation, place: int, prompt_tokens: int, model: str, fingerprint: str
) -> list[Json]:
    """One chunk a token of the reply to prompt number `place`."""
    head = {"object": "text_completion", **_head(model, fingerprint)}
    tokens = tokens_of(generation)
    chunks = []
    for number, each in enumerate(tokens, 1):
        last = number == len(tokens)
        choice = {
            "index": place,
            "text": each.text,
            "logprobs": None,
            "finish_reason": generation.finish_reason if last else "",
        }
        chunk: Json = {**head, "choices": [choice]}
        if last:
            chunk["usage"] = usage(prompt_tokens, generation)
        chunks.append(chunk)
    return chunks


def usage(prompt_tokens: int, generation: Generation) -> Json:
    """Token counts of one request."""
    reply_tokens = len(generation.tokens) or 1
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": reply_tokens,
        "total_tokens": prompt_tokens + reply_tokens,
    }


def openai_reason(generation: Generation) -> str:
    """OpenAI's word for a reply that ended by itself; the other reasons keep TGI's names."""
    return "stop" if generation.finish_reason == "eos_token" else generation.finish_reason


def event(body: Json) -> bytes:
    """A server-sent event."""
    return b"data: " + orjson.dumps(body) + b"\n\n"


def _logprob(each: Token, top_n: int, likely: list[Token]) -> Json:
    return {
        "token": each.text,
        "logprob": each.logprob,
        "top_logprobs": [
            {"token": one.text, "logprob": one.logprob} for one in (top_tokens(each, top_n, likely) if top_n else ())
        ],
    }


def _head(model: str, fingerprint: str) -> Json:
    return {"id": "", "created": int(time.time()), "model": model, "system_fingerprint": fingerprint}
