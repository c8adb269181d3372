"""Open the tag utilities that `--utility` names: a release of build-tag-utility, a saved table, or a plain file."""

from pathlib import Path

import pyarrow.parquet as pq

from tagsmith.cards.errors import ReleaseError
from tagsmith.cards.manifest import read_manifest
from tagsmith.cards.opened_release import OpenedRelease, open_release
from tagsmith.processors.errors import InputError
from tagsmith.processors.tag_instruct.tag_pools import TagPools, tag_pools
from tagsmith.processors.tag_instruct.utility import TagUtility

# Config of a release that holds the table which its rows were made with, so that it can be made again.
CONFIG = "utility"
_EXPECTED = (
    "give a release of `tagsmith run build-tag-utility` (a folder, or org/name@v1.0.0), a folder that"
    " TagUtility.save_pretrained wrote, or a table as .parquet or .jsonl (tag, count, total, mean)"
)


def open_utility(name: str) -> TagUtility:
    """The utilities of tags, fitted.

    Raises:
        InputError: there is no such thing, or it is no utility table.
    """
    path = Path(name).expanduser()
    try:
        if path.is_file():
            return TagUtility.from_table(path)
        if path.is_dir():
            if read_manifest(path) is not None:
                return _of_release(open_release(name))
            if files := sorted(path.glob("*-of-*.parquet")):  # a config of a release
                return TagUtility.from_table(pq.read_table([str(file) for file in files]))
            return TagUtility.from_pretrained(path)
        if "@" in name:
            return _of_release(open_release(name))
    except ReleaseError as error:
        raise InputError(f"--utility {name}: {error}; {_EXPECTED}") from error
    raise InputError(f"--utility {name!r} does not exist; {_EXPECTED}")


def open_pools(utility: TagUtility, size: int | None, share: float | None, min_count: int) -> TagPools:
    """The good and the bad pool: by size, or by share where no size is given.

    Raises:
        InputError: both are given, or the pools would overlap.
    """
    if size is not None:
        share = None
    return tag_pools(utility.fitted, size=size, share=share, min_count=min_count)


def _of_release(release: OpenedRelease) -> TagUtility:
    config = release.manifest["default"] if release.manifest["recipe"] == "build_tag_utility" else CONFIG
    if config not in release.manifest["configs"]:
        raise InputError(f"--utility {release.name} holds no utilities; {_EXPECTED}")
    (table,) = release.load(config).values()
    settings = release.manifest["config"]
    known = {"variant": settings["variant"]} if "variant" in settings else {}
    return TagUtility.from_table(table, **known, tokenizer=settings.get("tokenizer"))
