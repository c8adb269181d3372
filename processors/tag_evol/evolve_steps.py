"""Tag-Evol's steps one by one, a request each: choose, plan, rewrite, review."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from datasets import Features, List, Value

from tagsmith.processors.endpoint.request import Parameters, Reply, Request
from tagsmith.processors.generation_processor import Row
from tagsmith.processors.one_prompt import OnePromptProcessor, cell, cut_off, text_of
from tagsmith.processors.prompt_template import PromptTemplate
from tagsmith.processors.tag_evol.evolve_reply import (
    CHOSEN,
    FINAL,
    PLAN,
    REWRITTEN,
    UNGROUNDED,
    EvolveReply,
    as_lines,
    read_reply,
    schema_of,
)
from tagsmith.processors.tag_evol.evolver import check_domain, not_evolvable

_TEXT, _TEXTS = Value("string"), List(Value("string"))


@dataclass(kw_only=True)
class _Step(OnePromptProcessor):
    """A step's reply is a JSON object with the entries `entries`."""

    entries: ClassVar[tuple[str, ...]]

    def read(self, text: str) -> EvolveReply:
        """The step's entries."""
        return read_reply(text, *self.entries)

    @abstractmethod
    def made_of(self, reply: EvolveReply) -> dict[str, Any]:
        """The step's columns."""

    def collect(self, row: Row, replies: Sequence[Reply]) -> dict[str, Any]:
        """The step's columns, null unless the reply is whole."""
        if not replies or replies[0].status != "ok" or cut_off(replies[0]):
            return dict.fromkeys(self.own_features())
        return self.made_of(replies[0].value)

    def rejection(self, row: Row, replies: Sequence[Reply], made: Mapping[str, Any]) -> str | None:
        """The reply must be whole."""
        (reply,) = replies
        return reply.reason if reply.status != "ok" else cut_off(reply)


@dataclass(kw_only=True)
class TagChooser(_Step):
    """Choose b of the candidates (Tag-Evol, §3.2, step 1).

    Input columns:
        instruction (``str``) or messages, candidates (``list[str]``), budget (``int``).
    Output columns:
        chosen_tags (``list[str] | None``): lower case, underscores as spaces; and those of every `GenerationProcessor`.

    Raises:
        InputError: as `TagEvolver`.
    """

    prompt_name = "tag_evol/choose"
    prompt_inputs = ("instruction", "candidates", "budget")
    entries = (CHOSEN,)

    parameters: Parameters = field(default_factory=lambda: Parameters(512, 0.7, json_schema=schema_of(CHOSEN)))

    def render(self, row: Row) -> list[Request] | str:
        """One request."""
        instruction = text_of(row)
        if problem := not_evolvable(row, instruction):
            return problem
        return self.ask(instruction=instruction, candidates=as_lines(row["candidates"]), budget=str(row["budget"]))

    def own_features(self) -> Features:
        """Type of `chosen_tags`."""
        return Features({"chosen_tags": _TEXTS})

    def made_of(self, reply: EvolveReply) -> dict[str, Any]:
        """The tags."""
        return {"chosen_tags": reply.chosen_tags}


@dataclass(kw_only=True)
class InjectionPlanner(_Step):
    """Plan how the chosen tags enter (Tag-Evol, §3.2, step 2).

    Input columns:
        instruction (``str``) or messages, chosen_tags (``list[str]``).
    Output columns:
        plan (``str | None``), and those of every `GenerationProcessor`.
    """

    prompt_name = "tag_evol/plan"
    prompt_inputs = ("instruction", "tags")
    entries = (PLAN,)

    parameters: Parameters = field(default_factory=lambda: Parameters(1024, 0.7, json_schema=schema_of(PLAN)))

    def render(self, row: Row) -> list[Request]:
        """One request."""
        return self.ask(instruction=text_of(row), tags=as_lines(cell(row, "chosen_tags")))

    def own_features(self) -> Features:
        """Type of `plan`."""
        return Features({"plan": _TEXT})

    def made_of(self, reply: EvolveReply) -> dict[str, Any]:
        """The plan."""
        return {"plan": reply.plan}


@dataclass(kw_only=True)
class InstructionRewriter(_Step):
    """Rewrite by the plan (Tag-Evol, §3.2, step 3).

    Input columns:
        instruction (``str``) or messages, chosen_tags (``list[str]``), plan (``str``).
    Output columns:
        rewritten (``str | None``), and those of every `GenerationProcessor`.

    Args:
        domain: "general", "math" or "code": which prompt.
        prompt: a template's name or file, in place of the domain's own; inputs: `instruction`, `tags`, `plan`.
    """

    prompt_inputs = ("instruction", "tags", "plan")
    entries = (REWRITTEN,)

    domain: str = "general"
    parameters: Parameters = field(default_factory=lambda: Parameters(2048, 0.7, json_schema=schema_of(REWRITTEN)))

    def __post_init__(self) -> None:
        check_domain(self.domain)
        if not isinstance(self.prompt, PromptTemplate):
            self.prompt = PromptTemplate.load(self.prompt or f"tag_evol/rewrite_{self.domain}")
        super().__post_init__()

    def render(self, row: Row) -> list[Request]:
        """One request."""
        return self.ask(instruction=text_of(row), tags=as_lines(cell(row, "chosen_tags")), plan=text_of(row, "plan"))

    def own_features(self) -> Features:
        """Type of `rewritten`."""
        return Features({"rewritten": _TEXT})

    def made_of(self, reply: EvolveReply) -> dict[str, Any]:
        """The text."""
        return {"rewritten": reply.rewritten}


@dataclass(kw_only=True)
class ConstraintReviewer(_Step):
    """Take out constraints that are not grounded in the original or a tag (Tag-Evol, §3.2, step 4).

    Input columns:
        instruction (``str``) or messages, chosen_tags (``list[str]``), rewritten (``str``).
    Output columns:
        ungrounded (``list[str] | None``): what was found. new_instruction (``str | None``): the text without it; and
        the columns of every `GenerationProcessor`.
    """

    prompt_name = "tag_evol/review"
    prompt_inputs = ("instruction", "tags", "rewritten")
    entries = (UNGROUNDED, FINAL)

    parameters: Parameters = field(
        default_factory=lambda: Parameters(2048, 0.0, json_schema=schema_of(UNGROUNDED, FINAL))
    )

    def render(self, row: Row) -> list[Request]:
        """One request."""
        return self.ask(
            instruction=text_of(row), tags=as_lines(cell(row, "chosen_tags")), rewritten=text_of(row, "rewritten")
        )

    def own_features(self) -> Features:
        """Types of `ungrounded` and `new_instruction`."""
        return Features({"new_instruction": _TEXT, "ungrounded": _TEXTS})

    def made_of(self, reply: EvolveReply) -> dict[str, Any]:
        """The final text."""
        return {"new_instruction": reply.final, "ungrounded": reply.ungrounded}
