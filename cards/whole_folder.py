"""A folder that is replaced as a whole: written beside its place, stored, then swapped in."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from tagsmith.cards.errors import ReleaseError

HARMLESS = {".cache", ".gitattributes", ".DS_Store"}  # left by uploads, downloads and file managers


def _sibling(target: Path, role: str) -> Path:
    return target.with_name(f".{target.name}.{role}")


@contextmanager
def only_writer(target: Path) -> Iterator[Path]:
    """An empty folder beside the target to write into; other writers are kept out, what killed ones left is cleared."""
    target.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(_sibling(target, "lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise ReleaseError(f"another run is writing to {target}; wait for it or give another folder") from error
    replaced, fresh = _sibling(target, "replaced"), _sibling(target, "writing")
    try:
        if replaced.exists() and not target.exists():  # killed between the two renames of take_place
            replaced.rename(target)
        for stale in (replaced, fresh):
            shutil.rmtree(stale, ignore_errors=True)
        fresh.mkdir()
        yield fresh
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
        # Nothing may stay beside the release. A writer that opened the file meanwhile sees that it is gone and starts
        # over; Windows does not delete an open file, and there it stays.
        with suppress(OSError):
            Path(lock.lock_file).unlink()
        lock.release()


def take_place(fresh: Path, target: Path) -> None:
    """Swap the finished folder in; the old release is deleted only once the new one stands."""
    replaced = _sibling(target, "replaced")
    if target.exists():
        target.rename(replaced)
    try:
        fresh.rename(target)
    except BaseException:
        if replaced.exists():
            replaced.rename(target)
        raise
    shutil.rmtree(replaced, ignore_errors=True)


def to_disk(folder: Path) -> None:
    """Have the file system store everything: after a power cut a renamed folder must not hold empty files."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("r+b") as file:
                os.fsync(file.fileno())
