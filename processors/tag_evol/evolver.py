"""Evolve an instruction by a budget of tags in one reply: choose, plan, rewrite, review."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from datasets import Features, List, Value

from tagsmith.processors.endpoint.request import Parameters, Reply, Request
from tagsmith.processors.errors import InputError
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

DOMAINS = ("general", "math", "code")
EVOLVE_SCHEMA = schema_of(CHOSEN, PLAN, REWRITTEN, UNGROUNDED, FINAL)


@dataclass(kw_only=True)
class TagEvolver(OnePromptProcessor):
    """Rewrite x into x̂ with exactly b of the candidate tags: x̂, t = M(x, b, cand), |t| = b (Tag-Evol, §3.2).

    One structured reply holds all four steps: the tags chosen, the plan, the rewritten text, what a review found in it
    that nobody asked for, and the final text without that.

    Input columns:
        instruction (``str``) or messages, candidates (``list[str]``), budget (``int``, at least 1).
    Output columns:
        chosen_tags (``list[str] | None``): as the reply names them, lower case, underscores as spaces; whether they
            are b and come from the candidates is for `EvolveChecker`. plan (``str | None``). new_instruction (``str |
            None``): the final text. ungrounded (``list[str] | None``): what the review took out. None for a row
            rejected.
        and the columns of every `GenerationProcessor`. Reasons beside the usual: ``few_candidates: …`` (the row has
        fewer than its budget) and ``cut_off: …``.

    Args:
        domain: "general", "math" or "code": which prompt.
        prompt: a template's name or file, in place of the domain's own; inputs: `instruction`, `candidates` (one a
            line), `budget`.
        parameters: how to generate. Temperature 0.7 by default, 4,096 tokens (the paper says neither).

    Raises:
        InputError: an unknown domain, a prompt with other inputs, rows without the input columns, or a budget below 1.

    Differs from the authors' code: one reply in place of several calls (`evolve_steps` has them one by one), bounded
    repairs in place of retrying without end, and rows are matched by id, never by the order in which replies come.
    """

    prompt_inputs = ("instruction", "candidates", "budget")

    domain: str = "general"
    parameters: Parameters = field(default_factory=lambda: Parameters(4096, 0.7, json_schema=EVOLVE_SCHEMA))

    def __post_init__(self) -> None:
        check_domain(self.domain)
        if not isinstance(self.prompt, PromptTemplate):
            self.prompt = PromptTemplate.load(self.prompt or f"tag_evol/evolve_{self.domain}")
        super().__post_init__()

    def render(self, row: Row) -> list[Request] | str:
        """One request."""
        instruction = text_of(row)
        if problem := not_evolvable(row, instruction):
            return problem
        return self.ask(instruction=instruction, candidates=as_lines(row["candidates"]), budget=str(row["budget"]))

    def read(self, text: str) -> EvolveReply:
        """All steps."""
        return read_reply(text, CHOSEN, PLAN, REWRITTEN, UNGROUNDED, FINAL)

    def own_features(self) -> Features:
        """Types of the steps' columns."""
        texts = List(Value("string"))
        return Features(
            {"chosen_tags": texts, "plan": Value("string"), "new_instruction": Value("string"), "ungrounded": texts}
        )

    def collect(self, row: Row, replies: Sequence[Reply]) -> dict[str, Any]:
        """What the reply says, unless it is missing or cut off."""
        if not replies or replies[0].status != "ok" or cut_off(replies[0]):
            return dict.fromkeys(self.own_features())
        reply: EvolveReply = replies[0].value
        return {
            "chosen_tags": reply.chosen_tags,
            "plan": reply.plan,
            "new_instruction": reply.final,
            "ungrounded": reply.ungrounded,
        }

    def rejection(self, row: Row, replies: Sequence[Reply], made: Mapping[str, Any]) -> str | None:
        """The reply must be whole."""
        (reply,) = replies
        return reply.reason if reply.status != "ok" else cut_off(reply)


def check_domain(domain: str) -> None:
    """Raise for a domain that has no prompts."""
    if domain not in DOMAINS:
        raise InputError(f"domain {domain!r} is unknown; expected one of {', '.join(DOMAINS)}, or give your own prompt")


def not_evolvable(row: Row, instruction: str) -> str | None:
    """Why no request is made for a row, or None.

    Raises:
        InputError: its budget is no whole number of at least 1.
    """
    if not instruction.strip():
        return "empty_instruction: the instruction has no text"
    budget, candidates = cell(row, "budget"), cell(row, "candidates")
    if isinstance(budget, bool) or not isinstance(budget, int) or budget < 1:
        raise InputError(f"row {row.get('id', '?')}: budget {budget!r}: expected a whole number of at least 1")
    if len(candidates) < budget:
        return f"few_candidates: {len(candidates)} candidates for a budget of {budget} tags"
    return None
