"""Train a tag-expansion policy by online RL on the utility of its own tags, and release it (Tag-Instruct, App. D.4).

tagsmith run train-grpo --rows org/tag-preferences@v1.0.0 --base_model org/instruct-model
accelerate launch --config_file recipes/accelerate/ddp.yaml recipes/train_grpo.py --config paper --algorithm rloo
"""

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from tagsmith.recipes.command import run
from tagsmith.recipes.parsing import parse
from tagsmith.recipes.prompt_source import RewardArguments, load_rows, with_reward
from tagsmith.recipes.summary import counted
from tagsmith.recipes.train_grpo_card import NOUN, SHOWN, before, card_text, pictures
from tagsmith.recipes.train_release import ModelDestination, release_model
from tagsmith.recipes.training_arguments import BaseModelArguments, ModelReleaseArguments
from tagsmith.trainers.grpo import train_grpo
from tagsmith.trainers.grpo_settings import GRPOSettings
from tagsmith.trainers.training import Trained

RECIPE = "train_grpo"
ARGUMENTS = (RewardArguments, BaseModelArguments, GRPOSettings, ModelReleaseArguments)


def main(argv: Sequence[str]) -> None:
    """Run the recipe."""
    data, base, training, release = parse(RECIPE, __doc__ or "", ARGUMENTS, argv)
    train(data, base, training, release, command=["tagsmith", "run", "train-grpo", *argv])


def train(
    data: RewardArguments,
    base: BaseModelArguments,
    training: GRPOSettings,
    release: ModelReleaseArguments,
    *,
    command: Sequence[str],
    progress: bool = True,
) -> Path | None:
    """Train, write the release, publish it if wanted. Called again after an interruption, it goes on where it was.

    Checkpoints lie in a hidden folder beside the output until all is done.

    Args:
        data, base, training, release: as their flags.
        command: what was typed, for manifest and card.
        progress: show a bar.

    Returns:
        The model's folder, which `local:` serves; None on other ranks than the first.

    Raises:
        InputError: a setting, the rows, the utilities or the base model will not do; before the first step.
        ReleaseError: the output or the repository will not do, before the first step; or it could not be published.
    """
    started = datetime.now(UTC)
    training.check()
    destination, rows = ModelDestination.check(RECIPE, release, lambda: load_rows(data))
    prompts = with_reward(data, rows)
    trained = train_grpo(
        training, prompts.source.rows, prompts.reward, destination.work, base.start(), progress=progress
    )
    if not trained.first:
        return None
    return release_model(
        trained,
        destination,
        prompts.source,
        recipe=RECIPE,
        command=command,
        settings=(prompts.arguments, base, training, release),
        method="Tag-Instruct",
        variant=training.algorithm.upper(),
        card=lambda entry, name: card_text(training, trained, entry, name, prompts.reward),
        pictures=pictures(trained),
        summary=[*_summary(trained), ("serve it", f"--policy_endpoint local:{destination.output}")],
        noun=NOUN,
        started=started,
        inputs=prompts.inputs,
        models=prompts.models,
    )


def _summary(trained: Trained) -> list[tuple[str, str]]:
    """Held-out figures, before and after."""
    first = before(trained)
    return [
        ("prompts", f"{len(trained.data.train):,} to train on, {len(trained.data.evaluation):,} held out"),
        ("left out", counted(trained.data.left_out.items())),
        *(
            (f"held-out {shown}", f"{first[name]:.4f} before, {trained.metrics[name]:.4f} after")
            for name, shown in SHOWN.items()
            if name in trained.metrics and name in first
        ),
    ]


if __name__ == "__main__":
    sys.exit(run(main, sys.argv[1:]))
