"""The acting half of TAGS' act-critic loop: name the atomic knowledge of a problem and its answer, or mend it."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from datasets import Features, List, Value

from tagsmith.processors.endpoint.request import Parameters, Reply, Request, UnparsedReplyError
from tagsmith.processors.errors import InputError
from tagsmith.processors.explained_tags import TAGS_SCHEMA, read_explained_tags, write_explained_tags
from tagsmith.processors.generation_processor import Row
from tagsmith.processors.one_prompt import OnePromptProcessor
from tagsmith.processors.prompt_template import PromptTemplate
from tagsmith.processors.tag_text import tag_key
from tagsmith.processors.tags.current_query import NOTHING, CurrentQuery
from tagsmith.processors.tags.distilled_tagger import MOST_TAGS, distilled_messages

FORMATS = ("chat", "distilled")
Pair = tuple[str, str]  # a tag and its explanation

_LIST = TAGS_SCHEMA["properties"]["tags"] | {"minItems": 1, "maxItems": MOST_TAGS}
PROPOSAL_SCHEMA: dict[str, Any] = TAGS_SCHEMA | {"properties": {"tags": _LIST}}


@dataclass(kw_only=True)
class TagProposer(OnePromptProcessor):
    """Name at most five atomic tags with explanations, from problem and answer (TAGS, §3.2, Tab. 12).

    A row that a checker objected to is asked for again with the checker's reason, and the tags without an issue are
    kept: see `refine`.

    Input columns:
        instruction (``str``), response (``str | None``), or messages: as `to_rows` makes them. Of a conversation the
            last user turn and the answer behind it are tagged, with the turns before as context.
        raw_tags, tag_explanations, check_reason (``str``), faulty_tags (``list[str]``), tag_rounds: of the rounds
            before, as `KnowledgeTagger` leaves them; without a `check_reason` the row is tagged for the first time.
    Output columns:
        raw_tags (``list[str] | None``): one to five, in the reply's order, each once. tag_explanations (``list[str] |
            None``): one each. Both are None for a row that is rejected.
        and the columns of every `GenerationProcessor`.

    Args:
        format: "chat" asks any chat model; "distilled" speaks to a tagger that was trained on such tags
            (`distilled_tagger`), which is asked once and not refined.
        prompt: a template's name or file, in place of the shipped one; the same inputs. For "chat" only.
        parameters: how to generate. Greedy by default (the paper does not say).

    Raises:
        InputError: unknown format, a prompt with other inputs or for "distilled", or rows without an instruction.

    Differs from the paper: the reply is an object with the list under "tags", since servers that enforce a schema need
    one (a bare list is read as well). A reply with more than five tags, or without explanations, is asked for again
    with the reason, then rejected as ``unparsed``; it is never cut down in silence.
    """

    prompt_name = "tags/propose"
    prompt_inputs: ClassVar[tuple[str, ...]] = ("history", "problem", "answer", "previous", "feedback")

    format: str = "chat"
    parameters: Parameters = field(default_factory=lambda: Parameters(json_schema=PROPOSAL_SCHEMA))

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise InputError(f"tagger format {self.format!r} is unknown; expected one of {', '.join(FORMATS)}")
        if self.format == "distilled":
            if self.prompt is not None and self.prompt != PromptTemplate.load("tags/distilled"):
                raise InputError("a distilled tagger is asked in the form it was trained on; leave the prompt out")
            self.prompt_inputs = ("history", "problem", "answer")  # type: ignore[misc]  # of this object
            self.prompt = PromptTemplate.load("tags/distilled")
            # It learned to answer a bare list: a grammar with an object as root would fight it.
            self.parameters = replace(self.parameters, json_schema=None)
        super().__post_init__()

    def render(self, row: Row) -> list[Request] | str:
        """One request; none for a blank problem."""
        query = CurrentQuery.of(row)
        if not query.problem.strip():
            return "empty_instruction: the current query has no text"
        if self.format == "distilled":
            messages = distilled_messages(query.problem, query.answer, history=query.history)
            return [Request(self.parameters, messages=tuple(messages))]
        previous, feedback = NOTHING, NOTHING
        if row.get("check_reason") is not None:
            previous = write_explained_tags(_pairs_of(row))
            faulty = row.get("faulty_tags")
            feedback = row["check_reason"] + (f"\nTags to change: {'; '.join(faulty)}" if faulty else "")
        (request,) = self.ask(**query.values(), previous=previous, feedback=feedback)
        # Where the same is asked again (nothing changed in the round before), a sampling model gets another draw.
        sample = len(row.get("tag_rounds") or ()) if self.parameters.temperature else 0
        return [replace(request, sample=sample)]

    def read(self, text: str) -> list[Pair]:
        """One to five (tag, explanation) pairs, each tag once."""
        found: dict[str, Pair] = {}
        for tag, explanation in read_explained_tags(text):
            found.setdefault(_key(tag), (tag, explanation))
        pairs = list(found.values())
        if len(pairs) > MOST_TAGS:
            raise UnparsedReplyError(f"there are {len(pairs)} tags; give the {MOST_TAGS} most essential ones at most")
        if self.format == "chat" and (bare := [tag for tag, explanation in pairs if not explanation]):
            raise UnparsedReplyError(f'the tag "{bare[0]}" has no explanation; each needs one')
        return pairs

    def own_features(self) -> Features:
        """Types of `raw_tags` and `tag_explanations`."""
        texts = List(Value("string"))
        return Features({"raw_tags": texts, "tag_explanations": texts})

    def collect(self, row: Row, replies: Sequence[Reply]) -> dict[str, Any]:
        """The tags of the one reply, beside those that are kept."""
        if not replies or replies[0].status != "ok":
            return {"raw_tags": None, "tag_explanations": None}
        pairs = replies[0].value
        if row.get("check_reason") is not None:
            pairs = refine(_pairs_of(row), row.get("faulty_tags") or (), pairs)
        return {"raw_tags": [tag for tag, _ in pairs], "tag_explanations": [explanation for _, explanation in pairs]}


def refine(previous: Sequence[Pair], faulty: Sequence[str], proposed: Sequence[Pair]) -> list[Pair]:
    """The tags after a refinement: those without an issue stay as they are, new ones fill the room (Tab. 12).

    A faulty tag that is proposed unchanged comes back, since the model may insist on it; the checker looks again.
    Where no tag is at fault and there is no room for another, the proposal stands as it is.

    Args:
        previous: the tags before.
        faulty: those that the checker objected to, in any spelling; what is not among the tags has no effect.
        proposed: the new reply.
    """
    objected = {_key(tag) for tag in faulty}
    kept = {_key(tag): (tag, explanation) for tag, explanation in previous if _key(tag) not in objected}
    if len(kept) == MOST_TAGS:
        return list(proposed)
    for tag, explanation in proposed:
        kept.setdefault(_key(tag), (tag, explanation))
    return list(kept.values())[:MOST_TAGS]


def _key(tag: str) -> str:
    return tag_key(tag) or tag  # of signs alone


def _pairs_of(row: Row) -> list[Pair]:
    return list(zip(row["raw_tags"], row["tag_explanations"], strict=True))
