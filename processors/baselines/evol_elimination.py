"""Evol-Instruct's elimination: which evolved instructions failed, by the four rules of WizardLM, section 3.2."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from datasets import Features, Value

from tagsmith.processors.endpoint.request import Parameters, Reply, Request, UnparsedReplyError
from tagsmith.processors.generation_processor import OK, REJECTED, Row, rows_of
from tagsmith.processors.json_reply import read_json
from tagsmith.processors.one_prompt import OnePromptProcessor, text_of
from tagsmith.processors.rewrite_checks import FILLER
from tagsmith.processors.word_stems import stem, words

EQUAL_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"equal": {"type": "boolean"}},
    "required": ["equal"],
}
# An answer of fewer words that says sorry is a refusal.
SORRY_WORDS = 80
# Words of the evolving prompts that have got into an instruction; the last are those of WizardLM's own prompts.
_PROMPT_WORDS = re.compile(
    r"\b(?:given|rewritten|created|new|original) (?:instruction|prompt)s?\b|#(?:rewritten|created|given) prompt#"
    r"|\[(?:given )?instruction (?:starts|ends)\]",
    re.IGNORECASE,
)


def prompt_words(original: str, new: str) -> str | None:
    """Words of the evolving prompt in the new instruction that the original does not have (rule 4), or None."""
    found = _PROMPT_WORDS.search(new)
    return found[0] if found and found[0].lower() not in original.lower() else None


def response_problem(response: str) -> str | None:
    """Why a response shows that its instruction failed (rules 2 and 3), or None.

    ``cannot_answer``: it says sorry within fewer than 80 words. ``empty_response``: nothing but punctuation and stop
    words.
    """
    said = words(response)
    if "sorry" in said and len(said) < SORRY_WORDS:
        return f"cannot_answer: the response says sorry, in {len(said)} words"
    if all(stem(word) in FILLER for word in said):
        return "empty_response: the response has only punctuation and stop words"
    return None


@dataclass(kw_only=True)
class EqualityJudge(OnePromptProcessor):
    """Reject an evolved instruction that brings no information gain (WizardLM, §3.2, rule 1).

    Input columns:
        instruction (``str``) or messages, new_instruction (``str``).
    Output columns:
        equal (``bool | None``): the verdict; and the columns of every `GenerationProcessor`. ``no_gain: …``: equal.
        ``prompt_words: …`` (rule 4) is looked for first, and costs no request.
    """

    prompt_name = "evol_instruct/equal"
    prompt_inputs = ("first", "second")

    parameters: Parameters = field(default_factory=lambda: Parameters(64, json_schema=EQUAL_SCHEMA))

    def render(self, row: Row) -> list[Request] | str:
        """One request."""
        first, second = text_of(row), text_of(row, "new_instruction")
        if found := prompt_words(first, second):
            return f"prompt_words: the new instruction contains {found!r}"
        return self.ask(first=first, second=second)

    def read(self, text: str) -> bool:
        """The verdict."""
        data = read_json(text)
        if not isinstance(data, dict) or not isinstance(data.get("equal"), bool):
            raise UnparsedReplyError('expected {"equal": true or false}')
        verdict: bool = data["equal"]
        return verdict

    def own_features(self) -> Features:
        """Type of `equal`."""
        return Features({"equal": Value("bool")})

    def collect(self, row: Row, replies: Sequence[Reply]) -> dict[str, Any]:
        """The verdict."""
        return {"equal": replies[0].value if replies and replies[0].status == "ok" else None}

    def rejection(self, row: Row, replies: Sequence[Reply], made: Mapping[str, Any]) -> str | None:
        """Equal instructions are no evolution."""
        (reply,) = replies
        if reply.status != "ok":
            return reply.reason
        return "no_gain: the judge finds the new instruction equal to the one it was made from" if reply.value else None


def eliminate_by_response(batch: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
    """Reject rows whose response shows that the instruction failed; the response goes into `raw_reply`.

    Input columns: response (``str | None``), status, reason, raw_reply (``str``).
    Output columns: response (None for a row rejected), status, reason, raw_reply.
    """
    names = ("response", "status", "reason", "raw_reply")
    columns: dict[str, list[Any]] = {name: [] for name in names}
    for row in rows_of(batch):
        values = [row[name] for name in names]
        if row["status"] == OK and (problem := response_problem(row["response"])):
            values = [None, REJECTED, problem, row["response"]]
        for name, value in zip(names, values, strict=True):
            columns[name].append(value)
    return columns
