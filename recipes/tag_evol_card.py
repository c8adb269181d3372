"""What the release of `evolve_tag_evol` says of itself: words, tables, pictures."""

from collections.abc import Mapping, Sequence
from typing import Any

from datasets import Dataset

from tagsmith.cards.dataset_card import CardText
from tagsmith.cards.pictures import Picture, iteration_curves, length_distributions, outcomes
from tagsmith.processors.token_lengths import TokenCounter
from tagsmith.recipes.tag_evol_words import (
    CITATION,
    CONFIGS,
    OFFLINE_LIMIT,
    PANELS,
    PAPER,
    costs_table,
    measures_table,
    rounds_table,
)
from tagsmith.recipes.tag_instruct_words import who

_DIFFERENCES = (
    "The model's own review is followed by checks outside the model: the number of tags, that they are candidates, that"
    " each is in the text (words, else embeddings), that the task is the same one, no copy, no leaked markup. The paper"
    " describes none.",
    "A row that fails them is repaired once, then rejected with the reason; the authors' code tries again without end.",
    "Rows are matched by id, never by the order in which replies come.",
    "The wording of all prompts is ours.",
)


def card_text(
    facts: Mapping[str, Any],
    configs: Mapping[str, Dataset],
    budgets: str,
    rounds: Sequence[Mapping[str, Any]],
    offline: bool,
) -> CardText:
    """The card's words and tables."""
    accepted = len(configs["default"])
    tables = [rounds_table(rounds, round_names(configs["rounds"], len(rounds) - 1))]
    if "measures" in configs:
        tables.append(measures_table(configs["measures"]))
    tables.append(costs_table(configs["costs"], accepted))
    return CardText(
        title=f"{facts['name']}, made harder by {budgets} tags",
        summary=(
            f"{who(offline)} rewrote each instruction of `{facts['name']}` with tags from a pool of"
            f" {len(configs['pool']):,}; how many is set by a budget ({budgets}).",
            f"{accepted:,} of {sum(of['rows'] for of in rounds[1:]):,} rewritten instructions passed all checks; each"
            " names the tags that were put in.",
            "The config `rounds` has every row in every round, and why a round failed where it did.",
        ),
        configs={name: CONFIGS[name] for name in configs},
        citation=CITATION,
        differences=_DIFFERENCES,
        limits=(OFFLINE_LIMIT,) if offline else (),
        tables=tables,
        paper=PAPER,
        language_creators=("found", "machine-generated"),
        tags=("tag-evol", "synthetic"),
    )


def round_names(records: Dataset, rounds: int) -> list[str]:
    """`1 (b = 3)`, or the range of adaptive budgets."""
    budgets: dict[int, set[int]] = {}
    for iteration, budget in zip(records["iteration"], records["budget"], strict=True):
        if budget is not None:
            budgets.setdefault(iteration, set()).add(budget)
    names = []
    for number in range(1, rounds + 1):
        low, high = min(budgets[number]), max(budgets[number])
        names.append(f"{number} (b = {low})" if low == high else f"{number} (b = {low} to {high})")
    return names


def pictures(records: Dataset, rounds: Sequence[Mapping[str, Any]], measured: Dataset | None) -> list[Picture]:
    """What became of the rows, the measures over rounds, and lengths before and after."""
    names = round_names(records, len(rounds) - 1)
    ends = {
        f"round {name}": {"accepted": of["ok"], **of["rejected"]} for name, of in zip(names, rounds[1:], strict=True)
    }
    drawn = [
        Picture(
            "outcomes",
            "The rows of each round: accepted, or rejected and why. b is the budget, the number of tags.",
            lambda path, theme: outcomes(ends, path, theme),
        )
    ]
    if measured is not None:
        drawn.append(measures_picture(measured))
    lengths = _lengths(records, names)
    drawn.append(
        Picture(
            "lengths",
            "Lengths of the seeds and of the accepted rows of the first and the last round, in tokens.",
            lambda path, theme: length_distributions(lengths, "tokens", path, theme),
        )
    )
    return drawn


def outcomes_of(rounds: Sequence[Mapping[str, Any]], names: Sequence[str]) -> dict[str, dict[str, int]]:
    """Rows by outcome, for each round."""
    return {name: {"accepted": of["ok"], **of["rejected"]} for name, of in zip(names, rounds[1:], strict=True)}


def measures_picture(measured: Dataset) -> Picture:
    """The measures round by round."""
    panels = {
        title: {"rows": [(row["iteration"], row[name]) for row in measured if row[name] is not None]}
        for name, title in PANELS.items()
    }
    shown = {title: lines for title, lines in panels.items() if lines["rows"]}
    return Picture(
        "measures",
        "Difficulty, diversity and lengths of the seeds (round 0) and of each round's accepted rows.",
        lambda path, theme: iteration_curves(shown, path, theme),
    )


def _lengths(records: Dataset, names: Sequence[str]) -> dict[str, dict[str, list[int]]]:
    """Tokens of the instructions and responses of the seeds, and of the good versions of the first and last round."""
    numbers = {"seeds": 0} | {f"round {names[number - 1]}": number for number in (1, len(names))}
    counted = TokenCounter()(records.select_columns(["instruction", "response"]).to_dict())
    which = list(zip(records["iteration"][:], records["status"][:], strict=True))
    found: dict[str, dict[str, list[int]]] = {}
    for title, column in (("Instruction", "instruction_tokens"), ("Response", "response_tokens")):
        of_round = {
            name: [
                value
                for value, (iteration, status) in zip(counted[column], which, strict=True)
                if iteration == number and status == "ok" and value is not None
            ]
            for name, number in numbers.items()
        }
        if all(of_round.values()):
            found[title] = of_round
    return found
