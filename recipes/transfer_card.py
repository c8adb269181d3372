"""What the release of `transfer_tag_pools` says of itself: words, tables, the grid."""

from collections.abc import Mapping, Sequence
from typing import Any

from datasets import Dataset

from tagsmith.cards.dataset_card import CardText
from tagsmith.cards.pictures import Picture, heat_grids
from tagsmith.recipes.tag_evol_words import CITATION, CONFIGS, OFFLINE_LIMIT, PAPER, costs_table
from tagsmith.recipes.tag_instruct_words import who

_NOTES = {
    "default": "a row a pair of pool and domain: outcomes, difficulty, lengths",
    "rounds": "every row under every pool, in the order of the pools; the seeds as round 0",
    "pools": "the pools, one under the other",
    "sources": "the rows as they were read, one dataset under the other",
}


def card_text(
    configs: Mapping[str, Dataset], pools: Sequence[str], domains: Sequence[str], budget: int, offline: bool
) -> CardText:
    """The card's words and tables."""
    grid = configs["default"].to_list()
    columns = (
        "pool",
        "domain",
        "rows",
        "accepted",
        "acceptance",
        "grounding",
        "seed_difficulty",
        "difficulty",
        "different_tags",
    )
    shown = [
        tuple(round(cell[name], 3) if isinstance(cell[name], float) else cell[name] for name in columns)
        for cell in grid
    ]
    return CardText(
        title=f"Tag pools of {len(pools)} domains on the instructions of {len(domains)}",
        summary=(
            f"{who(offline)} rewrote the same instructions of each domain ({', '.join(domains)}) with {budget} tags"
            f" from each pool ({', '.join(pools)}).",
            "Where a row has another pool than its domain, tags were carried over from one domain to another.",
        ),
        configs={name: _NOTES.get(name) or CONFIGS[name] for name in configs},
        citation=CITATION,
        differences=("The paper names transfer between domains as open and shows none.",),
        limits=(OFFLINE_LIMIT,) if offline else (),
        tables=[
            {"title": "Figures by pool and domain", "columns": columns, "rows": shown},
            costs_table(configs["costs"], sum(cell["accepted"] for cell in grid)),
        ],
        paper=PAPER,
        language_creators=("found", "machine-generated"),
        tags=("tag-evol", "synthetic"),
    )


def pictures(grid: Sequence[Mapping[str, Any]], pools: Sequence[str], domains: Sequence[str]) -> list[Picture]:
    """The figures as grids of pools and domains."""
    of = {(cell["pool"], cell["domain"]): cell for cell in grid}
    values = {
        "Accepted (%)": {pair: 100 * cell["acceptance"] for pair, cell in of.items()},
        "Grounded (%)": {pair: 100 * cell["grounding"] for pair, cell in of.items()},
        "Difficulty gained (judge, 1 to 10)": {pair: _gain(cell) for pair, cell in of.items()},
    }
    grids = {title: [[cells[pool, domain] for domain in domains] for pool in pools] for title, cells in values.items()}
    return [
        Picture(
            "transfer",
            "Shares accepted and grounded, and difficulty gained, by pool (rows) and domain (columns).",
            lambda path, theme: heat_grids(
                grids, pools, domains, path, theme, row_title="Pool", column_title="Instructions"
            ),
        )
    ]


def _gain(cell: Mapping[str, Any]) -> float | None:
    """How much harder the accepted rows are than the rows before."""
    if cell["difficulty"] is None or cell["seed_difficulty"] is None:
        return None
    gain: float = cell["difficulty"] - cell["seed_difficulty"]
    return gain
