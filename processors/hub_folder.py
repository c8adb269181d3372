"""Fitted artefacts (a vocabulary, a utility table) as folders, here or in a dataset repository of the Hub."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, snapshot_download

from tagsmith.processors.errors import InputError


def find_folder(folder: str | Path, artefact: str, **download: Any) -> Path:
    """The folder itself if it is one here, else a copy of the dataset repository of that name.

    Args:
        folder: a path, or a repository's id on the Hub.
        artefact: what is looked for, for the error: "tag vocabulary", say.
        download: for `huggingface_hub.snapshot_download`: `revision`, `token`, …

    Raises:
        InputError: there is no such folder, and the Hub has no such repository or cannot be asked.
    """
    if Path(folder).is_dir():
        return Path(folder)
    try:
        return Path(snapshot_download(str(folder), repo_type="dataset", **download))
    except (OSError, ValueError) as error:  # the Hub's errors are these
        raise InputError(
            f"no {artefact} at {str(folder)!r}: it is no folder here, and the Hub answered:"
            f" {str(error).splitlines()[0]:.200}; give a folder or a dataset repository"
        ) from error


def push_folder(
    save: Callable[[Path], None], repo_id: str, *, private: bool | None = None, token: str | None = None, **upload: Any
) -> str:
    """Upload what `save` writes as a dataset repository, made if need be; returns the commit's URL.

    Args:
        save: writes the artefact into the folder that it is given.
        upload: for `HfApi.upload_folder`: `commit_message`, `revision`, …
    """
    api = HfApi(token=token)
    api.create_repo(repo_id, repo_type="dataset", private=private, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        save(Path(folder))
        return str(api.upload_folder(repo_id=repo_id, folder_path=folder, repo_type="dataset", **upload))
