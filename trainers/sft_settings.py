"""How a model is fine-tuned on answers: each setting is a flag of `train-sft`."""

from dataclasses import dataclass, field

from tagsmith.trainers.training_settings import TrainingSettings, check_choice

ANSWERS = ("all", "last")


@dataclass
class SFTSettings(TrainingSettings):
    """Settings of the training. Defaults are those of Tag-Instruct's student (App. B.2), where it gives one."""

    learning_rate: float = field(default=2e-5, metadata={"help": "Of AdamW (Tag-Instruct, B.2: 2e-5)."})
    batch_size: int = field(
        default=128, metadata={"help": "Examples an optimizer step, over all devices (Tag-Instruct, B.2: 128)."}
    )
    epochs: float = field(default=3.0, metadata={"help": "Passes over the examples (Tag-Instruct, B.2: 3)."})
    max_length: int = field(
        default=2048,
        metadata={"help": "In tokens; longer examples are left out (Tag-Instruct, B.2: 2,048). With --packing, packs."},
    )
    scheduler: str = field(
        default="cosine", metadata={"help": "Of the learning rate; any of transformers' (Tag-Instruct, B.2: cosine)."}
    )
    answers: str = field(
        default="all", metadata={"help": "Which answers of a conversation are learned: all of them, or only the last."}
    )
    packing: bool = field(
        default=False,
        metadata={"help": "Fill sequences up to --max_length with whole examples; --batch_size then counts sequences."},
    )

    def check(self) -> None:
        """As for every training, and which answers."""
        check_choice("answers", self.answers, ANSWERS)
        super().check()
