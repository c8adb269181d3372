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

# So much of the largest gain is as good as all of it: the largest of fifteen means is large by chance, too.
ENOUGH = 0.95
# Reasons that say that the text does not carry just the tags that it should.
_NOT_GROUNDED = ("ungrounded", "budget_overflow")
_COUNTS = ("rows", "accepted", "budget_overflow", "ungrounded", "drift", "copy", "other_reasons", "different_tags")
_SHARES = ("acceptance", "grounding", "seed_difficulty", "difficulty", "difficulty_error", "words_added")
SCHEMA = pa.schema(dict.fromkeys(_COUNTS, pa.int64()) | dict.fromkeys(_SHARES, pa.float64()))


def figures(results: Mapping[str, Dataset], stages: Stages, endpoint: Endpoint) -> dict[str, dict[str, Any]]:
    """The figures of each of several evolutions, by their names.

    Args:
        results: rows of a round, as `EvolvePlan.run` returns them: instruction, new_instruction, chosen_tags, status,
            reason.

    Of each: rows, accepted, rejected by reason; acceptance = accepted / rows; grounding = 1 − (rows rejected as
    ungrounded or for their number of tags) / rows; difficulty (mean of the judge's 1 to 10 over accepted rows) with its
    standard error, and that of the rows before; words_added a row; different_tags taken up.
    """
    columns = (rows[name] for rows in results.values() for name in ("instruction", "new_instruction"))
    texts = list(dict.fromkeys(text for column in columns for text in column if text is not None))
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
        "seed_difficulty": mean([score for row in every if (score := score_of[row["instruction"]]) is not None]),
        "difficulty": mean(scores),
        "difficulty_error": standard_error(scores),
        "words_added": mean([len(words(row["new_instruction"])) - len(words(row["instruction"])) for row in good]),
    }


def saturation(sweep: Sequence[Mapping[str, Any]]) -> int | None:
    """The smallest budget with at least 95 % of the largest gain in difficulty over the rows before.

    None where no budget gains anything. The largest of several means is large by chance, too: where the curve is flat,
    whoever looks for the largest mean alone finds noise.
    """
    gains = {
        int(of["budget"]): of["difficulty"] - of["seed_difficulty"]
        for of in sweep
        if of["difficulty"] is not None and of["seed_difficulty"] is not None
    }
    largest = max(gains.values(), default=0.0)
    return min(budget for budget, gain in gains.items() if gain >= ENOUGH * largest) if largest > 0 else None
