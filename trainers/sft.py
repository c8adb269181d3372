"""Supervised fine-tuning on answers, by TRL's SFTTrainer: the student, and the taggers that are distilled."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from datasets import Dataset
from trl import SFTConfig, SFTTrainer

from tagsmith.trainers.base_model import BaseModel
from tagsmith.trainers.batch import accumulation_steps, launched_ranks
from tagsmith.trainers.progress import quiet_libraries
from tagsmith.trainers.sft_data import end_token, is_conversational, prepare_examples
from tagsmith.trainers.sft_settings import SFTSettings
from tagsmith.trainers.trainer_arguments import lora_config, trainer_arguments
from tagsmith.trainers.training import Start, Trained, begin_training, end_training
from tagsmith.trainers.training_data import TrainingData


@quiet_libraries()
def train_sft(
    settings: SFTSettings, examples: Dataset, work: str | Path, start: Start, *, progress: bool = True
) -> Trained:
    """Fine-tune a model on examples, or go on where an earlier call with the same arguments was cut short.

    Under a launcher every rank calls this.

    Args:
        settings: how to train.
        examples: columns `messages`, or `prompt` and `completion` as raw text (see `prepare_examples`).
        work: a folder for this training alone: its checkpoints, and the model in the end. Ranks share it.
        start: the base model. It needs a chat template if the examples are conversations.
        progress: show a bar.

    Returns:
        The checkpoint, with `loss` and `mean_token_accuracy` of the examples set aside.

    Raises:
        InputError: before the first step: a setting, the examples or the base model is not what training needs; or the
            loss stopped being a number.
    """
    settings.check()
    accumulation = accumulation_steps(settings.batch_size, settings.per_device_batch_size, launched_ranks())
    work = Path(work).expanduser()
    config = SFTConfig(
        **trainer_arguments(settings, work, accumulation, progress=progress),
        max_length=settings.max_length,
        packing=settings.packing,
        eval_packing=False,
    )

    def prepare(base: BaseModel) -> TrainingData:
        return prepare_examples(
            examples,
            base.tokenizer,
            max_length=settings.max_length,
            answers=settings.answers,
            evaluation_share=settings.evaluation_share,
            seed=settings.seed,
        )

    begun = begin_training(
        settings,
        config,
        work,
        start,
        texts=lambda: _texts(examples),
        prepare=prepare,
        needs_chat_template=is_conversational(examples.column_names),
    )
    model = begun.base.load()
    _stop_at_end(model, begun.data.train[0]["labels"], begun.base.tokenizer)
    trainer = SFTTrainer(
        model=model,
        args=config,
        train_dataset=begun.data.train,
        eval_dataset=begun.evaluation,
        processing_class=begun.base.tokenizer,
        peft_config=lora_config(settings),
    )
    return end_training(begun, trainer, metrics=("loss", "mean_token_accuracy"))


def _stop_at_end(model: Any, labels: list[int], tokenizer: Any) -> None:
    """Let servers stop at the token that ends the answers, which need not be the base model's own end token."""
    end, known = end_token(labels, tokenizer), model.generation_config.eos_token_id
    ends = {tokenizer.eos_token_id, *(known if isinstance(known, list) else [known]), end} - {None}
    if end not in (known if isinstance(known, list) else [known]):
        model.generation_config.eos_token_id = sorted(ends)


def _texts(examples: Dataset) -> Iterator[str]:
    """All texts of the examples, as far as they have any: what is wrong with them is said later."""
    for column in ("prompt", "completion", "messages"):
        for value in examples[column] if column in examples.column_names else ():
            for part in value if isinstance(value, list) else [value]:
                yield str(part.get("content", "")) if isinstance(part, dict) else str(part)
