"""Reconstruction: an instruction written from its tags alone, to measure what the tags keep of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from datasets import Features, Value

from tagsmith.processors.endpoint.request import Parameters, Reply, Request, UnparsedReplyError
from tagsmith.processors.generation_processor import Row
from tagsmith.processors.one_prompt import OnePromptProcessor, cell, cut_off
from tagsmith.processors.reply_sections import section, without_thoughts


@dataclass(kw_only=True)
class InstructionReconstructor(OnePromptProcessor):
    """Write an instruction again from its base tags (Tag-Instruct, §5.1, App. E.1, Fig. 9).

    The likeness of the result to the original measures semantic preservation: how much of an instruction an encoder's
    tags keep.

    Input columns:
        base_tags (``list[str]``).
    Output columns:
        reconstruction (``str | None``): the instruction; None for a row rejected.
        and the columns of every `GenerationProcessor`.

    Args:
        prompt: a template's name or file, in place of the shipped one; its one input is `tags`.

    The original instruction is not shown to the model, nor is any other column.
    """

    prompt_name = "tag_instruct/reconstruct"
    prompt_inputs = ("tags",)

    parameters: Parameters = field(default_factory=lambda: Parameters(max_new_tokens=512))

    def render(self, row: Row) -> list[Request]:
        """One request."""
        return self.ask(tags=", ".join(cell(row, "base_tags")))

    def read(self, text: str) -> str:
        """The instruction: all of the reply, or what follows the mark [Instruction] where the model repeats it."""
        bare = without_thoughts(text)
        marked = section(bare, "Instruction")
        if marked == "":
            raise UnparsedReplyError("nothing follows [Instruction]")
        return marked or bare

    def own_features(self) -> Features:
        """Type of `reconstruction`."""
        return Features({"reconstruction": Value("string")})

    def collect(self, row: Row, replies: Sequence[Reply]) -> dict[str, Any]:
        """The instruction of the one reply."""
        whole = bool(replies) and replies[0].status == "ok" and not cut_off(replies[0])
        return {"reconstruction": replies[0].value if whole else None}

    def rejection(self, row: Row, replies: Sequence[Reply], made: Mapping[str, Any]) -> str | None:
        """A reconstruction must be whole."""
        (reply,) = replies
        return reply.reason if reply.status != "ok" else cut_off(reply)
