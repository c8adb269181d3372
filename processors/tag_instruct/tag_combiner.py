"""Tag combination: one task that needs several tags together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from datasets import Features, Value

from tagsmith.processors.embedding import Embedder, TextEmbedder
from tagsmith.processors.endpoint.request import Parameters, Reply, Request
from tagsmith.processors.generation_processor import Row
from tagsmith.processors.one_prompt import OnePromptProcessor, cell, cut_off
from tagsmith.processors.reply_sections import without_thoughts
from tagsmith.processors.rewrite_checks import carries
from tagsmith.processors.tag_instruct.decode_checks import DecodeLimits


@dataclass(kw_only=True)
class TagCombiner(OnePromptProcessor):
    """Make a demanding task out of combined tags (Tag-Instruct, §5.3, App. E.3, Fig. 11).

    Input columns:
        tags (``list[str]``): two or more, of a pool.
    Output columns:
        instruction (``str | None``): the task; None for a row rejected.
        and the columns of every `GenerationProcessor`. Reasons beside the usual: ``too_few_tags: …``,
        ``tag_missing: …`` (with the tags that cannot be found, by words or meaning), ``too_long: …``, ``cut_off: …``.

    Args:
        limits: `max_characters` and `tag_similarity` of them.
        embedder: finds a tag that is taken up in other words; None lets only the tag's own words count.
        prompt: a template's name or file, in place of the shipped one; its one input is `tags`.
        parameters: how to generate. Temperature 0.7 by default (the paper does not say).

    Differs from the paper: it does not check that the task takes all its tags up.
    """

    prompt_name = "tag_instruct/combine"
    prompt_inputs = ("tags",)

    limits: DecodeLimits = field(default_factory=DecodeLimits)
    embedder: Embedder | None = field(default_factory=TextEmbedder)
    parameters: Parameters = field(default_factory=lambda: Parameters(max_new_tokens=1024, temperature=0.7))

    def render(self, row: Row) -> list[Request] | str:
        """One request."""
        tags = cell(row, "tags")
        if len(tags) < 2:
            return f"too_few_tags: {len(tags)}; a combination needs at least 2"
        return self.ask(tags=", ".join(tags))

    def read(self, text: str) -> str:
        """The task: all of the reply."""
        return without_thoughts(text)

    def own_features(self) -> Features:
        """Type of `instruction`."""
        return Features({"instruction": Value("string")})

    def collect(self, row: Row, replies: Sequence[Reply]) -> dict[str, Any]:
        """The task, unless a check finds a problem."""
        if not replies or self._problem(row, replies[0]):
            return {"instruction": None}
        return {"instruction": replies[0].value}

    def rejection(self, row: Row, replies: Sequence[Reply], made: Mapping[str, Any]) -> str | None:
        """What the checks find."""
        return None if made["instruction"] is not None else self._problem(row, replies[0])

    def _problem(self, row: Row, reply: Reply) -> str | None:
        if reply.status != "ok":
            return reply.reason
        if problem := cut_off(reply):
            return problem
        text, limits = reply.value, self.limits
        if len(text) > limits.max_characters:
            return f"too_long: {len(text)} characters; at most {limits.max_characters}"
        missing = [tag for tag in row["tags"] if not carries(tag, text, limits.tag_similarity, self.embedder)]
        return f"tag_missing: the task does not take up {', '.join(missing)}" if missing else None
