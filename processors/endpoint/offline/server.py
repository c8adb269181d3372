"""The routes: bodies in, TGI's answers out."""

import time
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from typing import Any

import orjson
from aiohttp import web

from tagsmith.processors.endpoint.offline import bodies, wire
from tagsmith.processors.endpoint.offline.bodies import Body, Parameters
from tagsmith.processors.endpoint.offline.engine import Engine
from tagsmith.processors.endpoint.offline.failures import BodyError, DroppedConnectionError, TgiError, wrong_type
from tagsmith.processors.endpoint.offline.faults import Faults
from tagsmith.processors.endpoint.offline.generation import Prompt
from tagsmith.processors.endpoint.offline.settings import OfflineSettings, identity
from tagsmith.processors.endpoint.offline.tokens import token_id, tokenize
from tagsmith.processors.endpoint.offline.validation import (
    MAX_BEST_OF,
    MAX_CLIENT_BATCH_SIZE,
    MAX_STOP_SEQUENCES,
    validate_stream,
)

_MAX_BODY_BYTES = 2_000_000  # TGI's default payload limit
_DONE = b"data: [DONE]\n\n"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class OfflineServer:
    """Answers HTTP requests; `app` is the aiohttp application to run.

    Args:
        settings: limits, faults and seed.
    """

    def __init__(self, settings: OfflineSettings) -> None:
        self._settings = settings
        self._faults = Faults(settings)
        self._model, self._sha = identity(settings)
        self._version = version("tagsmith")
        self._fingerprint = f"{self._version}-native"
        self._engine = Engine(settings, self._faults)

    def app(self) -> web.Application:
        app = web.Application(middlewares=[self._errors], client_max_size=_MAX_BODY_BYTES)
        app.add_routes(
            [
                web.post("/", self._compat),
                web.post("/generate", self._generate),
                web.post("/generate_stream", self._generate_stream),
                web.post("/v1/chat/completions", self._chat),
                web.post("/v1/completions", self._completions),
                web.post("/tokenize", self._tokenize),
                web.get("/info", self._info),
                web.get("/v1/models", self._models),
                web.get("/", self._health),
                web.get("/health", self._health),
                web.get("/ping", self._health),
            ]
        )
        return app

    # Requests in TGI's own form.

    async def _compat(self, request: web.Request) -> web.StreamResponse:
        body = await self._body(request)
        inputs, parameters = bodies.generate_request(body)
        full_text = bool(parameters.return_full_text)
        if bodies.streamed(body):
            return await self._stream(request, inputs, parameters, full_text)
        return await self._answer(inputs, parameters, full_text, as_list=True)

    async def _generate(self, request: web.Request) -> web.StreamResponse:
        inputs, parameters = bodies.generate_request(await self._body(request))
        return await self._answer(inputs, parameters, bool(parameters.return_full_text), as_list=False)

    async def _generate_stream(self, request: web.Request) -> web.StreamResponse:
        inputs, parameters = bodies.generate_request(await self._body(request))
        return await self._stream(request, inputs, parameters, bool(parameters.return_full_text))

    async def _answer(self, inputs: str, parameters: Parameters, full_text: bool, as_list: bool) -> web.Response:
        started = time.perf_counter()
        reply = await self._engine.run(inputs, parameters, Prompt(inputs, inputs))
        head = inputs if full_text else ""
        answer: Body = {"generated_text": head + reply.generation.text}
        if parameters.details or parameters.decoder_input_details:
            prefill = wire.prefill(reply.valid.input_tokens) if parameters.decoder_input_details else []
            answer["details"] = wire.details(
                reply.generation, prefill, parameters.top_n_tokens or 0, reply.others, head
            )
        headers = {
            "x-compute-type": "rules",
            "x-compute-characters": str(len(inputs)),
            "x-total-time": str(round((time.perf_counter() - started) * 1000)),
            "x-prompt-tokens": str(reply.input_length),
            "x-generated-tokens": str(len(reply.generation.tokens) or 1),
        }
        return _json([answer] if as_list else answer, headers=headers)

    async def _stream(
        self, request: web.Request, inputs: str, parameters: Parameters, full_text: bool
    ) -> web.StreamResponse:
        try:
            validate_stream(parameters)
            reply = await self._engine.run(inputs, parameters, Prompt(inputs, inputs))
        except TgiError as error:
            return await _send(request, [wire.event({"error": str(error), "error_type": error.error_type})])
        events = wire.stream_events(
            reply.generation,
            reply.input_length,
            parameters.top_n_tokens or 0,
            inputs if full_text else "",
            parameters.details,
        )
        return await _send(request, [wire.event(each) for each in events])

    # Requests in OpenAI's form.

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        body = await self._body(request)
        parameters = bodies.chat_parameters(body)
        messages = bodies.messages(body)
        if body.get("tools") and body.get("tool_choice") != "none":
            raise TgiError(422, "Tool error: this server has no tools; leave `tools` out", "tool_error")
        text = next((content for role, content in messages if role == "user"), "")
        inputs = "".join(f"<|{role}|>\n{content}\n" for role, content in messages)
        if inputs:
            inputs += "<|assistant|>\n"
        prompt = Prompt(text, inputs)
        with_logprobs = bodies.read(body, "logprobs", "a boolean", nullable=True)
        top_n = (parameters.top_n_tokens or 0) if with_logprobs else None
        model = self._model if body.get("model") in (None, "tgi") else str(body["model"])
        if not bodies.streamed(body):
            reply = await self._engine.run(inputs, parameters, prompt)
            return _json(wire.chat_completion(reply.generation, reply.input_length, model, self._fingerprint, top_n))
        done = [_DONE] if _reads_done(body) else []
        try:
            reply = await self._engine.run(inputs, parameters, prompt)
        except TgiError as error:
            return await _send(request, [_openai_error(error), *done])
        with_usage = bool((body.get("stream_options") or {}).get("include_usage"))
        chunks = wire.chat_chunks(reply.generation, reply.input_length, model, self._fingerprint, top_n, with_usage)
        return await _send(request, [*map(wire.event, chunks), *done])

    async def _completions(self, request: web.Request) -> web.StreamResponse:
        body = await self._body(request)
        parameters = bodies.completion_parameters(body)
        prompts = bodies.prompts(body)
        if body.get("suffix") is not None:
            words = "Suffix is not supported and can be achieved by preprocessing the prompt."
            raise TgiError(422, words, "suffix not supported")
        if len(prompts) > MAX_CLIENT_BATCH_SIZE:
            words = f"Number of prompts exceeds the maximum allowed batch size of {MAX_CLIENT_BATCH_SIZE}"
            raise TgiError(422, words, "batch size exceeded")
        if not bodies.streamed(body):
            replies = [await self._engine.run(text, parameters, Prompt(text, text)) for text in prompts]
            total = sum(reply.input_length for reply in replies)
            generations = [reply.generation for reply in replies]
            return _json(wire.completion(generations, total, self._model, self._fingerprint))
        events: list[bytes] = []
        for place, text in enumerate(prompts):
            try:
                reply = await self._engine.run(text, parameters, Prompt(text, text))
            except TgiError as error:
                events.append(_openai_error(error))
                continue
            chunks = wire.completion_chunks(reply.generation, place, reply.input_length, self._model, self._fingerprint)
            events += map(wire.event, chunks)
        return await _send(request, [*events, _DONE])

    # What the server says about itself and about texts.

    async def _info(self, request: web.Request) -> web.Response:
        settings = self._settings
        return _json(
            {
                "model_id": self._model,
                "model_sha": self._sha,
                # By this tag TGI decides whether `POST /` repeats the prompt by default: it does for models that
                # continue a text; ours answer it.
                "model_pipeline_tag": "text2text-generation",
                "max_concurrent_requests": settings.max_concurrent_requests,
                "max_best_of": MAX_BEST_OF,
                "max_stop_sequences": MAX_STOP_SEQUENCES,
                "max_input_tokens": settings.max_input_tokens,
                "max_total_tokens": settings.max_total_tokens,
                "validation_workers": 1,
                "max_client_batch_size": MAX_CLIENT_BATCH_SIZE,
                "router": "tagsmith-offline",
                "version": self._version,
                "sha": None,
                "docker_label": None,
            }
        )

    async def _models(self, request: web.Request) -> web.Response:
        model = {"id": self._model, "object": "model", "created": 0, "owned_by": self._model}
        return _json({"object": "list", "data": [model]})

    async def _health(self, request: web.Request) -> web.Response:
        return web.Response()

    async def _tokenize(self, request: web.Request) -> web.Response:
        inputs, parameters = bodies.generate_request(await self._body(request, generates=False))
        tokens = []
        start = 0
        for text in tokenize(inputs)[: parameters.truncate]:
            stop = start + len(text.encode())
            tokens.append({"id": token_id(text), "text": text, "start": start, "stop": stop})
            start = stop
        return _json(tokens)

    # The way of every request.

    async def _body(self, request: web.Request, generates: bool = True) -> Body:
        if request.content_type != "application/json":
            raise BodyError(415, "Expected request with `Content-Type: application/json`")
        raw = await request.read()
        if generates and (failure := self._faults.failure(request.path.encode() + raw)):
            raise failure
        try:
            body = orjson.loads(raw)
        except orjson.JSONDecodeError as error:
            raise BodyError(400, f"Failed to parse the request body as JSON: {error}") from error
        if not isinstance(body, dict):
            raise wrong_type("body", body, "struct")
        return body

    @web.middleware
    async def _errors(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except TgiError as error:
            headers = None if error.retry_after_sec is None else {"Retry-After": str(error.retry_after_sec)}
            return _json({"error": str(error), "error_type": error.error_type}, error.status, headers)
        except BodyError as error:
            return web.Response(status=error.status, text=str(error))
        except DroppedConnectionError:
            # Nothing more is said: the answer below finds the connection closed.
            if request.transport is not None:
                request.transport.abort()
            return web.Response()


def _reads_done(body: Body) -> bool:
    """Whether the client understands the closing `[DONE]`.

    `text-generation` 0.7.0 is older than that mark and fails on it. It is known by sending every field of its
    request, also `logit_bias`, as null when unset; the end of the connection tells it enough.
    """
    return not ("logit_bias" in body and body["logit_bias"] is None)


def _openai_error(error: TgiError) -> bytes:
    # The number is what TGI writes for every error at this place.
    return wire.event({"error": {"message": str(error), "http_status_code": 422}})


def _json(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(body=orjson.dumps(body), status=status, headers=headers, content_type="application/json")


async def _send(request: web.Request, events: list[bytes]) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
    await response.prepare(request)
    for each in events:
        await response.write(each)
    await response.write_eof()
    return response
