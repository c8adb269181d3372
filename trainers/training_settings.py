"""Settings that all trainings share: each is a flag. A method's own settings extend them."""

import os
from dataclasses import dataclass, field
from importlib.util import find_spec

import torch

from tagsmith.processors.errors import InputError

PRECISIONS = ("auto", "bf16", "fp32")
TRACKERS = ("auto", "trackio", "wandb", "none")
INFINITE = float("inf")

Range = tuple[float, float, float, str]
"""A value, what it must be above, what it may be at most, and that in words."""


@dataclass
class TrainingSettings:
    """How to train, whatever the method. A method gives its own defaults, and the paper's values in the help.

    Everything is looked at by `check`, since a parser fills the fields before it knows their types.
    """

    _argument_group_name = "training"

    learning_rate: float = field(default=2e-5, metadata={"help": "Of AdamW."})
    batch_size: int = field(default=128, metadata={"help": "Examples an optimizer step, over all devices."})
    epochs: float = field(default=1.0, metadata={"help": "Passes over the data."})
    max_steps: int | None = field(default=None, metadata={"help": "Optimizer steps, in place of --epochs."})
    per_device_batch_size: int = field(default=8, metadata={"help": "Examples at once on one device."})
    max_length: int = field(default=1024, metadata={"help": "Of prompt and completion, in tokens."})
    scheduler: str = field(default="linear", metadata={"help": "Of the learning rate; any that transformers has."})
    warmup: float = field(default=0.0, metadata={"help": "Steps to warm up, or their share if below 1."})
    precision: str = field(default="auto", metadata={"help": "bf16, fp32, or auto: bf16 where the GPU has it."})
    activation_checkpointing: bool = field(
        default=True, metadata={"help": "Compute activations twice instead of keeping them: slower, less memory."}
    )
    lora_rank: int = field(default=0, metadata={"help": "Train a LoRA of this rank (needs peft); 0: all weights."})
    lora_alpha: int = field(default=32, metadata={"help": "Scale of the LoRA."})
    evaluation_share: float = field(default=0.05, metadata={"help": "Share of the prompts that is only evaluated on."})
    save_steps: float = field(
        default=0.1, metadata={"help": "Steps between checkpoints to continue from, or their share if below 1."}
    )
    tracker: str = field(
        default="auto", metadata={"help": "trackio, wandb, none, or auto: trackio if it is installed."}
    )
    seed: int = field(default=0, metadata={"help": "Of the order of the data, the evaluation split, a LoRA's start."})

    def check(self) -> None:
        """Look at all that needs neither model nor data.

        Raises:
            InputError: a setting is out of range, or needs a GPU or a package that is not there.
        """
        check_ranges(
            learning_rate=(self.learning_rate, 0, 0.1, "above 0 and at most 0.1"),
            epochs=(self.epochs, 0, INFINITE, "above 0"),
            batch_size=(self.batch_size, 0, INFINITE, "at least 1"),
            per_device_batch_size=(self.per_device_batch_size, 0, INFINITE, "at least 1"),
            max_length=(self.max_length, 1, INFINITE, "at least 2 tokens"),
            save_steps=(self.save_steps, 0, INFINITE, "above 0: a number of steps, or their share below 1"),
        )
        for name, number in {"warmup": self.warmup, "lora_rank": self.lora_rank, "seed": self.seed}.items():
            if not number >= 0:
                raise InputError(f"{name} is {number}; expected 0 or more")
        if self.max_steps is not None and self.max_steps < 1:
            raise InputError(f"max_steps is {self.max_steps}; expected at least 1")
        if not 0 <= self.evaluation_share < 1:
            raise InputError(f"evaluation_share is {self.evaluation_share}; expected a share from 0 to below 1")
        check_choice("precision", self.precision, PRECISIONS)
        if self.precision == "bf16" and not has_accelerator():
            raise InputError("precision is bf16, but there is no GPU here; give --precision fp32, or auto")
        check_choice("tracker", self.tracker, TRACKERS)
        if self.tracker in ("trackio", "wandb") and find_spec(self.tracker) is None:
            raise InputError(
                f"tracker {self.tracker} is not installed; `pip install {self.tracker}`, or --tracker none"
            )
        if self.lora_rank and find_spec("peft") is None:
            raise InputError("a LoRA needs peft, which is not installed; `pip install peft`, or --lora_rank 0")
        from transformers import SchedulerType

        check_choice("scheduler", self.scheduler, [kind.value for kind in SchedulerType])

    @property
    def bf16(self) -> bool:
        """Whether to compute in bfloat16."""
        if self.precision == "auto":
            return has_accelerator() and torch.cuda.is_available() and torch.cuda.is_bf16_supported()
        return self.precision == "bf16"

    @property
    def report_to(self) -> str:
        """The tracker, in the trainer's words."""
        if self.tracker == "auto":
            return "trackio" if find_spec("trackio") else "none"
        return self.tracker


def check_ranges(**ranges: Range) -> None:
    """Raise InputError where a value is not above the first bound, or above the second."""
    for name, (value, above, most, expected) in ranges.items():
        if not above < value <= most:  # written so that NaN fails too
            raise InputError(f"{name} is {value}; expected {expected}")


def check_choice(name: str, value: str, known: "list[str] | tuple[str, ...]") -> None:
    """Raise InputError where a value is none of the known ones."""
    if value not in known:
        raise InputError(f"{name} {value!r} is unknown; expected one of {', '.join(known)}")


def has_accelerator() -> bool:
    """Whether there is a GPU, or another device than the CPU, that this run may use."""
    if os.environ.get("ACCELERATE_USE_CPU", "").lower() in ("1", "true", "yes"):  # of `accelerate launch --cpu`
        return False
    return torch.accelerator.current_accelerator(check_available=True) is not None
