"""Publish a folder on the Hub: one commit and one tag, or nothing."""

import hashlib
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils import (  # type: ignore[attr-defined]
    are_progress_bars_disabled,
    disable_progress_bars,
    enable_progress_bars,
)

from tagsmith.cards.errors import ReleaseError
from tagsmith.cards.hub_calls import NotYetError, settled
from tagsmith.cards.hub_checks import check_release_name, check_repository
from tagsmith.cards.hub_state import MAIN, HubState, files_at, look
from tagsmith.cards.hub_target import HubTarget

# What lies in a repository beside the release: the Hub's own file, and the reports of those who reproduced it.
_BESIDE = (".gitattributes", "reproductions/")


@dataclass(frozen=True)
class Pushed:
    """What was published.

    Args:
        url: the page of this version.
        commit: the tagged commit.
        tag: the version.
        load_line: Python that loads it.
        files, bytes: how many files the release has, and their size.
        already: whether it had been published before, with exactly these files.
    """

    url: str
    commit: str
    tag: str
    load_line: str
    files: int
    bytes: int
    already: bool


def push_release(folder: str | Path, target: HubTarget, *, message: str | None = None) -> Pushed:
    """Make the repository's main equal to the folder in one commit, and tag that commit.

    Large files are uploaded first and belong to no commit until all are there: a push that breaks leaves main as it
    was, and the next one sends only what is missing. A tag never moves. Where it exists on a commit with exactly these
    files, there is nothing to do; so the same call may be repeated after any failure, also when only the answer of the
    Hub was lost. Files and folders with a leading dot stay here; `.gitattributes` and `reproductions/` stay there.

    Args:
        folder: a release, or a checkpoint with its card.
        target: repository and version.
        message: of the commit; `Release v1.0.0` if none is given.

    Raises:
        ReleaseError: the folder has no files, the tag exists with other files, the repository's visibility is not the
            target's, or the Hub refuses or cannot be reached; in one line that says how to go on.
    """
    check_release_name(target.release)
    files = _local_files(folder)
    api = HfApi(library_name="tagsmith")
    then = _then(folder, target)
    state = settled(f"{target.repo_id} could not be made", lambda: _opened(api, target), then=then)
    check_repository(target, state)
    already = target.release in state.tags
    if already:
        commit = settled(f"{target} could not be read", lambda: _published(api, target, files), then=then)
    else:
        said = message or f"Release {target.release}"
        commit = settled(f"{target} was not committed", lambda: _commit(api, target, files, said, then), then=then)
        commit = settled(f"{target} is committed, but not tagged", lambda: _tag(api, target, files, commit), then=then)
    size = sum(file.size for file in files)
    return Pushed(target.url, commit, target.release, target.load_line, len(files), size, already)


class _LocalFile:
    """A file of the folder; what it is compared by is read once at most."""

    def __init__(self, path: Path, name: str) -> None:
        self.name, self.path = name, path
        self.size = path.stat().st_size
        self._upload_info = CommitOperationAdd(name, path).upload_info

    @cached_property
    def _git_id(self) -> str:
        content = self.path.read_bytes()
        return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()

    def addition(self) -> CommitOperationAdd:
        """A fresh operation: a used one remembers what main held then. The file's hash is taken over, if known."""
        addition = CommitOperationAdd(self.name, self.path)
        addition.upload_info = self._upload_info
        return addition

    def equals(self, there: RepoFile | None) -> bool:
        """Whether the Hub's file has the same content."""
        if there is None or there.size != self.size:
            return False
        if there.lfs is not None:
            return self._upload_info.sha256.hex() == there.lfs.sha256
        return self._git_id == there.blob_id


def _local_files(folder: str | Path) -> list[_LocalFile]:
    root = Path(folder).expanduser()
    if not root.is_dir():
        raise ReleaseError(f"{folder} is no folder; give the folder of a release")
    try:
        paths = {path.relative_to(root).as_posix(): path for path in sorted(root.rglob("*")) if path.is_file()}
        shown = {name: path for name, path in paths.items() if not any(p.startswith(".") for p in name.split("/"))}
        files = [_LocalFile(path, name) for name, path in shown.items()]
    except OSError as error:
        raise ReleaseError(f"{folder} cannot be read: {error}") from error
    if not files:
        raise ReleaseError(f"{folder} has no files, so there is nothing to publish")
    return files


def _difference(files: Sequence[_LocalFile], there: dict[str, RepoFile]) -> tuple[list[_LocalFile], list[str]]:
    """Which files of ours are not there, and which there are not ours."""
    ours = {file.name for file in files}
    changed = [file for file in files if not file.equals(there.get(file.name))]
    return changed, [path for path in there if path not in ours and not path.startswith(_BESIDE)]


def _opened(api: HfApi, target: HubTarget) -> HubState:
    """The repository's state; it is made where there is none."""
    state = look(api, target)
    if state is None:
        # Without exist_ok: a conflict then is an error, after which we look again.
        api.create_repo(target.repo_id, repo_type=target.repo_type, private=target.private)
        state = look(api, target)
    if state is None:
        raise NotYetError("the Hub does not show the new repository yet")
    return state


def _commit(api: HfApi, target: HubTarget, files: Sequence[_LocalFile], message: str, then: str) -> str:
    """A commit of main that holds exactly our files: the head if it does, else a new one upon it."""
    state = look(api, target)
    head = state.head if state else None
    changed, gone = _difference(files, files_at(api, target, head))
    if head is not None and not changed and not gone:
        return head
    additions = [file.addition() for file in changed]
    upload = partial(
        api.preupload_lfs_files,
        target.repo_id,
        additions,
        repo_type=target.repo_type,
        revision=MAIN,
        free_memory=False,
        gitignore_content="# a release is whole\n",  # else a .gitignore there would keep files out
    )
    with _bars_in_terminals():  # the library tries again by itself, for half a minute
        settled(f"{target} was not uploaded", upload, waits=(), then=then)
    commit = api.create_commit(
        target.repo_id,
        [*(CommitOperationDelete(path, is_folder=False) for path in gone), *additions],
        commit_message=message,
        repo_type=target.repo_type,
        revision=MAIN,
        parent_commit=head,
    ).oid
    # The library leaves out what it finds unchanged, and reports main's head when it finds nothing to commit: look.
    changed, gone = _difference(files, files_at(api, target, commit))
    if changed or gone:
        raise NotYetError(f"main does not hold our files: {_named([*(file.name for file in changed), *gone])} differ")
    return commit


@contextmanager
def _bars_in_terminals() -> Iterator[None]:
    """The library's bars, a file each, say how far an upload is; in a log they are noise."""
    if sys.stderr.isatty() or are_progress_bars_disabled():
        yield
        return
    disable_progress_bars()
    try:
        yield
    finally:
        enable_progress_bars()


def _tag(api: HfApi, target: HubTarget, files: Sequence[_LocalFile], commit: str) -> str:
    """Tag the commit; the commit that is tagged."""
    state = look(api, target)
    if state is not None and target.release in state.tags:
        return _published(api, target, files)
    api.create_tag(target.repo_id, tag=target.release, revision=commit, repo_type=target.repo_type)
    return commit


def _published(api: HfApi, target: HubTarget, files: Sequence[_LocalFile]) -> str:
    """The tagged commit, if it holds exactly our files."""
    changed, gone = _difference(files, files_at(api, target, target.release))
    if changed or gone:
        raise ReleaseError(
            f"{target} is published already, with other files ({_named([*(f.name for f in changed), *gone])}), and a"
            " published release never changes; give a higher version with --release"
        )
    return str(api.repo_info(target.repo_id, revision=target.release, repo_type=target.repo_type).sha)


def _named(paths: Sequence[str]) -> str:
    return ", ".join(paths[:3]) + (f" and {len(paths) - 3} more" if len(paths) > 3 else "")


def _then(folder: str | Path, target: HubTarget) -> str:
    """How to go on after a failure."""
    words = ["tagsmith", "push", str(folder), target.repo_id, "--release", target.release]
    command = shlex.join([*words, "--private"] if target.private else words)
    only = f" (or only `{command}`)" if target.repo_type == "dataset" else ""
    return f"; nothing is half published: the same command continues{only}"
