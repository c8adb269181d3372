"""The offline endpoint over HTTP: TGI's routes, its validation, its errors, and both Python clients unchanged."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import urlsplit

import pytest

from tagsmith.processors.endpoint.offline import OfflineSettings, identity
from tagsmith.processors.prompt_template import PromptTemplate

PROMPT = "Tell me about volcanic eruptions and the rich soil of Iceland."
TAG_PROMPT = PromptTemplate.load("instag/tag").render(instruction="Write a poem about the sea for my students.")
PLACE = {"properties": {"place": {"type": "string"}, "height": {"type": "integer"}}, "required": ["place", "height"]}
# The text-generation client was written for pydantic 1.
pytestmark = pytest.mark.filterwarnings("ignore:The `dict` method is deprecated")
MODULE = [sys.executable, "-m", "tagsmith.processors.endpoint.offline"]


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def events(self) -> list[Any]:
        """The JSON of each server-sent event; `[DONE]` stays text."""
        payloads = [line.removeprefix("data: ") for line in self.text.split("\n\n") if line]
        return [payload if payload == "[DONE]" else json.loads(payload) for payload in payloads]


@dataclass
class Server:
    announced: dict[str, str]
    process: subprocess.Popen[str]

    @property
    def url(self) -> str:
        return self.announced["url"]

    def get(self, path: str) -> Answer:
        return self._send("GET", path, None, {})

    def post(self, path: str, body: Any, content_type: str | None = "application/json") -> Answer:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self._send("POST", path, raw, {"Content-Type": content_type} if content_type else {})

    def _send(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> Answer:
        connection = HTTPConnection(urlsplit(self.url).netloc, timeout=20)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read().decode())
        finally:
            connection.close()

    def generate(self, inputs: str = PROMPT, **parameters: Any) -> Answer:
        return self.post("/generate", {"inputs": inputs, "parameters": {"details": True, **parameters}})

    def chat(self, *contents: Any, **fields: Any) -> Answer:
        """A conversation whose messages come from the user and the assistant in turn."""
        roles = ("user", "assistant") * len(contents)
        messages = [{"role": role, "content": content} for role, content in zip(roles, contents, strict=False)]
        return self.post("/v1/chat/completions", {"messages": messages, "temperature": 0.0, **fields})


@contextmanager
def serving(query: str = "", **environment: str) -> Iterator[Server]:
    process = subprocess.Popen(
        [*MODULE, "--query", query],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield Server(json.loads(process.stdout.readline()), process)
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving() as running:
        yield running


# The process


def test_it_prints_one_line_and_ends_with_its_standard_input():
    with serving() as running:
        running.generate()
        out, err = running.process.communicate(timeout=10)  # closes standard input
        assert (out, err, running.process.returncode) == ("", "", 0)


def test_it_ends_on_sigterm_while_requests_wait():
    with serving("latency_ms=60000") as running:

        def wait_in_vain() -> None:
            with pytest.raises((OSError, HTTPException)):
                running.generate()

        waiting = threading.Thread(target=wait_in_vain)
        waiting.start()
        time.sleep(0.2)
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(timeout=10) == 0
        waiting.join()


def test_a_wrong_setting_is_reported_in_the_line_of_the_address():
    with serving("malformd=1") as refused:
        assert "no setting 'malformd'" in refused.announced["error"]
        assert refused.process.wait(timeout=10) == 2
        assert refused.process.communicate() == ("", "")


# What it says about itself


def test_info_tells_identity_and_limits(server):
    info = server.get("/info").json
    assert (info["model_id"], info["model_sha"]) == identity(OfflineSettings())
    assert info["max_concurrent_requests"] == 128
    assert (info["max_best_of"], info["max_stop_sequences"]) == (2, 4)
    assert (info["max_input_tokens"], info["max_total_tokens"]) == (32_768, 40_960)
    assert {"validation_workers", "max_client_batch_size", "router", "version"} <= info.keys()


def test_models_and_health(server):
    assert [model["id"] for model in server.get("/v1/models").json["data"]] == ["tagsmith/offline-rules"]
    assert [server.get(path).status for path in ("/health", "/ping", "/")] == [200, 200, 200]


def test_tokenize_gives_ids_and_byte_offsets(server):
    text = "Grüße, 世界! It's 2024."
    tokens = server.post("/tokenize", {"inputs": text}).json
    assert [text.encode()[t["start"] : t["stop"]].decode() for t in tokens] == [t["text"] for t in tokens]
    assert "".join(t["text"] for t in tokens) == text
    assert all(isinstance(t["id"], int) for t in tokens)


# /generate and its variants


def test_generate_answers_text_and_nothing_else_by_default(server):
    answer = server.post("/generate", {"inputs": PROMPT, "parameters": {}})
    assert answer.json.keys() == {"generated_text"}
    assert "volcanic eruptions" in answer.json["generated_text"]
    assert answer.headers["x-prompt-tokens"] == str(len(server.post("/tokenize", {"inputs": PROMPT}).json))


def test_details_join_to_the_text(server):
    answer = server.generate(top_n_tokens=3, decoder_input_details=True).json
    details = answer["details"]
    assert "".join(token["text"] for token in details["tokens"]) == answer["generated_text"]
    assert details["generated_tokens"] == len(details["tokens"]) == len(details["top_tokens"])
    assert all(
        len(top) == 3 and top[0] == own for top, own in zip(details["top_tokens"], details["tokens"], strict=True)
    )
    assert "".join(token["text"] for token in details["prefill"]) == PROMPT
    assert [token["logprob"] is None for token in details["prefill"]] == [True] + [False] * (
        len(details["prefill"]) - 1
    )
    assert (details["finish_reason"], details["seed"]) == ("eos_token", None)
    assert "best_of_sequences" not in details


def test_without_prefill_and_top_tokens_details_are_small(server):
    details = server.generate().json["details"]
    assert details["prefill"] == []
    assert "top_tokens" not in details


def test_the_root_answers_a_list_or_a_stream(server):
    body = {"inputs": PROMPT, "parameters": {}}
    listed = server.post("/", body).json
    assert listed == [server.post("/generate", body).json]
    streamed = server.post("/", {**body, "stream": True})
    assert streamed.headers["content-type"] == "text/event-stream"
    assert streamed.events[-1]["generated_text"] == listed[0]["generated_text"]


def test_the_prompt_is_given_back_when_asked_for(server):
    plain = server.generate().json["generated_text"]
    assert server.generate(return_full_text=True).json["generated_text"] == PROMPT + plain


def test_a_reply_ends_at_its_limit_or_stop_sequence(server):
    whole = server.generate().json
    tokens = [token["text"] for token in whole["details"]["tokens"]]
    cut = server.generate(max_new_tokens=4).json
    assert cut["generated_text"] == "".join(tokens[:4])
    assert (cut["details"]["finish_reason"], cut["details"]["generated_tokens"]) == ("length", 4)
    assert server.generate(max_new_tokens=len(tokens)).json["details"]["finish_reason"] == "length"
    assert server.generate(max_new_tokens=len(tokens) + 1).json["details"]["finish_reason"] == "eos_token"
    stopped = server.generate(stop=["never there", "eruptions"]).json
    assert stopped["generated_text"] == whole["generated_text"].partition("eruptions")[0] + "eruptions"
    assert stopped["details"]["finish_reason"] == "stop_sequence"


def test_truncate_keeps_the_end_of_the_prompt(server):
    answer = server.generate("volcano\n\n" * 50 + "glacier", truncate=1, decoder_input_details=True).json
    assert [token["text"] for token in answer["details"]["prefill"]] == ["glacier"]
    assert "glacier" in answer["generated_text"]


def test_sampling_has_a_seed_and_follows_it(server):
    texts = {server.generate(TAG_PROMPT, do_sample=True, seed=seed).json["generated_text"] for seed in range(6)}
    assert len(texts) > 1
    one = server.generate(TAG_PROMPT, temperature=0.7, seed=3).json
    assert one == server.generate(TAG_PROMPT, temperature=0.7, seed=3).json
    assert one["details"]["seed"] == 3
    assert server.generate(top_k=5).json["details"]["seed"] is not None


def test_best_of_gives_the_likeliest_and_the_others(server):
    details = server.generate(TAG_PROMPT, best_of=2, do_sample=True).json["details"]
    (other,) = details["best_of_sequences"]

    def mean(sequence: dict[str, Any]) -> float:
        return sum(token["logprob"] for token in sequence["tokens"]) / len(sequence["tokens"])

    assert mean(details) >= mean(other)
    assert {"generated_text", "finish_reason", "seed", "prefill"} <= other.keys()
    assert other["seed"] != details["seed"]


def test_generate_stream_sends_a_token_an_event(server):
    whole = server.generate().json
    events = server.post(
        "/generate_stream", {"inputs": PROMPT, "parameters": {"details": True, "top_n_tokens": 2}}
    ).events
    assert [event["token"] for event in events] == whole["details"]["tokens"]
    assert [event["index"] for event in events] == list(range(1, len(events) + 1))
    assert all(len(event["top_tokens"]) == 2 for event in events)
    assert [event["generated_text"] for event in events] == [None] * (len(events) - 1) + [whole["generated_text"]]
    assert events[-1]["details"]["generated_tokens"] == len(events)
    assert events[-1]["details"]["input_length"] > 0


# Chat and completions


def test_chat_answers_a_message_with_usage(server):
    answer = server.chat(PROMPT).json
    (choice,) = answer["choices"]
    assert answer["object"] == "chat.completion"
    assert answer["model"] == "tagsmith/offline-rules"
    assert "volcanic eruptions" in choice["message"]["content"]
    assert (choice["finish_reason"], choice["logprobs"]) == ("stop", None)
    usage = answer["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert server.chat(PROMPT, max_tokens=2).json["choices"][0]["finish_reason"] == "length"
    assert server.chat(PROMPT, max_completion_tokens=2).json["usage"]["completion_tokens"] == 2


def test_chat_takes_content_in_parts_and_other_roles(server):
    parts = [{"type": "text", "text": TAG_PROMPT[:50]}, {"type": "text", "text": TAG_PROMPT[50:]}]
    assert server.chat(parts).json["choices"] == server.chat(TAG_PROMPT).json["choices"]
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": TAG_PROMPT}]
    answer = server.post("/v1/chat/completions", {"messages": messages, "temperature": 0}).json
    assert answer["choices"] == server.chat(TAG_PROMPT).json["choices"]


def test_chat_answers_tag_prompts_and_repairs_by_the_first_message(server):
    first = server.chat(TAG_PROMPT).json["choices"][0]["message"]["content"]
    tags = [tag["tag"].lower().replace("_", " ").replace("-", " ") for tag in json.loads(first)["tags"]]
    assert len(tags) >= 3
    repair = PromptTemplate.load("repair").render(reason="it was cut short")
    again = server.chat(TAG_PROMPT, first[:20], repair).json["choices"][0]["message"]["content"]
    assert again == first


def test_chat_logprobs(server):
    choice = server.chat(PROMPT, logprobs=True, top_logprobs=4).json["choices"][0]
    content = choice["logprobs"]["content"]
    assert "".join(each["token"] for each in content) == choice["message"]["content"]
    assert all(len(each["top_logprobs"]) == 4 for each in content)
    assert all(each["top_logprobs"][0] == {"token": each["token"], "logprob": each["logprob"]} for each in content)
    assert server.chat(PROMPT, top_logprobs=4).json["choices"][0]["logprobs"] is None


def test_chat_streams_chunks_usage_and_the_end_mark(server):
    text = server.chat(PROMPT).json["choices"][0]["message"]["content"]
    *chunks, usage, done = server.chat(PROMPT, stream=True, stream_options={"include_usage": True}).events
    assert "".join(chunk["choices"][0]["delta"]["content"] for chunk in chunks) == text
    reasons = [chunk["choices"][0]["finish_reason"] for chunk in chunks]
    assert reasons == [None] * (len(chunks) - 1) + ["stop"]
    assert usage["choices"] == []
    assert usage["usage"]["completion_tokens"] == len(chunks)
    assert done == "[DONE]"


def test_completions_take_one_prompt_or_several(server):
    one = server.post("/v1/completions", {"prompt": PROMPT, "temperature": 0, "max_tokens": 50}).json
    assert one["object"] == "text_completion"
    two = server.post("/v1/completions", {"prompt": [PROMPT, TAG_PROMPT], "temperature": 0}).json
    assert [choice["index"] for choice in two["choices"]] == [0, 1]
    assert two["choices"][0]["text"] == one["choices"][0]["text"]
    streamed = server.post("/v1/completions", {"prompt": PROMPT, "temperature": 0, "stream": True}).events
    assert "".join(event["choices"][0]["text"] for event in streamed[:-1]) == one["choices"][0]["text"]
    assert streamed[-2]["usage"] == one["usage"]
    assert streamed[-1] == "[DONE]"


# Grammars


@pytest.mark.parametrize(
    "grammar",
    [
        {"type": "json", "value": PLACE},
        {"type": "json", "value": json.dumps(PLACE)},
        {"type": "json_schema", "value": {"name": "place", "schema": PLACE}},
    ],
)
def test_generate_keeps_to_a_json_grammar(server, grammar):
    answer = json.loads(server.generate(grammar=grammar).json["generated_text"])
    assert answer == {"place": "volcanic eruptions", "height": 1}


@pytest.mark.parametrize(
    "response_format",
    [
        {"type": "json_object", "value": PLACE},
        {"type": "json_schema", "value": {"name": "place", "schema": PLACE}},
        {"type": "json_schema", "json_schema": {"name": "place", "schema": PLACE, "strict": True}},
    ],
)
def test_chat_keeps_to_a_response_format(server, response_format):
    content = server.chat(PROMPT, response_format=response_format).json["choices"][0]["message"]["content"]
    assert json.loads(content) == {"place": "volcanic eruptions", "height": 1}


def test_generate_keeps_to_a_regular_expression(server):
    pattern = r"(Yes|No), because [a-z]{3,8}( [a-z]{2,6}){2}\."
    assert re.fullmatch(pattern, server.generate(grammar={"type": "regex", "value": pattern}).json["generated_text"])


# Validation: the words of TGI's router


VALIDATION = {
    "temperature": ({"temperature": 0.0}, "`temperature` must be strictly positive"),
    "repetition_penalty": ({"repetition_penalty": 0}, "`repetition_penalty` must be strictly positive"),
    "frequency_penalty": ({"frequency_penalty": 2.5}, "`frequency_penalty` must be >= -2.0 and <= 2.0"),
    "top_p": ({"top_p": 1.0}, "`top_p` must be > 0.0 and < 1.0"),
    "typical_p": ({"typical_p": 0.0}, "`typical_p` must be > 0.0 and < 1.0"),
    "top_k": ({"top_k": 0}, "`top_k` must be strictly positive"),
    "max_new_tokens": ({"max_new_tokens": 0}, "`max_new_tokens` must be strictly positive"),
    "stop": ({"stop": list("abcde")}, "`stop` supports up to 4 stop sequences. Given: 5"),
    "best_of": ({"best_of": 3, "do_sample": True}, "`best_of` must be > 0 and <= 2. Given: 3"),
    "best_of sampling": ({"best_of": 2}, "you must use sampling when `best_of` is > 1"),
    "best_of seed": ({"best_of": 2, "do_sample": True, "seed": 1}, "`seed` must not be set when `best_of` > 1"),
    "top_n_tokens": ({"top_n_tokens": 21}, "`top_n_tokens` must be >= 0 and <= 20. Given: 21"),
    "truncate": ({"truncate": 0}, "`truncate` must be strictly positive and less than 32768. Given: 0"),
    "grammar properties": (
        {"grammar": {"type": "json", "value": {"type": "object"}}},
        "grammar is not valid: Grammar must have a 'properties' field",
    ),
    "grammar type": ({"grammar": {"type": "json", "value": 5}}, "grammar is not supported"),
    "grammar json": ({"grammar": {"type": "json", "value": "{"}}, "grammar is not valid: "),
    "grammar schema": ({"grammar": {"type": "json", "value": {"properties": []}}}, "grammar is not valid: "),
}


@pytest.mark.parametrize("case", VALIDATION)
def test_validation_refuses_with_422(server, case):
    parameters, words = VALIDATION[case]
    answer = server.generate(**parameters)
    assert (answer.status, answer.json["error_type"]) == (422, "validation")
    assert answer.json["error"].startswith("Input validation error: " + words)
    # Within a stream the status has been sent before anything is known.
    streamed = server.post("/generate_stream", {"inputs": PROMPT, "parameters": parameters})
    (error,) = streamed.events
    assert (streamed.status, error["error_type"]) == (200, "validation")


def test_an_empty_prompt_is_refused(server):
    for answer in (server.generate(""), server.post("/v1/chat/completions", {"messages": []})):
        assert answer.status == 422
        assert answer.json == {"error": "Input validation error: `inputs` cannot be empty", "error_type": "validation"}


def test_streaming_excludes_best_of_and_prefill(server):
    for parameters, words in (
        ({"best_of": 2, "do_sample": True}, "`best_of` != 1 is not supported when streaming tokens"),
        ({"decoder_input_details": True}, "`decoder_input_details` == true is not supported when streaming tokens"),
    ):
        (error,) = server.post("/generate_stream", {"inputs": PROMPT, "parameters": parameters}).events
        assert error == {"error": f"Input validation error: {words}", "error_type": "validation"}


def test_lengths_are_limited():
    with serving("max_input_tokens=20&max_total_tokens=30") as small:
        words = "word " * 25
        tokens = len(small.post("/tokenize", {"inputs": words}).json)
        long = small.generate(words, max_new_tokens=1)
        assert long.json["error"] == f"Input validation error: `inputs` must have less than 20 tokens. Given: {tokens}"
        wide = small.generate("two words", max_new_tokens=29)
        assert wide.json["error"] == (
            "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 30."
            " Given: 2 `inputs` tokens and 29 `max_new_tokens`"
        )
        assert small.generate("two words", max_new_tokens=28).status == 200
        assert small.generate(words, truncate=5, max_new_tokens=5).status == 200
        assert small.generate(TAG_PROMPT[:40]).json["details"]["generated_tokens"] <= 30


def test_chat_converts_its_parameters_before_checking_them(server):
    for fields, words in (
        ({"temperature": -1.0}, "`temperature` must be strictly positive"),
        ({"presence_penalty": -2.0}, "`repetition_penalty` must be strictly positive"),
        ({"top_logprobs": 21}, "`top_n_tokens` must be >= 0 and <= 20. Given: 21"),
        ({"stop": list("abcde")}, "`stop` supports up to 4 stop sequences. Given: 5"),
    ):
        answer = server.chat(PROMPT, **fields)
        assert (answer.status, answer.json["error"]) == (422, "Input validation error: " + words)
        error, done = server.chat(PROMPT, stream=True, **fields).events
        assert error == {"error": {"message": "Input validation error: " + words, "http_status_code": 422}}
        assert done == "[DONE]"
    tools = server.chat(PROMPT, tools=[{"type": "function", "function": {"name": "f"}}])
    assert (tools.status, tools.json["error_type"]) == (422, "tool_error")


def test_completions_refuse_suffix_and_large_batches(server):
    assert server.post("/v1/completions", {"prompt": "x", "suffix": "y"}).json["error_type"] == "suffix not supported"
    assert server.post("/v1/completions", {"prompt": ["x"] * 5}).json == {
        "error": "Number of prompts exceeds the maximum allowed batch size of 4",
        "error_type": "batch size exceeded",
    }


def test_a_grammar_that_cannot_be_met_is_a_424(server):
    for grammar in (
        {"type": "regex", "value": "(unclosed"},
        {"type": "json", "value": {"properties": {"a": {"$ref": "#"}}, "required": ["a"]}},
    ):
        answer = server.generate(grammar=grammar)
        assert (answer.status, answer.json["error_type"]) == (424, "generation")
        assert answer.json["error"].startswith("Request failed during generation: ")


@pytest.mark.parametrize(
    ("path", "body", "content_type", "status", "words"),
    [
        ("/generate", b"{", "application/json", 400, "Failed to parse the request body as JSON"),
        ("/generate", b"{}", "text/plain", 415, "Expected request with `Content-Type: application/json`"),
        ("/generate", b"{}", None, 415, "Expected request with `Content-Type: application/json`"),
        ("/generate", b"[]", "application/json", 422, "invalid type: sequence, expected struct"),
        ("/generate", b"{}", "application/json", 422, "missing field `inputs`"),
        (
            "/generate",
            b'{"inputs": 5}',
            "application/json",
            422,
            "inputs: invalid type: integer `5`, expected a string",
        ),
        ("/", b'{"inputs": "x", "stream": 1}', "application/json", 422, "stream: invalid type: integer `1`"),
        ("/v1/completions", b"{}", "application/json", 422, "missing field `prompt`"),
        ("/v1/completions", b'{"prompt": []}', "application/json", 422, "Empty array detected."),
        ("/v1/chat/completions", b"{}", "application/json", 422, "missing field `messages`"),
        ("/v1/chat/completions", b'{"messages": [{"role": "user"}]}', "application/json", 422, "enum MessageBody"),
    ],
)
def test_a_body_of_another_form_is_refused_in_plain_text(server, path, body, content_type, status, words):
    answer = server.post(path, body, content_type)
    assert (answer.status, answer.headers["content-type"]) == (status, "text/plain; charset=utf-8")
    assert words in answer.text


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"top_k": "5"}, 'parameters.top_k: invalid type: string "5", expected i32'),
        ({"top_p": True}, "parameters.top_p: invalid type: boolean `true`, expected f32"),
        ({"seed": -1}, "parameters.seed: invalid value: integer `-1`, expected u64"),
        ({"max_new_tokens": 1.5}, "parameters.max_new_tokens: invalid type: floating point `1.5`, expected u32"),
        ({"stop": None}, "parameters.stop: invalid type: null, expected a sequence"),
        ({"stop": [1]}, "parameters.stop[0]: invalid type: integer `1`, expected a string"),
        ({"do_sample": None}, "parameters.do_sample: invalid type: null, expected a boolean"),
        ({"grammar": {"value": {}}}, "parameters.grammar: missing field `type`"),
        ({"grammar": {"type": "xml", "value": "x"}}, "parameters.grammar: unknown variant `xml`"),
        ({"grammar": {"type": "json"}}, "parameters.grammar: missing field `value`"),
        ({"grammar": {"type": "json_schema", "value": {}}}, "parameters.grammar.value: missing field `schema`"),
    ],
)
def test_a_parameter_of_another_type_is_refused_in_plain_text(server, parameters, words):
    answer = server.generate(**parameters)
    assert (answer.status, answer.headers["content-type"]) == (422, "text/plain; charset=utf-8")
    assert answer.text.startswith("Failed to deserialize the JSON body into the target type: " + words)


def test_more_requests_than_allowed_are_refused_with_429():
    with serving("max_concurrent_requests=2&latency_ms=700") as narrow:
        answers: list[Answer] = []
        threads = [threading.Thread(target=lambda: answers.append(narrow.generate())) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert Counter(answer.status for answer in answers) == {200: 2, 429: 3}
        refused = next(answer for answer in answers if answer.status == 429)
        assert refused.json == {"error": "Model is overloaded", "error_type": "overloaded"}


# Repeatability and faults


def test_two_servers_with_one_seed_give_the_same_replies(server):
    instruction = "Translate these French, Italian and Greek words about health, food and travel into Hindi and Urdu."
    prompt = PromptTemplate.load("instag/tag").render(instruction=instruction)
    body = {"inputs": prompt, "parameters": {"details": True, "do_sample": True, "top_n_tokens": 2}}
    with serving("seed=0", PYTHONHASHSEED="7") as other, serving("seed=1") as differing:
        assert other.post("/generate", body).text == server.post("/generate", body).text
        assert differing.get("/info").json["model_sha"] != server.get("/info").json["model_sha"]


def test_failing_requests_succeed_when_sent_again():
    with serving("fail=1") as failing:
        outcomes = Counter()
        for number in range(24):
            attempts = 0
            while True:
                attempts += 1
                try:
                    answer = failing.generate(f"Question {number} about volcanic soil")
                except ConnectionError:  # dropped
                    outcomes["dropped"] += 1
                    continue
                if answer.status == 200:
                    break
                outcomes[answer.status] += 1
                assert answer.json.keys() == {"error", "error_type"}
                assert (answer.headers.get("retry-after") == "1") == (answer.status == 503)
            assert 2 <= attempts <= 3
        assert outcomes.keys() == {500, 429, 503, "dropped"}


def test_malformed_replies_come_under_status_200():
    with serving("malformed=1") as spoiling:
        answers = [spoiling.chat(TAG_PROMPT, seed=seed, temperature=1.0) for seed in range(20)]
        assert {answer.status for answer in answers} == {200}
        texts = [answer.json["choices"][0]["message"]["content"] for answer in answers]
        good = [text for text in texts if _has_tags(text)]
        assert good == []


def _has_tags(text: str) -> bool:
    try:
        return bool(json.loads(text)["tags"][0]["tag"])
    except (ValueError, KeyError, TypeError):
        return False


# The text-generation client, unchanged


@pytest.fixture(scope="module")
def text_generation() -> Any:
    return pytest.importorskip("text_generation", reason="the text-generation client is the extra `tgi`")


def test_text_generation_client(server, text_generation):
    client = text_generation.Client(server.url)
    plain = client.generate(PROMPT, max_new_tokens=100, decoder_input_details=True, top_n_tokens=2)
    assert "volcanic eruptions" in plain.generated_text
    assert "".join(token.text for token in plain.details.tokens) == plain.generated_text
    assert plain.details.prefill[0].logprob is None
    streamed = list(client.generate_stream(PROMPT, max_new_tokens=100))
    assert "".join(each.token.text for each in streamed) == streamed[-1].generated_text == plain.generated_text
    best = client.generate(PROMPT, best_of=2, do_sample=True)
    assert len(best.details.best_of_sequences) == 1


def test_text_generation_client_chat(server, text_generation):
    client = text_generation.Client(server.url)
    messages = [text_generation.types.Message(role="user", content=PROMPT)]
    whole = client.chat(messages, temperature=0.0, max_tokens=100).choices[0]
    assert "volcanic eruptions" in whole.message.content
    chunks = list(client.chat(messages, temperature=0.0, stream=True))
    assert "".join(chunk.choices[0].delta.content for chunk in chunks) == whole.message.content


def test_text_generation_client_grammar(server, text_generation):
    client = text_generation.Client(server.url)
    by_schema = client.generate(PROMPT, max_new_tokens=50, grammar={"type": "json", "value": PLACE})
    assert json.loads(by_schema.generated_text) == {"place": "volcanic eruptions", "height": 1}
    by_regex = client.generate(PROMPT, grammar={"type": "regex", "value": "[1-6]"})
    assert by_regex.generated_text in "123456"


def test_text_generation_client_errors(server, text_generation):
    client = text_generation.Client(server.url)
    with pytest.raises(text_generation.errors.ValidationError, match="must be <= 40960"):
        client.generate(PROMPT * 20_000, max_new_tokens=10)
    with pytest.raises(text_generation.errors.ValidationError):
        list(client.generate_stream(PROMPT, top_n_tokens=21))
    with pytest.raises(text_generation.errors.GenerationError):
        client.generate(PROMPT, grammar={"type": "regex", "value": "("})


def test_text_generation_async_client(server, text_generation):
    async def run() -> None:
        client = text_generation.AsyncClient(server.url)
        plain = await client.generate(PROMPT, max_new_tokens=100)
        streamed = [each async for each in client.generate_stream(PROMPT, max_new_tokens=100)]
        assert streamed[-1].generated_text == plain.generated_text
        messages = [text_generation.types.Message(role="user", content=PROMPT)]
        whole = (await client.chat(messages, temperature=0.0)).choices[0].message.content
        chunks = [chunk async for chunk in await client.chat(messages, temperature=0.0, stream=True)]
        assert "".join(chunk.choices[0].delta.content for chunk in chunks) == whole

    asyncio.run(run())


# The Hub's client, unchanged


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Any:
    import huggingface_hub

    # Offline mode, which the environment may set, blocks the Hub's client on loopback too.
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    return huggingface_hub


def test_hub_client_text_generation(server, hub):
    client = hub.InferenceClient(server.url)
    text = client.text_generation(PROMPT, max_new_tokens=100)
    assert "volcanic eruptions" in text
    assert not text.startswith(PROMPT)
    assert "".join(client.text_generation(PROMPT, max_new_tokens=100, stream=True)) == text
    detailed = client.text_generation(PROMPT, details=True, max_new_tokens=3)
    assert (detailed.details.finish_reason, detailed.details.generated_tokens) == ("length", 3)
    *_, last = client.text_generation(PROMPT, details=True, stream=True)
    assert last.details.finish_reason == "eos_token"
    by_schema = client.text_generation(PROMPT, grammar={"type": "json", "value": PLACE})
    assert json.loads(by_schema) == {"place": "volcanic eruptions", "height": 1}


def test_hub_client_chat(server, hub):
    client = hub.InferenceClient(server.url)
    messages = [{"role": "user", "content": PROMPT}]
    whole = client.chat_completion(messages, temperature=0.0, logprobs=True, top_logprobs=2)
    assert "volcanic eruptions" in whole.choices[0].message.content
    assert len(whole.choices[0].logprobs.content[0].top_logprobs) == 2
    assert whole.usage.completion_tokens == len(whole.choices[0].logprobs.content)
    chunks = list(
        client.chat_completion(messages, temperature=0.0, stream=True, stream_options={"include_usage": True})
    )
    assert "".join(chunk.choices[0].delta.content for chunk in chunks[:-1]) == whole.choices[0].message.content
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens
    response_format = {"type": "json_schema", "json_schema": {"name": "place", "schema": PLACE}}
    shaped = client.chat.completions.create(messages=messages, response_format=response_format)
    assert json.loads(shaped.choices[0].message.content) == {"place": "volcanic eruptions", "height": 1}


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda client: client.text_generation(PROMPT, top_p=2.0), "ValidationError"),
        (lambda client: list(client.text_generation(PROMPT, top_p=2.0, stream=True)), "ValidationError"),
        (lambda client: client.text_generation(PROMPT, grammar={"type": "regex", "value": "("}), "GenerationError"),
    ],
)
def test_hub_client_errors(server, hub, call: Callable[[Any], Any], error: str):
    with pytest.raises(getattr(hub.errors, error)):
        call(hub.InferenceClient(server.url))


def test_hub_async_client(server, hub):
    async def run() -> None:
        async with hub.AsyncInferenceClient(server.url) as client:
            text = await client.text_generation(PROMPT, max_new_tokens=100)
            stream = await client.text_generation(PROMPT, max_new_tokens=100, stream=True)
            assert "".join([piece async for piece in stream]) == text
            messages = [{"role": "user", "content": PROMPT}]
            whole = (await client.chat_completion(messages, temperature=0.0)).choices[0].message.content
            chunks = [each async for each in await client.chat_completion(messages, temperature=0.0, stream=True)]
            assert "".join(chunk.choices[0].delta.content for chunk in chunks) == whole

    asyncio.run(run())
