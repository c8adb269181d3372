"""What the release of `build_tag_utility` says of itself, and the derived meanings that it may measure."""

import random
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from datasets import Dataset

from tagsmith.cards.dataset_card import CardText
from tagsmith.cards.pictures import Picture, utility_quartiles
from tagsmith.cards.template import Table
from tagsmith.processors.tag_instruct.utility_table import QUARTILES, Quartile, UtilityTable
from tagsmith.recipes.tag_instruct_words import CITATION, CONFIGS, ENCODER, PAPER, TAGS, who

_SHOWN = 5  # tags of each quartile, as Table 6 shows
_NOTES = {
    "default": "one row a tag: rows that carry it, total and mean of their response tokens; highest utility first",
    "tagged": "every tagged row with its base tags",
    "meanings": "derived meanings of sampled tags, by quartile of utility",
}


def card_text(facts: Mapping[str, Any], configs: Mapping[str, Dataset], table: UtilityTable, offline: bool) -> CardText:
    """The card's words and tables."""
    means = table.table["mean"]
    return CardText(
        title=f"Utility of {len(table):,} tags, from {facts['name']}",
        summary=(
            f"{who(offline)} compressed each instruction of `{facts['name']}` to three tags (Tag-Instruct's encoder).",
            f"Utility is the mean number of response tokens of the rows with the tag: {means[-1].as_py():,.1f} to"
            f" {means[0].as_py():,.1f} here, over {len(configs['tagged']):,} rows.",
            "The tags at the two ends are the good and the bad pool by which candidates for new tags are scored.",
        ),
        configs={name: _NOTES.get(name) or CONFIGS[name] for name in configs},
        citation=CITATION,
        differences=(ENCODER, f"Lengths are counted with the tokenizer {table.config['tokenizer']}."),
        tables=(_quartile_table(table),),
        paper=PAPER,
        tags=TAGS,
    )


def pictures(table: UtilityTable, meanings: Dataset | None) -> list[Picture]:
    """Mean utility by quartile, and the number of derived meanings (Fig. 4) where it was measured."""
    means = table.means
    utility = [sum(means[tag] for tag in quarter.tags) / len(quarter.tags) for quarter in table.quartiles()]
    drawn = [
        Picture(
            "utility_quartiles",
            "Mean utility of the tags in each quartile, in response tokens.",
            lambda path, theme: utility_quartiles({"utility": utility}, "Mean utility (response tokens)", path, theme),
        )
    ]
    if meanings is not None and len(meanings):
        counted = _mean_meanings(meanings)
        drawn.append(
            Picture(
                "derived_meanings",
                "Derived meanings a tag, by quartile of utility (Fig. 4 of the paper).",
                lambda path, theme: utility_quartiles({"meanings": counted}, "Derived meanings a tag", path, theme),
            )
        )
    return drawn


def meanings_by_quartile(
    quartiles: Sequence[Quartile], number: int, ask: Callable[[Dataset], Dataset], seed: int = 0
) -> Dataset:
    """Derived meanings of `number` tags drawn from each quartile, with the quartile's name."""
    rows = []
    for quarter in quartiles:
        drawn = random.Random(f"{seed}/{quarter.name}").sample(quarter.tags, min(number, len(quarter.tags)))
        rows += [{"id": f"{quarter.name}/{tag}", "quartile": quarter.name, "tag": tag} for tag in sorted(drawn)]
    return ask(Dataset.from_list(rows))


def _mean_meanings(meanings: Dataset) -> list[float]:
    counts: dict[str, list[int]] = defaultdict(list)
    for quartile, number in zip(meanings["quartile"], meanings["n_meanings"], strict=True):
        if number is not None:
            counts[quartile].append(number)
    return [sum(counts[name]) / len(counts[name]) if counts[name] else 0.0 for name in QUARTILES]


def _quartile_table(table: UtilityTable) -> Table:
    """As the paper's Table 6: tags from the middle of each quartile, highest first."""
    counts = dict(zip(table.table["tag"].to_pylist(), table.table["count"].to_pylist(), strict=True))
    means = table.means
    rows = []
    for quarter in reversed(table.quartiles()):
        middle = max(0, (len(quarter.tags) - _SHOWN) // 2)
        rows += [(quarter.name, tag, counts[tag], round(means[tag], 2)) for tag in quarter.tags[middle:][:_SHOWN]]
    return {"title": "Tags of each quartile", "columns": ("quartile", "tag", "rows", "mean tokens"), "rows": rows}
