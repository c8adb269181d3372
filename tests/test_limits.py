"""Prompts that a server cannot take: found before anything is sent, named with row, length and limit."""

from typing import Any

import pyarrow as pa
import pytest
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st

from tagsmith.processors.endpoint.endpoint import Endpoint
from tagsmith.processors.endpoint.limits import TEMPLATE_TOKENS, _text_bytes
from tagsmith.processors.endpoint.request import Parameters
from tagsmith.processors.errors import EndpointError, InputError
from tagsmith.processors.instag.tagger import InsTagTagger
from tagsmith.processors.map_rows import map_rows
from tagsmith.processors.prompt_template import PromptTemplate

TAGS = '{"tags": [{"tag": "a", "explanation": "b"}]}'
PROMPT = PromptTemplate("bare", "{{ instruction }}")
REMEDY = "shorten such rows, serve the model with a longer context, or pass --reject_refused to reject them"


def words(text: str) -> int:
    return len(text.split())


def server_of(make: Any, **limits: int) -> Any:
    """A TGI server of which a word is a token."""
    return make([TAGS], info={"model_id": "m", **limits}, token_count=words)


def tag(server: Any, store: str, *instructions: str, max_new_tokens: int = 10, **options: Any) -> Dataset:
    endpoint = Endpoint(server.url, store=store, **options)
    tagger = InsTagTagger(endpoint=endpoint, prompt=PROMPT, parameters=Parameters(max_new_tokens=max_new_tokens))
    rows = [{"id": f"row-{n}", "instruction": text} for n, text in enumerate(instructions)]
    return map_rows(Dataset.from_list(rows), tagger, description="tagging", progress=False)


def tokens_asked(server: Any) -> list[str]:
    return [seen.body["inputs"] for seen in server.seen if seen.path == "/tokenize"]


def test_an_over_long_prompt_is_named_before_anything_is_sent(scripted_server, store_path):
    server = server_of(scripted_server, max_input_tokens=100, max_total_tokens=1000)
    with pytest.raises(InputError) as caught:
        tag(server, store_path, "short", "word " * 50, "word " * 101, "short", "word " * 2000)
    assert str(caught.value) == (
        f"row row-2: the prompt has 101 tokens, the server takes 100 (and 1 more rows); {REMEDY}"
    )
    assert server.posts == []
    assert len(tokens_asked(server)) == 3  # only what might be too long is counted


def test_a_prompt_and_its_reply_share_a_window(scripted_server, store_path):
    server = server_of(scripted_server, max_input_tokens=900, max_total_tokens=1000)
    with pytest.raises(InputError) as caught:
        tag(server, store_path, "word " * 501, max_new_tokens=500)
    assert str(caught.value) == (
        "row row-0: the prompt has 501 tokens and the reply may take 500, the server takes 1,000 together; " + REMEDY
    )
    assert server.posts == []


@pytest.mark.parametrize(("max_total_tokens", "most"), [(1000, 100), (60, 50)])
def test_exactly_at_the_limit_passes(scripted_server, store_path, max_total_tokens, most):
    server = server_of(scripted_server, max_input_tokens=100, max_total_tokens=max_total_tokens)
    assert tag(server, store_path, "word " * most, "short")["status"][:] == ["ok", "ok"]
    with pytest.raises(InputError, match=f"row row-1: the prompt has {most + 1} tokens"):
        tag(server, store_path, "short", "word " * (most + 1))


@pytest.mark.parametrize("max_total_tokens", [500, 499])
def test_a_reply_that_leaves_no_room_at_all(scripted_server, store_path, max_total_tokens):
    server = server_of(scripted_server, max_input_tokens=400, max_total_tokens=max_total_tokens)
    with pytest.raises(
        InputError, match=f"the prompt has 1 tokens and the reply may take 500, .* {max_total_tokens} tog"
    ):
        tag(server, store_path, "hello", max_new_tokens=500)
    assert server.posts == []


def test_reject_refused_rejects_it_with_the_reason(scripted_server, store_path):
    server = server_of(scripted_server, max_input_tokens=100, max_total_tokens=1000)
    tagged = tag(server, store_path, "short", "word " * 101, "also short", reject_refused=True)
    assert tagged["status"][:] == ["ok", "rejected", "ok"]
    assert tagged["reason"][:] == ["", "too_long: the prompt has 101 tokens, the server takes 100", ""]
    assert (tagged["raw_tags"][:], tagged["attempts"][:]) == ([["a"], None, ["a"]], [1, 0, 1])
    assert [seen.text for seen in server.posts] == ["short", "also short"]


def test_rows_that_came_in_rejected_are_not_measured(scripted_server, store_path):
    server = server_of(scripted_server, max_input_tokens=100, max_total_tokens=1000)
    tagger = InsTagTagger(endpoint=Endpoint(server.url, store=store_path), prompt=PROMPT)
    rows = [{"id": "0", "instruction": "word " * 500, "status": "rejected", "reason": "bad_row: x"}]
    tagger.check_lengths(Dataset.from_list(rows))
    assert server.seen[1:] == []


def test_a_server_that_does_not_count_or_does_not_say_is_asked_anyway(scripted_server, store_path, tmp_path):
    silent = server_of(scripted_server)
    assert tag(silent, store_path, "word " * 9000)["status"][:] == ["ok"]
    cannot = scripted_server(
        lambda seen: 404 if seen.path == "/tokenize" else TAGS, info={"model_id": "m2", "max_input_tokens": 5}
    )
    assert tag(cannot, store_path, "word " * 9000)["status"][:] == ["ok"]
    page = scripted_server(
        lambda seen: (200, "<html>", {"Content-Type": "text/html"}) if seen.path == "/tokenize" else TAGS,
        info={"model_id": "m3", "max_input_tokens": 5},
    )
    assert tag(page, store_path, "word " * 9000)["status"][:] == ["ok"]


def test_counting_is_tried_again_like_any_request(scripted_server, store_path, fast_retries):
    trouble = iter([500, None, 429])

    def script(seen: Any) -> Any:
        if seen.path == "/tokenize":
            return next(trouble, (200, [{"id": 1}] * 101, {}))
        return TAGS

    server = scripted_server(script, info={"model_id": "m", "max_input_tokens": 100})
    with pytest.raises(InputError, match="the prompt has 101 tokens"):
        tag(server, store_path, "word " * 101)
    server.stop()


def test_a_server_that_cannot_be_asked_to_count_ends_the_run(scripted_server, store_path, fast_retries):
    server = scripted_server(
        [(503, {"error": "down"}, {"Retry-After": "9999"})], info={"model_id": "m", "max_input_tokens": 100}
    )
    with pytest.raises(EndpointError, match=r"gave up after 1 try in 600 s: .*/tokenize answered HTTP 503: down"):
        tag(server, store_path, "word " * 101)


def test_bytes_that_fit_are_not_counted(scripted_server, store_path):
    server = server_of(scripted_server, max_input_tokens=1000, max_total_tokens=2000)
    overhead = len(PROMPT.text) + TEMPLATE_TOKENS
    ids = len("row-0")
    tag(server, store_path, "é" * ((1000 - overhead - ids) // 2))
    assert tokens_asked(server) == []
    tag(server, store_path, "é" * 500)
    assert len(tokens_asked(server)) > 0


# --- bytes of a row -------------------------------------------------------------------------------------------------

TEXT = st.none() | st.text(st.characters(codec="utf-8"), max_size=6)
ROW = st.fixed_dictionaries(
    {
        "text": TEXT,
        "number": st.integers(0, 9),
        "tags": st.none() | st.lists(TEXT, max_size=3),
        "messages": st.none()
        | st.lists(st.none() | st.fixed_dictionaries({"role": TEXT, "content": TEXT}), max_size=3),
        "meta": st.none() | st.fixed_dictionaries({"source": TEXT, "turns": st.none() | st.lists(TEXT, max_size=2)}),
    }
)
SCHEMA = pa.schema(
    {
        "text": pa.large_string(),
        "number": pa.int64(),
        "tags": pa.list_(pa.string()),
        "messages": pa.large_list(pa.struct({"role": pa.string(), "content": pa.string()})),
        "meta": pa.struct({"source": pa.string(), "turns": pa.list_(pa.string())}),
    }
)


def bytes_in(value: Any) -> int:
    if isinstance(value, str):
        return len(value.encode())
    if isinstance(value, dict):
        return sum(map(bytes_in, value.values()))
    return sum(map(bytes_in, value)) if isinstance(value, list) else 0


@given(st.lists(ROW, max_size=6), st.integers(0, 6))
@settings(max_examples=150, deadline=None)
def test_text_of_any_nesting_is_measured(rows, start):
    table = pa.Table.from_pylist(rows, schema=SCHEMA).slice(start)
    assert _text_bytes(table).tolist() == [bytes_in(row) for row in rows[start:]]
    parts = pa.concat_tables([table.slice(0, 2), table.slice(2)])
    assert _text_bytes(parts).tolist() == [bytes_in(row) for row in rows[start:]]
