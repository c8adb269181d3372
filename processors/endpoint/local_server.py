"""The program behind `local:`: one Transformers model on loopback, speaking the routes of TGI that tagsmith uses.

    python -m tagsmith.processors.endpoint.local_server --model FOLDER [--port 8080]

It prints `{"url": …}` when it is up (or `{"error": …}`) and ends when its standard input closes. Where TGI and
this server differ: no streaming; one reply a request; parameters that it does not have are refused, except
`grammar` and `response_format`, which are ignored (`/info`: `"grammar": false`); chat replies end before a stop
sequence, as OpenAI's do (`/generate` keeps it, as TGI's does); `top_n_tokens` has no limit but the vocabulary.
"""

import argparse
import asyncio
import copy
import json
import signal
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import transformers
from aiohttp import web

from tagsmith.processors.endpoint.child import exit_when_stdin_closes
from tagsmith.processors.endpoint.local_batching import (
    Batcher,
    Generation,
    GenerationError,
    OverloadedError,
    decode,
)
from tagsmith.processors.endpoint.local_model import LocalModel
from tagsmith.processors.endpoint.local_requests import InvalidRequestError, chat_request, generate_request

_MAX_BODY_BYTES = 64 * 2**20


class Routes:
    """The HTTP side of a `Batcher`."""

    def __init__(self, local: LocalModel, batcher: Batcher) -> None:
        self.local = local
        self.batcher = batcher

    def app(self) -> web.Application:
        """All routes, with TGI's errors."""
        app = web.Application(client_max_size=_MAX_BODY_BYTES, middlewares=[errors_as_tgi])
        app.router.add_get("/health", self.health)
        app.router.add_get("/info", self.info)
        app.router.add_post("/generate", self.generate)
        app.router.add_post("/tokenize", self.tokenize)
        app.router.add_post("/v1/chat/completions", self.chat)
        return app

    async def health(self, request: web.Request) -> web.Response:
        """HTTP 200: the model is in memory before the port opens."""
        return web.Response()

    async def info(self, request: web.Request) -> web.Response:
        """Identity and limits."""
        return web.json_response(
            {
                "model_id": self.local.model_id,
                "model_sha": self.local.model_sha,
                "model_dtype": str(self.local.model.dtype),
                "model_device_type": self.local.model.device.type,
                "max_concurrent_requests": self.batcher.max_concurrent,
                "max_batch_size": self.batcher.max_batch_size,
                "max_best_of": 1,
                "max_input_tokens": self.local.max_total_tokens - 1,
                "max_total_tokens": self.local.max_total_tokens,
                "grammar": False,
                "router": "tagsmith-local",
            }
        )

    async def generate(self, request: web.Request) -> web.Response:
        """Raw text in, raw text out."""
        body = await _json_object(request)
        wanted = generate_request(self.local, body)
        reply = await self.batcher.submit(wanted)
        answer: dict[str, Any] = {"generated_text": self._text(reply, keep_stop=True)}
        if (body.get("parameters") or {}).get("details"):
            answer["details"] = {
                "finish_reason": reply.finish_reason,
                "generated_tokens": len(reply.token_ids),
                "seed": wanted.seed if wanted.temperature > 0 else None,
                "prefill": [],
                "tokens": [self._token(*token) for token in zip(reply.token_ids, reply.logprobs, strict=True)],
            }
            if wanted.top_n_tokens:
                top = [[self._token(*token) for token in position] for position in reply.top_tokens]
                answer["details"]["top_tokens"] = top
        return web.json_response(answer, headers={"x-prompt-tokens": str(len(wanted.input_ids))})

    async def chat(self, request: web.Request) -> web.Response:
        """A conversation through the model's chat template."""
        body = await _json_object(request)
        wanted = chat_request(self.local, body)
        reply = await self.batcher.submit(wanted)
        choice: dict[str, Any] = {
            "index": 0,
            "message": {"role": "assistant", "content": self._text(reply, keep_stop=False)},
            "finish_reason": "length" if reply.finish_reason == "length" else "stop",
            "logprobs": None,
        }
        if body.get("logprobs"):
            choice["logprobs"] = {
                "content": [
                    {**self._logprob(token, logprob), "top_logprobs": [self._logprob(*likely) for likely in top]}
                    for token, logprob, top in zip(reply.token_ids, reply.logprobs, reply.top_tokens, strict=True)
                ]
            }
        prompt_tokens, reply_tokens = len(wanted.input_ids), len(reply.token_ids)
        return web.json_response(
            {
                "id": f"chatcmpl-{uuid.uuid4().hex}",
                "object": "chat.completion",
                "created": int(time.time()),
                "model": self.local.model_id,
                "system_fingerprint": self.local.model_sha,
                "choices": [choice],
                "usage": {
                    "prompt_tokens": prompt_tokens,
                    "completion_tokens": reply_tokens,
                    "total_tokens": prompt_tokens + reply_tokens,
                },
            }
        )

    async def tokenize(self, request: web.Request) -> web.Response:
        """The tokens of a text, with their character offsets."""
        body = await _json_object(request)
        if not isinstance(text := body.get("inputs"), str):
            raise InvalidRequestError(f"`inputs` must be a text, got {text!r}")
        encoded = self.local.tokenizer(
            text, add_special_tokens=body.get("add_special_tokens", True), return_offsets_mapping=True
        )
        tokens = zip(encoded["input_ids"], encoded["offset_mapping"], strict=True)
        return web.json_response(
            [{"id": i, "text": text[start:stop], "start": start, "stop": stop} for i, (start, stop) in tokens]
        )

    def _text(self, reply: Generation, keep_stop: bool) -> str:
        text = decode(self.local.tokenizer, reply.token_ids)
        found = [(text.index(stop), stop) for stop in reply.request.stop if stop in text]
        if not found:
            return text
        start, stop = min(found)  # the token that completed the stop sequence may go on behind it
        return text[: start + len(stop)] if keep_stop else text[:start]

    def _token(self, token: int, logprob: float) -> dict[str, Any]:
        special = token in self.local.tokenizer.all_special_ids
        return {"id": token, "text": self.local.tokenizer.decode([token]), "logprob": logprob, "special": special}

    def _logprob(self, token: int, logprob: float) -> dict[str, Any]:
        return {"token": self.local.tokenizer.decode([token]), "logprob": logprob}


@web.middleware
async def errors_as_tgi(request: web.Request, handler: Any) -> web.StreamResponse:
    """Each error as `{"error", "error_type"}` with TGI's status."""
    try:
        return await handler(request)  # type: ignore[no-any-return]
    except InvalidRequestError as error:
        return _error(422, str(error), error.error_type)
    except GenerationError as error:
        return _error(424, str(error), "generation")
    except OverloadedError as error:
        return _error(429, str(error), "overloaded")
    except web.HTTPException as error:
        return _error(error.status, error.reason, "http")
    except Exception as error:
        return _error(500, f"{type(error).__name__}: {error}", "internal")


def _error(status: int, message: str, error_type: str) -> web.Response:
    return web.json_response({"error": message, "error_type": error_type}, status=status)


async def _json_object(request: web.Request) -> dict[str, Any]:
    try:
        body = await request.json()
    except ValueError as error:
        raise InvalidRequestError(f"the body is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise InvalidRequestError(f"the body must be a JSON object, got {type(body).__name__}")
    if body.get("stream"):
        raise InvalidRequestError("local models do not stream; leave `stream` out")
    return body


async def serve(local: LocalModel, port: int, max_batch_size: int) -> None:
    """Answer on loopback for ever; says where on standard output. Port 0 takes a free one."""
    # Encoding (here) and decoding (in the batch's thread) must not share a tokenizer: the fast ones are not safe.
    decoding = copy.copy(local)
    decoding.tokenizer = copy.deepcopy(local.tokenizer)
    # Twice the batch: while one runs the next one waits, and nobody waits for more than two.
    batcher = Batcher(decoding, max_batch_size, max_concurrent=2 * max_batch_size)
    runner = web.AppRunner(Routes(local, batcher).app(), access_log=None, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    address = runner.addresses[0]
    print(json.dumps({"url": f"http://{address[0]}:{address[1]}"}), flush=True)
    await batcher.run()


def main(argv: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Serve a Transformers model on loopback.")
    parser.add_argument("--model", type=Path, required=True, help="model folder")
    parser.add_argument("--model_id", help="its name in /info; default: the folder's")
    parser.add_argument("--model_sha", help="its revision in /info; default: the hash of the folder's content")
    parser.add_argument("--device", help="cpu, cuda:0, auto; default: the accelerator if there is one")
    parser.add_argument("--dtype", default="auto", help="of the weights; default: as saved")
    parser.add_argument("--port", type=int, default=0, help="default: a free one")
    parser.add_argument("--max_batch_size", type=int, help="requests a batch; default: 32, on a CPU 8")
    args = parser.parse_args(argv)
    exit_when_stdin_closes()
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a batch in its thread would hold up an orderly exit
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    try:
        local = LocalModel.load(args.model, args.model_id or args.model.name, args.model_sha, args.device, args.dtype)
    except Exception as error:
        said = " ".join(str(error).split())
        print(json.dumps({"error": f"cannot load {args.model}: {type(error).__name__}: {said}"}), flush=True)
        sys.exit(1)
    on_cpu = local.model.device.type == "cpu"
    asyncio.run(serve(local, args.port, args.max_batch_size or (8 if on_cpu else 32)))


if __name__ == "__main__":
    main()
