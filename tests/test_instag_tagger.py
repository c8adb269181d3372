"""#InsTag's tagger over rows: what it asks, what it reads, which columns it makes, wherever it runs."""

import json
import pickle
from dataclasses import fields
from typing import Any

import pytest
from datasets import Dataset, Features, List, Value
from datasets.fingerprint import Hasher

from tagsmith.processors.endpoint.connect import close_clients
from tagsmith.processors.endpoint.endpoint import Endpoint
from tagsmith.processors.endpoint.request import Parameters, UnparsedReplyError
from tagsmith.processors.errors import InputError
from tagsmith.processors.explained_tags import TAGS_SCHEMA
from tagsmith.processors.instag.tagger import FORMATS, InsTagTagger
from tagsmith.processors.map_rows import map_rows
from tagsmith.processors.prompt_template import PromptTemplate
from tagsmith.processors.rows import to_rows

ASKED = "{{ instruction }}"


def answer(seen: Any) -> str:
    """Tags for the words of what is asked, if the prompt is nothing but that."""
    words = seen.text.split()
    return json.dumps({"tags": [{"tag": word, "explanation": f"about {word}"} for word in words]})


def tagger_for(server: Any, store: str, **options: Any) -> InsTagTagger:
    return InsTagTagger(endpoint=Endpoint(server.url, store=store), prompt=PromptTemplate("own", ASKED), **options)


def turn(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


ROWS = to_rows(
    Dataset.from_dict(
        {
            "messages": [
                None,
                [turn("system", "s"), turn("user", "b a"), turn("assistant", "x"), turn("user", "a c")],
                None,
                [turn("user", "d"), turn("assistant", "x"), turn("user", " \n"), turn("user", "e")],
                None,
                None,
            ],
            "instruction": ["a b a", "", "  ", "", "a b a", None],
        }
    ),
    reject_bad=True,
    reserved=["reason"],
)


# --- the columns ----------------------------------------------------------------------------------------------------


def test_columns_of_all_kinds_of_rows(scripted_server, store_path):
    server = scripted_server(answer)
    tagger = tagger_for(server, store_path)
    tagged = map_rows(ROWS, tagger, description="tagging", progress=False)
    assert tagged["raw_tags"][:] == [["a", "b"], ["b", "a", "c"], None, ["d", "e"], ["a", "b"], None]
    assert tagged["tag_explanations"][:] == [
        ["about a", "about b"],
        ["about b", "about a", "about c"],
        None,
        ["about d", "about e"],
        ["about a", "about b"],
        None,
    ]
    assert tagged["turn_tags"][:] == [
        [["a", "b", "a"]],
        [["b", "a"], ["a", "c"]],
        [],
        [["d"], [], ["e"]],
        [["a", "b", "a"]],
        [],
    ]
    assert tagged["status"][:] == ["ok", "ok", "rejected", "ok", "ok", "rejected"]
    assert tagged["reason"][:] == [
        "",
        "",
        "empty_instruction: no user turn has any text",
        "",
        "",
        "bad_row: column 'instruction' is null; expected text",
    ]
    assert tagged["raw_reply"][:] == [""] * 6
    assert tagged["attempts"][:] == [1, 2, 0, 2, 1, 0]
    assert [len(keys) for keys in tagged["generation_keys"]] == [1, 2, 0, 2, 1, 0]
    assert tagged["generation_keys"][0] == tagged["generation_keys"][4]
    assert set(tagged["model"]) == {"test/model@abc"}
    assert set(tagged["prompt_hash"]) == {PromptTemplate("own", ASKED).sha}
    assert tagged["id"][:] == ROWS["id"][:]
    assert sorted(seen.text for seen in server.posts) == ["a b a", "a c", "b a", "d", "e"]
    texts = List(Value("string"))
    assert tagged.features == Features(
        {
            **ROWS.features,
            "raw_tags": texts,
            "tag_explanations": texts,
            "turn_tags": List(texts),
            **dict.fromkeys(("status", "reason", "raw_reply", "model", "prompt_hash"), Value("string")),
            "attempts": Value("int64"),
            "generation_keys": texts,
        }
    )


def test_a_plain_map_makes_the_same_columns(scripted_server, store_path):
    server = scripted_server(answer)
    tagger = tagger_for(server, store_path)
    expected = map_rows(ROWS, tagger, description="tagging", progress=False)
    before = len(server.posts)
    for options in ({}, {"batch_size": 2}, {"batch_size": 1, "num_proc": 2}):
        mapped = ROWS.map(tagger, batched=True, **options)
        assert mapped[:] == expected[:]
    assert len(server.posts) == before  # all from the store, in other processes too


def test_processes_of_a_map_generate_with_clients_of_their_own(scripted_server, store_path):
    server = scripted_server(answer)
    rows = Dataset.from_dict({"id": [str(n) for n in range(20)], "instruction": [f"tag{n}" for n in range(20)]})
    mapped = rows.map(tagger_for(server, store_path), batched=True, batch_size=3, num_proc=2)
    assert mapped["raw_tags"][:] == [[f"tag{n}"] for n in range(20)]
    assert len(server.posts) == 20


def test_batches_of_any_size_make_the_same_rows(scripted_server, store_path):
    server = scripted_server(answer)
    rows = Dataset.from_dict({"id": [str(n) for n in range(23)], "instruction": [f"w{n}" for n in range(23)]})
    tagged = [
        map_rows(rows, tagger_for(server, store_path), description="tagging", batch_size=size, progress=False)[:]
        for size in (1, 7, 23, 256)
    ]
    assert tagged[0]["raw_tags"] == [[f"w{n}"] for n in range(23)]
    assert tagged[1:] == tagged[:-1]


@pytest.mark.parametrize("kind", ["numpy", "pandas"])
def test_rows_with_a_format(scripted_server, store_path, kind):
    server = scripted_server(answer)
    tagger = tagger_for(server, store_path)
    plain = map_rows(ROWS, tagger, description="tagging", progress=False)
    tagged = map_rows(ROWS.with_format(kind), tagger, description="tagging", progress=False)
    assert tagged.with_format(None)[:] == plain[:]


def test_rejected_rows_pass_through_untouched(scripted_server, store_path):
    server = scripted_server(answer)
    rejected = {
        "instruction": "never asked",
        "status": "rejected",
        "reason": "unparsed: by an earlier processor",
        "raw_reply": "its reply",
        "model": "another model",
        "prompt_hash": "its prompt",
        "attempts": 3,
        "generation_keys": ["00"],
        "raw_tags": ["kept"],
    }
    fresh = {"instruction": "x", "status": "ok", "reason": "", "raw_reply": "", "model": "m", "attempts": 1}
    tagged = map_rows(
        Dataset.from_list([rejected, fresh]), tagger_for(server, store_path), description="tagging", progress=False
    )
    assert rejected.items() <= tagged[0].items()
    assert (tagged[1]["raw_tags"], tagged[1]["model"], tagged[1]["attempts"]) == (["x"], "test/model@abc", 1)
    assert len(server.posts) == 1


# --- what is asked --------------------------------------------------------------------------------------------------


def test_each_format_asks_in_its_own_way(scripted_server, store_path):
    asked = {}
    for name in FORMATS:
        server = scripted_server(['[{"tag": "a", "explanation": "b"}]'])
        tagger = InsTagTagger(endpoint=Endpoint(server.url, store=store_path), format=name)
        rows = Dataset.from_dict({"id": ["0"], "instruction": ["Hi {x}"]})
        assert map_rows(rows, tagger, description="tagging", progress=False)["raw_tags"][:] == [["a"]]
        (asked[name],) = server.posts
    text = {
        name: PromptTemplate.load(f"instag/{file}").render(instruction="Hi {x}")
        for name, file in zip(FORMATS, ("tag", "instagger", "instagger_paper"), strict=True)
    }
    assert asked["chat"].path == "/v1/chat/completions"
    assert asked["chat"].body["messages"] == [{"role": "user", "content": text["chat"]}]
    assert asked["chat"].body["response_format"] == {"type": "json_object", "value": TAGS_SCHEMA}
    for name in ("instagger", "instagger_paper"):
        assert (asked[name].path, asked[name].body["inputs"]) == ("/generate", text[name])
        assert "grammar" not in asked[name].body["parameters"]


def test_settings_that_cannot_be():
    with pytest.raises(
        InputError, match="tagger format 'xml' is unknown; expected one of chat, instagger, instagger_p"
    ):
        InsTagTagger(format="xml")
    with pytest.raises(InputError, match=r"prompt 'own' uses \['text'\], but it is given \['instruction'\]"):
        InsTagTagger(prompt=PromptTemplate("own", "{{ text }}"))


# --- what is read ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        (
            '{"tags": [{"tag": " a ", "explanation": " b "}, {"tag": "c", "explanation": "d"}]}',
            [("a", "b"), ("c", "d")],
        ),
        ('[{"tag": "a", "explanation": "b"}]', [("a", "b")]),
        ('{"tag": "a", "explanation": "b"}', [("a", "b")]),
        ('{"tags": [{"tag": "a"}, {"tag": "b", "explanation": null}]}', [("a", ""), ("b", "")]),
        ('{"tags": [{"tag": "a", "explanation": "1"}, {"tag": "a", "explanation": "2"}]}', [("a", "1"), ("a", "2")]),
        ('```json\n{"tags": [{"tag": "A/B {c}", "explanation": "x",},]}\n```', [("A/B {c}", "x")]),
    ],
)
def test_replies_that_are_read(text, pairs):
    assert InsTagTagger().read(text) == pairs


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"tags": []}', "the list of tags is empty; name at least one intention"),
        ("[]", "the list of tags is empty; name at least one intention"),
        ('{"tags": null}', 'expected a list of tags under "tags"'),
        ('{"tags": {"tag": "a"}}', 'expected a list of tags under "tags"'),
        ('"a, b"', 'expected a list of tags under "tags"'),
        ("7", 'expected a list of tags under "tags"'),
        ("{}", 'each entry needs a "tag" that is text'),
        ('{"tags": ["a", "b"]}', 'each entry needs a "tag" that is text'),
        ('{"tags": [{"tag": ["a"]}]}', 'each entry needs a "tag" that is text'),
        ('{"tags": [{"tag": "a"}, {"explanation": "b"}]}', 'each entry needs a "tag" that is text'),
        ('{"tags": [{"tag": " "}]}', "a tag is blank"),
        ("no tags here", "there is no JSON in the answer"),
    ],
)
def test_replies_that_are_not(text, reason):
    with pytest.raises(UnparsedReplyError) as caught:
        InsTagTagger().read(text)
    assert str(caught.value) == reason


def test_a_reply_that_stays_unreadable_is_kept_with_its_reason(scripted_server, store_path):
    def script(seen: Any) -> str:
        first = seen.body["messages"][0]["content"]
        return "I would rather not." if first == "bad" else answer(seen)

    server = scripted_server(script)
    messages = [[turn("user", "good"), turn("user", "bad")], [turn("user", "fine")]]
    rows = to_rows(Dataset.from_dict({"messages": messages}))
    tagged = map_rows(rows, tagger_for(server, store_path), description="tagging", progress=False)
    assert tagged["status"][:] == ["rejected", "ok"]
    assert tagged["reason"][:] == ["unparsed: there is no JSON in the answer", ""]
    assert tagged["raw_reply"][:] == ["I would rather not.", ""]
    assert tagged["raw_tags"][:] == [None, ["fine"]]  # not the tags of one turn for those of all
    assert tagged["turn_tags"][:] == [[["good"], None], [["fine"]]]
    assert tagged["attempts"][:] == [4, 1]


# --- hashes and pickles ---------------------------------------------------------------------------------------------


def test_what_changes_the_hash_and_what_does_not(scripted_server, store_path):
    server = scripted_server(answer)
    tagger = tagger_for(server, store_path)
    before = Hasher.hash(tagger)
    tagger(ROWS[:])
    assert Hasher.hash(tagger) == Hasher.hash(tagger_for(server, store_path)) == before
    edited = InsTagTagger(endpoint=tagger.endpoint, prompt=PromptTemplate("own", f"{ASKED}!"))
    assert Hasher.hash(edited) != before
    assert Hasher.hash(tagger_for(server, store_path, parameters=Parameters(seed=1))) != before
    # `map_rows` does not mind where the same model is, and how it is called; another model is another matter.
    moved = scripted_server(answer)
    calmer = InsTagTagger(endpoint=Endpoint(moved.url, store=store_path, concurrency=1), prompt=tagger.prompt)
    assert Hasher.hash(calmer.fingerprint_state()) == Hasher.hash(tagger.fingerprint_state())
    other = scripted_server(answer, info={"model_id": "test/model", "model_sha": "def"})
    assert Hasher.hash(tagger_for(other, store_path).fingerprint_state()) != Hasher.hash(tagger.fingerprint_state())


def test_another_model_behind_the_same_address_changes_the_hash(scripted_server, store_path):
    server = scripted_server(answer)
    before = Hasher.hash(tagger_for(server, store_path))
    close_clients()
    server.info = {"model_id": "test/model", "model_sha": "def"}
    assert Hasher.hash(tagger_for(server, store_path)) != before


def test_a_pickle_holds_settings_and_no_client(scripted_server, store_path):
    server = scripted_server(answer)
    tagger = tagger_for(server, store_path)
    batch = {"id": ["0"], "instruction": ["a"]}
    columns = tagger(batch)
    again = pickle.loads(pickle.dumps(tagger))
    assert again == tagger
    assert vars(again).keys() == {field.name for field in fields(InsTagTagger)}
    assert again(batch) == columns
    assert len(server.posts) == 1


def test_later_steps_see_what_the_rows_were_made_of(scripted_server, store_path, tmp_path):
    rows = Dataset.from_dict({"id": ["0"], "instruction": ["a"]})
    server = scripted_server(['{"tags": [{"tag": "one"}]}', '{"tags": [{"tag": "two"}]}'])

    def fingerprint(store: str) -> str:
        tagger = tagger_for(server, store, parameters=Parameters(temperature=1.0))
        return str(map_rows(rows, tagger, description="tagging", progress=False)._fingerprint)

    first = fingerprint(store_path)
    assert fingerprint(store_path) == first
    assert fingerprint(str(tmp_path / "another.sqlite")) != first  # the same settings, another draw
