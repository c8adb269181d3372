"""The second step of a level of the tag tree: topics that are one and the same in other words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from datasets import Features, List, Value

from tagsmith.processors.endpoint.request import Parameters, Reply, Request, UnparsedReplyError
from tagsmith.processors.generation_processor import Row
from tagsmith.processors.json_reply import read_json
from tagsmith.processors.one_prompt import OnePromptProcessor, cell
from tagsmith.processors.tags.topic_lines import numbered

SAME_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"same": {"type": "array", "items": {"type": "array", "items": {"type": "integer", "minimum": 1}}}},
    "required": ["same"],
}


@dataclass(kw_only=True)
class TopicDeduplicator(OnePromptProcessor):
    """Say which of several similar topics are the same (TAGS, §3.3, "Deduplication").

    Input columns:
        topics (``list[str]``): names with descriptions.
    Output columns:
        same (``list[list[int]]``): places in `topics`, from 0, of each group of equal ones; groups do not overlap.
            Empty when the row is rejected.
        and the columns of every `GenerationProcessor`. Reason of its own: ``wrong_number: …`` (there is no topic of
            that number).

    Args:
        prompt: a template's name or file, in place of the shipped one; input: `topics`.

    Raises:
        InputError: a prompt with other inputs, or rows without topics.

    Differs from the paper: its prompt for this step is not printed, nor how it shows 10,000 topics to a model. Ours
    shows a few that are close to each other at a time (see `LevelGrower`).
    """

    prompt_name = "tags/deduplicate"
    prompt_inputs = ("topics",)

    parameters: Parameters = field(default_factory=lambda: Parameters(512, json_schema=SAME_SCHEMA))

    def render(self, row: Row) -> list[Request] | str:
        """One request."""
        return self.ask(topics=numbered(cell(row, "topics")))

    def read(self, text: str) -> list[list[int]]:
        """The groups of numbers as the reply has them."""
        data = read_json(text)
        groups = data.get("same") if isinstance(data, dict) else data
        if not isinstance(groups, list) or not all(isinstance(group, list) for group in groups):
            raise UnparsedReplyError('expected a list of lists of numbers under "same"')
        if not all(type(number) is int for group in groups for number in group):
            raise UnparsedReplyError("each group holds the numbers of topics, as whole numbers")
        return groups

    def own_features(self) -> Features:
        """Type of `same`."""
        return Features({"same": List(List(Value("int32")))})

    def collect(self, row: Row, replies: Sequence[Reply]) -> dict[str, Any]:
        """The groups, joined where they overlap."""
        if not replies or self.rejection(row, replies, {}):
            return {"same": []}
        joined: list[set[int]] = []
        for group in replies[0].value:
            new = {number - 1 for number in group}
            for other in [other for other in joined if other & new]:
                new |= other
                joined.remove(other)
            joined.append(new)
        return {"same": sorted(sorted(group) for group in joined if len(group) > 1)}

    def rejection(self, row: Row, replies: Sequence[Reply], made: Mapping[str, Any]) -> str | None:
        """Also a number that no topic has."""
        if bad := super().rejection(row, replies, made):
            return bad
        topics = len(cell(row, "topics"))
        wrong = [number for reply in replies for group in reply.value for number in group if not 1 <= number <= topics]
        return f"wrong_number: {wrong[0]}, where topics are numbered 1 to {topics}" if wrong else None
