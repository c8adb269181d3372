"""JSON in what models write: found in its usual wrappings, and never guessed at."""

import json

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tagsmith.processors.endpoint.request import UnparsedReplyError
from tagsmith.processors.json_reply import read_json

VALUE = {"tags": [{"tag": "a", "explanation": "b"}]}
JSON = json.dumps(VALUE)


@pytest.mark.parametrize(
    "text",
    [
        JSON,
        f"  \n{JSON}\n",
        json.dumps(VALUE, indent=2),
        f"Sure! Here are the tags:\n\n{JSON}\n\nLet me know if you need more.",
        f"```json\n{JSON}\n```",
        f"```\n{JSON}\n```",
        f"```JSON  \n{JSON}```",
        f"Here:\n```json\n{JSON}\n```\nDone [1].",
        f"```python\nprint([1])\n```\nand so\n```json\n{JSON}\n```",
        f"<think>First [1, 2] or {{}}?</think>\n{JSON}",
        f'First {{"tags": []}} comes to mind.\n</think>\n\n{JSON}',
        f"<think>\nlong\n</think>\n\n```json\n{JSON}\n```",
        '{"tags": [{"tag": "a", "explanation": "b"},]}',
        '{"tags": [{"tag": "a", "explanation": "b",},\n],\n}',
        'Tags: {"tags": [{"tag": "a", "explanation": "b"} , ] }.',
    ],
)
def test_what_is_meant_is_found(text):
    assert read_json(text) == VALUE


def test_bare_lists_are_found():
    assert read_json('The answer: [{"idx": 0}, {"idx": 2}] as asked') == [{"idx": 0}, {"idx": 2}]
    assert read_json("[]") == []


def test_text_in_the_json_is_left_as_it_is():
    assert read_json('{"a": "keep, ] and , } and \\", ] too", "b": [1,],}') == {
        "a": 'keep, ] and , } and ", ] too',
        "b": [1],
    }
    assert read_json('{"a": "</think> and ```json\\n[1]\\n``` quoted"}') == {
        "a": "</think> and ```json\n[1]\n``` quoted"
    }


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "the answer is empty"),
        ("  \n ", "the answer is empty"),
        ("<think>a</think>  ", "the answer is empty"),
        (f"<think>I would say {JSON} but", "the answer ends within its thoughts"),
        ("I cannot help with that.", "there is no JSON in the answer"),
        ('"tags": a, b', "there is no JSON in the answer"),
        (JSON[:-3], "the JSON in the answer is broken or cut off"),
        ('{"tags": [{"tag": "a"}, {"ta', "the JSON in the answer is broken or cut off"),
        ("{'tags': []}", "the JSON in the answer is broken or cut off"),
        ('{"tags": [NaN]}', "the JSON in the answer is broken or cut off"),
        (f"{JSON} or rather {JSON}", "the JSON in the answer is broken or cut off"),
        ("[" * 3000, "the JSON in the answer is broken or cut off"),
        ('{"a": "\\ud83d"}', "the JSON in the answer is broken or cut off"),
        ("[1, 2", "the JSON in the answer is broken or cut off"),
        ("}{", "the JSON in the answer is broken or cut off"),
    ],
)
def test_what_is_not_there_is_said_and_not_guessed(text, reason):
    with pytest.raises(UnparsedReplyError) as caught:
        read_json(text)
    assert str(caught.value) == reason


_JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
).filter(lambda value: isinstance(value, list | dict))


@given(_JSON_VALUES, st.sampled_from(["{}", "Here it is:\n{}\nBye.", "```json\n{}\n```", "<think>hm [</think>{}"]))
@settings(max_examples=200, deadline=None)
def test_any_value_comes_back_out_of_its_wrapping(value, wrapping):
    text = json.dumps(value)
    if "</think>" in text or "```" in text:
        return  # quoted marks within a wrapping are ambiguous: such a reply is asked for again
    assert read_json(wrapping.replace("{}", text)) == value


@given(st.text(st.sampled_from('[]{},:"\\ ab`\n1') | st.characters(codec="utf-8"), max_size=60))
@settings(max_examples=300, deadline=None)
def test_any_text_is_a_value_or_a_reason(text):
    try:
        value = read_json(text)
    except UnparsedReplyError:
        return
    assert orjson.loads(orjson.dumps(value)) == value
