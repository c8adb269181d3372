"""Direct preference optimisation of a tag-expansion policy (Tag-Instruct, App. D.4), by TRL's DPOTrainer."""

from collections.abc import Iterator
from pathlib import Path

from datasets import Dataset
from trl import DPOConfig, DPOTrainer

from tagsmith.trainers.base_model import BaseModel
from tagsmith.trainers.batch import accumulation_steps, launched_ranks
from tagsmith.trainers.dpo_settings import DPOSettings
from tagsmith.trainers.preference_data import COLUMNS, prepare_pairs
from tagsmith.trainers.progress import quiet_libraries
from tagsmith.trainers.trainer_arguments import lora_config, trainer_arguments
from tagsmith.trainers.training import Start, Trained, begin_training, end_training
from tagsmith.trainers.training_data import TrainingData


@quiet_libraries()
def train_dpo(
    settings: DPOSettings, pairs: Dataset, work: str | Path, start: Start, *, progress: bool = True
) -> Trained:
    """Train a policy on preference pairs, or go on where an earlier call with the same arguments was cut short.

    The reference model is the base model as it was. Under a launcher every rank calls this.

    Args:
        settings: how to train.
        pairs: columns `prompt`, `chosen`, `rejected` (see `prepare_pairs`).
        work: a folder for this training alone: its checkpoints, and the model in the end. Ranks share it.
        start: the base model.
        progress: show a bar.

    Returns:
        The checkpoint, with `loss`, `rewards/accuracies`, `rewards/margins`, … of the pairs set aside.

    Raises:
        InputError: before the first step: a setting, the pairs or the base model is not what training needs; or the
            loss stopped being a number.

    Differs from the paper: it does not name scheduler, warm-up, optimizer or longest sequence; TRL's defaults (linear
    to zero, none, AdamW, 1,024 tokens) stand in. Pairs that would be cut at the longest sequence are left out.
    """
    settings.check()
    accumulation = accumulation_steps(settings.batch_size, settings.per_device_batch_size, launched_ranks())
    work = Path(work).expanduser()
    config = DPOConfig(
        **trainer_arguments(settings, work, accumulation, progress=progress),
        beta=settings.beta,
        max_length=settings.max_length,
    )

    def prepare(base: BaseModel) -> TrainingData:
        return prepare_pairs(
            pairs,
            base.tokenizer,
            max_length=settings.max_length,
            evaluation_share=settings.evaluation_share,
            seed=settings.seed,
        )

    begun = begin_training(settings, config, work, start, texts=lambda: _texts(pairs), prepare=prepare)
    trainer = DPOTrainer(
        model=begun.base.load(),  # on all ranks at once: under ZeRO-3 they share the weights out while they load
        args=config,
        train_dataset=begun.data.train,
        eval_dataset=begun.evaluation,
        processing_class=begun.base.tokenizer,
        peft_config=lora_config(settings),
    )
    return end_training(begun, trainer, metrics=("loss", "rewards/", "logps/"))


def _texts(pairs: Dataset) -> Iterator[str]:
    """All texts of the pairs, as far as they have any: what is wrong with them is said later."""
    for column in COLUMNS:
        for messages in pairs[column] if column in pairs.column_names else ():
            for message in messages if isinstance(messages, list) else ():
                yield str(message.get("content", "")) if isinstance(message, dict) else str(message)
