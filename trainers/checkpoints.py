"""Checkpoints of a training that was cut short: which run they belong to, and which of them is whole."""

import json
import re
import shutil
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any

import orjson

_RUN, _STATE = "run.json", "trainer_state.json"


def start_or_continue(work: Path, identity: Mapping[str, Any]) -> str:
    """Make the work folder; checkpoints of a run with other settings, data or model are deleted.

    Args:
        work: where the trainer saves its checkpoints.
        identity: whatever the weights depend on.

    Returns:
        A hash of the identity: the run's name.
    """
    said = orjson.dumps(identity, option=orjson.OPT_SORT_KEYS)
    digest = blake2b(said, digest_size=16).hexdigest()
    marker = work / _RUN
    if not marker.exists() or marker.read_text() != digest:
        for folder in _checkpoints(work):
            shutil.rmtree(folder)
        marker.write_text(digest)
    return digest


def last_checkpoint(work: Path) -> Path | None:
    """The newest checkpoint that is whole; None where there is none.

    The trainer writes its state last. A run that was killed while it saved leaves a folder without one, or with half of
    it: that folder is deleted, since the trainer would save over it.
    """
    for folder in sorted(_checkpoints(work), key=lambda folder: -_step(folder)):
        try:
            json.loads((folder / _STATE).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            shutil.rmtree(folder, ignore_errors=True)
        else:
            return folder
    return None


def _checkpoints(work: Path) -> list[Path]:
    return [folder for folder in work.glob("checkpoint-*") if re.fullmatch(r"checkpoint-\d+", folder.name)]


def _step(folder: Path) -> int:
    return int(folder.name.rpartition("-")[2])
