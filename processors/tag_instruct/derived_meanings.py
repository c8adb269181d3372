"""Derived meanings: how many different things a tag can mean."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from datasets import Features, List, Value

from tagsmith.processors.endpoint.request import Parameters, Reply, Request, UnparsedReplyError
from tagsmith.processors.generation_processor import Row
from tagsmith.processors.one_prompt import OnePromptProcessor, text_of
from tagsmith.processors.reply_sections import section, without_thoughts

_END = re.compile(r"^\W*end of list\b", re.IGNORECASE)
_ENTRY = re.compile(r"^[\s*_]*(?:\d+[.)]|[-•*])\s*(.+)$")


@dataclass(kw_only=True)
class DerivedMeanings(OnePromptProcessor):
    """List the distinct meanings of a tag: think widely, merge, final list (Tag-Instruct, §5.2, App. E.2, Fig. 10).

    Input columns:
        tag (``str``).
    Output columns:
        derived_meanings (``list[str] | None``): the final list, each meaning once.
        n_meanings (``int | None``): their number, the quantity that Fig. 4 compares between utility quartiles.
        and the columns of every `GenerationProcessor`.

    Args:
        prompt: a template's name or file, in place of the shipped one; its one input is `tag`. It must ask for the
            mark [Final List] before the last list, and for the line "End of list" behind it.

    A reply without the end line was cut off, and its list may be, too: it is asked for again, and then rejected.
    """

    prompt_name = "tag_instruct/derive_meanings"
    prompt_inputs = ("tag",)

    parameters: Parameters = field(default_factory=lambda: Parameters(max_new_tokens=1024))

    def render(self, row: Row) -> list[Request] | str:
        """One request."""
        tag = text_of(row, "tag")
        return self.ask(tag=tag) if tag.strip() else "empty_tag: the tag has no text"

    def read(self, text: str) -> list[str]:
        """The final list."""
        final = section(without_thoughts(text), "Final List")
        if final is None:
            raise UnparsedReplyError("the mark [Final List] is missing")
        meanings: dict[str, str] = {}
        for line in final.splitlines():
            if _END.match(line):
                break
            if entry := _ENTRY.match(line):
                meaning = entry[1].strip().strip("*_").strip()
                meanings.setdefault(meaning.casefold(), meaning)
        else:
            raise UnparsedReplyError('the line "End of list" is missing behind the final list')
        if not meanings:
            raise UnparsedReplyError("the final list is empty; number each meaning on its own line")
        return list(meanings.values())

    def own_features(self) -> Features:
        """Types of `derived_meanings` and `n_meanings`."""
        return Features({"derived_meanings": List(Value("string")), "n_meanings": Value("int64")})

    def collect(self, row: Row, replies: Sequence[Reply]) -> dict[str, Any]:
        """The list and its length."""
        meanings = replies[0].value if replies and replies[0].status == "ok" else None
        return {"derived_meanings": meanings, "n_meanings": None if meanings is None else len(meanings)}
