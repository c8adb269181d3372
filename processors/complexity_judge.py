"""A judge's score of an instruction's complexity, for the curves over iterations."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from datasets import Features, Value

from tagsmith.processors.endpoint.request import Parameters, Reply, Request, UnparsedReplyError
from tagsmith.processors.generation_processor import Row
from tagsmith.processors.json_reply import read_json
from tagsmith.processors.one_prompt import OnePromptProcessor, text_of

LOWEST, HIGHEST = 1, 10
SCORE_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "reason": {"type": "string"},
        "score": {"type": "integer", "minimum": LOWEST, "maximum": HIGHEST},
    },
    "required": ["reason", "score"],
}


@dataclass(kw_only=True)
class ComplexityJudge(OnePromptProcessor):
    """Score an instruction's complexity from 1 to 10 (beside the measures of Tag-Instruct, §4.3, Fig. 3).

    Input columns:
        instruction (``str``) or messages; or another column, as set.
    Output columns:
        complexity_score (``int | None``): 1 to 10; None when there is no verdict, never a middle value in its place.
        and the columns of every `GenerationProcessor`.

    Args:
        column: the instruction's column.
        prompt: a template's name or file, in place of the shipped one; its one input is `instruction`.

    Differs from the paper: its curves take the number of InsTag tags for complexity and benchmark scores of trained
    models for quality. A judge's score needs no training; it is ours, and no substitute for either.
    """

    prompt_name = "tag_instruct/complexity"
    prompt_inputs = ("instruction",)

    column: str = "instruction"
    parameters: Parameters = field(default_factory=lambda: Parameters(max_new_tokens=256, json_schema=SCORE_SCHEMA))

    def render(self, row: Row) -> list[Request] | str:
        """One request."""
        instruction = text_of(row, self.column)
        return self.ask(instruction=instruction) if instruction.strip() else "empty_instruction: there is no text"

    def read(self, text: str) -> int:
        """The score."""
        data = read_json(text)
        score = data.get("score") if isinstance(data, dict) else None
        if isinstance(score, bool) or not isinstance(score, int | float) or score != int(score):
            raise UnparsedReplyError(f'expected a whole number from {LOWEST} to {HIGHEST} under "score"')
        if not LOWEST <= score <= HIGHEST:
            raise UnparsedReplyError(f"the score {score} is not between {LOWEST} and {HIGHEST}")
        return int(score)

    def own_features(self) -> Features:
        """Type of `complexity_score`."""
        return Features({"complexity_score": Value("int64")})

    def collect(self, row: Row, replies: Sequence[Reply]) -> dict[str, Any]:
        """The score of the one reply."""
        return {"complexity_score": replies[0].value if replies and replies[0].status == "ok" else None}
