"""A checkpoint's release: one folder that is a Hub model repository, written whole or not at all."""

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tagsmith.cards.errors import ReleaseError
from tagsmith.cards.hub_target import HubTarget
from tagsmith.cards.manifest import MANIFEST_NAME, dump_manifest, read_manifest
from tagsmith.cards.model_card import ModelCardText, render_model_card
from tagsmith.cards.model_page import ModelPage
from tagsmith.cards.pictures import THEMES, Picture
from tagsmith.cards.redact import redact
from tagsmith.cards.whole_folder import HARMLESS, only_writer, take_place, to_disk

ARGUMENTS_NAME = "training_args.json"


def write_model_release(
    folder: str | Path,
    checkpoint: Path,
    *,
    manifest: Mapping[str, Any],
    card: ModelCardText,
    arguments: Mapping[str, Any],
    pictures: Sequence[Picture] = (),
    target: HubTarget | None = None,
) -> Path:
    """Write a folder that `from_pretrained` opens: the checkpoint's files, card, pictures, manifest and arguments.

    Everything is written beside the target and takes its place at the end, as `write_release` does it.

    Args:
        folder: where the release goes; an earlier one of a model is replaced.
        checkpoint: the files to release; they stay where they are (and share their space, where the disk can).
        manifest: from `build_manifest`; `files` is added here.
        card: the recipe's words.
        arguments: the trainer's, for `training_args.json`; secrets and paths of this machine are taken out.
        pictures: drawn into `pictures/`, shown in this order.
        target: where it will be published, which the card then names; without one it names the folder.

    Returns:
        The folder's absolute path.

    Raises:
        ReleaseError: see `check_model_output`; or the card cannot be made, or the disk is full.
    """
    place = check_model_output(folder)
    load_name = target.repo_id if target else redact(str(folder))
    page = render_model_card(
        card, manifest, load_name=load_name, revision=target.release if target else None, pictures=pictures
    )
    try:
        with only_writer(place) as fresh:
            shutil.copytree(checkpoint, fresh, copy_function=_link_or_copy, dirs_exist_ok=True)
            (fresh / "pictures").mkdir()
            for picture in pictures:
                for theme in THEMES:
                    picture.draw(fresh / picture.files()[theme], theme)
            (fresh / "README.md").write_text(page, encoding="utf-8")
            drawn = [(picture.name, picture.caption) for picture in pictures]
            ModelPage(card, drawn, redact(str(folder))).save(fresh)
            public = json.dumps(redact(arguments), indent=2, sort_keys=True, ensure_ascii=False, default=str)
            (fresh / ARGUMENTS_NAME).write_text(public + "\n", encoding="utf-8")
            files = sorted({MANIFEST_NAME, *(path.name for path in fresh.iterdir())})
            (fresh / MANIFEST_NAME).write_text(dump_manifest({**manifest, "files": files}), encoding="utf-8")
            to_disk(fresh)
            take_place(fresh, place)
    except OSError as error:
        raise ReleaseError(f"release {folder} could not be written: {error}; what was there is unchanged") from error
    return place


def check_model_output(folder: str | Path) -> Path:
    """Whether a model's release may be written there; changes nothing, so call it before any training.

    Returns:
        The folder's absolute path.

    Raises:
        ReleaseError: it is a file, a mount point or not writable, or holds anything but an earlier release of a model.
    """
    place = Path(folder).expanduser().resolve()
    if not place.name or os.path.ismount(place):
        raise ReleaseError(f"output folder {folder} cannot be replaced as a whole; give a folder below it")
    parent = next(path for path in place.parents if path.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        raise ReleaseError(f"output folder {folder} cannot be made: {parent} is not a folder that you may write to")
    if not place.exists():
        return place
    if not place.is_dir():
        raise ReleaseError(f"output folder {folder} is a file; give a new folder")
    manifest = read_manifest(place) or {}
    foreign = sorted({path.name for path in place.iterdir()} - HARMLESS - set(manifest.get("files", ())))
    if foreign:
        shown = ", ".join(foreign[:3]) + (" and more" if len(foreign) > 3 else "")
        raise ReleaseError(
            f"output folder {folder} holds what no release of a model put there ({shown}) and will not be replaced;"
            " give a new folder or move that away"
        )
    return place


def _link_or_copy(source: str, goal: str) -> None:
    """Weights are large, and the checkpoint lies on the same disk as a rule."""
    try:
        os.link(source, goal)
    except OSError:
        shutil.copy2(source, goal)
