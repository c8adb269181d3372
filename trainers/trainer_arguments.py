"""Our settings in the words of TRL's trainers."""

from pathlib import Path
from typing import Any

from transformers import TrainingArguments

from tagsmith.trainers.training_settings import TrainingSettings, has_accelerator

_EVALUATE_EVERY = 0.25  # of the run
_PRIVATE = ("output_dir", "logging_dir", "run_name", "hub_token", "push_to_hub_token", "accelerator_config")


def trainer_arguments(settings: TrainingSettings, work: Path, accumulation: int, *, progress: bool) -> dict[str, Any]:
    """Arguments that every trainer's config takes; those of its method come on top (`max_length` among them).

    Args:
        settings: how to train.
        work: folder of the checkpoints.
        accumulation: forward passes an optimizer step (see `accumulation_steps`).
        progress: show a bar.
    """
    accelerated = has_accelerator()
    return {
        "output_dir": str(work),
        "learning_rate": settings.learning_rate,
        "num_train_epochs": settings.epochs,
        "max_steps": settings.max_steps or -1,
        "per_device_train_batch_size": settings.per_device_batch_size,
        "per_device_eval_batch_size": settings.per_device_batch_size,
        "gradient_accumulation_steps": accumulation,
        "lr_scheduler_type": settings.scheduler,
        "warmup_steps": settings.warmup,
        "bf16": settings.bf16,
        "activation_checkpointing": settings.activation_checkpointing,
        "use_cpu": not accelerated,
        "dataloader_pin_memory": accelerated,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "eval_strategy": "steps",
        "eval_steps": _EVALUATE_EVERY,
        "save_steps": settings.save_steps if settings.save_steps < 1 else int(settings.save_steps),
        "save_total_limit": 2,
        "report_to": settings.report_to,
        "project": "tagsmith",  # where the tracker keeps its runs
        "disable_tqdm": not progress,
        "seed": settings.seed,
    }


def lora_config(settings: TrainingSettings) -> Any:
    """PEFT's, for a trainer's `peft_config`; None where all weights are trained."""
    if not settings.lora_rank:
        return None
    from peft import LoraConfig

    return LoraConfig(
        r=settings.lora_rank, lora_alpha=settings.lora_alpha, target_modules="all-linear", task_type="CAUSAL_LM"
    )


def differing_arguments(config: TrainingArguments) -> dict[str, Any]:
    """What differs from the trainer's defaults, without names of folders, runs and accounts."""
    known = type(config)(output_dir=config.output_dir, report_to="none", use_cpu=config.use_cpu).to_dict()
    return {
        name: value for name, value in config.to_dict().items() if name not in _PRIVATE and value != known.get(name)
    }
