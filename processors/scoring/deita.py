"""DEITA's scorers: how complex is an instruction, how good is its response, by a small model trained for it."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from datasets import Features, List, Value

from tagsmith.processors.endpoint.request import Parameters, Reply, Request
from tagsmith.processors.errors import InputError
from tagsmith.processors.generation_processor import Row
from tagsmith.processors.one_prompt import OnePromptProcessor
from tagsmith.processors.scoring.score_tokens import SCORES, expected_score
from tagsmith.processors.scoring.turns import Turn, turns_of

AGGREGATES = ("mean", "sum")


@dataclass(kw_only=True)
class _DeitaScorer(OnePromptProcessor):
    """One request a turn; the score is in the probabilities of the first token, not in the text."""

    noun: ClassVar[str]

    aggregate: str = "mean"
    parameters: Parameters = field(default_factory=lambda: Parameters(1, top_n_tokens=20))

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.aggregate not in AGGREGATES:
            raise InputError(f"aggregate {self.aggregate!r} is unknown; expected one of {', '.join(AGGREGATES)}")
        asked = self.parameters.top_n_tokens
        if asked is None or asked < len(SCORES):
            raise InputError(f"top_n_tokens is {asked}; the six score tokens need at least {len(SCORES)}")

    @abstractmethod
    def prompt_of(self, turn: Turn) -> str | None:
        """What is asked about a turn; None where it lacks a text."""

    def render(self, row: Row) -> list[Request] | str:
        """A request a turn, as raw text: the scorers know no chat template."""
        prompts = [self.prompt_of(turn) for turn in turns_of(row)]
        if None in prompts or not prompts:
            return f"no_text: turn {prompts.index(None) if prompts else 0} has no text to score its {self.noun} by"
        return [Request(self.parameters, prompt=prompt) for prompt in prompts]

    def read(self, text: str) -> str:
        """The text says nothing that its probabilities do not: whatever it is, it is taken."""
        return text

    def own_features(self) -> Features:
        """Types of the two columns."""
        return Features({f"{self.noun}_score": Value("float64"), f"{self.noun}_scores": List(Value("float64"))})

    def collect(self, row: Row, replies: Sequence[Reply]) -> dict[str, Any]:
        """The turns' scores and their aggregate."""
        scores = [_score_of(reply) for reply in replies]
        known = [score for score in scores if isinstance(score, float)]
        if not known or len(known) < len(scores):
            return {f"{self.noun}_score": None, f"{self.noun}_scores": None}
        total = sum(known)
        return {
            f"{self.noun}_score": total if self.aggregate == "sum" else total / len(known),
            f"{self.noun}_scores": known,
        }

    def rejection(self, row: Row, replies: Sequence[Reply], made: Mapping[str, Any]) -> str | None:
        """A bad reply, or a score token that is missing: never a score in its place."""
        for turn, reply in enumerate(replies):
            if reply.status != "ok":
                return reply.reason
            if isinstance(problem := _score_of(reply), str):
                return f"missing_score_token: turn {turn}: {problem}"
        return None


@dataclass(kw_only=True)
class ComplexityScorer(_DeitaScorer):
    """Score the complexity of an instruction, 1 to 6 (DEITA, Liu et al., 2024; TAGS, §3.1, C).

    Input columns:
        instruction (``str``), or messages: each user turn is scored by itself, without the turns before it.
    Output columns:
        complexity_score (``float | None``): over the turns. complexity_scores (``list[float] | None``): of each turn.
        None for a row that is rejected.
        and the columns of every `GenerationProcessor`. Reasons beside the usual: ``missing_score_token: …`` (with the
        tokens that the server returned) and ``no_text: …``.

    Args:
        aggregate: "mean" of the turns, as MIG, from which TAGS takes its setup; or their "sum", as DEITA.
        prompt: a template's name or file, in place of DEITA's, for a scorer of another form; its input is instruction.
        parameters: how to generate: one token, with the 20 likeliest. Six are the least; others may be in between.

    Endpoints: any that returns top tokens for raw text: TGI (`--max-top-n-tokens 20`), vLLM and others with
    `/v1/completions`, and `local:`.

    Raises:
        InputError: an unknown aggregate, or `top_n_tokens` below 6.

    Differs from DEITA's code: a missing token is a rejection, not a score of 3.0.
    """

    prompt_name = "deita/complexity"
    prompt_inputs = ("instruction",)
    noun = "complexity"

    def prompt_of(self, turn: Turn) -> str | None:
        """The instruction in DEITA's form."""
        return self.templates[0].render(instruction=turn.instruction) if turn.instruction.strip() else None


@dataclass(kw_only=True)
class QualityScorer(_DeitaScorer):
    """Score the quality of a response, 1 to 6 (DEITA, Liu et al., 2024; TAGS, §3.1, Q).

    Input columns:
        instruction (``str``), response (``str``), or messages: each user turn with the answer behind it.
    Output columns:
        quality_score (``float | None``), quality_scores (``list[float] | None``): as `ComplexityScorer`'s.
        and the columns of every `GenerationProcessor`. A turn without an answer rejects its row as ``no_text: …``.

    Args:
        aggregate, prompt, parameters: as `ComplexityScorer`'s; the prompt's inputs are instruction and response.

    Raises:
        InputError: as `ComplexityScorer`.

    Differs from DEITA's code: a missing token is a rejection, not a score of 3.0; a turn without an answer is not
    scored as an empty one.
    """

    prompt_name = "deita/quality"
    prompt_inputs = ("instruction", "response")
    noun = "quality"

    def prompt_of(self, turn: Turn) -> str | None:
        """Instruction and response in DEITA's form."""
        if not turn.instruction.strip() or not (turn.response or "").strip():
            return None
        return self.templates[0].render(instruction=turn.instruction, response=turn.response or "")


def _score_of(reply: Reply) -> float | str:
    top = reply.completion.top_tokens if reply.completion else None
    return expected_score(top[0]) if top else "the server returned no probabilities of tokens"
