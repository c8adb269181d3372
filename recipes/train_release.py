"""The end of every training recipe: the model's release folder, and with `--push_to_hub` its publication."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tagsmith.cards.hub_checks import check_target
from tagsmith.cards.hub_target import HubTarget
from tagsmith.cards.manifest import COUNTS, build_manifest
from tagsmith.cards.model_card import ModelCardText
from tagsmith.cards.model_link import link_model
from tagsmith.cards.model_release import check_model_output, write_model_release
from tagsmith.cards.pictures import Picture
from tagsmith.cards.push import push_release
from tagsmith.cards.quality_gates import check_offline
from tagsmith.processors.errors import InputError
from tagsmith.recipes.publish import pushed_lines, settings_by_name
from tagsmith.recipes.summary import print_table
from tagsmith.recipes.train_card import measured
from tagsmith.recipes.training_arguments import ModelReleaseArguments
from tagsmith.recipes.training_source import TrainingSource
from tagsmith.trainers.training import Trained


@dataclass(frozen=True)
class ModelDestination:
    """Where a trained model goes, looked at before anything is trained.

    Args:
        output: the folder as it was given.
        place: its absolute path.
        target: repository and version; None where it is not published.
        link: whether the data's card is to name the model.
    """

    output: Path
    place: Path
    target: HubTarget | None
    link: bool

    @classmethod
    def check(
        cls, recipe: str, arguments: ModelReleaseArguments, open_source: Callable[[], TrainingSource]
    ) -> "tuple[ModelDestination, TrainingSource]":
        """Whether the folder may be written, and the model published; and its data, opened in between.

        Args:
            recipe: its module's name: the folder is `runs/<recipe>` if none is given.
            arguments: as given.
            open_source: opens the data; called when the folder will do and before the Hub is asked.

        Raises:
            InputError: flags that do not go together. ReleaseError: the folder is no model's, what offline rules made
                would be published, or the Hub would not take it (name, token, permission, tag).
        """
        output = Path(arguments.output or f"runs/{recipe}")
        target = arguments.target()
        place = check_model_output(output)
        source = open_source()
        if target is not None:
            check_offline(offline=source.offline, allow_offline=arguments.allow_offline)
            check_target(target)
        if arguments.link_dataset and (target is None or source.target is None):
            raise InputError("--link_dataset needs data on the Hub (a release, org/name@tag) and --push_to_hub")
        return cls(output, place, target, arguments.link_dataset), source

    @property
    def work(self) -> Path:
        """The training's own folder, beside the output: checkpoints lie there until all is done."""
        return self.place.with_name(f".{self.place.name}.training")


def release_model(
    trained: Trained,
    destination: ModelDestination,
    source: TrainingSource,
    *,
    recipe: str,
    command: Sequence[str],
    settings: Sequence[object],
    method: str,
    variant: str,
    card: Callable[[Mapping[str, Any], str], ModelCardText],
    pictures: Sequence[Picture],
    summary: Sequence[tuple[str, str]],
    noun: str,
    started: datetime,
    inputs: Sequence[Mapping[str, Any]] = (),
    models: Sequence[Mapping[str, Any]] = (),
) -> Path:
    """Write the model's folder, publish it if wanted, print what was made, and remove the checkpoints.

    Args:
        trained: on the first rank; others have nothing to release.
        destination, source: from `ModelDestination.check`.
        recipe: its module's name.
        command: what was typed, for manifest and card.
        settings: the recipe's dataclasses, as they were in use.
        method, variant: the paper's name of what was done.
        card: makes the card's words from the manifest's entry of the data and its name of the base model.
        pictures: curves, and whatever else.
        summary: lines for the person who started it: name and value.
        noun: what the data are, as in "pairs per second".
        started: when the run began.
        inputs, models: for the manifest, beside the data and the base model: what else went in.

    Returns:
        The folder, which `local:` serves.

    Raises:
        ReleaseError: the folder cannot be written, or the Hub refuses it (the folder stays).
    """
    data = trained.data
    manifest = build_manifest(
        recipe=recipe,
        command=command,
        config=settings_by_name(settings),
        method=method,
        variant=variant,
        inputs=[source.facts, *inputs],
        prompts={},
        models=[trained.base_facts, *models],
        counts={
            **dict.fromkeys(COUNTS, 0),
            "rows_in": data.rows,
            "rows_out": len(data.train),
            "rows_evaluation": len(data.evaluation),
            "rejected": dict(data.left_out),
        },
        started=started,
        finished=datetime.now(UTC),
        offline=source.offline,
    )
    manifest |= {"evaluation": dict(trained.metrics), "measured": measured(trained, noun)}
    write_model_release(
        destination.output,
        trained.folder,
        manifest=manifest,
        card=card(manifest["inputs"][0], manifest["models"][0]["model"]),
        arguments=trained.arguments,
        pictures=pictures,
        target=destination.target,
    )
    timed = trained.steps - trained.resumed_from
    steps = f"{trained.steps:,}" + (f", {timed:,} of them now" if trained.resumed_from else "")
    lines = [("steps", steps), *summary, ("seconds", f"{trained.seconds:.1f}"), ("model", str(destination.output))]
    print_table("Done", [*lines, ("look at it", f"{destination.output}/README.md")])
    if destination.target is not None:
        _publish(destination.place, destination.target, source, link=destination.link)
    shutil.rmtree(destination.work)
    return destination.place


def _publish(folder: Path, target: HubTarget, source: TrainingSource, *, link: bool) -> None:
    pushed = push_release(folder, target)
    lines = pushed_lines(pushed, target)
    if link:
        assert source.target is not None
        linked = link_model(source.target, target, pushed.commit)
        lines.append(("linked from", f"{source.target.repo_url}, commit {linked}"))
    print_table("Published", lines)
