"""What a stored reply is found by: model, words, parameters, sample, and nothing else; so what an edit costs."""

import json
from dataclasses import replace
from typing import Any

import pytest
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st

from tagsmith.processors.endpoint.connect import close_clients, connect
from tagsmith.processors.endpoint.endpoint import Endpoint
from tagsmith.processors.endpoint.request import KeyMaker, Parameters, Request
from tagsmith.processors.endpoint.store import GenerationStore
from tagsmith.processors.errors import InputError
from tagsmith.processors.instag.tagger import InsTagTagger
from tagsmith.processors.map_rows import map_rows
from tagsmith.processors.prompt_template import PromptTemplate

TAGS = json.dumps({"tags": [{"tag": "a", "explanation": "b"}]})
TEXT = st.text(st.characters(codec="utf-8"), max_size=8)
MESSAGES = st.lists(
    st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant"]), "content": TEXT}), max_size=3
)
PARAMETERS = st.builds(
    Parameters,
    max_new_tokens=st.integers(1, 3),
    temperature=st.sampled_from([0, 0.5, 1]),
    top_p=st.sampled_from([None, 0.5, 1]),
    top_k=st.sampled_from([None, 1]),
    seed=st.sampled_from([None, 0, 1]),
    stop=st.sampled_from([(), ("a",), ("a", "b"), ("ab",)]),
    json_schema=st.sampled_from([None, {}, {"type": "object"}]),
)
REQUESTS = st.one_of(
    st.builds(Request, PARAMETERS, prompt=TEXT, sample=st.integers(0, 2)),
    st.builds(Request, PARAMETERS, messages=MESSAGES.map(tuple), sample=st.integers(0, 2)),
)


def key(request: Request, model: str = "m@1") -> bytes:
    return KeyMaker(model)(request, request.content)


@given(REQUESTS, REQUESTS, st.sampled_from(["m@1", "m@2"]))
@settings(max_examples=400, deadline=None)
def test_keys_are_equal_when_and_only_when_all_that_counts_is(one, other, model):
    assert (key(one) == key(other, model)) == (one == other and model == "m@1")


@given(PARAMETERS, TEXT, TEXT)
@settings(max_examples=100, deadline=None)
def test_each_part_counts(parameters, text, model):
    request = Request(parameters, prompt=text)
    variants = [
        request,
        replace(request, sample=1),
        replace(request, prompt=text + "x"),
        Request(parameters, messages=({"role": "user", "content": text},)),
        replace(request, parameters=replace(parameters, max_new_tokens=parameters.max_new_tokens + 5)),
    ]
    keys = [key(variant, model) for variant in variants] + [key(request, model + "x")]
    assert len(set(keys)) == len(keys)
    assert keys == [key(variant, model) for variant in variants] + [key(request, model + "x")]
    assert {len(each) for each in keys} == {16}


def test_parts_cannot_run_into_each_other():
    requests = [
        Request(Parameters(stop=("ab",)), prompt="c"),
        Request(Parameters(stop=("a",)), prompt="bc"),
        Request(Parameters(stop=("a", "b")), prompt="c"),
        Request(Parameters(), prompt='[{"content":"c","role":"user"}]'),
        Request(Parameters(), messages=({"role": "user", "content": "c"},)),
        Request(Parameters(), messages=({"role": "user", "content": ""}, {"role": "user", "content": "c"})),
    ]
    assert len({key(request) for request in requests}) == len(requests)


def test_equal_settings_are_one_setting_however_they_are_written():
    written = Parameters(temperature=0, top_p=1, repetition_penalty=2, frequency_penalty=0, stop=["a"])
    same = Parameters(temperature=0.0, top_p=1.0, repetition_penalty=2.0, frequency_penalty=0.0, stop=("a",))
    assert written.as_json == same.as_json
    assert Parameters(stop="END") == Parameters(stop=("END",))
    one = Request(Parameters(), messages=({"role": "user", "content": "x"},))
    other = Request(Parameters(), messages=({"content": "x", "role": "user"},))
    assert key(one) == key(other)


@pytest.mark.parametrize(
    "wrong",
    [{"max_new_tokens": 0}, {"temperature": -0.1}, {"temperature": float("nan")}, {"top_p": 1.1}, {"top_n_tokens": 0}],
)
def test_parameters_out_of_range(wrong):
    (name,) = wrong
    with pytest.raises(InputError, match=f"{name} must be at least"):
        Parameters(**wrong)


def test_a_request_says_one_thing():
    with pytest.raises(InputError, match="either messages or a prompt"):
        Request(Parameters(), messages=(), prompt="x")
    with pytest.raises(InputError, match="either messages or a prompt"):
        Request(Parameters())


def test_address_and_settings_of_the_endpoint_do_not_count(scripted_server, tmp_path):
    request = Request(Parameters(), messages=({"role": "user", "content": "x"},))
    servers = [scripted_server([TAGS]) for _ in range(2)]
    keys = [
        connect(Endpoint(server.url, store=str(tmp_path / f"{n}.sqlite"), concurrency=n + 1)).key_of(request)
        for n, server in enumerate(servers)
    ]
    assert keys[0] == keys[1] == key(request, "test/model@abc")


def test_words_sent_without_a_chat_template_are_another_request(scripted_server, store_path):
    request = Request(Parameters(), messages=({"role": "user", "content": "x"},))
    server = scripted_server(lambda seen: seen.path)
    chat, raw = (connect(Endpoint(f"{server.url}{api}", store=store_path)) for api in ("", "?api=generate"))
    assert chat.submit([request], str).result()[0].text == "/v1/chat/completions"
    assert raw.submit([request], str).result()[0].text == "/generate"
    assert raw.key_of(request) == key(Request(Parameters(), prompt="x"), "test/model@abc")


# --- what an edit costs ---------------------------------------------------------------------------------------------


def tag(server: Any, store: str, rows: list[dict[str, Any]], **options: Any) -> tuple[list[str], Dataset]:
    """The prompts that the server was asked to tag `rows`, and the tagged rows; in a fresh client, as in a new run."""
    close_clients()
    before = len(server.posts)
    tagger = InsTagTagger(endpoint=Endpoint(server.url, store=store), **options)
    tagged = map_rows(Dataset.from_list(rows), tagger, description="tagging", progress=False)
    return sorted(seen.text for seen in server.posts[before:]), tagged


def test_what_an_edit_re_requests(scripted_server, store_path):
    def script(seen: Any) -> str:
        return json.dumps({"tags": [{"tag": seen.text, "explanation": "as it was asked"}]})

    server = scripted_server(script)
    first, second = PromptTemplate("first", "A: {{ instruction }}"), PromptTemplate("second", "B: {{ instruction }}")
    rows = [{"id": str(n), "instruction": f"row {n}"} for n in range(4)]
    asked, tagged = tag(server, store_path, rows, prompt=first)
    assert asked == ["A: row 0", "A: row 1", "A: row 2", "A: row 3"]
    assert tag(server, store_path, rows, prompt=second)[0] == ["B: row 0", "B: row 1", "B: row 2", "B: row 3"]

    # Nothing changed: nothing is asked, and the rows are the same.
    asked, again = tag(server, store_path, rows, prompt=first)
    assert (asked, again[:]) == ([], tagged[:])

    # One row edited, one inserted before all others, one dropped.
    edited = [{"id": "x", "instruction": "new"}, *rows[:2], {"id": "2", "instruction": "edited"}]
    asked, tagged = tag(server, store_path, edited, prompt=first)
    assert asked == ["A: edited", "A: new"]
    assert tagged["raw_tags"][:] == [["A: new"], ["A: row 0"], ["A: row 1"], ["A: edited"]]

    # One prompt edited: what the other asked stays paid for.
    edited_prompt = PromptTemplate("second", "B!: {{ instruction }}")
    assert tag(server, store_path, rows, prompt=edited_prompt)[0] == [f"B!: row {n}" for n in range(4)]
    assert tag(server, store_path, rows, prompt=first)[0] == []

    # Other parameters are another question; another address of the same model is not.
    assert tag(server, store_path, rows[:1], prompt=first, parameters=Parameters(seed=1))[0] == ["A: row 0"]
    moved = scripted_server(script)
    assert tag(moved, store_path, rows, prompt=first)[0] == []
    other_model = scripted_server(script, info={"model_id": "test/model", "model_sha": "def"})
    assert len(tag(other_model, store_path, rows, prompt=first)[0]) == 4


def test_failures_are_never_stored(scripted_server, store_path, fast_retries):
    server = scripted_server(lambda seen: {"refused": 422, "failing": 500, "good": TAGS}[seen.text])
    client = connect(Endpoint(server.url, store=store_path, reject_refused=True, deadline_sec=0.3))
    requests = [Request(Parameters(), prompt=text) for text in ("refused", "failing", "good")]
    assert [reply.status for reply in client.submit(requests, str).result()] == ["refused", "failed", "ok"]
    keys = [client.key_of(request) for request in requests]
    stored = GenerationStore(store_path)
    assert [row["content"] for row in stored.export(keys).to_pylist()] == ['"good"']
    assert list(client.store.get_many(keys)) == keys[2:]
    # The client that met them tells why, for the release: a replay is to know what happened.
    refused, failed, good = client.store.export(keys).to_pylist()
    assert (refused["content"], refused["text"], failed["text"]) == ('"refused"', None, None)
    assert refused["failure"] == f"refused: {server.url}/generate answered HTTP 422: scripted 422 (scripted)"
    assert failed["failure"].startswith("endpoint: gave up after ")
    assert (good["text"], good["failure"]) == (TAGS, None)
