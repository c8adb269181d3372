"""Online RL of the tag-expansion policy (Tag-Instruct, App. D.4), by TRL's GRPOTrainer or RLOOTrainer."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from datasets import Dataset
from trl import GRPOConfig, GRPOTrainer, RLOOConfig, RLOOTrainer

from tagsmith.trainers.base_model import BaseModel
from tagsmith.trainers.batch import accumulation_steps, launched_ranks
from tagsmith.trainers.grpo_settings import GRPOSettings
from tagsmith.trainers.progress import quiet_libraries
from tagsmith.trainers.prompt_data import PromptData, in_order, prepare_prompts, texts_of
from tagsmith.trainers.tag_reward import TagReward
from tagsmith.trainers.trainer_arguments import lora_config, trainer_arguments
from tagsmith.trainers.training import Start, Trained, begin_training, end_training

METRICS = ("loss", "reward", "reward_std", "utility", "valid", "distinct", "invalid/", "kl", "entropy")


@quiet_libraries()
def train_grpo(
    settings: GRPOSettings, rows: Dataset, reward: TagReward, work: str | Path, start: Start, *, progress: bool = True
) -> Trained:
    """Train a policy on its own completions, or go on where an earlier call with the same arguments was cut short.

    Each step samples `group_size` completions of each of its prompts, rewards them, and makes those more likely that
    earned more than their group: GRPO takes (reward − the group's mean) / its deviation, RLOO reward − the mean of the
    group's others. The KL term holds the policy near the base model. Under a launcher every rank calls this.

    Args:
        settings: how to train.
        rows: columns `instruction`, `base_tags`, … (see `prepare_prompts`).
        reward: of a completion. It says whether the policy should explain.
        work: a folder for this training alone: its checkpoints, and the model in the end. Ranks share it.
        start: the base model.
        progress: show a bar.

    Returns:
        The checkpoint, with the mean `reward`, `utility`, `valid`, … of completions sampled for the prompts set aside;
        the log has the same from before the first step (step 0).

    Raises:
        InputError: before the first step: a setting, the rows or the base model is not what training needs; or the loss
            stopped being a number.

    Differs from the paper: it names PPO, which TRL 1.16 has no longer; both algorithms here do without its value model.
    Every batch is sampled by the policy that it updates, so the ratio r_t is 1 and the clip of the PPO objective never
    acts. The form of the loss is TRL's default (GRPO: token-level, as DAPO's).
    """
    settings.check()
    world = launched_ranks()
    accumulation = accumulation_steps(settings.batch_size, settings.per_device_batch_size, world)
    work = Path(work).expanduser()
    config = _config(settings, work, accumulation, progress=progress, explain=reward.explain)

    def prepare(base: BaseModel) -> PromptData:
        return prepare_prompts(
            rows,
            base.tokenizer,
            explain=reward.explain,
            longest_prompt=settings.max_length - settings.completion_tokens(explain=reward.explain),
            evaluation_share=settings.evaluation_share,
            seed=settings.seed,
            reward=reward.facts(),
        )

    begun = begin_training(settings, config, work, start, texts=lambda: texts_of(rows), prepare=prepare)
    config.eval_on_start = begun.evaluation is not None and begun.resume is None
    passes = settings.epochs * len(begun.data.train)
    steps = settings.max_steps or max(1, round(passes / settings.prompts_a_step))
    config.max_steps = steps
    trainer = (GRPOTrainer if settings.algorithm == "grpo" else RLOOTrainer)(
        model=begun.base.load(),  # on all ranks at once: under ZeRO-3 they share the weights out while they load
        args=config,
        reward_funcs=reward,
        train_dataset=in_order(begun.data.train, steps * settings.prompts_a_step, settings.seed),
        eval_dataset=begun.evaluation,
        processing_class=begun.base.tokenizer,
        peft_config=lora_config(settings),
    )
    trained = end_training(begun, trainer, metrics=METRICS)
    return replace(trained, epochs=steps * settings.prompts_a_step / len(begun.data.train))


def _config(
    settings: GRPOSettings, work: Path, accumulation: int, *, progress: bool, explain: bool
) -> GRPOConfig | RLOOConfig:
    """The trainer's words. An evaluation batch holds whole groups, whatever the number of devices."""
    groups = max(1, settings.per_device_batch_size // settings.group_size)
    arguments: dict[str, Any] = trainer_arguments(settings, work, accumulation, progress=progress)
    vllm = {"vllm_mode": "server", "vllm_server_base_url": settings.vllm_server} if settings.vllm_server else {}
    return (GRPOConfig if settings.algorithm == "grpo" else RLOOConfig)(
        **arguments | {"per_device_eval_batch_size": groups * settings.group_size},
        beta=settings.beta,
        num_generations=settings.group_size,
        temperature=settings.temperature,
        max_completion_length=settings.completion_tokens(explain=explain),
        shuffle_dataset=False,  # see `in_order`
        use_vllm=settings.use_vllm,
        **vllm,
    )
