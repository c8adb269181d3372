"""Answer many generation requests with few `generate` calls, each request as if it were alone."""

import asyncio
import math
import random
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import LogitsProcessor, StoppingCriteria

from tagsmith.processors.endpoint.local_model import LocalModel

LINGER_SEC = 0.005  # requests sent together arrive within it, so that the first batch is not a batch of one
_LIKELY_TOKENS = 1024


class GenerationError(Exception):
    """The model failed on a request: out of memory even alone, or its output is not a number."""


class OverloadedError(Exception):
    """More requests wait than the server said it takes."""


@dataclass
class GenerationRequest:
    """What to generate. `temperature` 0 is greedy; `top_k` 0 and `top_p` 1 restrict nothing.

    A sampled reply depends on its own seed only: each request draws from a generator of its own, one number a
    token. So it is the same alone and in any batch, as far as floating point gives the same logits.
    """

    input_ids: list[int]
    max_new_tokens: int
    temperature: float
    top_p: float
    top_k: int
    seed: int
    stop: tuple[str, ...]
    top_n_tokens: int
    cancelled: bool = False  # set when the client has gone: the row then ends at the next token


@dataclass
class Generation:
    """One reply. Log-probabilities are the model's own, in nats, before temperature, top_k and top_p."""

    request: GenerationRequest
    finish_reason: str = ""  # length, eos_token or stop_sequence; empty while it goes on
    token_ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    top_tokens: list[list[tuple[int, float]]] = field(default_factory=list)  # per position, likeliest first


class _TokenPicker(LogitsProcessor):  # type: ignore[misc]
    """Chooses each row's next token by that row's own parameters, and leaves `generate` no other choice."""

    def __init__(self, rows: list[Generation], local: LocalModel) -> None:
        self.rows = rows
        self.local = local
        self.random = [random.Random(row.request.seed) for row in rows]
        self.most_top_tokens = max(row.request.top_n_tokens for row in rows)

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:  # scores: (rows, vocabulary)
        logprobs = torch.log_softmax(scores, dim=-1)
        chosen = scores.argmax(dim=-1)
        for i, row in enumerate(self.rows):
            if row.request.temperature > 0 and not row.finish_reason:
                chosen[i] = sample_token(scores[i], row.request, self.random[i].random())
        tokens = chosen.tolist()
        token_logprobs = logprobs.gather(1, chosen[:, None]).squeeze(1).tolist()
        top = torch.topk(logprobs, self.most_top_tokens)
        top_ids, top_logprobs = top.indices.tolist(), top.values.tolist()
        for i, row in enumerate(self.rows):
            if row.finish_reason:
                continue
            n = row.request.top_n_tokens
            row.token_ids.append(tokens[i])
            row.logprobs.append(token_logprobs[i])
            row.top_tokens.append(list(zip(top_ids[i][:n], top_logprobs[i][:n], strict=True)))
            row.finish_reason = self._finish_reason(row)
        return torch.full_like(scores, -math.inf).scatter_(1, chosen[:, None], 0.0)

    def _finish_reason(self, row: Generation) -> str:
        if row.request.cancelled:
            return "cancelled"
        if not math.isfinite(row.logprobs[-1]):
            return "not_a_number"
        if row.token_ids[-1] in self.local.eos_ids:
            return "eos_token"
        if row.request.stop:
            # A token is at least a byte, so this tail holds any stop sequence that the newest token completes.
            tail = row.token_ids[-4 - max(len(stop.encode()) for stop in row.request.stop) :]
            text = decode(self.local.tokenizer, tail)
            if any(stop in text for stop in row.request.stop):
                return "stop_sequence"
        return "length" if len(row.token_ids) >= row.request.max_new_tokens else ""


class _AllFinished(StoppingCriteria):  # type: ignore[misc]
    def __init__(self, rows: list[Generation]) -> None:
        self.rows = rows

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, **kwargs: Any) -> torch.Tensor:
        return torch.tensor([bool(row.finish_reason) for row in self.rows], device=input_ids.device)


def decode(tokenizer: Any, token_ids: list[int]) -> str:
    """Text of tokens, without the special ones."""
    return str(tokenizer.decode(token_ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))


def sample_token(scores: torch.Tensor, request: GenerationRequest, draw: float) -> torch.Tensor:
    """The token on which `draw`, uniform in [0, 1), falls: temperature, top_k, top_p, in TGI's order.

    Args:
        scores: logits of one position, shape (vocabulary,).
        request: its temperature must be above 0.
        draw: the request's next random number.
    """
    probabilities = torch.softmax(scores / request.temperature, dim=-1)
    order = None
    if request.top_k:
        probabilities, order = torch.topk(probabilities, min(request.top_k, len(probabilities)))
        probabilities = probabilities / probabilities.sum()
    if request.top_p < 1:
        if order is None:
            # Sorting 150,000 tokens takes as long as a small model's step; a thousand nearly always suffice.
            likeliest = torch.topk(probabilities, min(_LIKELY_TOKENS, len(probabilities)))
            if likeliest.values.sum() > request.top_p:
                probabilities, order = likeliest
            else:
                probabilities, order = torch.sort(probabilities, descending=True)
        before = probabilities.cumsum(0) - probabilities  # the mass of all likelier tokens
        probabilities = torch.where(before < request.top_p, probabilities, 0)
    cumulative = probabilities.cumsum(0)
    # Rounding may put the point on the total: the last token with any probability is meant.
    index = torch.searchsorted(cumulative, cumulative[-1:] * draw, right=True)
    index = index.clamp(max=torch.count_nonzero(cumulative < cumulative[-1])).squeeze(0)
    return index if order is None else order[index]


def generate(local: LocalModel, requests: list[GenerationRequest]) -> list[Generation | GenerationError]:
    """Run one batch. If it fails, run its halves: a half may fit into memory, and a bad request fails alone."""
    rows = [Generation(request) for request in requests]
    longest = max(len(request.input_ids) for request in requests)
    padded = [[local.pad_id] * (longest - len(r.input_ids)) + r.input_ids for r in requests]
    mask = [[0] * (longest - len(r.input_ids)) + [1] * len(r.input_ids) for r in requests]
    try:
        local.model.generate(
            input_ids=torch.tensor(padded, device=local.model.device),  # (rows, longest)
            attention_mask=torch.tensor(mask, device=local.model.device),
            max_new_tokens=max(request.max_new_tokens for request in requests),
            logits_processor=[_TokenPicker(rows, local)],
            stopping_criteria=[_AllFinished(rows)],
        )
    except Exception as error:
        if len(requests) == 1:
            said = " ".join(str(error).split())
            return [GenerationError(f"generation failed: {type(error).__name__}: {said[:300]}")]
        half = len(requests) // 2
        return generate(local, requests[:half]) + generate(local, requests[half:])
    bad = GenerationError("the model's output is not a number: its weights are damaged or the dtype is too narrow")
    return [bad if row.finish_reason == "not_a_number" else row for row in rows]


class Batcher:
    """Collects waiting requests into batches and runs one batch after the other, in a thread.

    Args:
        local: the model.
        max_batch_size: requests in one `generate` call.
        max_concurrent: requests waiting or running; more are refused.
    """

    def __init__(self, local: LocalModel, max_batch_size: int, max_concurrent: int) -> None:
        self.local = local
        self.max_batch_size = max_batch_size
        self.max_concurrent = max_concurrent
        self._in_flight = 0
        self._waiting: asyncio.Queue[tuple[GenerationRequest, asyncio.Future[Generation]]] = asyncio.Queue()

    async def submit(self, request: GenerationRequest) -> Generation:
        """Wait for a request's reply.

        Raises:
            OverloadedError: too many requests are in flight.
            GenerationError: the model failed on it.
        """
        if self._in_flight >= self.max_concurrent:
            raise OverloadedError(f"{self._in_flight} requests are in flight, at most {self.max_concurrent} are taken")
        future: asyncio.Future[Generation] = asyncio.get_running_loop().create_future()
        self._in_flight += 1
        try:
            self._waiting.put_nowait((request, future))
            return await future
        finally:
            request.cancelled = True  # of no effect once it is answered
            self._in_flight -= 1

    async def run(self) -> None:
        """Answer requests for ever."""
        while True:
            batch = [await self._waiting.get()]
            await asyncio.sleep(LINGER_SEC)
            while len(batch) < self.max_batch_size and not self._waiting.empty():
                batch.append(self._waiting.get_nowait())
            batch = [(request, future) for request, future in batch if not request.cancelled]
            if not batch:
                continue
            replies = await asyncio.to_thread(generate, self.local, [request for request, _ in batch])
            for (_, future), reply in zip(batch, replies, strict=True):
                if future.done():
                    continue
                if isinstance(reply, GenerationError):
                    future.set_exception(reply)
                else:
                    future.set_result(reply)
