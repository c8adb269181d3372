"""The evolver's replies: their JSON schemas, and what is read from them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tagsmith.processors.endpoint.request import UnparsedReplyError
from tagsmith.processors.json_reply import read_json
from tagsmith.processors.tag_text import normalise_tag

CHOSEN, PLAN, REWRITTEN = "chosen_tags", "plan", "rewritten_instruction"
UNGROUNDED, FINAL = "ungrounded_constraints", "final_instruction"
ABSENT = "absent_tags"
_LISTS = (CHOSEN, UNGROUNDED, ABSENT)


def schema_of(*names: str) -> dict[str, Any]:
    """The JSON schema of a reply with these entries.

    The budget and the candidates are not in it: servers compile a grammar for each schema that they meet, and a row's
    own schema would be a new one for each request. The checks look at them instead.
    """
    kinds = {name: {"type": "array", "items": {"type": "string"}} if name in _LISTS else _TEXT for name in names}
    return {"type": "object", "properties": kinds, "required": list(names)}


_TEXT = {"type": "string", "minLength": 1}


@dataclass(frozen=True)
class EvolveReply:
    """What a reply says, as far as it was asked for."""

    chosen_tags: list[str] = field(default_factory=list)
    plan: str = ""
    rewritten: str = ""
    ungrounded: list[str] = field(default_factory=list)
    final: str = ""
    absent: list[str] = field(default_factory=list)


def read_reply(text: str, *names: str) -> EvolveReply:
    """The entries `names` of a reply, tags in their one spelling.

    Of a reply's texts none may be blank, except for the plan of a reply that has the final text as well: nothing hangs
    on it any more.

    Raises:
        UnparsedReplyError: no JSON object, or an entry is missing or of another kind.
    """
    data = read_json(text)
    if not isinstance(data, dict):
        raise UnparsedReplyError("expected a JSON object")
    texts: dict[str, str] = {}
    lists: dict[str, list[str]] = {}
    for name in names:
        value = data.get(name)
        if name in _LISTS:
            lists[name] = _texts(name, value)
        else:
            texts[name] = _text(name, value, may_be_blank=name != names[-1])
    chosen = [tag for tag in map(normalise_tag, lists.get(CHOSEN, [])) if tag]
    if CHOSEN in names and not chosen:
        raise UnparsedReplyError(f'no tag is named under "{CHOSEN}"')
    return EvolveReply(
        chosen_tags=chosen,
        plan=texts.get(PLAN, ""),
        rewritten=texts.get(REWRITTEN, ""),
        ungrounded=lists.get(UNGROUNDED, []),
        final=texts.get(FINAL, ""),
        absent=[tag for tag in map(normalise_tag, lists.get(ABSENT, [])) if tag],
    )


def as_lines(tags: Sequence[str]) -> str:
    """Tags as the prompts list them: one a line, without line breaks of their own."""
    return "\n".join(" ".join(tag.split()) for tag in tags)


def _text(name: str, value: Any, *, may_be_blank: bool) -> str:
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        value = "\n".join(value)  # a plan as a list of steps
    if not isinstance(value, str):
        if may_be_blank and value is None:
            return ""
        raise UnparsedReplyError(f'expected text under "{name}"')
    if not value.strip() and not may_be_blank:
        raise UnparsedReplyError(f'the text under "{name}" is empty')
    return value.strip()


def _texts(name: str, value: Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
        raise UnparsedReplyError(f'expected a list of texts under "{name}"')
    return [entry.strip() for entry in value if entry.strip()]
