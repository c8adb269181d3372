"""Tag-Instruct's encoder: which replies are three good tags, what is repaired, what is rejected and why."""

import json
from typing import Any

import pytest
from datasets import Dataset, Features, List, Value
from hypothesis import given
from hypothesis import strategies as st

from tagsmith.processors.endpoint.endpoint import Endpoint
from tagsmith.processors.endpoint.request import Parameters, UnparsedReplyError
from tagsmith.processors.errors import InputError
from tagsmith.processors.map_rows import map_rows
from tagsmith.processors.rows import to_rows
from tagsmith.processors.seeds import load_seeds
from tagsmith.processors.tag_instruct.encoder import BASE_TAGS_SCHEMA, PROMPTS, TagEncoder
from tagsmith.processors.tag_text import normalise_tag, tag_key

ENCODER = TagEncoder()
GOOD = ["code generation", "list processing", "analysis"]


# --- one reply ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        '{"tags": ["Code_Generation", "list  processing", "analysis."]}',
        '```json\n{"tags": ["code generation", "list processing", "analysis",]}\n```',
        'Here: {"tags": ["code generation", "list processing", "analysis"]} Bye.',
        '["code generation", "list processing", "analysis"]',
        "<think>three tags\n a, b</think>code_generation, list_processing, analysis",
        "code_generation, list_processing, analysis",
        "[Tags]\ncode generation, list processing, analysis",
        "Tags: Code Generation; List Processing; Analysis.",
        "Here are the tags:\n\n1. Code generation\n2. List processing\n3. **Analysis**",
        "- code generation\n- list processing\n- analysis",
    ],
)
def test_three_tags_in_any_shape(text):
    assert ENCODER.read(text) == GOOD


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a, b", "expected exactly 3 tags, got 2: a, b"),
        ('{"tags": ["a", "b", "c", "d"]}', "expected exactly 3 tags, got 4: a, b, c, d"),
        ("a", "expected exactly 3 tags, got 1: a"),
        ('{"tags": ["a", "b", 3]}', 'expected a list of texts under "tags"'),
        ('{"labels": ["a", "b", "c"]}', 'expected a list of texts under "tags"'),
        ('{"tags": ["a", "b", "c"', "the JSON in the answer is broken or cut off"),
        ("user interface, User_Interfaces, c", "two of the tags are the same: user interface, user interfaces, c"),
        ("a, b, how to do it", "the tag 'how to do it' has more than 2 words; shorten it"),
        ("a, **, c", "the tag '**' has no letter or digit"),
        ("", "the answer is empty"),
        ("<think>hm", "the answer ends within its thoughts"),
        ("It is about code.\nMostly about lists.\nAnd analysis, too.", "the tag 'it is about code' has more than 2"),
    ],
)
def test_what_is_not_three_good_tags(text, reason):
    with pytest.raises(UnparsedReplyError) as caught:
        ENCODER.read(text)
    assert str(caught.value).startswith(reason)


def test_the_model_variant_takes_as_many_tags_as_there_are():
    encoder = TagEncoder(variant="model")
    reply = json.dumps(
        [{"tag": tag, "explanation": "x"} for tag in ("Data_Analysis", "data analysis", "A very long tag")]
    )
    assert encoder.read(reply) == ["data analysis", "a very long tag"]
    with pytest.raises(UnparsedReplyError, match="none of the tags has a letter or digit"):
        encoder.read('[{"tag": "?", "explanation": ""}]')


@given(st.text(max_size=60))
def test_any_text_is_three_normal_tags_or_a_reason(text):
    try:
        tags = ENCODER.read(text)
    except UnparsedReplyError:
        return
    assert len({tag_key(tag) for tag in tags}) == 3
    assert all(tag == normalise_tag(tag) and 1 <= len(tag.split()) <= 2 for tag in tags)


@pytest.mark.parametrize(
    ("written", "tag"),
    [
        ("User_Interface", "user interface"),
        (" **C++** ", "c++"),
        ("C#.", "c#"),
        ("#hashtag", "hashtag"),
        ("“Self-Care”", "self-care"),
        ("node.js", "node.js"),
        ("ｆｕｌｌ　width", "full width"),
        ("机器学习", "机器学习"),
        ("...", ""),
    ],
)
def test_one_spelling(written, tag):
    assert normalise_tag(written) == tag
    assert normalise_tag(tag) == tag


def test_keys_tell_tags_apart():
    assert tag_key("User_Interfaces") == tag_key("user interface")
    assert tag_key("self-care") == tag_key("self care")
    assert tag_key("c++") != tag_key("c") != tag_key("c#")
    assert tag_key("data model") != tag_key("model data")


# --- rows -----------------------------------------------------------------------------------------------------------


def rows_of(*instructions: Any) -> Dataset:
    return Dataset.from_dict({"id": [str(n) for n in range(len(instructions))], "instruction": list(instructions)})


def test_a_wrong_count_is_asked_for_again_with_the_reason_then_rejected(scripted_server, store_path):
    def script(seen: Any) -> str:
        first = seen.body["messages"][0]["content"]
        if "mended" in first and len(seen.body["messages"]) > 1:
            assert "expected exactly 3 tags, got 2: a, b" in seen.text
            return "a, b, c"
        return "a, b" if "mended" in first or "never" in first else "x, y, z"

    server = scripted_server(script)
    encoder = TagEncoder(endpoint=Endpoint(server.url, store=store_path, max_repairs=1))
    encoded = map_rows(rows_of("fine", "mended", "never", " "), encoder, description="encoding", progress=False)
    assert encoded["base_tags"][:] == [["x", "y", "z"], ["a", "b", "c"], None, None]
    assert encoded["status"][:] == ["ok", "ok", "rejected", "rejected"]
    assert encoded["reason"][:] == [
        "",
        "",
        "unparsed: expected exactly 3 tags, got 2: a, b",
        "empty_instruction: the instruction has no text",
    ]
    assert encoded["raw_reply"][:] == ["", "", "a, b", ""]
    assert encoded["attempts"][:] == [1, 2, 2, 0]
    assert encoded.features["base_tags"] == List(Value("string"))
    assert server.posts[0].body["response_format"] == {"type": "json_object", "value": BASE_TAGS_SCHEMA}


def test_a_conversations_first_user_turn_is_encoded(scripted_server, store_path):
    messages = [{"role": "user", "content": "turn one"}, {"role": "assistant", "content": "x"}]
    rows = to_rows(Dataset.from_dict({"messages": [[*messages, {"role": "user", "content": "turn two"}]]}))
    server = scripted_server(["a, b, c"])
    encoded = map_rows(
        rows, TagEncoder(endpoint=Endpoint(server.url, store=store_path)), description="encoding", progress=False
    )
    assert encoded["base_tags"][:] == [["a", "b", "c"]]
    (post,) = server.posts
    assert "turn one" in post.text
    assert "turn two" not in post.text


def test_the_model_variant_speaks_instaggers_own_format(scripted_server, store_path):
    server = scripted_server(['[{"tag": "greeting", "explanation": "It says hi."}]'])
    encoder = TagEncoder(variant="model", endpoint=Endpoint(server.url, store=store_path))
    encoded = map_rows(rows_of("hi"), encoder, description="encoding", progress=False)
    assert encoded["base_tags"][:] == [["greeting"]]
    (post,) = server.posts
    assert post.path.endswith("/generate")
    assert post.body["inputs"].endswith("User query: hi Assistant:")
    assert "grammar" not in post.body["parameters"]


def test_a_first_batch_without_any_tags_keeps_the_type_in_a_plain_map(scripted_server, store_path):
    server = scripted_server(lambda seen: "a, b" if "bad" in seen.body["messages"][0]["content"] else "a, b, c")
    encoder = TagEncoder(endpoint=Endpoint(server.url, store=store_path, max_repairs=0))
    mapped = rows_of("bad 1", "bad 2", "fine").map(encoder, batched=True, batch_size=2)
    assert mapped["base_tags"][:] == [None, None, ["a", "b", "c"]]


def test_settings_that_cannot_work():
    with pytest.raises(
        InputError, match=r"^encoder variant 'best' is unknown; expected one of evolved, enhanced, basic"
    ):
        TagEncoder(variant="best")
    with pytest.raises(InputError, match=r"^prompt 'tag_instruct/combine' uses \['tags'\], but it is given"):
        TagEncoder(prompt="tag_instruct/combine")
    own = Parameters(max_new_tokens=7, temperature=0.5, json_schema=BASE_TAGS_SCHEMA)
    model = TagEncoder(variant="model", parameters=own)
    assert (model.parameters.json_schema, model.parameters.temperature) == (None, 0.5)
    with pytest.raises(InputError, match=r"^row \?: column 'instruction' is missing \(there are: text\)"):
        ENCODER.render({"text": "x"})
    with pytest.raises(InputError, match=r"^row 3: column 'instruction' is null"):
        ENCODER.render({"id": 3, "instruction": None})


@pytest.mark.parametrize("variant", sorted(PROMPTS))
def test_offline_tags_of_all_seeds(variant, store_path):
    rows = to_rows(load_seeds(), reject_bad=True)
    encoder = TagEncoder(variant=variant, endpoint=Endpoint("offline:", store=store_path))
    encoded = map_rows(rows, encoder, description="encoding", progress=False)
    assert len(encoded) == len(rows)
    failed = {row["reason"].partition(":")[0] for row in encoded if row["status"] != "ok"}
    assert failed <= {"empty_instruction"}
    tagged = [tags for tags in encoded["base_tags"] if tags]
    if variant == "model":
        assert len({len(tags) for tags in tagged}) > 3
    else:
        assert {len(tags) for tags in tagged} == {3}
    assert len({tuple(tags) for tags in tagged}) > 0.8 * len(tagged)
    assert encoded.features == encoder.features(Features(rows.features))
