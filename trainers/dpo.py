"""Direct preference optimisation of a tag-expansion policy (Tag-Instruct, App. D.4), by TRL's DPOTrainer."""

import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import orjson
from datasets import Dataset
from transformers import AutoModelForCausalLM
from trl import DPOConfig, DPOTrainer

from tagsmith.processors.errors import InputError
from tagsmith.trainers.base_model import BaseModel
from tagsmith.trainers.batch import accumulation_steps, launched_ranks
from tagsmith.trainers.checkpoints import last_checkpoint, start_or_continue
from tagsmith.trainers.dpo_settings import DPOSettings, has_accelerator
from tagsmith.trainers.hardware import hardware, peak_memory_bytes
from tagsmith.trainers.preference_data import PreferenceData, prepare_pairs
from tagsmith.trainers.progress import quiet_libraries, watch_loss
from tagsmith.trainers.tiny_model import TINY, build_tiny_model

_EVALUATE_EVERY = 0.25  # of the run
# Of no effect on the weights that come out.
_NOT_OF_THE_RUN = ("tracker", "save_steps")

# Random numbers are nobody's.
_TINY_FACTS = {"model": TINY, "license": "cc0-1.0"}


@dataclass(frozen=True)
class Trained:
    """What a training left behind.

    Args:
        folder: a checkpoint for `from_pretrained`: weights, config, tokenizer. Only the first rank writes it.
        metrics: of the last evaluation, by TRL's names: `loss`, `rewards/accuracies`, `rewards/margins`, …; each the
            mean over batches, the last of which may be smaller. Empty without evaluation pairs.
        log: what the trainer logged, with `step` each; also of the sessions before this one.
        steps: optimizer steps in all.
        epochs: passes over the pairs.
        batch_size: pairs a step.
        resumed_from: the step that this session went on from; 0 for a run in one go.
        seconds: of this session's steps and evaluations.
        peak_memory_bytes: of the first rank.
        hardware: what it ran on.
        world: devices.
        accumulation: forward passes an optimizer step.
        data: the pairs in use.
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
    data: PreferenceData
    base: BaseModel
    base_facts: Mapping[str, Any]
    arguments: Mapping[str, Any]
    first: bool


@quiet_libraries()
def train_dpo(
    settings: DPOSettings,
    pairs: Dataset,
    work: str | Path,
    *,
    base_model: str,
    revision: str | None = None,
    chat_template: str | None = None,
    pad_token: str | None = None,
    progress: bool = True,
) -> Trained:
    """Train a policy on preference pairs, or go on where an earlier call with the same arguments was cut short.

    The reference model is the base model as it was. Under a launcher every rank calls this.

    Args:
        settings: how to train.
        pairs: columns `prompt`, `chosen`, `rejected` (see `prepare_pairs`).
        work: a folder for this training alone: its checkpoints, and the model in the end. Ranks share it.
        base_model: a name on the Hub, a folder, or `tiny:` (built on the spot from the pairs' texts).
        revision, chat_template, pad_token: see `BaseModel.open`.
        progress: show a bar.

    Raises:
        InputError: before the first step: a setting, the pairs or the base model is not what training needs; or the
            loss stopped being a number.

    Differs from the paper: it does not name scheduler, warm-up, optimizer or longest sequence; TRL's defaults (linear
    to zero, none, AdamW, 1,024 tokens) stand in. Pairs that would be cut at the longest sequence are left out.
    """
    settings.check()
    world = launched_ranks()
    accumulation = accumulation_steps(settings.batch_size, settings.per_device_batch_size, world)
    work = Path(work).expanduser()
    work.mkdir(parents=True, exist_ok=True)
    config = _config(settings, work, accumulation, progress)
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
    with config.main_process_first(local=False):
        if base_model == TINY and config.process_index == 0:
            build_tiny_model(work / "tiny", _texts(pairs), seed=settings.seed)
        start = str(work / "tiny") if base_model == TINY else base_model
        base = BaseModel.open(start, revision=revision, chat_template=chat_template, pad_token=pad_token)
        base.check_length(settings.max_length)
        data = prepare_pairs(
            pairs,
            base.tokenizer,
            max_length=settings.max_length,
            evaluation_share=settings.evaluation_share,
            seed=settings.seed,
        )
        config.eval_strategy = "steps" if len(data.evaluation) else "no"
        base_facts: dict[str, Any] = {}
        if config.process_index == 0:
            base_facts = base.facts() | (_TINY_FACTS if base_model == TINY else {})
            start_or_continue(work, _identity(settings, world, data, base, base_facts))
        resume = last_checkpoint(work)
    model = base.load()  # on all ranks at once: under ZeRO-3 they share the weights out while they load
    trainer = DPOTrainer(
        model=model,
        args=config,
        train_dataset=data.train,
        eval_dataset=data.evaluation if len(data.evaluation) else None,
        processing_class=base.tokenizer,
        peft_config=_lora(settings),
    )
    watch_loss(trainer)
    started = time.perf_counter()
    trainer.train(resume_from_checkpoint=str(resume) if resume else None)
    metrics = _evaluated(trainer) if len(data.evaluation) else {}
    seconds = time.perf_counter() - started
    folder = _save(trainer, base, work, lora=bool(settings.lora_rank))
    return Trained(
        folder=folder,
        metrics={
            name.removeprefix("eval_"): float(value)
            for name, value in metrics.items()
            if name.startswith(("eval_loss", "eval_rewards/", "eval_logps/"))
        },
        log=trainer.state.log_history,
        steps=trainer.state.global_step,
        epochs=float(trainer.state.epoch or 0.0),
        batch_size=settings.batch_size,
        resumed_from=int(resume.name.rpartition("-")[2]) if resume else 0,
        seconds=seconds,
        peak_memory_bytes=peak_memory_bytes(),
        hardware=hardware(world),
        world=world,
        accumulation=accumulation,
        data=data,
        base=base,
        base_facts=base_facts,
        arguments=_arguments(config),
        first=config.process_index == 0,
    )


def _config(settings: DPOSettings, work: Path, accumulation: int, progress: bool) -> DPOConfig:
    accelerated = has_accelerator()
    return DPOConfig(
        output_dir=str(work),
        beta=settings.beta,
        learning_rate=settings.learning_rate,
        num_train_epochs=settings.epochs,
        max_steps=settings.max_steps or -1,
        per_device_train_batch_size=settings.per_device_batch_size,
        per_device_eval_batch_size=settings.per_device_batch_size,
        gradient_accumulation_steps=accumulation,
        max_length=settings.max_length,
        lr_scheduler_type=settings.scheduler,
        warmup_steps=settings.warmup,
        bf16=settings.bf16,
        activation_checkpointing=settings.activation_checkpointing,
        use_cpu=not accelerated,
        dataloader_pin_memory=accelerated,
        logging_steps=1,
        logging_nan_inf_filter=False,
        eval_strategy="steps",
        eval_steps=_EVALUATE_EVERY,
        save_steps=settings.save_steps if settings.save_steps < 1 else int(settings.save_steps),
        save_total_limit=2,
        report_to=settings.report_to,
        disable_tqdm=not progress,
        seed=settings.seed,
    )


def _lora(settings: DPOSettings) -> Any:
    if not settings.lora_rank:
        return None
    from peft import LoraConfig

    return LoraConfig(
        r=settings.lora_rank, lora_alpha=settings.lora_alpha, target_modules="all-linear", task_type="CAUSAL_LM"
    )


def _texts(pairs: Dataset) -> Iterator[str]:
    """All texts of the pairs, as far as they have any: what is wrong with them is said later."""
    for column in ("prompt", "chosen", "rejected"):
        for messages in pairs[column] if column in pairs.column_names else ():
            for message in messages if isinstance(messages, list) else ():
                yield str(message.get("content", "")) if isinstance(message, dict) else str(message)


def _identity(
    settings: DPOSettings, world: int, data: PreferenceData, base: BaseModel, facts: Mapping[str, Any]
) -> dict[str, Any]:
    rows = blake2b(digest_size=16)
    for part in (data.train, data.evaluation):
        for pair in part:
            rows.update(orjson.dumps(pair, option=orjson.OPT_SORT_KEYS))
        rows.update(b"\0")
    return {
        "settings": {name: value for name, value in asdict(settings).items() if name not in _NOT_OF_THE_RUN},
        "world": world,
        "pairs": rows.hexdigest(),
        "base": dict(facts),
        "chat_template": base.tokenizer.chat_template,
        "pad_token": base.tokenizer.pad_token,
    }


def _save(trainer: DPOTrainer, base: BaseModel, work: Path, *, lora: bool) -> Path:
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
            PeftModel.from_pretrained(whole, adapter).merge_and_unload().save_pretrained(folder)
    if trainer.is_world_process_zero():
        base.tokenizer.save_pretrained(folder)
        (folder / "training_args.bin").unlink(missing_ok=True)  # a pickle with paths of this machine
    trainer.accelerator.wait_for_everyone()
    return folder


def _evaluated(trainer: DPOTrainer) -> Mapping[str, Any]:
    """The evaluation after the last step: where the trainer has just made it, that one."""
    state = trainer.state
    made = [entry for entry in state.log_history if "eval_loss" in entry and entry["step"] == state.global_step]
    return made[-1] if made else trainer.evaluate()  # type: ignore[no-any-return]


def _arguments(config: DPOConfig) -> dict[str, Any]:
    """What differs from the trainer's defaults, without names of folders, runs and accounts."""
    defaults = DPOConfig(output_dir=config.output_dir, report_to="none", use_cpu=config.use_cpu)
    known = defaults.to_dict()
    private = ("output_dir", "logging_dir", "run_name", "hub_token", "push_to_hub_token", "accelerator_config")
    return {name: value for name, value in config.to_dict().items() if name not in private and value != known.get(name)}
