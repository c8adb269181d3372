"""The one repair of a rewritten instruction that failed its checks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from datasets import Features, List, Value

from tagsmith.processors.endpoint.request import Parameters, Reply, Request
from tagsmith.processors.generation_processor import Row
from tagsmith.processors.one_prompt import OnePromptProcessor, cell, cut_off, text_of
from tagsmith.processors.tag_evol.evolve_reply import CHOSEN, FINAL, EvolveReply, as_lines, read_reply, schema_of

REPAIR_SCHEMA = schema_of(CHOSEN, FINAL)


@dataclass(kw_only=True)
class EvolveRepairer(OnePromptProcessor):
    """Ask once more, with what the checks found (Tag-Evol retries until its checks pass; here it is one repair).

    Give it only the rows with a problem: each gets a request. Check them again afterwards.

    Input columns:
        instruction (``str``) or messages, candidates (``list[str]``), budget (``int``), chosen_tags (``list[str]``),
        new_instruction (``str``): the attempt, problem (``str``): from `EvolveChecker`.
    Output columns:
        chosen_tags (``list[str] | None``), new_instruction (``str | None``): the repaired ones; None for a row
        rejected; and the columns of every `GenerationProcessor`.

    Args:
        prompt: a template's name or file, in place of the shipped one; inputs: `instruction`, `candidates`, `budget`,
            `tags`, `rewritten`, `problem`.
    """

    prompt_name = "tag_evol/revise"
    prompt_inputs = ("instruction", "candidates", "budget", "tags", "rewritten", "problem")

    parameters: Parameters = field(default_factory=lambda: Parameters(2048, 0.7, json_schema=REPAIR_SCHEMA))

    def render(self, row: Row) -> list[Request]:
        """One request."""
        return self.ask(
            instruction=text_of(row),
            candidates=as_lines(cell(row, "candidates")),
            budget=str(cell(row, "budget")),
            tags=as_lines(cell(row, "chosen_tags")),
            rewritten=text_of(row, "new_instruction"),
            problem=text_of(row, "problem"),
        )

    def read(self, text: str) -> EvolveReply:
        """Tags and text."""
        return read_reply(text, CHOSEN, FINAL)

    def own_features(self) -> Features:
        """Types of the repaired columns."""
        return Features({"chosen_tags": List(Value("string")), "new_instruction": Value("string")})

    def collect(self, row: Row, replies: Sequence[Reply]) -> dict[str, Any]:
        """The repaired tags and text, unless the reply is missing or cut off."""
        if not replies or replies[0].status != "ok" or cut_off(replies[0]):
            return dict.fromkeys(self.own_features())
        reply: EvolveReply = replies[0].value
        return {"chosen_tags": reply.chosen_tags, "new_instruction": reply.final}

    def rejection(self, row: Row, replies: Sequence[Reply], made: Mapping[str, Any]) -> str | None:
        """The reply must be whole."""
        (reply,) = replies
        return reply.reason if reply.status != "ok" else cut_off(reply)
