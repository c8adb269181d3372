"""An optional second pass over tags: aspects of similar meaning become one, and each gets one or two tags more."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from datasets import Features, Value

from tagsmith.processors.endpoint.request import Parameters, Reply, Request
from tagsmith.processors.generation_processor import Row
from tagsmith.processors.one_prompt import OnePromptProcessor, cell, text_of
from tagsmith.processors.tag_evol.aspect_reply import (
    ASPECTS_SCHEMA,
    FEATURES,
    Aspects,
    as_column,
    flat_tags,
    from_column,
    read_aspects,
    tag_key,
)

MOST_ADDED = 2  # tags an aspect, as the authors' code asks for


@dataclass(kw_only=True)
class AspectMerger(OnePromptProcessor):
    """Merge a row's aspects of similar meaning, and add one or two tags to each (Tag-Evol, the authors' code).

    The paper does not have this pass; the authors' code has it as an option.

    Input columns:
        instruction (``str``) or messages, aspects (``list[{aspect, tags}]``): as `AspectTagger` makes them.
    Output columns:
        aspects, tags: revised; where the reply cannot be used, as they were.
        merge_problem (``str``): why they are as they were: ``unparsed: …``, ``lost_tags: …`` (a former tag is gone),
            ``more_aspects: …`` (there are more than before), ``too_many_added: …`` (more than two tags an aspect);
            else empty.
        and the columns of every `GenerationProcessor`. A row is rejected only when its request got no answer, since a
            reply that cannot be used costs no more than the revision.

    Args:
        prompt: a template's name or file, in place of the shipped one; inputs: `instruction`, `aspects`.

    Raises:
        InputError: a prompt with other inputs, or rows without the input columns.
    """

    prompt_name = "tag_evol/merge_aspects"
    prompt_inputs = ("instruction", "aspects")

    parameters: Parameters = field(default_factory=lambda: Parameters(json_schema=ASPECTS_SCHEMA))

    def render(self, row: Row) -> list[Request] | str:
        """One request."""
        aspects = from_column(cell(row, "aspects"))
        listed = "\n".join(f"{name}: {'; '.join(tags)}" for name, tags in aspects.items())
        return self.ask(instruction=text_of(row), aspects=listed)

    def read(self, text: str) -> Aspects:
        """The revised aspects with their tags."""
        return read_aspects(text)

    def own_features(self) -> Features:
        """Types of `aspects`, `tags` and `merge_problem`."""
        return Features({**FEATURES, "merge_problem": Value("string")})

    def collect(self, row: Row, replies: Sequence[Reply]) -> dict[str, Any]:
        """The revised aspects, or those before with the reason."""
        if not replies:
            return {"aspects": None, "tags": None, "merge_problem": ""}
        before = from_column(cell(row, "aspects"))
        reply = replies[0]
        problem = reply.reason if reply.status != "ok" else problem_of(before, reply.value)
        aspects = before if problem else reply.value
        return {"aspects": as_column(aspects), "tags": flat_tags(aspects), "merge_problem": problem or ""}

    def rejection(self, row: Row, replies: Sequence[Reply], made: Mapping[str, Any]) -> str | None:
        """Only a request without an answer."""
        return next((reply.reason for reply in replies if reply.status not in ("ok", "unparsed")), None)


def problem_of(before: Aspects, after: Aspects) -> str | None:
    """Why a revision cannot be used, or None."""
    had = {tag_key(tag): tag for tag in flat_tags(before)}
    has = {tag_key(tag) for tag in flat_tags(after)}
    if lost := [tag for key, tag in had.items() if key not in has]:
        return f"lost_tags: {', '.join(lost)}"
    if len(after) > len(before):
        return f"more_aspects: {len(after)}, where there were {len(before)}"
    for name, tags in after.items():
        if len(new := [tag for tag in tags if tag_key(tag) not in had]) > MOST_ADDED:
            return f"too_many_added: {len(new)} new tags under {name!r}, at most {MOST_ADDED} are asked for"
    return None
