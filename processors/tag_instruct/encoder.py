"""Semantic compression: an instruction becomes a few general tags, intention first."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from datasets import Features, List, Value

from tagsmith.processors.endpoint.request import Parameters, Reply, Request, UnparsedReplyError
from tagsmith.processors.errors import InputError
from tagsmith.processors.explained_tags import read_explained_tags
from tagsmith.processors.generation_processor import Row
from tagsmith.processors.json_reply import read_json
from tagsmith.processors.one_prompt import OnePromptProcessor, text_of
from tagsmith.processors.prompt_template import PromptTemplate
from tagsmith.processors.reply_sections import section, without_thoughts
from tagsmith.processors.tag_text import normalise_tag, tag_key

TAGS = 3
MOST_WORDS = 2
PROMPTS = {
    "evolved": "tag_instruct/encode_evolved",
    "enhanced": "tag_instruct/encode_enhanced",
    "basic": "tag_instruct/encode_basic",
    "model": "instag/instagger",
}
_LIST = {"type": "array", "items": {"type": "string", "minLength": 1}, "minItems": TAGS, "maxItems": TAGS}
BASE_TAGS_SCHEMA: dict[str, Any] = {"type": "object", "properties": {"tags": _LIST}, "required": ["tags"]}
_BULLET = re.compile(r"^\s*(?:[-*•]|\d+[.)])\s+")


@dataclass(kw_only=True)
class TagEncoder(OnePromptProcessor):
    """Compress an instruction into base tags z_base (Tag-Instruct, §3.2, Fig. 5, App. E.1).

    Input columns:
        instruction (``str``), or messages (``list[{role, content}]``), of which the first user turn is taken.
    Output columns:
        base_tags (``list[str] | None``): the tags, most important first, lower case, with spaces for underscores: three
            of one or two words each; of variant "model" as many as InsTagger names, each once. None for a row rejected.
        and the columns of every `GenerationProcessor`.

    Args:
        variant: "evolved" (the paper's choice: intention first), "enhanced" (intention and meaning), "basic" (tags from
            which the instruction could be written again), or "model" (an InsTagger endpoint, spoken to in its own input
            format, as raw text).
        prompt: a template's name or file, in place of the variant's own; its one input is `instruction`. For "model",
            "instag/instagger_paper" is the format that #InsTag prints.
        parameters: how to generate. Greedy by default (the paper does not say), with a JSON schema for three tags.

    Raises:
        InputError: unknown variant, a prompt with other inputs, or rows without the input columns.

    Differs from the paper: the reply is JSON, since servers that enforce a schema then give exactly three tags, and one
    that is cut off is noticed; a line of tags between commas, as the paper asks for, is read as well. Differs from the
    authors' code: a reply with another number of tags, equal tags or long ones is asked for again with the reason, then
    rejected with its text; it is never cut to size or dropped, which would shift the rows behind it.
    """

    prompt_inputs = ("instruction",)

    variant: str = "evolved"
    parameters: Parameters = field(default_factory=lambda: Parameters(max_new_tokens=128, json_schema=BASE_TAGS_SCHEMA))

    def __post_init__(self) -> None:
        if self.variant not in PROMPTS:
            raise InputError(f"encoder variant {self.variant!r} is unknown; expected one of {', '.join(PROMPTS)}")
        if not isinstance(self.prompt, PromptTemplate):
            self.prompt = PromptTemplate.load(self.prompt or PROMPTS[self.variant])
        super().__post_init__()
        if self.variant == "model" and self.parameters.json_schema == BASE_TAGS_SCHEMA:
            # InsTagger was trained to answer a bare list of tags with explanations, and as many as it sees.
            self.parameters = replace(self.parameters, json_schema=None, max_new_tokens=1024)

    def render(self, row: Row) -> list[Request] | str:
        """One request."""
        instruction = text_of(row)
        if not instruction.strip():
            return "empty_instruction: the instruction has no text"
        if self.variant == "model":
            return [Request(self.parameters, prompt=self.templates[0].render(instruction=instruction))]
        return self.ask(instruction=instruction)

    def read(self, text: str) -> list[str]:
        """The tags, normalised."""
        if self.variant == "model":
            found = dict.fromkeys(normalise_tag(tag) for tag, _ in read_explained_tags(text))
            tags = [tag for tag in found if tag]
            if not tags:
                raise UnparsedReplyError("none of the tags has a letter or digit")
            return tags
        written = _written_tags(text)
        tags = [normalise_tag(tag) for tag in written]
        if len(tags) != TAGS:
            raise UnparsedReplyError(f"expected exactly {TAGS} tags, got {len(tags)}: {', '.join(written)}")
        if "" in tags:
            raise UnparsedReplyError(f"the tag {written[tags.index('')]!r} has no letter or digit")
        if len({tag_key(tag) for tag in tags}) < TAGS:
            raise UnparsedReplyError(f"two of the tags are the same: {', '.join(tags)}; expected {TAGS} different ones")
        if long := [tag for tag in tags if len(tag.split()) > MOST_WORDS]:
            raise UnparsedReplyError(f"the tag {long[0]!r} has more than {MOST_WORDS} words; shorten it")
        return tags

    def own_features(self) -> Features:
        """Type of `base_tags`."""
        return Features({"base_tags": List(Value("string"))})

    def collect(self, row: Row, replies: Sequence[Reply]) -> dict[str, Any]:
        """The tags of the one reply."""
        return {"base_tags": replies[0].value if replies and replies[0].status == "ok" else None}


def _written_tags(text: str) -> list[str]:
    """The tags as they stand in a reply: JSON, one line with commas, or a list of lines."""
    bare = without_thoughts(text)
    if "{" in bare or (bare.startswith("[") and section(bare, "Tags") is None):
        data = read_json(bare)
        tags = data.get("tags") if isinstance(data, dict) else data
        if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
            raise UnparsedReplyError('expected a list of texts under "tags"')
        return tags
    lines = [line for line in (section(bare, "Tags") or bare).splitlines() if line.strip()]
    if len(lines) > 1 and lines[0].rstrip().endswith(":"):  # "Here are the tags:"
        lines = lines[1:]
    if len(lines) > 1:  # a list, else prose: its lines are then too long, or too many
        return [_BULLET.sub("", line).strip() for line in lines]
    return [tag.strip() for tag in re.split("[,;]", lines[0].partition(":")[2] or lines[0]) if tag.strip()]
