"""The criticising half of TAGS' act-critic loop: do the tags pass, and if not, which are at fault and why."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from datasets import Features, List, Value

from tagsmith.processors.endpoint.request import Parameters, Reply, Request, UnparsedReplyError
from tagsmith.processors.explained_tags import write_explained_tags
from tagsmith.processors.generation_processor import Row
from tagsmith.processors.json_reply import read_json
from tagsmith.processors.one_prompt import OnePromptProcessor, cell
from tagsmith.processors.tags.current_query import CurrentQuery

_VERDICTS = {"yes": True, "no": False}
CHECK_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "check": {"type": "string", "enum": ["Yes", "No"]},
        "reason": {"type": "string"},
        "faulty_tags": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["check", "reason", "faulty_tags"],
}


class Verdict(NamedTuple):
    """What the checker said."""

    passed: bool
    reason: str
    faulty_tags: list[str]


@dataclass(kw_only=True)
class TagChecker(OnePromptProcessor):
    """Check the tags of a problem for meaning, accuracy, granularity and coverage (TAGS, §3.2, Tab. 13).

    Input columns:
        instruction, response, messages: as for `TagProposer`; raw_tags, tag_explanations (``list[str]``).
    Output columns:
        check_passed (``bool | None``), check_reason (``str | None``): why not, and what to do; empty if they passed.
        faulty_tags (``list[str] | None``): the tags objected to, as the checker spells them. None without a verdict.
        and the columns of every `GenerationProcessor`.

    Args:
        prompt: a template's name or file, in place of the shipped one; its inputs are history, problem, answer, tags.
        parameters: how to generate. Greedy by default (the paper does not say).

    Raises:
        InputError: a prompt with other inputs, or rows without the input columns.

    A reply without a verdict, a refusal without a reason, and a pass that names faulty tags are asked for again, then
    rejected as ``unparsed``: never taken for a pass.

    Differs from the paper: the checker also lists the tags at fault, so that the others are kept by rule and not only
    by request; a reply without the list is read as well.
    """

    prompt_name = "tags/check"
    prompt_inputs = ("history", "problem", "answer", "tags")

    parameters: Parameters = field(default_factory=lambda: Parameters(512, json_schema=CHECK_SCHEMA))

    def render(self, row: Row) -> list[Request]:
        """One request."""
        pairs = zip(cell(row, "raw_tags"), cell(row, "tag_explanations"), strict=True)
        return self.ask(**CurrentQuery.of(row).values(), tags=write_explained_tags(pairs))

    def read(self, text: str) -> Verdict:
        """The verdict."""
        data = read_json(text)
        if not isinstance(data, dict):
            raise UnparsedReplyError('expected an object with "check", "reason" and "faulty_tags"')
        data = {name.lower(): value for name, value in data.items()}
        check = data.get("check")
        passed = check if isinstance(check, bool) else _VERDICTS.get(str(check).strip().lower())
        if passed is None:
            raise UnparsedReplyError('"check" must be "Yes" or "No"')
        reason, faulty = data.get("reason") or "", data.get("faulty_tags") or []
        if not isinstance(reason, str):
            raise UnparsedReplyError('"reason" must be text')
        if not isinstance(faulty, list) or not all(isinstance(tag, str) for tag in faulty):
            raise UnparsedReplyError('"faulty_tags" must be a list of tags')
        if passed and faulty:
            raise UnparsedReplyError('"check" is "Yes", but "faulty_tags" names some: only one of them can hold')
        if not passed and not reason.strip():
            raise UnparsedReplyError('"check" is "No", but "reason" does not say why')
        return Verdict(passed, "" if passed else reason.strip(), faulty)

    def own_features(self) -> Features:
        """Types of `check_passed`, `check_reason` and `faulty_tags`."""
        text = Value("string")
        return Features({"check_passed": Value("bool"), "check_reason": text, "faulty_tags": List(text)})

    def collect(self, row: Row, replies: Sequence[Reply]) -> dict[str, Any]:
        """The verdict of the one reply."""
        if not replies or replies[0].status != "ok":
            return dict.fromkeys(self.own_features())
        verdict: Verdict = replies[0].value
        return {
            "check_passed": verdict.passed,
            "check_reason": verdict.reason,
            "faulty_tags": verdict.faulty_tags,
        }
