"""Open what `--pairs` names: a release of preference pairs, or any dataset in TRL's form."""

from collections.abc import Mapping
from dataclasses import dataclass
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
class PairSource:
    """Preference pairs and where they come from.

    Args:
        pairs: the rows.
        facts: what the manifest says of them: name, rows, licence, and release and commit of those on the Hub.
        offline: whether the offline endpoint's rules made them.
        explain: whether the completion explains the tag before it.
        target: their release on the Hub; None where they are on this machine only.
    """

    pairs: Dataset
    facts: Mapping[str, Any]
    offline: bool = False
    explain: bool = False
    target: HubTarget | None = None


def load_pairs(name: str, license: str | None = None) -> PairSource:
    """Open `org/name@tag`, a release folder, or what `--dataset` of other recipes takes.

    Args:
        name: as given.
        license: of the pairs, where their release or dataset does not say it.

    Raises:
        InputError, ReleaseError: nothing is there, or it cannot be read.
    """
    folder = Path(name).expanduser()
    if not (folder / MANIFEST_NAME).exists() and ("@" not in name or folder.exists()):
        rows, facts = load_source(DataArguments(dataset=name, license=license))
        return PairSource(rows, facts)
    opened = open_release(name)
    splits = opened.load(opened.manifest["default"])
    if "train" not in splits:
        raise InputError(f"{name} has no split 'train', it has {', '.join(splits)}; give a release of preference pairs")
    config = opened.manifest.get("config") or {}
    return PairSource(
        splits["train"],
        _facts(opened, len(splits["train"]), license),
        offline=bool(opened.manifest.get("offline")),
        explain=bool(config.get("explain")),
        target=opened.target,
    )


def _facts(opened: OpenedRelease, rows: int, license: str | None) -> dict[str, Any]:
    default = opened.manifest["default"]
    facts: dict[str, Any] = {
        "name": opened.target.repo_id if opened.target else opened.name,
        "rows": rows,
        "content_hash": opened.manifest["configs"][default]["train"]["content_hash"],
    }
    if opened.target:
        facts |= {"revision": opened.target.release, "commit": opened.folder.name}  # a snapshot's folder is its commit
    known = combine_licences([source.get("license") for source in opened.manifest.get("inputs", ())])
    metadata = known.metadata(several=False)
    named = license or metadata.get("license_name") or metadata["license"]
    return facts if named == "unknown" else facts | {"license": named}
