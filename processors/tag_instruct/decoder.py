"""Instruction reconstruction: from tags and the original to a harder instruction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from datasets import Features, Value

from tagsmith.processors.embedding import Embedder, TextEmbedder
from tagsmith.processors.endpoint.request import Parameters, Reply, Request, UnparsedReplyError
from tagsmith.processors.generation_processor import Row
from tagsmith.processors.one_prompt import OnePromptProcessor, cell, cut_off, text_of
from tagsmith.processors.reply_sections import section, without_thoughts
from tagsmith.processors.tag_instruct.decode_checks import DecodeLimits, problem_of


@dataclass(kw_only=True)
class InstructionDecoder(OnePromptProcessor):
    """Rewrite an instruction x into a harder x' from z_base ∪ {z_new} and x itself (Tag-Instruct, §3.5, Fig. 6).

    Input columns:
        instruction (``str``) or messages, base_tags (``list[str]``), new_tag (``str``).
    Output columns:
        new_instruction (``str | None``): None for a row rejected; its text is then in `raw_reply`.
        and the columns of every `GenerationProcessor`. Reasons beside the usual: ``same: …``, ``padded: …``,
        ``tag_missing: …``, ``too_short: …``, ``too_long: …``, ``leaked_markup: …`` (see `decode_checks`) and
        ``cut_off: …`` (the reply ended at its limit of tokens).

    Args:
        limits: lengths and likeness that the checks allow.
        embedder: finds a tag that is taken up in other words; None lets only the tag's own words count. Called for
            rows where these do not occur.
        prompt: a template's name or file, in place of the shipped one; inputs: `tags`, `new_tag`, `instruction`. It
            must ask for the mark [New Question] before the text: that is how a refusal or a preamble is told from it.
        parameters: how to generate. Temperature 0.7 by default, 2,048 tokens (the paper says neither).

    Raises:
        InputError: a prompt with other inputs, or rows without the input columns.

    Differs from the paper: it lets the model choose among all tags; here the new one must be among the chosen. It
    describes no check of the result; these follow the demands of its prompt (deeper, not just longer, clear). Whether
    the new instruction can be answered is asked by `AnswerabilityJudge`.
    """

    prompt_name = "tag_instruct/decode"
    prompt_inputs = ("tags", "new_tag", "instruction")

    limits: DecodeLimits = field(default_factory=DecodeLimits)
    embedder: Embedder | None = field(default_factory=TextEmbedder)
    parameters: Parameters = field(default_factory=lambda: Parameters(max_new_tokens=2048, temperature=0.7))

    def render(self, row: Row) -> list[Request] | str:
        """One request."""
        instruction, new_tag = text_of(row), text_of(row, "new_tag")
        if not instruction.strip():
            return "empty_instruction: the instruction has no text"
        if not new_tag.strip():
            return "no_candidate: the row has no new tag"
        tags = [tag for tag in cell(row, "base_tags") if tag != new_tag]
        return self.ask(tags=", ".join([*tags, new_tag]), new_tag=new_tag, instruction=instruction)

    def read(self, text: str) -> str:
        """The text behind the mark."""
        new = section(without_thoughts(text), "New Question")
        if new is None:
            raise UnparsedReplyError("the line [New Question] is missing before the new question")
        if not new:
            raise UnparsedReplyError("nothing follows the line [New Question]")
        return new

    def own_features(self) -> Features:
        """Type of `new_instruction`."""
        return Features({"new_instruction": Value("string")})

    def collect(self, row: Row, replies: Sequence[Reply]) -> dict[str, Any]:
        """The new instruction, unless a check finds a problem."""
        if not replies or self._problem(row, replies[0]):
            return {"new_instruction": None}
        return {"new_instruction": replies[0].value}

    def rejection(self, row: Row, replies: Sequence[Reply], made: Mapping[str, Any]) -> str | None:
        """What the checks find."""
        return None if made["new_instruction"] is not None else self._problem(row, replies[0])

    def _problem(self, row: Row, reply: Reply) -> str | None:
        if reply.status != "ok":
            return reply.reason
        return cut_off(reply) or problem_of(
            text_of(row), reply.value, row["base_tags"], row["new_tag"], self.limits, self.embedder
        )
