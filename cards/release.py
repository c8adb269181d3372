"""A release: one folder that is a Hub dataset repository, written whole or not at all."""

import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Dataset, DatasetDict, NamedSplit
from datasets.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

from tagsmith.cards.card_page import CARD_NAME, CardPage, rewrite_card
from tagsmith.cards.content_hash import content_hash
from tagsmith.cards.dataset_card import CardText
from tagsmith.cards.errors import ReleaseError
from tagsmith.cards.examples import example_rows
from tagsmith.cards.explorer import render_explorer
from tagsmith.cards.hub_target import HubTarget
from tagsmith.cards.language import detect_languages
from tagsmith.cards.manifest import MANIFEST_NAME, dump_manifest, read_manifest
from tagsmith.cards.pictures import Picture
from tagsmith.cards.redact import redact, redact_text
from tagsmith.cards.whole_folder import HARMLESS, only_writer, take_place, to_disk

_ROWS_PER_GROUP = 10_000  # reading one row reads its whole row group, so groups stay small
_BYTES_PER_GROUP = 50 * 2**20
_BYTES_PER_FILE = 500 * 2**20  # what the Hub advises, and what datasets does when it pushes
_NAME = re.compile(r"[A-Za-z0-9]\w*(?:[.-]\w+)*", re.ASCII)
_SPLIT = re.compile(r"\w+(?:\.\w+)*", re.ASCII)  # datasets allows no dash in a split
_EXPLORER = "explorer.html"
_OURS = {"README.md", MANIFEST_NAME, CARD_NAME, _EXPLORER, "data", "pictures", "prompts"}


def write_release(
    folder: str | Path,
    configs: Mapping[str, Dataset | Mapping[str, Dataset]],
    *,
    default: str,
    manifest: Mapping[str, Any],
    card: CardText,
    pictures: Sequence[Picture] = (),
    prompts: Mapping[str, str] | None = None,
    target: HubTarget | None = None,
    replace: bool = True,
    tree: Mapping[str, Any] | None = None,
) -> Path:
    """Write a folder that `load_dataset` opens: card, explorer, Parquet files, pictures, prompts and manifest.

    The default config lies in `data/`, every other one in a folder of its own name, as `Dataset.push_to_hub` lays
    them out; files are named `<split>-00000-of-00001.parquet`. Everything is written to a hidden folder beside the
    target, which takes the target's place at the end: a run that dies leaves the old release as it was.

    A config or split without rows gets its (typed) Parquet file too but is left out of the card's metadata, since
    `load_dataset` fails on it; `load_config` opens it.

    Args:
        folder: where the release goes; an earlier release there is replaced.
        configs: the rows, by config, or by config and split (a lone dataset becomes split `train`).
        default: the config that `load_dataset(folder)` opens; it must have rows.
        manifest: from `build_manifest`; `default` and `configs` (rows, content hash, path) are added here.
        card: the recipe's words.
        pictures: drawn into `pictures/`, shown in this order.
        prompts: file name (`prompt_file`) and text of each prompt template in use, kept in `prompts/`.
        target: where it will be published, which the card then names; without one it names the folder.
        replace: whether an earlier release may be replaced.
        tree: tags as nested mappings, for the explorer (see `render_explorer`).

    Returns:
        The folder's absolute path.

    Raises:
        ReleaseError: see `check_output_folder`; or a config, split or card text does not fit the others.
    """
    splits = _checked_splits(configs, default)
    place = check_output_folder(folder, replace=replace)
    try:
        with only_writer(place) as fresh:
            full = {**redact(manifest), "default": default, "configs": _write_configs(splits, fresh)}
            for picture in pictures:
                for theme, name in picture.files().items():
                    path = fresh / name
                    path.parent.mkdir(exist_ok=True)
                    picture.draw(path, theme)
            for name, text in (prompts or {}).items():
                path = fresh / "prompts" / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(redact_text(text), encoding="utf-8")
            captions = [(picture.name, picture.caption) for picture in pictures]
            languages = detect_languages(max(splits[default].values(), key=len))
            CardPage(card, example_rows(splits, default), captions, redact(str(folder)), languages).save(fresh)
            (fresh / MANIFEST_NAME).write_text(dump_manifest(full), encoding="utf-8")
            rewrite_card(fresh, target)
            shown = {
                name if len(parts) == 1 else f"{name}/{split}": rows
                for name, parts in splits.items()
                for split, rows in parts.items()
            }
            explorer = render_explorer(redact_text(card.title), shown, offline=bool(manifest["offline"]), tree=tree)
            (fresh / _EXPLORER).write_text(explorer, encoding="utf-8")
            to_disk(fresh)
            take_place(fresh, place)
    except OSError as error:
        raise ReleaseError(f"release {folder} could not be written: {error}; what was there is unchanged") from error
    return place


def prompt_file(name: str) -> str:
    """Where a prompt lies below `prompts/`: a shipped one under its name, a user's own file under its file's name."""
    return f"{name}.jinja" if not Path(name).suffix else Path(name).name


def check_output_folder(folder: str | Path, *, replace: bool = True) -> Path:
    """Whether a release may be written there; changes nothing, so call it before any money is spent.

    Returns:
        The folder's absolute path.

    Raises:
        ReleaseError: it is a file, a mount point, the file system's root or not writable; or holds something that no
            release of ours would hold; or holds a release and `replace` is false.
    """
    target = Path(folder).expanduser().resolve()
    if not target.name or os.path.ismount(target):
        raise ReleaseError(f"output folder {folder} cannot be replaced as a whole; give a folder below it")
    parent = next(path for path in target.parents if path.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        raise ReleaseError(f"output folder {folder} cannot be made: {parent} is not a folder that you may write to")
    if not target.exists():
        return target
    if not target.is_dir():
        raise ReleaseError(f"output folder {folder} is a file; give a new folder")
    manifest = read_manifest(target)
    expected = HARMLESS | (_OURS | set(manifest.get("configs", {})) if manifest else set())
    if foreign := sorted({path.name for path in target.iterdir()} - expected):
        what = "a tagsmith release with something else in it" if manifest else "no tagsmith release"
        shown = ", ".join(foreign[:3]) + (" and more" if len(foreign) > 3 else "")
        raise ReleaseError(
            f"output folder {folder} is {what} ({shown}) and will not be replaced; give a new folder or move that away"
        )
    if manifest and not replace:
        raise ReleaseError(f"output folder {folder} already holds a release; give a new folder or allow replacing it")
    return target


def load_config(folder: str | Path, config: str) -> DatasetDict:
    """Read one config of a release folder into memory, also where it has no rows.

    Raises:
        ReleaseError: the folder is no release, or has no such config.
    """
    manifest = read_manifest(folder)
    if manifest is None:
        raise ReleaseError(f"{folder} is not a tagsmith release: it has no {MANIFEST_NAME} of ours")
    if config not in manifest["configs"]:
        raise ReleaseError(f"{folder} has no config {config!r}; it has {sorted(manifest['configs'])}")
    opened = {}
    for split, facts in manifest["configs"][config].items():
        table = pa.concat_tables(pq.ParquetFile(path).read() for path in sorted(Path(folder).glob(facts["path"])))
        # Without a fingerprint given, the library would hash the whole table to make one.
        fingerprint = str(facts.get("content_hash", config))[:16]
        opened[split] = Dataset(table, split=NamedSplit(split), fingerprint=fingerprint)
    return DatasetDict(opened)


def _checked_splits(
    configs: Mapping[str, Dataset | Mapping[str, Dataset]], default: str
) -> dict[str, dict[str, Dataset]]:
    """The rows by config and split, the default config first."""
    if default not in configs:
        raise ReleaseError(f"default config {default!r} is not among the configs {sorted(configs)}")
    if default != "default" and "default" in configs:
        raise ReleaseError(f"a config named 'default' is what load_dataset opens; make it the default, not {default!r}")
    splits: dict[str, dict[str, Dataset]] = {}
    for name in sorted(configs, key=lambda name: name != default):
        if not _NAME.fullmatch(name) or (name in _OURS and name != default):
            raise ReleaseError(f"config {name!r} cannot name a folder of a release; use other letters, digits, . _ -")
        rows = configs[name]
        splits[name] = {"train": rows} if isinstance(rows, Dataset) else dict(rows)
        for split, part in splits[name].items():
            if not _SPLIT.fullmatch(split) or not isinstance(part, Dataset):
                raise ReleaseError(f"config {name!r}: split {split!r} must be a word and hold a datasets.Dataset")
    if not any(map(len, splits[default].values())):
        raise ReleaseError(f"default config {default!r} has no rows, so there is nothing to release")
    return splits


def _write_configs(splits: Mapping[str, Mapping[str, Dataset]], root: Path) -> dict[str, dict[str, Any]]:
    """Write every split's Parquet files; what the manifest says of each."""
    facts: dict[str, dict[str, Any]] = {}
    with _no_progress_bars():
        for n, (config, parts) in enumerate(splits.items()):
            folder = config if n else "data"  # the default config stands first
            (root / folder).mkdir()
            facts[config] = {}
            for split, rows in parts.items():
                _write_files(rows, root / folder, split)
                path = f"{folder}/{split}-*.parquet"
                facts[config][split] = {"rows": len(rows), "content_hash": content_hash(rows), "path": path}
    return facts


def _write_files(rows: Dataset, folder: Path, split: str) -> None:
    row_bytes = max(1.0, rows.data.nbytes / max(1, len(rows.data)))
    files = max(1, math.ceil(len(rows) * row_bytes / _BYTES_PER_FILE))
    group = int(max(1, min(_ROWS_PER_GROUP, _BYTES_PER_GROUP / row_bytes)))
    for n in range(files):
        part = rows.shard(files, n, contiguous=True) if files > 1 else rows
        part.to_parquet(folder / f"{split}-{n:05d}-of-{files:05d}.parquet", batch_size=group)


@contextmanager
def _no_progress_bars() -> Iterator[None]:
    """A bar for each file, of a second or less, only hides what the recipe says."""
    if are_progress_bars_disabled():
        yield
        return
    disable_progress_bars()
    try:
        yield
    finally:
        enable_progress_bars()
