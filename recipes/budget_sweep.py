"""What a sweep over budgets shows: a row of figures a budget, and the budget from which more tags stop to help."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
from datasets import Dataset

from tagsmith.processors.complexity_judge import ComplexityJudge
from tagsmith.processors.endpoint.endpoint import Endpoint
from tagsmith.processors.tag_text import tag_key
from tagsmith.processors.word_stems import words
from tagsmith.recipes.evolution_measures import MEASURED, mean, standard_error
from tagsmith.recipes.stages import Stages

# Reasons that say that the text does not carry just the tags that it should.
_NOT_GROUNDED = ("ungrounded", "budget_overflow")
_COUNTS = ("rows", "accepted", "budget_overflow", "ungrounded", "drift", "copy", "other_reasons", "different_tags")
_SHARES = ("acceptance", "grounding", "difficulty", "difficulty_error", "words_added")
SCHEMA = pa.schema(dict.fromkeys(_COUNTS, pa.int64()) | dict.fromkeys(_SHARES, pa.float64()))


def figures(results: Mapping[str, Dataset], stages: Stages, endpoint: Endpoint) -> dict[str, dict[str, Any]]:
    """The figures of each of several evolutions, by their names.

    Args:
        results: rows of a round, as `EvolvePlan.run` returns them: instruction, new_instruction, chosen_tags, status,
            reason.

    Of each: rows, accepted, rejected by reason; acceptance = accepted / rows; grounding = 1 − (rows rejected as
    ungrounded or for their number of tags) / rows; difficulty (mean of the judge's 1 to 10 over accepted rows) with its
    standard error; words_added a row; different_tags taken up.
    """
    texts = list(
        dict.fromkeys(text for rows in results.values() for text in rows["new_instruction"] if text is not None)
    )
    distinct = Dataset.from_dict({"id": [f"text-{number}" for number in range(len(texts))], "instruction": texts})
    score_of: dict[str, int | None] = {}
    if texts:
        judged = stages.run(distinct, ComplexityJudge(endpoint=endpoint), f"{MEASURED}: difficulty")
        score_of = dict(zip(texts, judged["complexity_score"][:], strict=True))
    return {name: _figures(rows, score_of) for name, rows in results.items()}


def _figures(rows: Dataset, score_of: Mapping[str, int | None]) -> dict[str, Any]:
    names = ["instruction", "new_instruction", "chosen_tags", "status", "reason"]
    every = rows.select_columns(names).to_list()
    good = [row for row in every if row["status"] == "ok"]
    codes = [row["reason"].partition(":")[0] for row in every if row["status"] != "ok"]
    known = {code: codes.count(code) for code in ("budget_overflow", "ungrounded", "drift", "copy")}
    scores = [score for row in good if (score := score_of[row["new_instruction"]]) is not None]
    return {
        "rows": len(every),
        "accepted": len(good),
        **known,
        "other_reasons": len(codes) - sum(known.values()),
        "different_tags": len({tag_key(tag) for row in good for tag in row["chosen_tags"]}),
        "acceptance": len(good) / len(every),
        "grounding": 1 - sum(known[code] for code in _NOT_GROUNDED) / len(every),
        "difficulty": mean(scores),
        "difficulty_error": standard_error(scores),
        "words_added": mean([len(words(row["new_instruction"])) - len(words(row["instruction"])) for row in good]),
    }


def saturation(sweep: Sequence[Mapping[str, Any]]) -> int | None:
    """The smallest budget whose mean difficulty is within one standard error of the largest mean.

    The one-standard-error rule (Breiman et al., Classification and Regression Trees, 1984), as used for choosing the
    simplest model that is not clearly worse than the best: the error is that of the best budget's mean. None where no
    budget has a difficulty with an error.
    """
    known = [of for of in sweep if of["difficulty"] is not None and of["difficulty_error"] is not None]
    if not known:
        return None
    best = max(known, key=lambda of: of["difficulty"])
    least = best["difficulty"] - best["difficulty_error"]
    return min(int(of["budget"]) for of in known if of["difficulty"] >= least)
