"""Is each chosen tag really in the new text: asked of a judge, in place of comparing words and embeddings."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from datasets import Features, List, Value

from tagsmith.processors.endpoint.request import Parameters, Reply, Request
from tagsmith.processors.generation_processor import Row
from tagsmith.processors.one_prompt import OnePromptProcessor, cell, text_of
from tagsmith.processors.tag_evol.evolve_reply import ABSENT, as_lines, read_reply, schema_of
from tagsmith.processors.tag_text import tag_key


@dataclass(kw_only=True)
class PresenceJudge(OnePromptProcessor):
    """Name the chosen tags that did not get into the rewritten instruction (ours: Tag-Evol's review looks elsewhere).

    Input columns:
        instruction (``str``) or messages, new_instruction (``str``), chosen_tags (``list[str]``).
    Output columns:
        absent_tags (``list[str] | None``): those of `chosen_tags` that are absent by the verdict; None when there is no
            verdict, and the row is rejected. Names that are not among the chosen tags are left out.
        and the columns of every `GenerationProcessor`.

    Args:
        prompt: a template's name or file, in place of the shipped one; inputs: `instruction`, `rewritten`, `tags`.
    """

    prompt_name = "tag_evol/presence"
    prompt_inputs = ("instruction", "rewritten", "tags")

    parameters: Parameters = field(default_factory=lambda: Parameters(512, json_schema=schema_of(ABSENT)))

    def render(self, row: Row) -> list[Request]:
        """One request."""
        return self.ask(
            instruction=text_of(row),
            rewritten=text_of(row, "new_instruction"),
            tags=as_lines(cell(row, "chosen_tags")),
        )

    def read(self, text: str) -> list[str]:
        """The tags named."""
        return read_reply(text, ABSENT).absent

    def own_features(self) -> Features:
        """Type of `absent_tags`."""
        return Features({"absent_tags": List(Value("string"))})

    def collect(self, row: Row, replies: Sequence[Reply]) -> dict[str, Any]:
        """The verdict, in the spelling of the row."""
        if not replies or replies[0].status != "ok":
            return {"absent_tags": None}
        named = set(map(tag_key, replies[0].value))
        return {"absent_tags": [tag for tag in row["chosen_tags"] if tag_key(tag) in named]}
