"""What the release of `sweep_budget` says of itself: words, tables, curves."""

from collections.abc import Mapping, Sequence
from typing import Any

from datasets import Dataset

from tagsmith.cards.dataset_card import CardText
from tagsmith.cards.pictures import Picture, budget_curves, outcomes
from tagsmith.recipes.tag_evol_words import CITATION, CONFIGS, OFFLINE_LIMIT, PAPER, costs_table
from tagsmith.recipes.tag_instruct_words import who

_COLUMNS = ("budget", "rows", "accepted", "acceptance", "grounding", "difficulty", "difficulty_error", "words_added")
_RULE = "the smallest budget with at least 95 % of the largest gain in difficulty over the seeds"


def card_text(
    facts: Mapping[str, Any], configs: Mapping[str, Dataset], saturated: int | None, offline: bool
) -> CardText:
    """The card's words and tables."""
    sweep = configs["default"].to_list()
    found = "No budget gains anything." if saturated is None else f"Here it is b = {saturated}."
    return CardText(
        title=f"Budgets from {sweep[0]['budget']} to {sweep[-1]['budget']} on {facts['name']}",
        summary=(
            f"{who(offline)} rewrote the same instructions of `{facts['name']}` with {sweep[0]['budget']} to"
            f" {sweep[-1]['budget']} tags each, always from the seed and from the same candidates.",
            f"Saturation is {_RULE} (difficulty {_shown(sweep[0]['seed_difficulty'])}). {found}",
        ),
        configs={name: _NOTES.get(name) or CONFIGS[name] for name in configs},
        citation=CITATION,
        differences=("The paper names saturation as open and shows no sweep; rule and range are ours.",),
        limits=(OFFLINE_LIMIT,) if offline else (),
        tables=[
            {
                "title": "Figures by budget",
                "columns": _COLUMNS,
                "rows": [tuple(_shown(row[name]) for name in _COLUMNS) for row in sweep],
            },
            costs_table(configs["costs"], sum(row["accepted"] for row in sweep)),
        ],
        paper=PAPER,
        language_creators=("found", "machine-generated"),
        tags=("tag-evol", "synthetic"),
    )


_NOTES = {
    "default": "a row a budget: outcomes, difficulty, lengths",
    "rounds": "every row under every budget, in the order tried; the seeds as round 0",
}


def pictures(sweep: Sequence[Mapping[str, Any]], saturated: int | None) -> list[Picture]:
    """Curves over the budget, and what became of the rows."""
    panels = {
        "Judge's difficulty (1 to 10)": {
            "evolved": _line(sweep, "difficulty", 1),
            "seeds": _line(sweep, "seed_difficulty", 1),
        },
        "Accepted (%)": {"evolved": _line(sweep, "acceptance", 100)},
        "Grounded (%)": {"evolved": _line(sweep, "grounding", 100)},
        "Words added": {"evolved": _line(sweep, "words_added", 1)},
    }
    shown = {title: lines for title, lines in panels.items() if all(lines.values())}
    reasons = ("accepted", "ungrounded", "budget_overflow", "drift", "copy", "other_reasons")
    ends = {f"b = {row['budget']}": {name.replace("_", " "): row[name] for name in reasons} for row in sweep}
    where = "" if saturated is None else f" The dashed line is at b = {saturated}: {_RULE}."
    return [
        Picture(
            "budget",
            f"Figures by budget, the number of tags a row.{where}",
            lambda path, theme: budget_curves(shown, path, theme, saturation=saturated),
        ),
        Picture(
            "outcomes",
            "The rows under each budget b: accepted, or rejected and why.",
            lambda path, theme: outcomes(ends, path, theme),
        ),
    ]


def _line(sweep: Sequence[Mapping[str, Any]], name: str, times: float) -> list[tuple[float, float]]:
    return [(row["budget"], times * row[name]) for row in sweep if row[name] is not None]


def _shown(value: float | None) -> float | None:
    return round(value, 3) if isinstance(value, float) else value
