"""What the release of `evolve_tag_instruct` says of itself: words, tables, curves."""

from collections.abc import Mapping, Sequence
from typing import Any

from datasets import Dataset

from tagsmith.cards.dataset_card import CardText
from tagsmith.cards.pictures import Picture, iteration_curves, length_distributions, utility_quartiles
from tagsmith.cards.template import Table
from tagsmith.processors.tag_instruct.utility import TagUtility
from tagsmith.processors.token_lengths import TokenCounter
from tagsmith.recipes.summary import counted
from tagsmith.recipes.tag_instruct_words import CITATION, CONFIGS, ENCODER, PAPER, SCORE, TAGS, who

_NOTES = {
    "default": "the last good version of each row, with its lineage and all tags that were added",
    "rounds": "every row in every round, the seeds as round 0; parent_id: the version that the round started from",
    "curves": "means over all rows, round by round",
}
_PANELS = {
    "instag_tags": "InsTag tags a row",
    "complexity_score": "Judge's complexity (1 to 10)",
    "instruction_tokens": "Instruction (tokens)",
    "response_tokens": "Response (tokens)",
    "utility": "Score of the added tag",
}
_DIFFERENCES = (
    ENCODER,
    SCORE,
    "Candidates are checked against the row by embeddings or by a judge (§3.3); tags that it has are removed.",
    "New instructions are checked: another text, no padded copy, the new tag taken up, answerable, within limits; the"
    " paper names these aims and no checks. A row that fails a round keeps its last good version.",
)


def card_text(
    facts: Mapping[str, Any],
    configs: Mapping[str, Dataset],
    expansion: str,
    rounds: Sequence[Mapping[str, Any]],
    offline: bool,
) -> CardText:
    """The card's words and tables."""
    final, last = configs["default"], rounds[-1]["iteration"]
    evolved = sum(1 for iteration in final["iteration"] if iteration > 0)
    tables: list[Table] = [
        {
            "title": "Rounds",
            "columns": ("round", "rows", "evolved", "kept their version", "why"),
            "rows": [
                (of["iteration"], of["rows"], of["ok"], of["rows"] - of["ok"], counted(of["rejected"].items()))
                for of in rounds[1:]
            ],
        }
    ]
    if "curves" in configs:
        names = [name for name in _PANELS if name in configs["curves"].column_names]
        tables.append(
            {
                "title": "Means, round by round",
                "columns": ("round", "rows", *(_PANELS[name] for name in names)),
                "rows": [
                    (row["iteration"], row["rows"], *(_rounded(row[name]) for name in names))
                    for row in configs["curves"]
                ],
            }
        )
    return CardText(
        title=f"{facts['name']}, made harder in {last} rounds by tags",
        summary=(
            f"{who(offline)} compressed each instruction of `{facts['name']}` to tags, a new tag was added"
            f" ({expansion}), and a harder instruction written from both; {last} times.",
            f"{evolved:,} of {len(final):,} rows were evolved at least once; each row is its last good version, with"
            " the tags that were added.",
            "The config `rounds` has every version of every row, and why a round failed where it did.",
        ),
        configs={name: _NOTES.get(name) or CONFIGS[name] for name in configs},
        citation=CITATION,
        differences=_DIFFERENCES,
        tables=tables,
        paper=PAPER,
        language_creators=("found", "machine-generated"),
        tags=TAGS,
    )


def pictures(records: Dataset, curves: Dataset | None, utility: TagUtility | None) -> list[Picture]:
    """Curves over rounds, lengths before and after, and the utility of the tags by quartile."""
    drawn = []
    if curves is not None:
        panels = {
            title: {"rows": [(row["iteration"], row[name]) for row in curves if row[name] is not None]}
            for name, title in _PANELS.items()
        }
        shown = {title: lines for title, lines in panels.items() if lines["rows"]}
        drawn.append(
            Picture(
                "iteration_curves",
                "Means over all rows, round by round; a row that failed a round counts with the version it kept.",
                lambda path, theme: iteration_curves(shown, path, theme),
            )
        )
    lengths = _lengths(records)
    drawn.append(
        Picture(
            "lengths",
            "Lengths before and after, in tokens.",
            lambda path, theme: length_distributions(lengths, "tokens", path, theme),
        )
    )
    if utility is not None:
        means = utility.fitted.means
        four = [sum(means[tag] for tag in quarter.tags) / len(quarter.tags) for quarter in utility.quartiles()]
        drawn.append(
            Picture(
                "utility_quartiles",
                "Mean utility of the tags in each quartile of the table by which new tags were scored.",
                lambda path, theme: utility_quartiles({"utility": four}, "Mean utility (response tokens)", path, theme),
            )
        )
    return drawn


def _lengths(records: Dataset) -> dict[str, dict[str, list[int]]]:
    """Tokens of the instructions and responses of the first and the last round."""
    rounds = records["iteration"][:]
    counted_tokens = TokenCounter()(records.select_columns(["instruction", "response"]).to_dict())
    found: dict[str, dict[str, list[int]]] = {}
    for title, name in (("Instruction", "instruction_tokens"), ("Response", "response_tokens")):
        values = counted_tokens[name]
        ends = {"source": 0, "last round": max(rounds)}
        of_ends = {
            end: [v for v, at in zip(values, rounds, strict=True) if at == number and v is not None]
            for end, number in ends.items()
        }
        if all(of_ends.values()):
            found[title] = of_ends
    return found


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
