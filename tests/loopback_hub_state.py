"""What a loopback Hub keeps: repositories with branches, tags, and commits that are snapshots and never change."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import yaml

# What the Hub itself puts into a new repository's .gitattributes, shortened to what datasets and models are made of.
GITATTRIBUTES = "".join(
    f"*.{name} filter=lfs diff=lfs merge=lfs -text\n"
    for name in ("parquet", "arrow", "safetensors", "bin", "gz", "zip", "zst", "npz", "pt", "png", "jpg", "webp")
).encode()
LARGE_FILE_BYTES = 10 * 1024 * 1024
KINDS = ("model", "dataset", "space")


class HubError(Exception):
    """An answer other than success: status, message, the Hub's X-Error-Code if it has one, further headers."""

    def __init__(self, status: int, message: str, code: str | None = None, **headers: str) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.headers = status, message, code, headers


@dataclass(frozen=True)
class User:
    """Who a token belongs to and what it allows.

    `orgs` gives the role in each organisation; `scopes` limits a fine-grained token to namespaces or repositories.
    """

    name: str
    role: Literal["write", "read", "fineGrained"] = "write"
    orgs: Mapping[str, str] = field(default_factory=dict)
    scopes: tuple[str, ...] = ()

    def may_see(self, repo_id: str) -> bool:
        namespace = repo_id.split("/")[0]
        in_scope = self.role != "fineGrained" or namespace in self.scopes or repo_id in self.scopes
        return in_scope and namespace in (self.name, *self.orgs)

    def may_write(self, repo_id: str) -> bool:
        org_role = self.orgs.get(repo_id.split("/")[0], "write")
        return self.role != "read" and org_role != "read" and self.may_see(repo_id)


@dataclass(frozen=True)
class File:
    """A file in a commit. `oid` is git's SHA-1 of the file, or of its pointer where the content is in LFS."""

    size: int
    oid: str
    sha256: str
    lfs: bool


@dataclass(frozen=True)
class Commit:
    oid: str
    parent: str | None
    title: str
    message: str
    author: str
    date: str  # ISO 8601, UTC, to the microsecond
    files: Mapping[str, File]


class Contents:
    """File contents by SHA-256, in memory or in a folder."""

    def __init__(self, folder: Path | None) -> None:
        self._folder, self._memory = folder, dict[str, bytes]()
        if folder:
            folder.mkdir(parents=True, exist_ok=True)

    def add(self, content: bytes) -> str:
        key = hashlib.sha256(content).hexdigest()
        if self._folder is None:
            self._memory[key] = content
        elif not (path := self._folder / key).exists():
            path.with_suffix(".part").write_bytes(content)
            path.with_suffix(".part").rename(path)
        return key

    def get(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        if self._folder is None:
            return self._memory[key][start:end]
        with (self._folder / key).open("rb") as file:
            file.seek(start)
            return file.read() if end is None else file.read(end - start)


@dataclass
class Repository:
    """One repository: ask it for `commits()`, `tags`, `branches`, `files(revision)` and `read(path, revision)`."""

    kind: str
    id: str
    contents: Contents = field(repr=False)
    private: bool = False
    gated: bool = False
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    history: dict[str, Commit] = field(default_factory=dict, repr=False)  # every commit ever made, oldest first
    lfs: dict[str, int] = field(
        default_factory=dict, repr=False
    )  # uploaded objects: SHA-256 to bytes, committed or not

    def resolve(self, revision: str = "main") -> Commit:
        """The commit that a branch, a tag, a full reference or (at least 7 digits of) a commit's name stands for."""
        name = revision.removeprefix("refs/heads/").removeprefix("refs/tags/")
        oid = self.branches.get(name) or self.tags.get(name) or revision
        for commit in self.history.values():
            if commit.oid == oid or (len(oid) >= 7 and commit.oid.startswith(oid)):
                return commit
        raise HubError(404, f"Invalid rev id: {revision}", "RevisionNotFound")

    def commits(self, revision: str = "main") -> list[Commit]:
        """Newest first, down to the initial commit that the Hub itself makes."""
        commit: Commit | None = self.resolve(revision)
        found = []
        while commit:
            found.append(commit)
            commit = self.history.get(commit.parent or "")
        return found

    def files(self, revision: str = "main") -> Mapping[str, File]:
        return self.resolve(revision).files

    def read(self, path: str, revision: str = "main") -> bytes:
        return self.contents.get(self.files(revision)[path].sha256)

    def card(self, revision: str = "main") -> dict[str, Any]:
        """The metadata on top of README.md; empty where there is none."""
        if "README.md" not in self.files(revision):
            return {}
        try:
            return front_matter(self.read("README.md", revision).decode()) or {}
        except yaml.YAMLError:
            return {}

    def wants_lfs(self, path: str, size: int, sample: bytes, revision: str = "main") -> bool:
        """The Hub's rule: as .gitattributes says, and whatever is large or not text."""
        known = bool(self.history) and ".gitattributes" in self.files(revision)
        lines = self.read(".gitattributes", revision).decode().splitlines() if known else []
        patterns = [line.split()[0] for line in lines if "filter=lfs" in line]
        by_name = any(Path(path).match(pattern) for pattern in patterns)
        return size > 0 and (by_name or size > LARGE_FILE_BYTES or b"\0" in sample)

    def commit(
        self,
        changes: Mapping[str, bytes | File | None],
        title: str = "a change",
        message: str = "",
        author: str = "ada",
        branch: str = "main",
    ) -> Commit:
        """Put contents, or files already stored, at paths; None deletes. Tests may call it directly."""
        parent = self.history.get(self.branches.get(branch, ""))
        files = dict(parent.files) if parent else {}
        for path, change in changes.items():
            if change is None:
                del files[path]
            else:
                files[path] = change if isinstance(change, File) else self._store(path, change)
        date = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        said = [parent and parent.oid, title, message, date, len(self.history), {p: f.oid for p, f in files.items()}]
        oid = hashlib.sha1(json.dumps([self.kind, self.id, *said]).encode()).hexdigest()
        self.history[oid] = Commit(oid, parent.oid if parent else None, title, message, author, date, files)
        self.branches[branch] = oid
        return self.history[oid]

    def _store(self, path: str, content: bytes) -> File:
        sha256 = self.contents.add(content)
        if self.wants_lfs(path, len(content), content[:512]):
            self.lfs[sha256] = len(content)
            return self.lfs_file(sha256)
        return File(len(content), git_oid(content), sha256, lfs=False)

    def regular_file(self, content: bytes) -> File:
        return File(len(content), git_oid(content), self.contents.add(content), lfs=False)

    def lfs_file(self, sha256: str) -> File:
        size = self.lfs[sha256]
        pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n"
        return File(size, git_oid(pointer.encode()), sha256, lfs=True)


def git_oid(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def front_matter(text: str) -> dict[str, Any] | None:
    """The YAML between the first two lines of dashes. Raises `yaml.YAMLError`."""
    lines = text.replace("\r\n", "\n").split("\n")
    if lines[0].strip() != "---" or "---" not in lines[1:]:
        return None
    found = yaml.safe_load("\n".join(lines[1 : lines.index("---", 1)]))
    if found is not None and not isinstance(found, dict):
        raise yaml.YAMLError("the metadata is not a mapping")
    return found


def save(repositories: Iterable[Repository], path: Path) -> None:
    """Everything but the contents, as JSON."""
    state = [{**{k: v for k, v in vars(r).items() if k != "contents"}} for r in repositories]
    path.write_text(json.dumps(state, default=asdict, indent=1))


def load(path: Path, contents: Contents) -> list[Repository]:
    """What `save` wrote."""
    repositories = [Repository(contents=contents, **fields) for fields in json.loads(path.read_text())]
    for repository in repositories:
        for oid, commit in repository.history.items():
            assert isinstance(commit, dict)
            files = {name: File(**file) for name, file in commit["files"].items()}
            repository.history[oid] = Commit(**{**commit, "files": files})
    return repositories
