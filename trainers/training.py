"""One training from base model to checkpoint: what is looked at first, where it goes on, what it leaves behind.

A trainer of ours is three lines: `begin_training`, TRL's trainer on `begun.base` and `begun.data`, `end_training`.
"""

import shutil
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from transformers import AutoModelForCausalLM, Trainer, TrainingArguments

from tagsmith.processors.errors import InputError
from tagsmith.trainers.base_model import BaseModel
from tagsmith.trainers.batch import launched_ranks
from tagsmith.trainers.checkpoints import last_checkpoint, start_or_continue
from tagsmith.trainers.hardware import hardware, peak_memory_bytes
from tagsmith.trainers.progress import watch_loss
from tagsmith.trainers.tiny_model import TINY, build_tiny_model
from tagsmith.trainers.trainer_arguments import differing_arguments
from tagsmith.trainers.training_data import TrainingData
from tagsmith.trainers.training_settings import TrainingSettings

# Of no effect on the weights that come out.
_NOT_OF_THE_RUN = ("tracker", "save_steps")

# Random numbers are nobody's.
_TINY_FACTS = {"model": TINY, "license": "cc0-1.0"}


@dataclass(frozen=True)
class Start:
    """What to start from.

    Args:
        base_model: a name on the Hub, a folder, or `tiny:` (built on the spot from the data's texts).
        revision, chat_template, pad_token: see `BaseModel.open`.
    """

    base_model: str
    revision: str | None = None
    chat_template: str | None = None
    pad_token: str | None = None


@dataclass(frozen=True)
class Begun:
    """A training that was looked at and may start.

    Args:
        settings, config: how to train, in our words and in the trainer's.
        work: the training's own folder.
        base: what it starts from.
        base_facts: of it, for the manifest; only on the first rank.
        data: what it learns from.
        resume: the checkpoint to go on from; None to start.
        world: devices.
    """

    settings: TrainingSettings
    config: TrainingArguments
    work: Path
    base: BaseModel
    base_facts: Mapping[str, Any]
    data: TrainingData
    resume: Path | None
    world: int

    @property
    def evaluation(self) -> Any:
        """The rows set aside, as a trainer takes them: None where there are none."""
        return self.data.evaluation if len(self.data.evaluation) else None


@dataclass(frozen=True)
class Trained:
    """What a training left behind.

    Args:
        folder: a checkpoint for `from_pretrained`: weights, config, tokenizer. Only the first rank writes it.
        metrics: of the last evaluation, by TRL's names without `eval_`, each as TRL means it over batches. Empty
            without rows for evaluation.
        log: what the trainer logged, with `step` each; also of the sessions before this one.
        steps: optimizer steps in all.
        epochs: passes over the data.
        batch_size: examples a step.
        resumed_from: the step that this session went on from; 0 for a run in one go.
        seconds: of this session's steps and evaluations.
        peak_memory_bytes: of the first rank.
        hardware: what it ran on.
        world: devices.
        accumulation: forward passes an optimizer step.
        data: what it learned from.
        base: what training started from.
        base_facts: of it, for the manifest.
        arguments: all of the trainer's own settings that differ from its defaults.
        first: whether this is the rank that publishes.
    """

    folder: Path
    metrics: Mapping[str, float]
    log: Sequence[Mapping[str, Any]]
    steps: int
    epochs: float
    batch_size: int
    resumed_from: int
    seconds: float
    peak_memory_bytes: int
    hardware: str
    world: int
    accumulation: int
    data: TrainingData
    base: BaseModel
    base_facts: Mapping[str, Any]
    arguments: Mapping[str, Any]
    first: bool


def begin_training(
    settings: TrainingSettings,
    config: TrainingArguments,
    work: Path,
    start: Start,
    *,
    texts: Callable[[], Iterable[str]],
    prepare: Callable[[BaseModel], TrainingData],
    needs_chat_template: bool = True,
) -> Begun:
    """Open the base model, prepare the data, and see which checkpoint to go on from. Under a launcher every rank calls.

    Args:
        settings: looked at already (`settings.check()`).
        config: the trainer's, made with `trainer_arguments`. Without rows to evaluate on, evaluation is turned off.
        work: a folder for this training alone, which ranks share; made if need be.
        start: the base model.
        texts: for the tokenizer of `tiny:`; asked for only then.
        prepare: makes the data ready, with the base model's tokenizer.
        needs_chat_template: whether the data are conversations.

    Raises:
        InputError: the launcher and the trainer see different numbers of processes, or base model or data will not do.
    """
    world = launched_ranks()
    if config.world_size != world:
        raise InputError(
            f"the launcher started {world} processes, but the trainer sees {config.world_size}: each would train alone;"
            " launch with recipes/accelerate/ddp.yaml, not with --cpu"
        )
    if config.n_gpu > 1:
        raise InputError(
            f"{config.n_gpu} GPUs are visible to one process; launch with `accelerate launch`, or choose one with"
            " CUDA_VISIBLE_DEVICES=0"
        )
    work.mkdir(parents=True, exist_ok=True)
    tiny = start.base_model == TINY
    with config.main_process_first(local=False):
        if tiny and config.process_index == 0:
            build_tiny_model(work / "tiny", texts(), seed=settings.seed)
        base = BaseModel.open(
            str(work / "tiny") if tiny else start.base_model,
            revision=start.revision,
            chat_template=start.chat_template,
            pad_token=start.pad_token,
            needs_chat_template=needs_chat_template,
        )
        base.check_length(settings.max_length)
        data = prepare(base)
        if not len(data.evaluation):
            config.eval_strategy = "no"
        facts: dict[str, Any] = {}
        if config.process_index == 0:
            facts = base.facts() | (_TINY_FACTS if tiny else {})
            run = start_or_continue(work, _identity(settings, world, data, base, facts))
            config.run_name = f"{work.name.strip('.')}-{run[:8]}"  # the tracker goes on with it after an interruption
        resume = last_checkpoint(work)
    return Begun(settings, config, work, base, facts, data, resume, world)


def end_training(begun: Begun, trainer: Trainer, *, metrics: Sequence[str] = ("loss",)) -> Trained:
    """Train to the end, evaluate, and save the model.

    Args:
        begun: from `begin_training`.
        trainer: TRL's, with its model and data.
        metrics: which of the evaluation's to keep: names, or what they begin with (`rewards/`).

    Raises:
        InputError: the loss stopped being a number.
    """
    data, resume = begun.data, begun.resume
    watch_loss(trainer)
    started = time.perf_counter()
    trainer.train(resume_from_checkpoint=str(resume) if resume else None)
    evaluated = _evaluated(trainer) if len(data.evaluation) else {}
    seconds = time.perf_counter() - started
    folder = _save(trainer, begun.base, begun.work, lora=bool(begun.settings.lora_rank))
    named = {name.removeprefix("eval_"): value for name, value in evaluated.items() if name.startswith("eval_")}
    return Trained(
        folder=folder,
        metrics={name: float(value) for name, value in named.items() if _kept(name, metrics)},
        log=trainer.state.log_history,
        steps=trainer.state.global_step,
        epochs=float(trainer.state.epoch or 0.0),
        batch_size=begun.settings.batch_size,
        resumed_from=int(resume.name.rpartition("-")[2]) if resume else 0,
        seconds=seconds,
        peak_memory_bytes=peak_memory_bytes(),
        hardware=hardware(begun.world),
        world=begun.world,
        accumulation=begun.config.gradient_accumulation_steps,
        data=data,
        base=begun.base,
        base_facts=begun.base_facts,
        arguments=differing_arguments(begun.config),
        first=begun.config.process_index == 0,
    )


def _identity(
    settings: TrainingSettings, world: int, data: TrainingData, base: BaseModel, facts: Mapping[str, Any]
) -> dict[str, Any]:
    """Whatever the weights depend on."""
    return {
        "settings": {name: value for name, value in asdict(settings).items() if name not in _NOT_OF_THE_RUN},
        "world": world,
        "data": data.digest(),
        "base": dict(facts),
        "chat_template": base.tokenizer.chat_template,
        "pad_token": base.tokenizer.pad_token,
    }


def _kept(name: str, wanted: Sequence[str]) -> bool:
    return any(name == one or (one.endswith("/") and name.startswith(one)) for one in wanted)


def _evaluated(trainer: Trainer) -> Mapping[str, Any]:
    """The evaluation after the last step: where the trainer has just made it, that one."""
    state = trainer.state
    made = [entry for entry in state.log_history if "eval_loss" in entry and entry["step"] == state.global_step]
    return made[-1] if made else trainer.evaluate()  # type: ignore[no-any-return]


def _save(trainer: Trainer, base: BaseModel, work: Path, *, lora: bool) -> Path:
    """The trained model as a checkpoint that is whole: a LoRA is merged into its base."""
    folder = work / "model"
    if trainer.is_world_process_zero():
        shutil.rmtree(folder, ignore_errors=True)  # its files may be shared with a release: see write_model_release
    trainer.accelerator.wait_for_everyone()
    if not lora:
        trainer.save_model(str(folder))  # on all ranks: weights may be spread over them
    else:
        from peft import PeftModel

        adapter = work / "adapter"
        trainer.save_model(str(adapter))
        if trainer.is_world_process_zero():
            whole = AutoModelForCausalLM.from_pretrained(base.folder, dtype="auto")
            whole.generation_config = trainer.model.generation_config  # the tokens that end an answer
            PeftModel.from_pretrained(whole, adapter).merge_and_unload().save_pretrained(folder)
    if trainer.is_world_process_zero():
        base.tokenizer.save_pretrained(folder)
        (folder / "training_args.bin").unlink(missing_ok=True)  # a pickle with paths of this machine
    trainer.accelerator.wait_for_everyone()
    return folder
