"""Train a tag-expansion policy on preference pairs by DPO, and release it with a card (Tag-Instruct, App. D.4).

tagsmith run train-dpo --pairs org/tag-preferences@v1.0.0 --base_model org/instruct-model
accelerate launch --config_file recipes/accelerate/ddp.yaml recipes/train_dpo.py --config paper --base_model org/model
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from tagsmith.recipes.arguments import DataArguments
from tagsmith.recipes.command import run
from tagsmith.recipes.parsing import parse
from tagsmith.recipes.summary import counted
from tagsmith.recipes.train_dpo_card import NOUN, card_text, pictures
from tagsmith.recipes.train_release import ModelDestination, release_model
from tagsmith.recipes.training_arguments import BaseModelArguments, ModelReleaseArguments
from tagsmith.recipes.training_source import load_training_source
from tagsmith.trainers.dpo import train_dpo
from tagsmith.trainers.dpo_settings import DPOSettings
from tagsmith.trainers.training import Trained

RECIPE = "train_dpo"


@dataclass
class PairArguments:
    """What to learn from."""

    _argument_group_name = "pairs"

    pairs: str = field(
        default="runs/build_tag_preferences",
        metadata={"help": "A release of build-tag-preferences (folder, or org/name@tag), or a dataset in TRL's form."},
    )
    license: str | None = field(default=None, metadata={"help": "Licence of the pairs, where nothing says it."})


ARGUMENTS = (PairArguments, BaseModelArguments, DPOSettings, ModelReleaseArguments)


def main(argv: Sequence[str]) -> None:
    """Run the recipe."""
    data, base, training, release = parse(RECIPE, __doc__ or "", ARGUMENTS, argv)
    train(data, base, training, release, command=["tagsmith", "run", "train-dpo", *argv])


def train(
    data: PairArguments,
    base: BaseModelArguments,
    training: DPOSettings,
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
        InputError: a setting, the pairs or the base model will not do; before the first step.
        ReleaseError: the output or the repository will not do, before the first step; or it could not be published.
    """
    started = datetime.now(UTC)
    training.check()
    pairs = DataArguments(dataset=data.pairs, license=data.license)
    destination, source = ModelDestination.check(RECIPE, release, lambda: load_training_source(pairs))
    trained = train_dpo(training, source.rows, destination.work, base.start(), progress=progress)
    if not trained.first:
        return None
    explain = bool(source.settings.get("explain"))
    return release_model(
        trained,
        destination,
        source,
        recipe=RECIPE,
        command=command,
        settings=(data, base, training, release),
        method="Tag-Instruct",
        variant="DPO",
        card=lambda entry, name: card_text(training, trained, entry, name, explain=explain),
        pictures=pictures(trained),
        summary=[*_summary(trained), ("serve it", f"--policy_endpoint local:{destination.output}")],
        noun=NOUN,
        started=started,
    )


def _summary(trained: Trained) -> list[tuple[str, str]]:
    named = {"held-out loss": "loss", "reward accuracy": "rewards/accuracies", "reward margin": "rewards/margins"}
    return [
        ("pairs", f"{len(trained.data.train):,} to train on, {len(trained.data.evaluation):,} held out"),
        ("left out", counted(trained.data.left_out.items())),
        *((shown, f"{trained.metrics[name]:.4f}") for shown, name in named.items() if name in trained.metrics),
    ]


if __name__ == "__main__":
    sys.exit(run(main, sys.argv[1:]))
