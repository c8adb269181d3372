"""Is an instruction answerable: asked of a judge, before anything is paid for its response."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from datasets import Features, Value

from tagsmith.processors.endpoint.request import Parameters, Reply, Request, UnparsedReplyError
from tagsmith.processors.generation_processor import Row
from tagsmith.processors.json_reply import read_json
from tagsmith.processors.one_prompt import OnePromptProcessor, text_of

ANSWERABLE_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"answerable": {"type": "boolean"}, "problem": {"type": "string"}},
    "required": ["answerable", "problem"],
}


@dataclass(kw_only=True)
class AnswerabilityJudge(OnePromptProcessor):
    """Reject instructions that no assistant could carry out from what they say (Tag-Instruct, Fig. 6: solvability).

    Input columns:
        new_instruction (``str``): or another column, as set.
    Output columns:
        answerable (``bool | None``): the verdict; None when there is none.
        and the columns of every `GenerationProcessor`. A row that is not answerable is rejected: ``unanswerable: …``,
        with the judge's sentence.

    Args:
        column: the instruction's column.
        prompt: a template's name or file, in place of the shipped one; its one input is `instruction`.

    Differs from the paper: it asks the decoder for solvable questions and does not check them.
    """

    prompt_name = "tag_instruct/answerable"
    prompt_inputs = ("instruction",)

    column: str = "new_instruction"
    parameters: Parameters = field(
        default_factory=lambda: Parameters(max_new_tokens=256, json_schema=ANSWERABLE_SCHEMA)
    )

    def render(self, row: Row) -> list[Request] | str:
        """One request."""
        instruction = text_of(row, self.column)
        if not instruction.strip():
            return "empty_instruction: the instruction has no text"
        return self.ask(instruction=instruction)

    def read(self, text: str) -> tuple[bool, str]:
        """The verdict and the problem."""
        data = read_json(text)
        if not isinstance(data, dict) or not isinstance(data.get("answerable"), bool):
            raise UnparsedReplyError('expected {"answerable": true or false, "problem": "…"}')
        problem = data.get("problem")
        return data["answerable"], problem.strip() if isinstance(problem, str) else ""

    def own_features(self) -> Features:
        """Type of `answerable`."""
        return Features({"answerable": Value("bool")})

    def collect(self, row: Row, replies: Sequence[Reply]) -> dict[str, Any]:
        """The verdict."""
        return {"answerable": replies[0].value[0] if replies and replies[0].status == "ok" else None}

    def rejection(self, row: Row, replies: Sequence[Reply], made: Mapping[str, Any]) -> str | None:
        """What stands in the way of an answer."""
        (reply,) = replies
        if reply.status != "ok":
            return reply.reason
        answerable, problem = reply.value
        return None if answerable else f"unanswerable: {problem or 'the judge gives no reason'}"
