"""Aspects with their tags, as a tagger answers them: the reply's schema, its reader, and the column's type."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from datasets import Features, List, Value

from tagsmith.processors.endpoint.request import UnparsedReplyError
from tagsmith.processors.json_reply import read_json
from tagsmith.processors.rule_aggregation import clean, stems

KEPT_CHARACTERS = "+#"  # C++, C# and C are three things
MOST_WORDS = 8  # a tag that is longer is a sentence
ASPECTS = List({"aspect": Value("string"), "tags": List(Value("string"))})
FEATURES = Features({"aspects": ASPECTS, "tags": List(Value("string"))})

_TEXT = {"type": "string", "minLength": 1}
_TAGS = {"type": "array", "items": _TEXT, "minItems": 1}
_ASPECT = {"type": "object", "properties": {"aspect": _TEXT, "tags": _TAGS}, "required": ["aspect", "tags"]}
ASPECTS_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"aspects": {"type": "array", "items": _ASPECT, "minItems": 1}},
    "required": ["aspects"],
}
NAMES_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"aspects": {"type": "array", "items": _TEXT, "minItems": 1}},
    "required": ["aspects"],
}

Aspects = dict[str, list[str]]  # aspect → its tags


def tag_key(tag: str) -> str:
    """Equal for spellings of one tag or aspect, as #InsTag's rule stage has it; empty where no letter or digit is."""
    return stems(clean(tag, KEPT_CHARACTERS))


def spelled(text: str) -> str:
    """Lower case, underscores and line breaks as spaces, spaces squeezed (as the authors' code writes tags)."""
    return " ".join(text.replace("_", " ").lower().split())


def read_aspects(text: str) -> Aspects:
    """The aspects of a reply with their tags, in its order.

    Read are the list that the prompts ask for, and a dictionary from aspect to tags as the paper keeps it.

    Raises:
        UnparsedReplyError: no aspects; an aspect without a name or tags, or named twice; a tag that is no text, has no
            letter or digit, is longer than eight words or stands twice under its aspect. In words for the model.
    """
    found: Aspects = {}
    for name, tags in _entries(read_json(text)):
        aspect = _checked(name, "aspect")
        if aspect in found:
            raise UnparsedReplyError(f"the aspect {aspect!r} stands twice; put its tags under one")
        found[aspect] = _read_tags(aspect, tags)
    if not found:
        raise UnparsedReplyError("there are no aspects; name at least one, with its tags")
    return found


def read_names(text: str) -> list[str]:
    """The aspects of a reply that has only their names.

    Raises:
        UnparsedReplyError: there are none, one is no text or has no letter or digit, or two are the same.
    """
    data = read_json(text)
    names = data.get("aspects") if isinstance(data, dict) else data
    if not isinstance(names, list) or not names:
        raise UnparsedReplyError('expected a list of at least one name under "aspects"')
    aspects = [_checked(name, "aspect") for name in names]
    if repeated := _repeated(aspects):
        raise UnparsedReplyError(f"the aspect {repeated!r} stands twice; name each once")
    return aspects


def flat_tags(aspects: Aspects) -> list[str]:
    """The tags of all aspects in order, each once, whatever its spelling."""
    found: dict[str, str] = {}
    for tags in aspects.values():
        for tag in tags:
            found.setdefault(tag_key(tag), tag)
    return list(found.values())


def as_column(aspects: Aspects) -> list[dict[str, Any]]:
    """The value of the column `aspects`."""
    return [{"aspect": name, "tags": tags} for name, tags in aspects.items()]


def from_column(value: Sequence[Mapping[str, Any]]) -> Aspects:
    """The aspects in a value of the column `aspects`."""
    return {entry["aspect"]: list(entry["tags"]) for entry in value}


def _entries(data: Any) -> Iterable[tuple[Any, Any]]:
    """(aspect, tags) pairs of whichever form."""
    if isinstance(data, dict) and "aspect" in data:
        data = [data]
    if isinstance(data, dict):
        data = data.get("aspects", data)
    if isinstance(data, dict) and data.keys() != {"tags"}:
        return data.items()
    if not isinstance(data, list) or not all(isinstance(entry, dict) for entry in data):
        raise UnparsedReplyError('expected a list under "aspects" with an "aspect" and its "tags" in each entry')
    return [(entry.get("aspect"), entry.get("tags")) for entry in data]


def _read_tags(aspect: str, tags: Any) -> list[str]:
    if not isinstance(tags, list):
        raise UnparsedReplyError(f"the aspect {aspect!r} needs a list of tags")
    if not tags:
        raise UnparsedReplyError(f"the aspect {aspect!r} has no tags; give it one at least, or leave it out")
    read = [_checked(tag, f"tag under {aspect!r}") for tag in tags]
    if repeated := _repeated(read):
        raise UnparsedReplyError(f"the tag {repeated!r} stands twice under {aspect!r}; name each once")
    return read


def _checked(text: Any, what: str) -> str:
    if not isinstance(text, str) or not tag_key(text):
        raise UnparsedReplyError(f"expected text for each {what}, with a letter or digit in it; got {text!r:.60}")
    made = spelled(text)
    if len(made.split()) > MOST_WORDS:
        raise UnparsedReplyError(f"{made!r:.80} is too long for a {what.split()[0]}: at most {MOST_WORDS} words")
    return made


def _repeated(texts: Sequence[str]) -> str | None:
    """The first text that was there before."""
    return next((text for place, text in enumerate(texts) if text in texts[:place]), None)
