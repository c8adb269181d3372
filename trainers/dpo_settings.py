"""How a policy is trained by DPO: each setting is a flag of `train-dpo`."""

from dataclasses import dataclass, field

from tagsmith.trainers.training_settings import TrainingSettings, check_ranges


@dataclass
class DPOSettings(TrainingSettings):
    """Settings of the training. Defaults are the paper's where it gives one (Tag-Instruct, App. D.4)."""

    beta: float = field(default=0.1, metadata={"help": "Weight of the reference model, β (paper, D.4: 0.1)."})
    learning_rate: float = field(default=5e-5, metadata={"help": "Of AdamW (paper, D.4: 5e-5)."})
    batch_size: int = field(
        default=128, metadata={"help": "Pairs an optimizer step, over all devices (paper, D.4: 128)."}
    )
    epochs: float = field(default=1.0, metadata={"help": "Passes over the pairs (paper, D.4: 1)."})
    max_length: int = field(
        default=1024, metadata={"help": "Of prompt and completion, in tokens; longer pairs are left out."}
    )

    def check(self) -> None:
        """As for every training, and β."""
        check_ranges(beta=(self.beta, 0, 10, "above 0 and at most 10 (the paper: 0.1)"))
        super().check()
