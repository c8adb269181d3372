"""Tags with explanations, as a tagger answers them: the reply's schema, its reader, and its writer for training."""

import json
from collections.abc import Iterable
from typing import Any

from tagsmith.processors.endpoint.request import UnparsedReplyError
from tagsmith.processors.errors import InputError
from tagsmith.processors.json_reply import read_json

_TEXT = {"type": "string", "minLength": 1}
TAGS_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "tags": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"tag": _TEXT, "explanation": _TEXT},
                "required": ["tag", "explanation"],
            },
        }
    },
    "required": ["tags"],
}


def read_explained_tags(text: str) -> list[tuple[str, str]]:
    """(tag, explanation) pairs of a reply, at least one; the explanation is empty where there is none.

    Raises:
        UnparsedReplyError: there is no list of tags in it, or one that is empty or broken.
    """
    data = read_json(text)
    if isinstance(data, dict):
        # InsTagger may answer a single tag without a list round it.
        data = data.get("tags", [data])
    if not isinstance(data, list):
        raise UnparsedReplyError('expected a list of tags under "tags"')
    pairs: list[tuple[str, str]] = []
    for entry in data:
        if not isinstance(entry, dict) or not isinstance(entry.get("tag"), str):
            raise UnparsedReplyError('each entry needs a "tag" that is text')
        tag, explanation = entry["tag"].strip(), entry.get("explanation")
        if not tag:
            raise UnparsedReplyError("a tag is blank")
        pairs.append((tag, explanation.strip() if isinstance(explanation, str) else ""))
    if not pairs:
        raise UnparsedReplyError("the list of tags is empty; name at least one intention")
    return pairs


def write_explained_tags(pairs: Iterable[tuple[str, str]]) -> str:
    """(tag, explanation) pairs as the JSON list that distilled taggers answer; `read_explained_tags` reads it back.

    Raises:
        InputError: there are no tags, or a blank one.
    """
    listed = [{"tag": tag, "explanation": explanation} for tag, explanation in pairs]
    if not listed or not all(entry["tag"].strip() for entry in listed):
        raise InputError(f"tags to learn are {[entry['tag'] for entry in listed]}; expected at least one, none blank")
    return json.dumps(listed, ensure_ascii=False)
