"""Responses to instructions, in the paper's single-turn form or through the model's own chat template."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from datasets import Features, Value

from tagsmith.processors.endpoint.request import Parameters, Reply, Request, UnparsedReplyError
from tagsmith.processors.errors import InputError
from tagsmith.processors.generation_processor import Row
from tagsmith.processors.one_prompt import OnePromptProcessor, cut_off, text_of
from tagsmith.processors.prompt_template import PromptTemplate
from tagsmith.processors.reply_sections import without_thoughts

FORMATS = ("alpaca", "chat")
# The instruction is the whole message: the server's chat template does the rest.
_PLAIN = PromptTemplate("plain", "{{ instruction }}")


@dataclass(kw_only=True)
class Responder(OnePromptProcessor):
    """Answer instructions (Tag-Instruct, Fig. 8, App. B).

    Input columns:
        instruction (``str``), or messages, of which the first user turn is answered; or another column, as set.
    Output columns:
        response (``str | None``): None for a row rejected. A `response` that the rows have already is replaced.
        and the columns of every `GenerationProcessor`. Reasons beside the usual: ``cut_off: …`` (the reply ended at
        its limit of tokens: half an answer must not be trained on).

    Args:
        format: "alpaca" puts the instruction into the single-turn form of Fig. 8; "chat" sends it as it is.
        column: the instruction's column.
        prompt: a template's name or file, in place of the format's own; its one input is `instruction`.
        parameters: how to generate. Greedy by default, 2,048 tokens, the paper's length of training sequences.

    Raises:
        InputError: unknown format, a prompt with other inputs, or rows without the column.

    Differs from the paper: a reasoning model's thoughts are left out of the response.
    """

    prompt_inputs = ("instruction",)

    format: str = "alpaca"
    column: str = "instruction"
    parameters: Parameters = field(default_factory=lambda: Parameters(max_new_tokens=2048))

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise InputError(f"response format {self.format!r} is unknown; expected one of {', '.join(FORMATS)}")
        if self.prompt is None:
            self.prompt = _PLAIN if self.format == "chat" else PromptTemplate.load("tag_instruct/respond")
        super().__post_init__()

    def render(self, row: Row) -> list[Request] | str:
        """One request."""
        instruction = text_of(row, self.column)
        if not instruction.strip():
            return "empty_instruction: the instruction has no text"
        return self.ask(instruction=instruction)

    def read(self, text: str) -> str:
        """The response; a form's last heading, said again, is left out."""
        response = without_thoughts(text).removeprefix("### Response:").strip()
        if not response:
            raise UnparsedReplyError("the response is empty")
        return response

    def own_features(self) -> Features:
        """Type of `response`."""
        return Features({"response": Value("string")})

    def collect(self, row: Row, replies: Sequence[Reply]) -> dict[str, Any]:
        """The response, unless it is missing or cut off."""
        whole = bool(replies) and replies[0].status == "ok" and not cut_off(replies[0])
        return {"response": replies[0].value if whole else None}

    def rejection(self, row: Row, replies: Sequence[Reply], made: Mapping[str, Any]) -> str | None:
        """A response must be whole."""
        (reply,) = replies
        return reply.reason if reply.status != "ok" else cut_off(reply)
