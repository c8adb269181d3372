"""#InsTag's tagger: open-set intention tags with explanations, for each user turn of a row."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from datasets import Features, List, Value

from tagsmith.processors.endpoint.request import Parameters, Reply, Request
from tagsmith.processors.errors import InputError
from tagsmith.processors.explained_tags import TAGS_SCHEMA, read_explained_tags
from tagsmith.processors.generation_processor import GenerationProcessor, Row
from tagsmith.processors.prompt_template import PromptTemplate
from tagsmith.processors.rows import user_turns

FORMATS = ("chat", "instagger", "instagger_paper")


@dataclass(kw_only=True)
class InsTagTagger(GenerationProcessor):
    """Ask for the intention tags of an instruction, each with a one-sentence explanation (#InsTag, §3.1, Tab. 4).

    Input columns:
        instruction (``str``) or messages (``list[{role, content}]``): as `to_rows` makes them. Each user turn of a
            conversation is tagged by itself, without the turns before it, as the paper does.
    Output columns:
        raw_tags (``list[str] | None``): tags of all turns, each once, in the order of first mention; None when a turn
            could not be tagged.
        tag_explanations (``list[str] | None``): one for each raw tag.
        turn_tags (``list[list[str] | None]``): the tags of each user turn, none of them for a blank one.
        and the columns of every `GenerationProcessor` (status, reason, raw_reply, model, …).

    Args:
        format: "chat" asks any chat model with our prompt, JSON enforced where the server can; "instagger" speaks to
            the released InsTagger model in its own input format; "instagger_paper" in the one that App. I prints.
        prompt: a template's name or file, in place of the format's own; its one input is `instruction`.
        parameters: how to generate. Greedy by default (the paper does not say).

    Raises:
        InputError: unknown format, or a prompt with other inputs than `instruction`.

    Differs from the paper: the reply is an object with the list under "tags" (schema enforcement needs an object at the
    root; a bare list is read as well). Differs from common re-implementations: an unreadable reply is repaired or
    rejected with its text, never taken for a row without tags. A row whose user turns are blank is rejected unasked.
    """

    format: str = "chat"
    prompt: PromptTemplate | str | None = None
    parameters: Parameters = field(default_factory=lambda: Parameters(json_schema=TAGS_SCHEMA))

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.format not in FORMATS:
            raise InputError(f"tagger format {self.format!r} is unknown; expected one of {', '.join(FORMATS)}")
        own = "instag/tag" if self.format == "chat" else f"instag/{self.format}"
        if not isinstance(self.prompt, PromptTemplate):
            self.prompt = PromptTemplate.load(self.prompt or own)
        self.prompt.check("instruction")
        if self.format != "chat" and self.parameters.json_schema is not None:
            # The distilled model was trained to answer a bare list: a grammar with an object as root would fight it.
            given = {f.name: getattr(self.parameters, f.name) for f in fields(Parameters)}
            self.parameters = Parameters(**given | {"json_schema": None})

    @property
    def templates(self) -> tuple[PromptTemplate, ...]:
        """The prompt in use."""
        assert isinstance(self.prompt, PromptTemplate)
        return (self.prompt,)

    def render(self, row: Row) -> list[Request] | str:
        """One request a user turn; blank turns ask nothing."""
        turns = [turn for turn in user_turns(row) if turn.strip()]
        if not turns:
            return "empty_instruction: no user turn has any text"
        (template,) = self.templates
        prompts = [template.render(instruction=turn) for turn in turns]
        if self.format == "chat":
            return [Request(self.parameters, messages=({"role": "user", "content": text},)) for text in prompts]
        return [Request(self.parameters, prompt=text) for text in prompts]

    def read(self, text: str) -> list[tuple[str, str]]:
        """(tag, explanation) pairs; at least one."""
        return read_explained_tags(text)

    def own_features(self) -> Features:
        """Types of `raw_tags`, `tag_explanations` and `turn_tags`."""
        texts = List(Value("string"))
        return Features({"raw_tags": texts, "tag_explanations": texts, "turn_tags": List(texts)})

    def collect(self, row: Row, replies: Sequence[Reply]) -> dict[str, Any]:
        """Tags of all turns, first mention first."""
        answered = iter(reply.value if reply.status == "ok" else None for reply in replies)
        turns: list[list[tuple[str, str]] | None] = []
        if replies:  # a blank turn was not asked about, and keeps its place
            turns = [next(answered) if turn.strip() else [] for turn in user_turns(row)]
        turn_tags = [None if pairs is None else [tag for tag, _ in pairs] for pairs in turns]
        if not turns or None in turn_tags:
            return {"raw_tags": None, "tag_explanations": None, "turn_tags": turn_tags}
        said = [pair for pairs in turns for pair in pairs or ()]
        first = dict(said)  # in the order of the first mentions
        if len(first) < len(said):
            first |= dict(reversed(said))  # and with their explanations
        return {"raw_tags": list(first), "tag_explanations": list(first.values()), "turn_tags": turn_tags}
