"""What the card of a policy trained by `train_dpo` says."""

from collections.abc import Mapping
from typing import Any

from tagsmith.cards.model_card import Evaluation, ModelCardText
from tagsmith.cards.pictures import Picture
from tagsmith.processors.tag_instruct.expansion_prompt import expansion_messages
from tagsmith.recipes.tag_instruct_words import CITATION, PAPER
from tagsmith.recipes.train_card import (
    curve_picture,
    hyperparameters,
    left_out_lines,
    measured,
    metrics_table,
    training_limits,
)
from tagsmith.trainers.dpo_settings import DPOSettings
from tagsmith.trainers.tiny_model import TINY
from tagsmith.trainers.training import Trained

NOUN = "pairs"
PANELS = {"Loss": "loss", "Accuracy of the rewards": "rewards/accuracies", "Margin of the rewards": "rewards/margins"}
# Tag-Instruct, App. D.4.
PAPER_VALUES = {"β": 0.1, "learning rate": 5e-5, "pairs a step": 128, "epochs": 1}
_EXAMPLE = ("Write a function that sorts a list of dates.", ("python", "sorting", "date handling"))
_REASONS = {"no_preference": "chosen and rejected are equal", "too_long": "longer than the longest sequence"}


def card_text(
    settings: DPOSettings, trained: Trained, data: Mapping[str, Any], base: str, *, explain: bool
) -> ModelCardText:
    """The card's words and numbers.

    Args:
        settings, trained: as they were in use, and what came of it.
        data: the pairs' entry of the manifest.
        base: the base model's name there.
        explain: whether the completion explains the tag before it.
    """
    form = "policy_explained" if explain else "policy"
    return ModelCardText(
        title=f"Tag policy, trained on {len(trained.data.train):,} preference pairs",
        summary=(
            "Given an instruction and its tags, it completes with one further tag: the tag policy of Tag-Instruct.",
            "DPO taught it to prefer tags that go with long, demanding responses (the pairs' chosen ones) to others of"
            " the same instruction.",
            "Tag expansion uses it as the policy endpoint of `tagsmith run evolve-tag-instruct` (see below).",
        ),
        prompt=expansion_messages(*_EXAMPLE, explain=explain)[0]["content"],
        endpoint_command=("tagsmith", "run", "evolve-tag-instruct", "--expansion", "policy", "--policy_format", form),
        endpoint_flag="--policy_endpoint",
        citation=CITATION,
        hyperparameters={"β": settings.beta} | hyperparameters(settings, trained, NOUN),
        paper_hyperparameters=PAPER_VALUES,
        evaluations=_evaluations(trained, data),
        measured=measured(trained, NOUN),
        differences=_differences(trained, base),
        limits=[
            "Reward accuracy says that it prefers the chosen tags, not that data made with its tags is better.",
            *training_limits(trained, base, NOUN),
        ],
        tables=metrics_table(
            trained,
            {
                "loss": "loss",
                "rewards/accuracies": "accuracy",
                "rewards/margins": "margin",
                "rewards/chosen": "reward, chosen",
                "rewards/rejected": "reward, rejected",
            },
            "Held-out pairs, at the end",
        ),
        paper=PAPER,
        tags=("dpo", "tag-instruct", "preference"),
    )


def pictures(trained: Trained) -> list[Picture]:
    """Loss, accuracy and margin by optimizer step, on training and evaluation pairs."""
    return [curve_picture(trained.log, PANELS, "Loss, accuracy and margin of the rewards by optimizer step.")]


def _evaluations(trained: Trained, data: Mapping[str, Any]) -> list[Evaluation]:
    if "rewards/accuracies" not in trained.metrics:
        return []
    accuracy = trained.metrics["rewards/accuracies"]
    name = f"{len(trained.data.evaluation):,} held-out pairs"
    return [Evaluation(name, data["name"], "accuracy", accuracy, "reward accuracy", "train", data.get("revision"))]


def _differences(trained: Trained, base: str) -> list[str]:
    lines = ["The paper names neither scheduler, warm-up, optimizer nor longest sequence: those are TRL's defaults."]
    if base != TINY:
        lines.append(f"The paper trains its teacher model itself; this started from `{base}`.")
    return [*lines, *left_out_lines(trained, NOUN, _REASONS)]
