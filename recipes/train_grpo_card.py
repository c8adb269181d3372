"""What the card of a policy trained by `train_grpo` says."""

from collections.abc import Mapping
from typing import Any

from tagsmith.cards.model_card import Evaluation, ModelCardText
from tagsmith.cards.pictures import Picture
from tagsmith.cards.template import Table
from tagsmith.processors.tag_instruct.expansion_prompt import expansion_messages
from tagsmith.recipes.tag_instruct_words import CITATION, PAPER
from tagsmith.recipes.train_card import curve_picture, hyperparameters, left_out_lines, measured, training_limits
from tagsmith.trainers.grpo_settings import GRPOSettings
from tagsmith.trainers.tag_reward import REASONS, TagReward
from tagsmith.trainers.tiny_model import TINY
from tagsmith.trainers.training import Trained

NOUN = "completions"
PANELS = {"Reward": "reward", "Utility of valid tags": "utility", "Valid (share)": "valid"}
SHOWN = {"reward": "reward", "utility": "utility of valid tags", "valid": "valid completions (share)"}
_MEASURES = SHOWN | {"distinct": "different tags among the valid (share of a batch)", "kl": "KL from the base model"}
# Tag-Instruct, App. D.4 (for DPO: of its RL option the paper gives reward and objective only) and D.1.
_PAPER_VALUES = {"β": 0.1, "tags in each pool": 10_000}
_ALGORITHMS = {"grpo": "GRPO", "rloo": "RLOO"}
_EXAMPLE = ("Write a function that sorts a list of dates.", ("python", "sorting", "date handling"))
_LEFT_OUT = {
    "no_tags": "the row has no tags",
    "no_instruction": "the row has no text",
    "too_long": "prompt and completion would be longer than the longest sequence",
}
_INVALID = {
    "unparsed": "no tag could be read",
    "not_one_tag": "prose, or several tags",
    "unexplained": "no explanation",
    "known": "the row has the tag",
    "alignment": "the tag is too far from the row",
    "coherence": "the tag hardly differs from one of the row's",
}


def card_text(
    settings: GRPOSettings, trained: Trained, data: Mapping[str, Any], base: str, reward: TagReward
) -> ModelCardText:
    """The card's words and numbers.

    Args:
        settings, trained: as they were in use, and what came of it.
        data: the rows' entry of the manifest.
        base: the base model's name there.
        reward: of its completions.
    """
    form = "policy_explained" if reward.explain else "policy"
    own = {
        "algorithm": _ALGORITHMS[settings.algorithm],
        "β": settings.beta,
        "completions of a prompt": settings.group_size,
        "temperature": settings.temperature,
        "tags in each pool": len(reward.pools.good),
        "longest completion (tokens)": settings.completion_tokens(explain=reward.explain),
    }
    return ModelCardText(
        title=f"Tag policy, trained by {own['algorithm']} on {len(trained.data.train):,} instructions",
        summary=(
            "Given an instruction and its tags, it completes with one further tag: the tag policy of Tag-Instruct.",
            f"{own['algorithm']} rewarded its own completions: those whose tag is nearer to tags that go with long"
            " responses than to tags that go with short ones (score_good − score_bad).",
            "Tag expansion uses it as the policy endpoint of `tagsmith run evolve-tag-instruct` (see below).",
        ),
        prompt=expansion_messages(*_EXAMPLE, explain=reward.explain)[0]["content"],
        endpoint_command=("tagsmith", "run", "evolve-tag-instruct", "--expansion", "policy", "--policy_format", form),
        endpoint_flag="--policy_endpoint",
        citation=CITATION,
        hyperparameters=own | hyperparameters(settings, trained, NOUN),
        paper_hyperparameters=_PAPER_VALUES,
        evaluations=_evaluations(trained, data),
        measured=measured(trained, NOUN),
        differences=_differences(settings, trained, base, reward),
        limits=[
            "Utility says that its tags are like those of long responses, not that data made with them is better.",
            "A policy may earn more by one tag that fits many instructions: see the share of different tags.",
            *training_limits(trained, base, NOUN),
        ],
        tables=_tables(trained),
        paper=PAPER,
        tags=(settings.algorithm, "tag-instruct", "reinforcement-learning"),
    )


def pictures(trained: Trained) -> list[Picture]:
    """Reward, utility and validity by optimizer step, on sampled and on held-out prompts."""
    caption = "Mean reward, utility of valid tags (score_good − score_bad) and share of valid completions by step."
    return [curve_picture(trained.log, PANELS, caption)]


def before(trained: Trained) -> dict[str, float]:
    """The held-out figures before the first step, by TRL's names without `eval_`; empty where there are none."""
    first = [entry for entry in trained.log if entry.get("step") == 0 and "eval_loss" in entry]
    return {name.removeprefix("eval_"): value for name, value in first[0].items()} if first else {}


def _evaluations(trained: Trained, data: Mapping[str, Any]) -> list[Evaluation]:
    name = f"{len(trained.data.evaluation):,} held-out instructions"
    named = {"utility": "mean utility of valid tags", "valid": "share of valid completions"}
    return [
        Evaluation(name, data["name"], metric, trained.metrics[metric], shown, "train", data.get("revision"))
        for metric, shown in named.items()
        if metric in trained.metrics
    ]


def _tables(trained: Trained) -> tuple[Table, ...]:
    first, last = before(trained), trained.metrics
    rows = [(shown, _rounded(first, name), _rounded(last, name)) for name, shown in _MEASURES.items() if name in last]
    if not rows:
        return ()
    invalid = {f"invalid/{reason}": _INVALID[reason] for reason in REASONS}
    reasons = [(shown, _rounded(first, name), _rounded(last, name)) for name, shown in invalid.items() if name in last]
    columns = ("measure", "before", "after")
    return (
        {"title": "Completions of held-out prompts", "columns": columns, "rows": rows},
        {"title": "Why completions are not valid (share)", "columns": ("reason", *columns[1:]), "rows": reasons},
    )


def _rounded(figures: Mapping[str, Any], name: str) -> float | str:
    """There is no utility where no completion is valid."""
    return round(figures[name], 4) if figures.get(name) is not None else "–"


def _differences(settings: GRPOSettings, trained: Trained, base: str, reward: TagReward) -> list[str]:
    lines = [
        f"The paper names PPO; {_ALGORITHMS[settings.algorithm]} compares completions of one prompt instead of training"
        " a value model, and every batch is sampled by the policy that it updates, so PPO's clip never acts.",
        "The paper's reward is score_good − score_bad. Here it is divided by the most that it can be"
        f" ({reward.bound:.3f} for these pools), and −1 for a completion that is not valid.",
        "For this option the paper gives no value but the reward: β is the one of its DPO training.",
    ]
    if base != TINY:
        lines.append(f"The paper's policy starts from its teacher model; this started from `{base}`.")
    return [*lines, *left_out_lines(trained, "rows", _LEFT_OUT)]
