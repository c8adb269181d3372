"""Semantic alignment and global coherence of candidate tags, by a judge: one request a row."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from datasets import Features, List

from tagsmith.processors.endpoint.request import Parameters, Reply, Request, UnparsedReplyError
from tagsmith.processors.generation_processor import OK, REJECTED, Row
from tagsmith.processors.json_reply import read_json
from tagsmith.processors.one_prompt import OnePromptProcessor, cell, text_of
from tagsmith.processors.tag_instruct.expander import CANDIDATE, no_candidate

FAILINGS = {
    "alignment": "alignment: the judge finds that the tag does not fit the row's tags and instruction",
    "coherence": "coherence: the judge finds that no instruction can take up this tag with the row's tags",
}
_FAILING = {
    "type": "object",
    "properties": {"idx": {"type": "integer", "minimum": 0}, "why": {"type": "string", "enum": list(FAILINGS)}},
    "required": ["idx", "why"],
}
FAILING_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"failing": {"type": "array", "items": _FAILING}},
    "required": ["failing"],
}


@dataclass(kw_only=True)
class AlignmentJudge(OnePromptProcessor):
    """Reject candidates by R_align(z_new, z_base) and R_coherence(z_new ∪ z_base, x), asked of a judge (§3.3).

    Input columns:
        instruction (``str``) or messages, base_tags (``list[str]``), candidates: as `TagExpander` makes them.
    Output columns:
        candidates: the same, in the same places; those that fail have status "rejected" and the reason
            ``alignment: …`` or ``coherence: …``.
        and the columns of every `GenerationProcessor`. A row is rejected when no candidate is left
        (``no_candidate: …``), or when the verdict cannot be read (``unparsed: …``) or names a candidate that was not
        shown (``out_of_range: …``): unjudged candidates are never taken for good ones.

    Args:
        prompt: a template's name or file, in place of the shipped one; inputs: `instruction`, `tags`, `candidates`.

    All candidates of a row are judged in one request: beside the N requests that made them this costs one more. It is
    the default way of the two, since the paper names prompts as the suited means for these two criteria, and since
    embeddings see neither contradiction nor feasibility; `AlignmentBand` needs no request and no judge.

    Differs from the paper: it describes the two criteria as part of the policy's prompt and names the missing filter as
    a limitation; here they are a filter as well.
    """

    prompt_name = "tag_instruct/align"
    prompt_inputs = ("instruction", "tags", "candidates")

    parameters: Parameters = field(default_factory=lambda: Parameters(json_schema=FAILING_SCHEMA))

    def render(self, row: Row) -> list[Request] | str:
        """One request about the candidates that are ok; their numbers in it are positions among these."""
        shown = [candidate["tag"] for candidate in cell(row, "candidates") if candidate["status"] == OK]
        if not shown:
            return "no_candidate: there is none to judge"
        listed = "\n".join(f"[tag {number}] {tag}" for number, tag in enumerate(shown))
        return self.ask(instruction=text_of(row), tags=", ".join(cell(row, "base_tags")), candidates=listed)

    def read(self, text: str) -> dict[int, str]:
        """Number → why it fails; whether there is such a candidate is checked in `rejection`, which knows the row."""
        data = read_json(text)
        if isinstance(data, dict):
            data = data.get("failing")
        if not isinstance(data, list):
            raise UnparsedReplyError('expected a list under "failing"')
        found: dict[int, str] = {}
        for entry in data:
            number = entry.get("idx") if isinstance(entry, dict) else None
            if not isinstance(number, int) or isinstance(number, bool) or number < 0:
                raise UnparsedReplyError('each entry needs an "idx" that is a whole number from 0')
            if entry.get("why") not in FAILINGS:
                raise UnparsedReplyError('each entry needs a "why" that is "alignment" or "coherence"')
            found.setdefault(number, entry["why"])
        return found

    def own_features(self) -> Features:
        """Type of `candidates`."""
        return Features({"candidates": List(CANDIDATE)})

    def features(self, before: Features) -> Features:
        """Candidates keep what other steps have added to them (a score)."""
        after = super().features(before)
        return Features({**after, "candidates": before["candidates"]}) if "candidates" in before else after

    def collect(self, row: Row, replies: Sequence[Reply]) -> dict[str, Any]:
        """The candidates with the failing ones marked."""
        if not replies or replies[0].status != "ok":
            return {"candidates": row.get("candidates")}
        return {"candidates": _marked(row["candidates"], replies[0].value)}

    def rejection(self, row: Row, replies: Sequence[Reply], made: Mapping[str, Any]) -> str | None:
        """The judge must have judged, and must have left a candidate."""
        if replies[0].status != "ok":
            return replies[0].reason
        shown = sum(candidate["status"] == OK for candidate in row["candidates"])
        if beyond := [number for number in replies[0].value if number >= shown]:
            return f"out_of_range: the judge names candidate {beyond[0]}, but was shown {shown}, numbered from 0"
        return no_candidate(made["candidates"])


def _marked(candidates: Sequence[Mapping[str, Any]], failing: Mapping[int, str]) -> list[dict[str, Any]]:
    marked, number = [], 0
    for candidate in candidates:
        if candidate["status"] == OK:
            if why := failing.get(number):
                candidate = {**candidate, "status": REJECTED, "reason": FAILINGS[why]}
            number += 1
        marked.append(dict(candidate))
    return marked
