"""Evol-Instruct (WizardLM): rewrite an instruction by one of six fixed operations, drawn for each row and round."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from datasets import Features, Value

from tagsmith.processors.endpoint.request import Parameters, Reply, Request, UnparsedReplyError
from tagsmith.processors.errors import InputError
from tagsmith.processors.generation_processor import GenerationProcessor, Row
from tagsmith.processors.one_prompt import cut_off, text_of
from tagsmith.processors.prompt_template import PromptTemplate
from tagsmith.processors.reply_sections import without_thoughts

IN_DEPTH = ("constraints", "deepening", "concretizing", "reasoning", "complicate_input")
OPERATIONS = (*IN_DEPTH, "breadth")


@dataclass(kw_only=True)
class EvolInstructRewriter(GenerationProcessor):
    """Evolve an instruction in depth (five operations) or in breadth (WizardLM, Xu et al. 2023, arXiv 2304.12244).

    The baseline of Tag-Evol (§4): a short list of fixed strategies, one a round, chained over rounds.

    Input columns:
        id (``str``), instruction (``str``) or messages.
    Output columns:
        operation (``str``): which one was drawn. new_instruction (``str | None``): None for a row rejected.
        and the columns of every `GenerationProcessor`. Reasons beside the usual: ``cut_off: …``.

    Args:
        operations: among which is drawn, each as likely; "constraints", "deepening", "concretizing", "reasoning",
            "complicate_input" are in depth, "breadth" makes another instruction of the domain.
        seed, round_number: the draw depends on these and the row's id alone, not on order or shards.
        parameters: how to generate. Temperature 0.7 by default, 2,048 tokens.

    Raises:
        InputError: an unknown operation, or none; rows without id or instruction.

    Differs from WizardLM: the prompts are in our own words and say "instruction" where theirs says "prompt". Code and
    mathematics have operations of their own in WizardCoder and WizardMath, which are not here.
    """

    operations: tuple[str, ...] = OPERATIONS
    seed: int = 0
    round_number: int = 1
    parameters: Parameters = field(default_factory=lambda: Parameters(2048, 0.7))

    def __post_init__(self) -> None:
        super().__post_init__()
        self.operations = tuple(self.operations)
        unknown = [name for name in self.operations if name not in OPERATIONS]
        if unknown or not self.operations:
            raise InputError(f"operations {list(self.operations)}: expected some of {', '.join(OPERATIONS)}")

    @property
    def templates(self) -> tuple[PromptTemplate, ...]:
        """A prompt for each operation."""
        return tuple(PromptTemplate.load(f"evol_instruct/{name}") for name in self.operations)

    def operation_of(self, row: Row) -> str:
        """The operation that is drawn for a row."""
        if not isinstance(row.get("id"), str):
            raise InputError(f"a row has the id {row.get('id')!r}; expected text, as to_rows makes it")
        key = f"{self.seed}/{self.round_number}/{row['id']}".encode()
        draw = int.from_bytes(blake2b(key, digest_size=8).digest(), "big")
        return self.operations[draw % len(self.operations)]

    def render(self, row: Row) -> list[Request] | str:
        """One request."""
        instruction = text_of(row)
        if not instruction.strip():
            return "empty_instruction: the instruction has no text"
        template = PromptTemplate.load(f"evol_instruct/{self.operation_of(row)}")
        message = {"role": "user", "content": template.render(instruction=instruction)}
        return [Request(self.parameters, messages=(message,))]

    def read(self, text: str) -> str:
        """The new instruction."""
        new = without_thoughts(text).strip()
        if not new:
            raise UnparsedReplyError("the new instruction is empty")
        return new

    def own_features(self) -> Features:
        """Types of the columns."""
        return Features({"operation": Value("string"), "new_instruction": Value("string")})

    def collect(self, row: Row, replies: Sequence[Reply]) -> dict[str, Any]:
        """The new instruction, unless the reply is missing or cut off."""
        whole = bool(replies) and replies[0].status == "ok" and not cut_off(replies[0])
        return {"operation": self.operation_of(row), "new_instruction": replies[0].value if whole else None}

    def rejection(self, row: Row, replies: Sequence[Reply], made: Mapping[str, Any]) -> str | None:
        """The reply must be whole."""
        (reply,) = replies
        return reply.reason if reply.status != "ok" else cut_off(reply)
