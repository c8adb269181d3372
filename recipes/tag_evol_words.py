"""What the cards of all Tag-Evol evolution releases say alike."""

from collections.abc import Mapping, Sequence
from typing import Any

from datasets import Dataset

from tagsmith.cards.template import Table
from tagsmith.recipes.evolution_measures import MEASURED
from tagsmith.recipes.stage_costs import each
from tagsmith.recipes.summary import counted

CITATION = """@article{wang2025tagevol,
  title   = {Tag-Evol: Achieving Efficient Instruction Evolving via Tag Injection},
  author  = {Wang, Yixuan and Zhou, Shiqi and Guo, Chuanzhe and Zhu, Qingfu},
  journal = {arXiv preprint arXiv:2505.24165},
  year    = {2025},
}"""
PAPER = "https://arxiv.org/abs/2505.24165"
CONFIGS = {
    "default": "the accepted instructions of all rounds, with their lineage",
    "rounds": "every row in every round, the seeds as round 0",
    "rejected": "rows and rounds that fell out, with the reason and the raw reply",
    "pool": "the tag pool that candidates were drawn from",
    "measures": "difficulty, diversity and lengths, round by round",
    "costs": "calls and tokens of each stage, repairs and rejected rows included",
    "generations": "every reply that the rows were made from, repairs included",
    "source": "the rows as they were read, since they came from a local file",
}
PANELS = {
    "difficulty": "Judge's difficulty (1 to 10)",
    "unique_tags": "Different InsTag tags",
    "instruction_tokens": "Instruction (tokens)",
    "response_tokens": "Response (tokens)",
}
OFFLINE_LIMIT = (
    "The offline endpoint writes one sentence for each tag and judges by counting demands: its difficulty and its"
    " acceptance say how the rules behave, not how a model would."
)


def rounds_table(rounds: Sequence[Mapping[str, Any]], names: Sequence[str]) -> Table:
    """A line a round: all rows, accepted, and rejected by reason."""
    return {
        "title": "Rounds",
        "columns": ("round", "rows", "accepted", "rejected", "why"),
        "rows": [
            (name, of["rows"], of["ok"], of["rows"] - of["ok"], counted(of["rejected"].items()))
            for name, of in zip(names, rounds[1:], strict=True)
        ],
    }


def measures_table(measured: Dataset) -> Table:
    """A line a round; the seeds are round 0."""
    return {
        "title": f"Measures (tags: of {measured[0]['diversity_rows']:,} rows of each round)",
        "columns": ("round", "rows measured", *PANELS.values(), "words added"),
        "rows": [
            (row["iteration"], row["rows"], *(_rounded(row[name]) for name in (*PANELS, "words_added")))
            for row in measured
        ],
    }


def costs_table(costs: Dataset, accepted: int) -> Table:
    """A line a stage, and all stages but the measures together, for each accepted row."""
    lines = costs.to_list()
    method = [line for line in lines if not line["stage"].startswith(MEASURED)]
    rows = [
        (
            line["stage"],
            line["rows"],
            line["calls"],
            line["prompt_tokens"],
            line["reply_tokens"],
            *_each([line], accepted),
        )
        for line in lines
    ]
    summed = [sum(line[name] for line in method) for name in ("rows", "calls", "prompt_tokens", "reply_tokens")]
    rows.append(("all but the measures", *summed, *_each(method, accepted)))
    return {
        "title": "Calls and tokens",
        "columns": (
            "stage",
            "rows asked for",
            "calls",
            "prompt tokens",
            "reply tokens",
            "calls an accepted row",
            "tokens an accepted row",
        ),
        "rows": rows,
    }


def _each(stages: Sequence[Mapping[str, Any]], accepted: int) -> tuple[float | None, float | None]:
    calls, tokens = each(stages, accepted)
    return _rounded(calls), _rounded(tokens)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)
