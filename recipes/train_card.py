"""What the cards of trained models have in common: curves, hyperparameters, and what was measured."""

from collections.abc import Mapping, Sequence
from typing import Any

from tagsmith.cards.pictures import Picture, training_curve
from tagsmith.cards.template import Table
from tagsmith.trainers.tiny_model import TINY
from tagsmith.trainers.training import Trained
from tagsmith.trainers.training_settings import TrainingSettings

Points = list[tuple[float, float]]


def curve_picture(log: Sequence[Mapping[str, Any]], panels: Mapping[str, str], caption: str) -> Picture:
    """The picture `training` of measures by optimizer step, on training and evaluation rows.

    Args:
        log: the trainer's.
        panels: title and logged name of each measure.
        caption: what the picture shows.
    """
    drawn = curves(log, panels)
    return Picture("training", caption, lambda path, theme: training_curve(drawn, path, theme))


def curves(log: Sequence[Mapping[str, Any]], panels: Mapping[str, str]) -> dict[str, dict[str, Points]]:
    """For each measure its points on training and on evaluation rows, by step; the last value of a step counts."""
    drawn: dict[str, dict[str, Points]] = {}
    for title, name in panels.items():
        lines = {}
        for line, key in (("training", name), ("evaluation", f"eval_{name}")):
            if points := {entry["step"]: float(entry[key]) for entry in log if key in entry}:
                lines[line] = sorted(points.items())
        if lines:
            drawn[title] = lines
    return drawn


def measured(trained: Trained, noun: str) -> dict[str, Any]:
    """Hardware and durations; nothing but the hardware where all steps were done by earlier sessions."""
    timed = trained.steps - trained.resumed_from
    facts: dict[str, Any] = {"hardware": trained.hardware}
    if timed:
        facts |= {
            "steps timed": timed,
            "their duration, evaluations included (s)": round(trained.seconds, 1),
            f"{noun} per second": round(timed * trained.batch_size / trained.seconds, 2),
            "peak memory of a process (GB)": round(trained.peak_memory_bytes / 1e9, 2),
        }
    return facts


def hyperparameters(settings: TrainingSettings, trained: Trained, noun: str) -> dict[str, Any]:
    """What every training is set to, and the steps that came of it; a method's own values go before these."""
    whole = {
        "learning rate": settings.learning_rate,
        f"{noun} a step": settings.batch_size,
        "epochs": round(trained.epochs, 2),
        "optimizer steps": trained.steps,
        f"devices × {noun} × accumulation": f"{trained.world} × {settings.per_device_batch_size} ×"
        f" {trained.accumulation}",
        "longest sequence (tokens)": settings.max_length,
        "scheduler": settings.scheduler,
        "warm-up": settings.warmup,
        "precision": "bf16" if trained.arguments.get("bf16") else "fp32",
        "seed": settings.seed,
    }
    return whole | ({"LoRA rank": settings.lora_rank, "LoRA α": settings.lora_alpha} if settings.lora_rank else {})


def metrics_table(trained: Trained, names: Mapping[str, str], title: str) -> tuple[Table, ...]:
    """The evaluation's figures as a table, by what each is called on the card; none without an evaluation."""
    rows = [(shown, round(trained.metrics[name], 4)) for name, shown in names.items() if name in trained.metrics]
    return ({"title": title, "columns": ("measure", "value"), "rows": rows},) if rows else ()


def left_out_lines(trained: Trained, noun: str, reasons: Mapping[str, str]) -> list[str]:
    """How many rows were not taken, and why: one line a reason."""
    left_out = trained.data.left_out.items()
    return [f"{rows:,} of {trained.data.rows:,} {noun} were left out: {reasons[reason]}." for reason, rows in left_out]


def training_limits(trained: Trained, base: str, noun: str) -> list[str]:
    """What weakens any training: a base of random weights, nothing set aside."""
    lines = []
    if base == TINY:
        lines.append("It started from random weights, with under a million of them: it shows that training runs.")
    if not trained.metrics:
        lines.append(f"No {noun} were held out, so the curve shows training {noun} only.")
    return lines
