"""Open what a model is to learn from: a release of ours, or whatever `--dataset` of other recipes takes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datasets import Dataset

from tagsmith.cards.hub_target import HubTarget
from tagsmith.cards.licence import combine_licences
from tagsmith.cards.manifest import MANIFEST_NAME
from tagsmith.cards.opened_release import OpenedRelease, open_release
from tagsmith.processors.errors import InputError
from tagsmith.recipes.arguments import DataArguments
from tagsmith.recipes.sources import load_source


@dataclass(frozen=True)
class TrainingSource:
    """Rows and where they come from.

    Args:
        rows: as they are there.
        facts: what the manifest says of them: name, rows, licence, and release and commit of those on the Hub.
        offline: whether the offline endpoint's rules made them.
        settings: of the recipe that made them; empty for what is no release.
        method: by which they were made or chosen; None for what is no release.
        release: that they are from, if they are.
    """

    rows: Dataset
    facts: Mapping[str, Any]
    offline: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)
    method: str | None = None
    release: OpenedRelease | None = None

    @property
    def target(self) -> HubTarget | None:
        """Their release on the Hub; None where they are on this machine only."""
        return self.release.target if self.release else None


def load_training_source(data: DataArguments) -> TrainingSource:
    """Open `org/name@tag`, a release folder, or a dataset.

    Args:
        data: as for every recipe, and `dataset` may be a release: then `dataset_config` is one of its configs (its
            default one if not given), and `split` one of that config's.

    Raises:
        InputError, ReleaseError: nothing is there, or it cannot be read; it has no such config or split.
    """
    name = data.dataset
    folder = Path(name).expanduser()
    if not (folder / MANIFEST_NAME).exists() and ("@" not in name or folder.exists()):
        rows, facts = load_source(data)
        return TrainingSource(rows, facts)
    opened = open_release(name)
    config = data.dataset_config or opened.manifest["default"]
    if config not in opened.manifest["configs"]:
        raise InputError(f"{name} has no config {config!r}, it has {', '.join(opened.manifest['configs'])}")
    splits = opened.load(config)
    if data.split not in splits:
        raise InputError(f"{name} has no split {data.split!r}, it has {', '.join(splits)} (--split NAME)")
    rows = splits[data.split]
    if data.max_rows is not None:
        if data.max_rows < 1:
            raise InputError(f"max_rows must be at least 1, got {data.max_rows}")
        rows = rows.select(range(min(data.max_rows, len(rows))))
    return TrainingSource(
        rows,
        _facts(opened, config, data, len(rows)),
        offline=bool(opened.manifest.get("offline")),
        settings=opened.manifest.get("config") or {},
        method=opened.manifest.get("method"),
        release=opened,
    )


def _facts(opened: OpenedRelease, config: str, data: DataArguments, rows: int) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "name": opened.target.repo_id if opened.target else opened.name,
        "rows": rows,
        "content_hash": opened.manifest["configs"][config][data.split]["content_hash"],
    }
    if config != opened.manifest["default"]:
        facts["config"] = config
    if data.split != "train":
        facts["split"] = data.split
    if opened.target:
        facts |= {"revision": opened.target.release, "commit": opened.folder.name}  # a snapshot's folder is its commit
    known = combine_licences([source.get("license") for source in opened.manifest.get("inputs", ())])
    metadata = known.metadata(several=False)
    named = data.license or metadata.get("license_name") or metadata["license"]
    return facts if named == "unknown" else facts | {"license": named}
