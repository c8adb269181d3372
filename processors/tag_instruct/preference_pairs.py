"""Preference pairs of tags, to train an expansion policy with DPO (Tag-Instruct, App. D.3)."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from datasets import Features, List, Value

from tagsmith.processors.errors import InputError
from tagsmith.processors.generation_processor import OK, REJECTED, Row, rows_of
from tagsmith.processors.one_prompt import cell, text_of
from tagsmith.processors.prompt_template import PromptTemplate
from tagsmith.processors.tag_instruct.candidate_choice import is_valid
from tagsmith.processors.tag_instruct.expansion_prompt import expansion_messages, format_completion

WAYS = ("random", "worst")
_MESSAGES, _TEXT, _NUMBER = (
    List({"role": Value("string"), "content": Value("string")}),
    Value("string"),
    Value("float64"),
)
PAIR_FEATURES = Features(
    {
        "prompt": _MESSAGES,
        "chosen": _MESSAGES,
        "rejected": _MESSAGES,
        "chosen_tag": _TEXT,
        "rejected_tag": _TEXT,
        "chosen_score": _NUMBER,
        "rejected_score": _NUMBER,
        "margin": _NUMBER,
    }
)

Candidate = Mapping[str, Any]


@dataclass(kw_only=True)
class PreferencePairs:
    """Make a DPO pair of each row's scored candidates, in TRL's conversational form (App. D.3).

    Input columns:
        id (``str``); instruction (``str``) or messages; base_tags (``list[str]``); candidates
            (``list[{tag, explanation, status, score}]``): sampled by `TagExpander`, scored by `TagScorer`; only those
            with status "ok" are valid. status, reason (``str``), where there are any: a row that comes in rejected
            passes through.
    Output columns:
        prompt, chosen, rejected (``list[{role, content}] | None``): the user's message, and one answer each of the
            assistant; None in rejected rows. TRL's DPOTrainer takes these as they are.
        chosen_tag, rejected_tag (``str | None``); chosen_score, rejected_score, margin (``float | None``): the scores
            (Eq. 2, 3), and their difference, above 0.
        status, reason (``str``): "rejected" for a row with fewer than two distinct valid candidates (``too_few: …``) or
            with all of them at one score (``equal_scores: …``): there is no preference to learn from.

    Args:
        way: how the rejected tag is taken. "random" (the paper): any valid candidate but the best. "worst" (the
            authors' code): the one of lowest score. Of candidates at one score the earlier counts as the better.
        explain: the completion gives an explanation before the tag, as in the authors' code; without, it is the tag
            alone. Candidates without an explanation are then not valid: sample them with the expander's format
            "policy_explained".
        seed: of the random way. A row's draw depends on this and its id, not on its place.
        prompt: a template's name or file for `expansion_messages`, in place of the shipped one; inputs: `tags`,
            `instruction`. The policy must be served with the same.

    Raises:
        InputError: the way is unknown, a column is missing, or a valid candidate has no score.

    Differs from the paper: "random" draws among the candidates of lower score only, since two tags of equal score make
    a pair without preference; a tag that was sampled several times counts once.
    """

    way: str = "random"
    explain: bool = False
    seed: int = 0
    prompt: PromptTemplate | str | None = None
    version: int = field(default=1, init=False)

    def __post_init__(self) -> None:
        if self.way not in WAYS:
            raise InputError(f"way to take the rejected tag {self.way!r} is unknown; expected {' or '.join(WAYS)}")
        # The text itself, since `datasets` hashes the fields: an edited prompt must not return cached pairs.
        if not isinstance(self.prompt, PromptTemplate):
            shipped = "tag_instruct/policy_explained" if self.explain else "tag_instruct/policy"
            self.prompt = PromptTemplate.load(self.prompt or shipped)
        self.prompt.check("tags", "instruction")

    def features(self, before: Features) -> Features:
        """Types of a dataset with the features `before` after pairing: for `Dataset.map(features=…)`."""
        return Features({**before, **PAIR_FEATURES, "status": _TEXT, "reason": _TEXT})

    def __call__(self, batch: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
        """Columns in, new columns out. Give `Dataset.map` the `features` too: a first batch may have no pair."""
        columns: dict[str, list[Any]] = {name: [] for name in self.features(Features())}
        for row in rows_of(batch):
            made: Row = dict.fromkeys(columns) | {"status": row.get("status") or OK, "reason": row.get("reason") or ""}
            if made["status"] == OK:
                pair = self.pair(row)
                made |= {"status": REJECTED, "reason": pair} if isinstance(pair, str) else pair
            for name, column in columns.items():
                column.append(made[name])
        return columns

    def pair(self, row: Row) -> dict[str, Any] | str:
        """The pair of one row, or why there is none."""
        distinct: dict[str, Candidate] = {}
        for candidate in cell(row, "candidates"):
            if is_valid(candidate) and (candidate["explanation"] or not self.explain):
                if candidate.get("score") is None:
                    raise InputError(
                        f"row {row.get('id')}: candidate {candidate['tag']!r} has no score; run TagScorer first"
                    )
                distinct.setdefault(candidate["tag"], candidate)
        if len(distinct) < 2:
            with_explanation = " with an explanation" if self.explain else ""
            return f"too_few: {len(distinct)} distinct valid candidates{with_explanation}; a pair needs two"
        chosen = max(distinct.values(), key=_score)  # the first of equals
        lower = [candidate for candidate in distinct.values() if _score(candidate) < _score(chosen)]
        if not lower:
            return f"equal_scores: all {len(distinct)} candidates have the score {_score(chosen):.6g}"
        assert isinstance(self.prompt, PromptTemplate)
        if self.way == "worst":
            rejected = min(reversed(lower), key=_score)  # the last of equals
        else:
            rejected = random.Random(f"{self.seed}/{cell(row, 'id')}").choice(lower)
        return {
            "prompt": expansion_messages(text_of(row), cell(row, "base_tags"), prompt=self.prompt),
            "chosen": self._answer(chosen),
            "rejected": self._answer(rejected),
            "chosen_tag": chosen["tag"],
            "rejected_tag": rejected["tag"],
            "chosen_score": _score(chosen),
            "rejected_score": _score(rejected),
            "margin": _score(chosen) - _score(rejected),
        }

    def _answer(self, candidate: Candidate) -> list[dict[str, str]]:
        explanation = candidate["explanation"] if self.explain else None
        return [{"role": "assistant", "content": format_completion(candidate["tag"], explanation)}]


def _score(candidate: Candidate) -> float:
    return float(candidate["score"])
