"""The first and the last step of a level of the tag tree: a topic for each cluster, and its name after the review."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from datasets import Features, Value

from tagsmith.processors.endpoint.request import Parameters, Reply, Request, UnparsedReplyError
from tagsmith.processors.generation_processor import Row
from tagsmith.processors.json_reply import read_json
from tagsmith.processors.one_prompt import OnePromptProcessor, cell
from tagsmith.processors.tags.topic_lines import bulleted

LONGEST_TOPIC, LONGEST_DESCRIPTION = 100, 600  # characters: more is no name, and no sentence
MOST_COMMAS = 2  # "Iron, Steel, and Copper" is a name; what has more is a list of members

_TEXT = {"type": "string", "minLength": 1}
TOPIC_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"topic": _TEXT, "description": _TEXT},
    "required": ["topic", "description"],
}


@dataclass(kw_only=True)
class TopicSummarizer(OnePromptProcessor):
    """Name the topic that the members of a cluster share (TAGS, §3.3, "Summarization").

    Input columns:
        members (``list[str]``): tags, or topics of the level below, the most central first.
    Output columns:
        topic (``str | None``): its name, at most 100 characters on one line; None when the row is rejected.
        description (``str | None``): a sentence on what belongs under it.
        and the columns of every `GenerationProcessor`.

    Args:
        prompt: a template's name or file, in place of the shipped one; input: `members`.

    Raises:
        InputError: a prompt with other inputs, or rows without members.

    Differs from the paper: its prompt for this step is not printed; ours also asks for a sentence of description, which
    the later steps are shown (as Clio does, on which the paper builds).
    """

    prompt_name = "tags/summarize"
    prompt_inputs: ClassVar[tuple[str, ...]] = ("members",)

    parameters: Parameters = field(default_factory=lambda: Parameters(256, json_schema=TOPIC_SCHEMA))

    def render(self, row: Row) -> list[Request] | str:
        """One request."""
        return self.ask(members=bulleted(cell(row, "members")))

    def read(self, text: str) -> tuple[str, str]:
        """Name and description of the topic."""
        return read_topic(text)

    def own_features(self) -> Features:
        """Types of `topic` and `description`."""
        return Features({"topic": Value("string"), "description": Value("string")})

    def collect(self, row: Row, replies: Sequence[Reply]) -> dict[str, Any]:
        """The topic, or nothing."""
        if not replies or replies[0].status != "ok":
            return {"topic": None, "description": None}
        topic, description = replies[0].value
        return {"topic": topic, "description": description}


@dataclass(kw_only=True)
class TopicRenamer(TopicSummarizer):
    """Give a reviewed topic its final name (TAGS, §3.3, "Renaming").

    Input columns:
        former_topic, former_description (``str``): before the review.
        members (``list[str]``): after it, the most central first.
    Output columns:
        those of `TopicSummarizer`.

    Args:
        prompt: a template's name or file, in place of the shipped one; inputs: `topic`, `description`, `members`.
    """

    prompt_name = "tags/rename"
    prompt_inputs = ("topic", "description", "members")

    def render(self, row: Row) -> list[Request] | str:
        """One request."""
        return self.ask(
            topic=cell(row, "former_topic"),
            description=cell(row, "former_description"),
            members=bulleted(cell(row, "members")),
        )


def read_topic(text: str) -> tuple[str, str]:
    """Name and description in a reply; the description is empty where there is none.

    Raises:
        UnparsedReplyError: there is no name in it, or none that could be one.
    """
    data = read_json(text)
    if isinstance(data, list) and len(data) == 1:
        data = data[0]
    if not isinstance(data, dict) or not isinstance(data.get("topic"), str):
        raise UnparsedReplyError('expected an object with a "topic" that is text')
    topic = " ".join(data["topic"].split())
    description = data.get("description")
    if not any(map(str.isalnum, topic)):
        raise UnparsedReplyError("the topic is blank")
    if topic.count(",") > MOST_COMMAS:
        raise UnparsedReplyError("the topic is a list of entries; give one name of two to six words for all of them")
    if len(topic) > LONGEST_TOPIC:
        raise UnparsedReplyError(f"the topic has {len(topic)} characters; give a name of two to six words")
    return topic, " ".join(description.split())[:LONGEST_DESCRIPTION] if isinstance(description, str) else ""
