"""What the release of `combine_tags` says of itself."""

from collections.abc import Mapping

from datasets import Dataset

from tagsmith.cards.dataset_card import CardText
from tagsmith.cards.pictures import Picture, length_distributions
from tagsmith.processors.token_lengths import TokenCounter
from tagsmith.recipes.tag_instruct_words import CITATION, CONFIGS, PAPER, TAGS

_POOLS = {"high": "the highest", "low": "the lowest", "random": "any"}


def card_text(configs: Mapping[str, Dataset], pool: str, tags_per_row: int, offline: bool) -> CardText:
    """The card's words and tables."""
    rows = configs["default"]
    counted = TokenCounter(columns=_texts(rows))(rows.select_columns(list(_texts(rows))).to_dict())
    means = [
        (name.removesuffix("_tokens"), round(sum(values) / len(values), 1))
        for name, values in ((n, [v for v in of if v is not None]) for n, of in counted.items())
        if values
    ]
    author = "rules, not a model" if offline else "a model"
    return CardText(
        title=f"{len(rows):,} tasks that combine {tags_per_row} tags of {pool} utility",
        summary=(
            f"Each task was written by {author} to combine {tags_per_row} tags of {_POOLS[pool]} utility.",
            "Utility is the mean length of the responses to instructions with the tag (Tag-Instruct, Eq. 1).",
            "Releases of the three pools show what utility does to tasks and responses (Table 4 of the paper).",
        ),
        configs={
            name: CONFIGS.get(name) or "the tasks with their tags, the tags' mean utility, and the response"
            for name in configs
        },
        citation=CITATION,
        differences=(
            "No combination is drawn twice; the paper does not say.",
            "A task that does not take up all its tags is rejected; the paper does not check.",
        ),
        tables=({"title": "Mean lengths", "columns": ("text", "tokens"), "rows": means},),
        paper=PAPER,
        language_creators=("machine-generated",),
        tags=(*TAGS, "tag-combination"),
    )


def pictures(rows: Dataset) -> list[Picture]:
    """Lengths of tasks and responses."""
    counted = TokenCounter(columns=_texts(rows))(rows.select_columns(list(_texts(rows))).to_dict())
    titles = {"instruction_tokens": "Task", "response_tokens": "Response"}
    lengths = {titles[name]: {"rows": [v for v in values if v is not None]} for name, values in counted.items()}
    return [
        Picture(
            "lengths",
            "Lengths of tasks and responses, in tokens.",
            lambda path, theme: length_distributions(lengths, "tokens", path, theme),
        )
    ]


def _texts(rows: Dataset) -> tuple[str, ...]:
    return tuple(name for name in ("instruction", "response") if name in rows.column_names)
