"""Bodies as TGI and OpenAI-compatible servers get them, and completions out of what they answer."""

from dataclasses import replace
from typing import Any

import orjson
import pytest

from tagsmith.processors.endpoint.failures import NotAnEndpointError
from tagsmith.processors.endpoint.request import Completion, Parameters, Request
from tagsmith.processors.endpoint.wire import Dialect
from tagsmith.processors.errors import InputError

TGI, OPENAI = Dialect(tgi=True, model="org/m"), Dialect(tgi=False, model="org/m")
MESSAGES = ({"role": "system", "content": "Be brief."}, {"role": "user", "content": "Héllo \\ {x}"})
SCHEMA = {"type": "object", "properties": {"tags": {"type": "array"}}}
EVERYTHING = Parameters(  # what one route or another can express
    max_new_tokens=9,
    temperature=0.7,
    top_p=0.9,
    top_k=40,
    repetition_penalty=1.1,
    frequency_penalty=0.5,
    seed=3,
    stop=("END", "\n\n"),
    best_of=2,
    top_n_tokens=4,
    json_schema=SCHEMA,
)


TGI_CHAT = replace(EVERYTHING, top_k=None, repetition_penalty=None, best_of=None)
OPENAI_CHAT = replace(EVERYTHING, best_of=None)


def sent(dialect: Dialect, parameters: Parameters, prompt: str | None = None) -> tuple[str, Any]:
    """Route and body of a request for the prompt, or else for MESSAGES."""
    request = Request(parameters, messages=None if prompt is not None else MESSAGES, prompt=prompt)
    route, body = dialect.encode(request)
    return route, orjson.loads(body)


def test_tgi_generate_gets_raw_text_and_every_parameter():
    assert sent(TGI, EVERYTHING, "Say \\ {{ it }}") == (
        "/generate",
        {
            "inputs": "Say \\ {{ it }}",
            "parameters": {
                "max_new_tokens": 9,
                "details": True,
                "do_sample": True,
                "temperature": 0.7,
                "top_p": 0.9,
                "top_k": 40,
                "repetition_penalty": 1.1,
                "frequency_penalty": 0.5,
                "seed": 3,
                "stop": ["END", "\n\n"],
                "best_of": 2,
                "top_n_tokens": 4,
                "grammar": {"type": "json", "value": SCHEMA},
            },
        },
    )


def test_greedy_tgi_is_sent_nothing_that_turns_sampling_on():
    greedy = Parameters(max_new_tokens=9, temperature=0, top_p=0.9, top_k=40)
    assert sent(TGI, greedy, "x")[1]["parameters"] == {"max_new_tokens": 9, "details": True}
    chat = sent(TGI, replace(greedy, top_k=None))[1]
    assert (chat["temperature"], "top_p" in chat) == (0, False)


def test_top_p_of_one_is_left_out_for_tgi_which_wants_it_below_one():
    parameters = Parameters(temperature=1, top_p=1)
    assert "top_p" not in sent(TGI, parameters, "x")[1]["parameters"]
    assert "top_p" not in sent(TGI, parameters)[1]
    assert sent(OPENAI, parameters)[1]["top_p"] == 1


def test_tgi_chat():
    assert sent(TGI, TGI_CHAT) == (
        "/v1/chat/completions",
        {
            "model": "org/m",
            "messages": list(MESSAGES),
            "max_tokens": 9,
            "temperature": 0.7,
            "top_p": 0.9,
            "frequency_penalty": 0.5,
            "seed": 3,
            "stop": ["END", "\n\n"],
            "logprobs": True,
            "top_logprobs": 4,
            "response_format": {"type": "json_object", "value": SCHEMA},
        },
    )


def test_openai_chat():
    assert sent(OPENAI, OPENAI_CHAT) == (
        "/v1/chat/completions",
        {
            "model": "org/m",
            "messages": list(MESSAGES),
            "max_tokens": 9,
            "temperature": 0.7,
            "top_p": 0.9,
            "top_k": 40,
            "repetition_penalty": 1.1,
            "frequency_penalty": 0.5,
            "seed": 3,
            "stop": ["END", "\n\n"],
            "logprobs": True,
            "top_logprobs": 4,
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "reply", "schema": SCHEMA, "strict": True},
            },
        },
    )


@pytest.mark.parametrize(
    ("dialect", "parameter"), [(TGI, "top_k"), (TGI, "repetition_penalty"), (TGI, "best_of"), (OPENAI, "best_of")]
)
def test_a_parameter_that_would_do_nothing_is_an_error(dialect, parameter):
    with pytest.raises(InputError, match=f"{parameter} cannot be set for this endpoint"):
        sent(dialect, Parameters(temperature=1, **{parameter: 2}))


def test_openai_raw_text():
    parameters = Parameters(max_new_tokens=9, seed=0)
    assert sent(OPENAI, parameters, "x") == (
        "/v1/completions",
        {"prompt": "x", "model": "org/m", "max_tokens": 9, "temperature": 0.0, "seed": 0},
    )


@pytest.mark.parametrize("tgi", [True, False])
def test_conversations_as_raw_text(tgi):
    dialect = Dialect(tgi=tgi, model="m", chat=False)
    route, body = sent(dialect, Parameters())
    assert route == ("/generate" if tgi else "/v1/completions")
    assert body["inputs" if tgi else "prompt"] == "Be brief.\n\nHéllo \\ {x}"


@pytest.mark.parametrize(("dialect", "prompt"), [(TGI, "x"), (TGI, None), (OPENAI, None)])
def test_a_server_that_knows_no_schemas_is_sent_none(dialect, prompt):
    plain = replace(dialect, structured=False)
    assert sent(plain, TGI_CHAT, prompt) == sent(plain, replace(TGI_CHAT, json_schema=None), prompt)
    assert sent(plain, TGI_CHAT, prompt) != sent(dialect, TGI_CHAT, prompt)


def test_tgi_generate_is_read_with_its_details_and_its_header():
    details = {
        "finish_reason": "length",
        "generated_tokens": 7,
        "top_tokens": [[{"id": 1, "text": "a", "logprob": -0.5, "special": False}], []],
    }
    body = orjson.dumps({"generated_text": "a b", "details": details})
    top = [[{"text": "a", "logprob": -0.5}], []]
    expected = Completion("a b", "length", 12, 7, top)
    assert TGI.decode("/generate", body, {"x-prompt-tokens": "12"}) == expected
    assert TGI.decode("/generate", b"[" + body + b"]", {"x-prompt-tokens": "12"}) == expected


def test_tgi_generate_without_details():
    assert TGI.decode("/generate", b'{"generated_text": ""}', {}) == Completion("")


def test_openai_chat_is_read_with_usage_and_top_tokens():
    logprobs = {
        "content": [{"token": "x", "top_logprobs": [{"token": "x", "logprob": -1, "bytes": None}]}, {"token": "y"}]
    }
    body = {
        "choices": [{"message": {"content": "xy"}, "finish_reason": "stop", "logprobs": logprobs}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2},
    }
    expected = Completion("xy", "stop", 3, 2, [[{"text": "x", "logprob": -1}], []])
    assert OPENAI.decode("/v1/chat/completions", orjson.dumps(body), {}) == expected


def test_openai_raw_text_asks_for_top_tokens_and_reads_them():
    route, body = sent(OPENAI, Parameters(1, top_n_tokens=20), "x")
    assert (route, body["logprobs"]) == ("/v1/completions", 20)
    assert "top_logprobs" not in body
    logprobs = {"tokens": ["4", "x"], "token_logprobs": [-0.5, 0], "top_logprobs": [{"4": -0.5, "5": -1.0}, None]}
    answer = orjson.dumps({"choices": [{"text": "4x", "logprobs": logprobs}]})
    top = [[{"text": "4", "logprob": -0.5}, {"text": "5", "logprob": -1.0}], []]
    assert OPENAI.decode(route, answer, {}) == Completion("4x", top_tokens=top)


@pytest.mark.parametrize(
    ("choice", "text"),
    [
        ({"message": {"content": "x"}}, "x"),
        ({"message": {"content": None, "refusal": "no"}}, ""),
        ({"message": {"tool_calls": []}}, ""),
        ({"text": "x", "logprobs": None}, "x"),
        ({"text": "x", "logprobs": {"tokens": ["x"], "top_logprobs": None}}, "x"),
    ],
)
def test_openai_answers_with_fields_missing(choice, text):
    body = orjson.dumps({"choices": [choice]})
    assert OPENAI.decode("/v1/chat/completions", body, {}) == Completion(text)


@pytest.mark.parametrize("route", ["/generate", "/v1/chat/completions", "/v1/completions"])
@pytest.mark.parametrize(
    "body",
    [
        b"<html>login</html>",
        b"",
        b"null",
        b"7",
        b'"text"',
        b"[]",
        b"[7]",
        b"{}",
        b'{"error": "overloaded"}',
        b'{"generated_text": null, "choices": []}',
        b'{"generated_text": ["a"], "choices": [{"message": {"content": [{"type": "text"}]}}]}',
        b'{"generated_text": "a", "details": [1], "choices": [7]}',
        b'{"generated_text": "a", "details": {"top_tokens": [1]}, "choices": [{"message": null}]}',
    ],
)
def test_what_is_no_completion_is_quoted_in_the_error(route, body):
    with pytest.raises(NotAnEndpointError) as caught:
        TGI.decode(route, body, {})
    assert str(caught.value).startswith(f"{route} answered HTTP 200 with something else than a completion")
    assert body.decode() in str(caught.value)
    assert "is the address that of a TGI or OpenAI-compatible server?" in str(caught.value)


def test_a_header_that_is_no_number_is_an_error_of_the_same_kind():
    with pytest.raises(NotAnEndpointError):
        TGI.decode("/generate", b'{"generated_text": "a"}', {"x-prompt-tokens": "many"})
