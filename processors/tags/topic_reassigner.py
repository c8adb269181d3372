"""The third step of a level of the tag tree: members that embeddings put under the wrong topic are moved."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from datasets import Features, List, Value

from tagsmith.processors.endpoint.request import Parameters, Reply, Request, UnparsedReplyError
from tagsmith.processors.generation_processor import Row
from tagsmith.processors.json_reply import read_json
from tagsmith.processors.one_prompt import OnePromptProcessor, cell
from tagsmith.processors.tags.topic_lines import numbered

_NUMBER = {"type": "integer", "minimum": 1}
MOVES_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "moves": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"entry": _NUMBER, "topic": _NUMBER},
                "required": ["entry", "topic"],
            },
        }
    },
    "required": ["moves"],
}


@dataclass(kw_only=True)
class TopicReassigner(OnePromptProcessor):
    """Review members of a topic and move those that belong to a neighbouring one (TAGS, §3.3, "Reassign").

    Input columns:
        topics (``list[str]``): names with descriptions; the first is the topic under review.
        members (``list[str]``): some of its members.
    Output columns:
        moved_members (``list[int]``), to_topics (``list[int]``): places in `members` and in `topics`, from 0, one pair
            a move, no move to the topic itself. Empty when the row is rejected.
        and the columns of every `GenerationProcessor`. Reasons of its own: ``wrong_number: …`` (there is no entry or
            topic of that number), ``moved_twice: …`` (an entry goes to two topics).

    Args:
        prompt: a template's name or file, in place of the shipped one; inputs: `topics`, `members`.

    Raises:
        InputError: a prompt with other inputs, or rows without the input columns.

    Differs from the paper: its prompt for this step is not printed. In ours the model names only what it moves, so that
    replies stay short, and by number, so that no member can be lost or invented.
    """

    prompt_name = "tags/reassign"
    prompt_inputs = ("topics", "members")

    parameters: Parameters = field(default_factory=lambda: Parameters(1024, json_schema=MOVES_SCHEMA))

    def render(self, row: Row) -> list[Request] | str:
        """One request."""
        return self.ask(topics=numbered(cell(row, "topics")), members=numbered(cell(row, "members")))

    def read(self, text: str) -> list[tuple[int, int]]:
        """(entry, topic) of each move, numbered as in the reply."""
        data = read_json(text)
        moves = data.get("moves") if isinstance(data, dict) else data
        if not isinstance(moves, list) or not all(isinstance(move, dict) for move in moves):
            raise UnparsedReplyError('expected a list of objects under "moves"')
        pairs = [(move.get("entry"), move.get("topic")) for move in moves]
        if not all(type(number) is int for pair in pairs for number in pair):
            raise UnparsedReplyError('each move needs the numbers "entry" and "topic"')
        return pairs

    def own_features(self) -> Features:
        """Types of `moved_members` and `to_topics`."""
        return Features({"moved_members": List(Value("int32")), "to_topics": List(Value("int32"))})

    def collect(self, row: Row, replies: Sequence[Reply]) -> dict[str, Any]:
        """The moves, those to the topic itself left out."""
        pairs = set() if not replies or self.rejection(row, replies, {}) else set(replies[0].value)
        moves = sorted((entry - 1, topic - 1) for entry, topic in pairs if topic != 1)
        return {"moved_members": [entry for entry, _ in moves], "to_topics": [topic for _, topic in moves]}

    def rejection(self, row: Row, replies: Sequence[Reply], made: Mapping[str, Any]) -> str | None:
        """Also numbers that are not there, and an entry that goes to two places."""
        if bad := super().rejection(row, replies, made):
            return bad
        topics, members = len(cell(row, "topics")), len(cell(row, "members"))
        goes: dict[int, int] = {}
        for entry, topic in (pair for reply in replies for pair in reply.value):
            if not (1 <= entry <= members and 1 <= topic <= topics):
                return f"wrong_number: entry {entry}, topic {topic}, where there are {members} entries, {topics} topics"
            if goes.setdefault(entry, topic) != topic:
                return f"moved_twice: entry {entry} to topics {goes[entry]} and {topic}"
        return None
