"""What the release of `build_tag_preferences` says of itself."""

from collections.abc import Mapping
from typing import Any

from datasets import Dataset

from tagsmith.cards.dataset_card import CardText
from tagsmith.cards.pictures import Picture, score_distributions
from tagsmith.recipes.tag_instruct_words import CITATION, CONFIGS, ENCODER, PAPER, SCORE, TAGS, who

_NOTES = {
    "default": "one pair a row, in TRL's conversational form: prompt, chosen, rejected; with scores and margin",
    "candidates": "the rows behind the pairs, with every candidate: its tag, score, and why it was not valid",
}
_REJECTED = {
    "random": "The rejected tag is a random one among the valid candidates of lower score (App. D.3).",
    "worst": "The rejected tag is the valid candidate of lowest score, as in the authors' code; the paper draws one.",
}


def card_text(facts: Mapping[str, Any], configs: Mapping[str, Dataset], rejected: str, offline: bool) -> CardText:
    """The card's words and tables."""
    pairs = configs["default"]
    return CardText(
        title=f"{len(pairs):,} preference pairs of tags, from {facts['name']}",
        summary=(
            f"{who(offline)} compressed each instruction of `{facts['name']}` to tags and proposed candidates for one"
            " more.",
            "Candidates are scored by how much nearer they are to tags of long responses than to tags of short ones;"
            " the best one is chosen over another.",
            "Made to train a tag policy with DPO: `tagsmith run train-dpo` or any trainer that reads TRL's format.",
        ),
        configs={name: _NOTES.get(name) or CONFIGS[name] for name in configs},
        citation=CITATION,
        differences=(ENCODER, SCORE, _REJECTED[rejected]),
        tables=(
            {
                "title": "Scores",
                "columns": ("of", "mean", "lowest", "highest"),
                "rows": [(name, *_spread(pairs[f"{name}_score"][:])) for name in ("chosen", "rejected")]
                + [("margin", *_spread(pairs["margin"][:]))],
            },
        ),
        paper=PAPER,
        language_creators=("found", "machine-generated"),
        tags=(*TAGS, "preference", "dpo", "trl"),
    )


def pictures(configs: Mapping[str, Dataset]) -> list[Picture]:
    """Scores of the chosen and the rejected tags."""
    scores = {name: configs["default"][f"{name}_score"][:] for name in ("chosen", "rejected")}
    return [
        Picture(
            "scores",
            "Scores of chosen and rejected tags (mean cosine to the good pool less that to the bad pool).",
            lambda path, theme: score_distributions(scores, "Score", path, theme),
        )
    ]


def _spread(values: list[float]) -> tuple[float, float, float]:
    return round(sum(values) / len(values), 4), round(min(values), 4), round(max(values), 4)
