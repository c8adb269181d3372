"""Open a release to read it: a folder on this machine, or a tag on the Hub."""

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
from datasets import DatasetDict
from huggingface_hub import hf_hub_download, snapshot_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from tagsmith.cards.errors import ReleaseError
from tagsmith.cards.hub_calls import settled, words
from tagsmith.cards.hub_target import HubTarget
from tagsmith.cards.manifest import FORMAT, FORMAT_KEY, MANIFEST_NAME, read_manifest
from tagsmith.cards.model_page import is_model
from tagsmith.cards.release import load_config

_EXPECTED = "give a release folder, or org/name@tag for one on the Hub"
_TO_LOOK_AT = ("pictures/*", "explorer.html")  # for people; nothing that reads a release needs them
_SHARD = re.compile(r"-of-(\d+)\.parquet$")


@dataclass(frozen=True)
class OpenedRelease:
    """A release whose manifest was read and whose files are on this machine.

    Args:
        name: as it was given: a folder, or `org/name@tag`.
        folder: where its files are; for one from the Hub, in the Hub's cache.
        manifest: what `manifest.json` says.
        target: repository and tag; None for a folder.
    """

    name: str
    folder: Path
    manifest: dict[str, Any]
    target: HubTarget | None = None

    def load(self, config: str) -> DatasetDict:
        """All splits of a config, those without rows too.

        Raises:
            ReleaseError: no such config, or its files are missing, broken, or hold other rows than the manifest says.
        """
        try:
            splits = load_config(self.folder, config)
        except (OSError, pa.ArrowException, ValueError) as error:
            raise ReleaseError(
                f"{self.name}: the files of config {config!r} cannot be read ({words(error)}); get the release again"
            ) from error
        for split, facts in self.manifest["configs"][config].items():
            if len(splits[split]) != facts["rows"]:
                raise ReleaseError(
                    f"{self.name}: {config}/{split} has {len(splits[split]):,} rows, its manifest says"
                    f" {facts['rows']:,}; files are missing or were changed, get the release again"
                )
        return splits


def open_release(name: str) -> OpenedRelease:
    """Read a release's manifest, after fetching its files where it is on the Hub.

    Args:
        name: a folder, or `org/name@tag`; a branch or a commit does in place of the tag. A folder of that name wins.

    Raises:
        ReleaseError: there is neither such a folder nor such a tag on the Hub, it holds no release, another
            version of tagsmith made it, its manifest is broken, files are missing, or the Hub cannot be reached.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        return _complete(OpenedRelease(name, folder, _checked_manifest(name, folder)))
    if "@" not in name or folder.exists():
        raise ReleaseError(f"{name} is {'a file' if folder.exists() else 'no folder here'}; {_EXPECTED}")
    target = HubTarget.parse(name)
    fetched = settled(f"{name} could not be fetched", lambda: _fetch(name, target), waits=(1.0,))
    if isinstance(fetched, str):
        raise ReleaseError(fetched)
    return _complete(OpenedRelease(name, fetched, _checked_manifest(name, fetched), target))


def _fetch(name: str, target: HubTarget) -> Path | str:
    """Where the files now are, or what is wrong with the name. All other errors are the library's own.

    Not raised here: an error that hung on one of the library's would hold its request, and with it the token.
    """
    try:
        # The manifest first: whatever is wrong with the name shows before anything large is fetched.
        place = hf_hub_download(target.repo_id, MANIFEST_NAME, repo_type="dataset", revision=target.release)
        folder = Path(place).parent
        _checked_manifest(name, folder)
        # The folder is named by the commit: the tag is resolved only once, so that all files are of one commit.
        snapshot_download(target.repo_id, repo_type="dataset", revision=folder.name, ignore_patterns=list(_TO_LOOK_AT))
        return folder
    except GatedRepoError:
        return f"{name} is gated; ask for access on the Hub, then log in with `hf auth login`"
    except RepositoryNotFoundError:
        return f"{name}: the Hub has no dataset {target.repo_id}, or only a login that may see it finds it; {_EXPECTED}"
    except RevisionNotFoundError:
        return f"{name}: {target.repo_id} has no tag {target.release}; its page lists its tags: {target.repo_url}"
    except LocalEntryNotFoundError:  # not what it says: the Hub cannot be reached
        raise
    except EntryNotFoundError:
        return f"{name} is no tagsmith release: it has no {MANIFEST_NAME}; {_EXPECTED}"


def _complete(opened: OpenedRelease) -> OpenedRelease:
    """The same, if all its Parquet files are there.

    A download that finds the manifest in the cache and then no Hub returns what it has, without an error.
    """
    for config, splits in opened.manifest["configs"].items():
        for split, facts in splits.items():
            files = [path.name for path in opened.folder.glob(facts["path"])]
            wanted = max((int(of[1]) for of in map(_SHARD.search, files) if of), default=1)
            if len(files) < wanted:
                again = "get the release again" if opened.target is None else "try again when the Hub can be reached"
                raise ReleaseError(
                    f"{opened.name}: only {len(files)} of {wanted} files are here for {config}/{split}; {again}"
                )
    return opened


def _checked_manifest(name: str, folder: Path) -> dict[str, Any]:
    """The manifest, if its outline is one that we can read; its paths never lead out of the folder."""
    manifest = read_manifest(folder)
    if manifest is None:
        raise ReleaseError(f"{name} is no tagsmith release: it has no {MANIFEST_NAME} of ours; {_EXPECTED}")
    if manifest[FORMAT_KEY] != FORMAT:
        raise ReleaseError(
            f"{name} has a manifest of format {manifest[FORMAT_KEY]!r}, this version reads {FORMAT}; use the version"
            f" that made it: tagsmith {_made_with(manifest)}"
        )
    if is_model(manifest):
        raise ReleaseError(
            f"{name} is a trained model, and not a release of rows; serve it with --endpoint local:{name}, or look at"
            " its card for the command that trained it"
        )
    configs = manifest.get("configs")
    splits = list(configs.values()) if isinstance(configs, dict) else [None]
    if not all(isinstance(of, dict) and all(map(_is_split, of.values())) for of in splits):
        raise ReleaseError(f"{name}: its {MANIFEST_NAME} does not say which rows it has; get the release again")
    return manifest


def _is_split(facts: Any) -> bool:
    if not isinstance(facts, dict) or not isinstance(facts.get("rows"), int) or not isinstance(facts.get("path"), str):
        return False
    path = PurePosixPath(facts["path"])
    return not path.is_absolute() and ".." not in path.parts


def _made_with(manifest: dict[str, Any]) -> str:
    packages = manifest.get("packages")
    return str(packages.get("tagsmith", "unknown")) if isinstance(packages, dict) else "unknown"
