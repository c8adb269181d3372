"""What the release of `evolve_evol_instruct` says of itself: words, tables, pictures."""

from collections.abc import Mapping, Sequence
from typing import Any

from datasets import Dataset

from tagsmith.cards.dataset_card import CardText
from tagsmith.cards.pictures import Picture, outcomes
from tagsmith.recipes.tag_evol_card import measures_picture, outcomes_of
from tagsmith.recipes.tag_evol_words import CONFIGS, OFFLINE_LIMIT, costs_table, measures_table, rounds_table
from tagsmith.recipes.tag_instruct_words import who

_CITATION = """@article{xu2023wizardlm,
  title   = {{WizardLM}: Empowering Large Language Models to Follow Complex Instructions},
  author  = {Xu, Can and Sun, Qingfeng and Zheng, Kai and Geng, Xiubo and Zhao, Pu and Feng, Jiazhan and Tao, Chongyang
             and Jiang, Daxin},
  journal = {arXiv preprint arXiv:2304.12244},
  year    = {2023},
}"""
_DIFFERENCES = (
    "The wording of all prompts is ours; they speak of instructions, where the original's speak of prompts.",
    "Rows are eliminated as early as the rules allow: words of the prompt before the judge is asked, the judge before"
    " the response is paid for. The rows that are left are the same, for fewer calls.",
    "Stop words are those of tagsmith's own list.",
)


def card_text(
    facts: Mapping[str, Any], configs: Mapping[str, Dataset], rounds: Sequence[Mapping[str, Any]], offline: bool
) -> CardText:
    """The card's words and tables."""
    accepted, number = len(configs["default"]), len(rounds) - 1
    tables = [rounds_table(rounds, [str(of["iteration"]) for of in rounds[1:]])]
    if "measures" in configs:
        tables.append(measures_table(configs["measures"]))
    tables.append(costs_table(configs["costs"], accepted))
    return CardText(
        title=f"{facts['name']}, evolved {number} times by Evol-Instruct",
        summary=(
            f"{who(offline)} rewrote each instruction of `{facts['name']}` {number} times, each time by one of a few"
            " fixed operations, from the last version that was not eliminated.",
            f"{accepted:,} of {sum(of['rows'] for of in rounds[1:]):,} rewritten instructions were kept. It is the"
            " baseline of Tag-Evol.",
        ),
        configs={name: CONFIGS[name] for name in configs},
        citation=_CITATION,
        differences=_DIFFERENCES,
        limits=(OFFLINE_LIMIT,) if offline else (),
        tables=tables,
        paper="https://arxiv.org/abs/2304.12244",
        language_creators=("found", "machine-generated"),
        tags=("evol-instruct", "synthetic"),
    )


def pictures(rounds: Sequence[Mapping[str, Any]], measured: Dataset | None) -> list[Picture]:
    """What became of the rows, and the measures over rounds."""
    ends = outcomes_of(rounds, [f"round {of['iteration']}" for of in rounds[1:]])
    drawn = [
        Picture(
            "outcomes",
            "The rows of each round: accepted, or eliminated and why.",
            lambda path, theme: outcomes(ends, path, theme),
        )
    ]
    return drawn if measured is None else [*drawn, measures_picture(measured)]
