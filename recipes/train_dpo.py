"""Train a tag-expansion policy on preference pairs by DPO, and release it with a card (Tag-Instruct, App. D.4).

tagsmith run train-dpo --pairs org/tag-preferences@v1.0.0 --base_model org/instruct-model
accelerate launch --config_file recipes/accelerate/ddp.yaml recipes/train_dpo.py --config paper --base_model org/model
"""

import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from tagsmith.cards.hub_checks import check_target
from tagsmith.cards.hub_target import HubTarget
from tagsmith.cards.manifest import COUNTS, build_manifest
from tagsmith.cards.model_link import link_model
from tagsmith.cards.model_release import check_model_output, write_model_release
from tagsmith.cards.push import push_release
from tagsmith.cards.quality_gates import check_offline
from tagsmith.processors.errors import InputError
from tagsmith.recipes.command import run
from tagsmith.recipes.parsing import parse
from tagsmith.recipes.preference_source import PairSource, load_pairs
from tagsmith.recipes.publish import settings_by_name
from tagsmith.recipes.summary import counted, print_table
from tagsmith.recipes.train_dpo_card import card_text, measured, pictures
from tagsmith.trainers.dpo import Trained, train_dpo
from tagsmith.trainers.dpo_settings import DPOSettings

RECIPE = "train_dpo"


@dataclass
class PolicyArguments:
    """What to train, and on what."""

    _argument_group_name = "pairs and model"

    pairs: str = field(
        default="runs/build_tag_preferences",
        metadata={"help": "A release of build-tag-preferences (folder, or org/name@tag), or a dataset in TRL's form."},
    )
    base_model: str = field(
        default="tiny:",
        metadata={"help": "On the Hub, a folder, or tiny: (random weights, for demonstrations)."},
    )
    base_revision: str | None = field(default=None, metadata={"help": "Branch, tag or commit of a base on the Hub."})
    chat_template: str | None = field(default=None, metadata={"help": "Jinja file, for a base without a template."})
    pad_token: str | None = field(default=None, metadata={"help": "Token to pad with, for a base without one."})
    license: str | None = field(default=None, metadata={"help": "Licence of the pairs, where nothing says it."})


@dataclass
class ModelReleaseArguments:
    """Where the trained model goes: a folder, and a repository on the Hub if wanted."""

    _argument_group_name = "release"

    output: str | None = field(
        default=None, metadata={"help": "Folder of the model; an earlier one is replaced. Default: runs/RECIPE."}
    )
    push_to_hub: str | None = field(
        default=None, metadata={"help": "Also publish it as this model repository (org/name); needs --release."}
    )
    release: str | None = field(
        default=None, metadata={"help": "Version to publish, as a git tag that never moves: v1.0.0."}
    )
    private: bool = field(default=False, metadata={"help": "Make a new repository private."})
    link_dataset: bool = field(default=False, metadata={"help": "Also name the model on the card of its pairs."})
    allow_offline: bool = field(
        default=False, metadata={"help": "Publish even a model that learned from the offline endpoint's rules."}
    )

    def target(self) -> HubTarget | None:
        """The repository and version, if it is to be published.

        Raises:
            InputError: one of `push_to_hub` and `release` without the other. ReleaseError: no name that the Hub takes.
        """
        if (self.push_to_hub is None) != (self.release is None):
            raise InputError("--push_to_hub org/name and --release v1.0.0 belong together; give both or neither")
        if self.push_to_hub is None or self.release is None:
            return None
        return HubTarget(self.push_to_hub, self.release, self.private, repo_type="model")


ARGUMENTS = (PolicyArguments, DPOSettings, ModelReleaseArguments)


def main(argv: Sequence[str]) -> None:
    """Run the recipe."""
    policy, training, release = parse(RECIPE, __doc__ or "", ARGUMENTS, argv)
    train(policy, training, release, command=["tagsmith", "run", "train-dpo", *argv])


def train(
    policy: PolicyArguments,
    training: DPOSettings,
    release: ModelReleaseArguments,
    *,
    command: Sequence[str],
    progress: bool = True,
) -> Path | None:
    """Train, write the release, publish it if wanted. Called again after an interruption, it goes on where it was.

    Checkpoints lie in a hidden folder beside the output until all is done.

    Args:
        policy, training, release: as their flags.
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
    output = Path(release.output or f"runs/{RECIPE}")
    target = release.target()
    place = check_model_output(output)
    source = load_pairs(policy.pairs, policy.license)
    if target is not None:
        check_offline(offline=source.offline, allow_offline=release.allow_offline)
        check_target(target)
    if release.link_dataset and (target is None or source.target is None):
        raise InputError("--link_dataset needs pairs on the Hub (--pairs org/name@tag) and --push_to_hub")
    work = place.with_name(f".{place.name}.training")
    trained = train_dpo(
        training,
        source.pairs,
        work,
        base_model=policy.base_model,
        revision=policy.base_revision,
        chat_template=policy.chat_template,
        pad_token=policy.pad_token,
        progress=progress,
    )
    if not trained.first:
        return None
    manifest = build_manifest(
        recipe=RECIPE,
        command=command,
        config=settings_by_name((policy, training, release)),
        method="Tag-Instruct",
        variant="DPO",
        inputs=[source.facts],
        prompts={},
        models=[trained.base_facts],
        counts={
            **dict.fromkeys(COUNTS, 0),
            "rows_in": trained.data.rows,
            "rows_out": len(trained.data.train),
            "rows_evaluation": len(trained.data.evaluation),
            "rejected": dict(trained.data.left_out),
        },
        started=started,
        finished=datetime.now(UTC),
        offline=source.offline,
    )
    manifest |= {"evaluation": dict(trained.metrics), "measured": measured(trained)}
    card = card_text(
        training,
        trained,
        manifest["inputs"][0],
        manifest["models"][0]["model"],
        explain=source.explain,
    )
    write_model_release(
        output,
        trained.folder,
        manifest=manifest,
        card=card,
        arguments=trained.arguments,
        pictures=pictures(trained),
        target=target,
    )
    _print_done(trained, output)
    if target is not None:
        _publish(place, target, source, link=release.link_dataset)
    shutil.rmtree(work)
    return place


def _print_done(trained: Trained, output: Path) -> None:
    timed = trained.steps - trained.resumed_from
    went_on = f", {timed:,} of them now" if trained.resumed_from else ""
    print_table(
        "Done",
        [
            ("pairs", f"{len(trained.data.train):,} to train on, {len(trained.data.evaluation):,} held out"),
            ("left out", counted(trained.data.left_out.items())),
            ("steps", f"{trained.steps:,}{went_on}"),
            *[
                (shown, f"{trained.metrics[name]:.4f}")
                for shown, name in (
                    ("held-out loss", "loss"),
                    ("reward accuracy", "rewards/accuracies"),
                    ("reward margin", "rewards/margins"),
                )
                if name in trained.metrics
            ],
            ("seconds", f"{trained.seconds:.1f}"),
            ("model", str(output)),
            ("serve it", f"--policy_endpoint local:{output}"),
            ("look at it", f"{output}/README.md"),
        ],
    )


def _publish(folder: Path, target: HubTarget, source: PairSource, *, link: bool) -> None:
    pushed = push_release(folder, target)
    lines = [
        ("repository", pushed.url),
        ("release", f"{target.release}, commit {pushed.commit}"),
        ("files", f"{pushed.files:,}, {pushed.bytes / 1e6:,.1f} MB"),
        ("load it", pushed.load_line),
    ]
    if link:
        assert source.target is not None
        linked = link_model(source.target, target, pushed.commit)
        lines.append(("linked from", f"{source.target.repo_url}, commit {linked}"))
    print_table("Published", lines)


if __name__ == "__main__":
    sys.exit(run(main, sys.argv[1:]))
