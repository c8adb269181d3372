"""Which candidate becomes the new tag: the teacher's first valid answer, or the best by score (Tag-Instruct, §3.3)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
from datasets import Features, Value

from tagsmith.processors.errors import InputError
from tagsmith.processors.typed_column import TypedColumn

WAYS = ("prompt", "best-of-n")


@dataclass(frozen=True)
class CandidateChoice:
    """Choose one of a row's candidates as its new tag.

    Input columns:
        candidates (``list[{tag, status, score, …}] | None``): as the expander makes and `TagScorer` scores them. Only
            those with status "ok" are valid. `score` may be missing for "prompt".
        status, reason (``str``), where there are any: a row that comes in rejected passes through.
    Output columns:
        new_tag (``str | None``); new_tag_score (``float | None``); candidate_number (``int | None``): its place in
            `candidates`, from 0; None in rejected rows.
        status, reason (``str``): a row without a valid candidate is rejected ("no_candidate: …").

    Args:
        way: "prompt" takes the first valid candidate, which is what the teacher answers when asked once (§4.3's
            prompt-based expansion); with candidates from the trained policy's endpoint, it is the paper's RL-based
            expansion. "best-of-n" takes the highest score (App. D.2), the earlier candidate where scores are equal.
        candidates_column: name of the column.

    Raises:
        InputError: the way is unknown, there is no such column, or "best-of-n" finds a valid candidate without score.
    """

    way: str = "best-of-n"
    candidates_column: str = "candidates"
    version: int = field(default=1, init=False)

    def __post_init__(self) -> None:
        if self.way not in WAYS:
            raise InputError(f"way to choose {self.way!r} is unknown; expected {' or '.join(WAYS)}")

    def features(self, before: Features) -> Features:
        """Types of a dataset with the features `before` after choosing: for `Dataset.map(features=…)`."""
        text = Value("string")
        chosen = {"new_tag": text, "new_tag_score": Value("float64"), "candidate_number": Value("int64")}
        return Features({**before, **chosen, "status": text, "reason": text})

    def __call__(self, batch: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
        """Columns in, new columns out."""
        if self.candidates_column not in batch:
            raise InputError(f"no column {self.candidates_column!r}; the columns are: {', '.join(batch)}; expand first")
        rows = batch[self.candidates_column]
        before = batch.get("status", ["ok"] * len(rows)), batch.get("reason", [""] * len(rows))
        tags: list[str | None] = []
        scores: list[float | None] = []
        numbers: list[int | None] = []
        statuses: list[str] = []
        reasons: list[str] = []
        for candidates, status, reason in zip(rows, *before, strict=True):
            number = self.choose(candidates or ()) if status == "ok" else None
            chosen = candidates[number] if number is not None else {}
            tags.append(chosen.get("tag"))
            scores.append(chosen.get("score"))
            numbers.append(number)
            is_new = status == "ok" and number is None
            statuses.append("rejected" if is_new else status)
            reasons.append(f"no_candidate: none of {len(candidates or ())} is valid" if is_new else reason)
        return {
            "new_tag": TypedColumn(tags, pa.string()),
            "new_tag_score": TypedColumn(scores, pa.float64()),
            "candidate_number": TypedColumn(numbers, pa.int64()),
            "status": statuses,
            "reason": reasons,
        }

    def choose(self, candidates: Sequence[Mapping[str, Any]]) -> int | None:
        """The number of the chosen candidate; None when no candidate is valid."""
        valid = [number for number, candidate in enumerate(candidates) if is_valid(candidate)]
        if not valid or self.way == "prompt":
            return valid[0] if valid else None
        for number in valid:
            if candidates[number].get("score") is None:
                raise InputError(
                    f"candidate {candidates[number]['tag']!r} has no score; run TagScorer before best-of-n"
                )
        return max(valid, key=lambda number: candidates[number]["score"])  # the first of equals


def is_valid(candidate: Mapping[str, Any]) -> bool:
    """Whether a candidate has a tag and passed all checks so far."""
    return candidate["status"] == "ok" and bool(candidate["tag"])
