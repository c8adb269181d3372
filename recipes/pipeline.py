"""Recipes one after the other, each left out when its release is there already and nothing before it is newer."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from tagsmith.cards.manifest import as_recorded, read_manifest
from tagsmith.recipes.parsing import parse
from tagsmith.recipes.publish import settings_by_name


@dataclass(frozen=True)
class Stage:
    """A recipe with its command line.

    Args:
        recipe: its module.
        folder: where its release goes.
        argv: its flags, without `--output`.
        needs: folders of the releases that it reads.
    """

    recipe: ModuleType
    folder: Path
    argv: Sequence[str]
    needs: Sequence[Path]

    @property
    def command(self) -> list[str]:
        """The whole command line behind the recipe's name."""
        return [*self.argv, "--output", str(self.folder)]

    def settings(self) -> dict[str, Any]:
        """What the command line means, as a manifest would record it."""
        blocks = parse(self.recipe.RECIPE, "", self.recipe.ARGUMENTS, self.command)
        recorded: dict[str, Any] = as_recorded(settings_by_name(blocks))
        return recorded


def run_stages(stages: Sequence[Stage]) -> None:
    """Run what is not done. Command lines are checked first, all of them.

    Raises:
        InputError: a stage's settings are wrong; before the first stage begins. Whatever a stage itself raises.
    """
    for stage in stages:
        stage.settings()
    for number, stage in enumerate(stages, 1):
        title = f"\n[{number}/{len(stages)}] {stage.folder.name}"
        if is_done(stage):
            print(f"{title}: done already, in {stage.folder}")
            continue
        print(f"{title}: tagsmith run {stage.recipe.RECIPE.replace('_', '-')} {' '.join(stage.command)}", flush=True)
        stage.recipe.main(stage.command)


def is_done(stage: Stage) -> bool:
    """Whether the folder holds the release of just these settings, made after all that it reads.

    A local dataset that was changed since counts as newer; what lies on the Hub is taken at its revision.
    """
    manifest = read_manifest(stage.folder)
    if manifest is None or manifest["config"] != stage.settings():
        return False
    before = [read_manifest(folder) for folder in stage.needs]
    if any(older is None or older["finished"] > manifest["finished"] for older in before):
        return False
    source = Path(str(stage.settings().get("dataset", "")))
    written = (stage.folder / "manifest.json").stat().st_mtime
    return not (source.is_file() and source.stat().st_mtime > written)
