"""What the card of a policy trained by `train_dpo` says."""

from collections.abc import Mapping, Sequence
from typing import Any

from tagsmith.cards.model_card import Evaluation, ModelCardText
from tagsmith.cards.pictures import Picture, training_curve
from tagsmith.cards.template import Table
from tagsmith.processors.tag_instruct.expansion_prompt import expansion_messages
from tagsmith.recipes.tag_instruct_words import CITATION, PAPER
from tagsmith.trainers.dpo import Trained
from tagsmith.trainers.dpo_settings import DPOSettings
from tagsmith.trainers.tiny_model import TINY

# Tag-Instruct, App. D.4.
PAPER_VALUES = {"β": 0.1, "learning rate": 5e-5, "pairs a step": 128, "epochs": 1}
_EXAMPLE = ("Write a function that sorts a list of dates.", ("python", "sorting", "date handling"))
_PANELS = {"Loss": "loss", "Accuracy of the rewards": "rewards/accuracies", "Margin of the rewards": "rewards/margins"}


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
        hyperparameters=_hyperparameters(settings, trained),
        paper_hyperparameters=PAPER_VALUES,
        evaluations=_evaluations(trained, data),
        measured=measured(trained),
        differences=_differences(trained, base),
        limits=_limits(trained, base),
        tables=(_rewards(trained),) if trained.metrics else (),
        paper=PAPER,
        tags=("dpo", "tag-instruct", "preference"),
    )


def pictures(trained: Trained) -> list[Picture]:
    """Loss, accuracy and margin by optimizer step, on training and evaluation pairs."""
    panels = curves(trained.log)
    return [
        Picture(
            "training",
            "Loss, accuracy and margin of the rewards by optimizer step.",
            lambda path, theme: training_curve(panels, path, theme),
        )
    ]


def curves(log: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, list[tuple[float, float]]]]:
    """For each measure its points on training and on evaluation pairs, by step; the last value of a step counts."""
    panels: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for title, name in _PANELS.items():
        lines = {}
        for line, key in (("training", name), ("evaluation", f"eval_{name}")):
            if points := {entry["step"]: float(entry[key]) for entry in log if key in entry}:
                lines[line] = sorted(points.items())
        if lines:
            panels[title] = lines
    return panels


def measured(trained: Trained) -> dict[str, Any]:
    """Hardware and durations; nothing where all steps were done by earlier sessions."""
    timed = trained.steps - trained.resumed_from
    facts: dict[str, Any] = {"hardware": trained.hardware}
    if timed:
        pairs = timed * trained.batch_size
        facts |= {
            "steps timed": timed,
            "their duration, evaluations included (s)": round(trained.seconds, 1),
            "pairs per second": round(pairs / trained.seconds, 2),
            "peak memory of a process (GB)": round(trained.peak_memory_bytes / 1e9, 2),
        }
    return facts


def _hyperparameters(settings: DPOSettings, trained: Trained) -> dict[str, Any]:
    whole = {
        "β": settings.beta,
        "learning rate": settings.learning_rate,
        "pairs a step": settings.batch_size,
        "epochs": round(trained.epochs, 2),
        "optimizer steps": trained.steps,
        "devices × pairs × accumulation": f"{trained.world} × {settings.per_device_batch_size} ×"
        f" {trained.accumulation}",
        "longest sequence (tokens)": settings.max_length,
        "scheduler": settings.scheduler,
        "warm-up": settings.warmup,
        "precision": "bf16" if trained.arguments.get("bf16") else "fp32",
        "seed": settings.seed,
    }
    return whole | ({"LoRA rank": settings.lora_rank, "LoRA α": settings.lora_alpha} if settings.lora_rank else {})


def _evaluations(trained: Trained, data: Mapping[str, Any]) -> list[Evaluation]:
    if "rewards/accuracies" not in trained.metrics:
        return []
    accuracy = trained.metrics["rewards/accuracies"]
    name = f"{len(trained.data.evaluation):,} held-out pairs"
    return [Evaluation(name, data["name"], "accuracy", accuracy, "reward accuracy", "train", data.get("revision"))]


def _rewards(trained: Trained) -> Table:
    kept = {"loss": "loss", "rewards/accuracies": "accuracy", "rewards/margins": "margin"}
    kept |= {"rewards/chosen": "reward, chosen", "rewards/rejected": "reward, rejected"}
    rows = [(shown, round(trained.metrics[name], 4)) for name, shown in kept.items() if name in trained.metrics]
    return {"title": "Held-out pairs, at the end", "columns": ("measure", "value"), "rows": rows}


def _differences(trained: Trained, base: str) -> list[str]:
    lines = ["The paper names neither scheduler, warm-up, optimizer nor longest sequence: those are TRL's defaults."]
    if base != TINY:
        lines.append(f"The paper trains its teacher model itself; this started from `{base}`.")
    for reason, rows in trained.data.left_out.items():
        why = {"no_preference": "chosen and rejected are equal", "too_long": "longer than the longest sequence"}[reason]
        lines.append(f"{rows:,} of {trained.data.rows:,} pairs were left out: {why}.")
    return lines


def _limits(trained: Trained, base: str) -> list[str]:
    lines = ["Reward accuracy says that it prefers the chosen tags, not that data made with its tags is better."]
    if base == TINY:
        lines.append("It started from random weights, with under a million of them: it shows that training runs.")
    if not trained.metrics:
        lines.append("No pairs were held out, so the curve shows training pairs only.")
    return lines
