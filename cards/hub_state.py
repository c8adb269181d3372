"""What a repository on the Hub holds now: its visibility, head and tags, and the files of a commit."""

from collections.abc import Mapping
from dataclasses import dataclass

from huggingface_hub import HfApi
from huggingface_hub.errors import EntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError
from huggingface_hub.hf_api import RepoFile

from tagsmith.cards.hub_target import HubTarget

MAIN = "main"


@dataclass(frozen=True)
class HubState:
    """A repository that exists; `head` is main's commit, None before the first one."""

    private: bool
    head: str | None
    tags: Mapping[str, str]  # name and commit
    branches: frozenset[str]


def look(api: HfApi, target: HubTarget) -> HubState | None:
    """The repository's state; None where there is none, or none that this token may see."""
    try:
        info = api.repo_info(target.repo_id, repo_type=target.repo_type)
        refs = api.list_repo_refs(target.repo_id, repo_type=target.repo_type)
    except RepositoryNotFoundError:
        return None
    branches = {branch.name: branch.target_commit for branch in refs.branches}
    tags = {tag.name: tag.target_commit for tag in refs.tags}
    return HubState(bool(info.private), branches.get(MAIN), tags, frozenset(branches))


def files_at(api: HfApi, target: HubTarget, revision: str | None) -> dict[str, RepoFile]:
    """Every file of a revision, by path; none for no revision and for an empty one."""
    if revision is None:
        return {}
    try:
        tree = list(api.list_repo_tree(target.repo_id, recursive=True, revision=revision, repo_type=target.repo_type))
    except (EntryNotFoundError, RevisionNotFoundError):
        return {}
    return {entry.path: entry for entry in tree if isinstance(entry, RepoFile)}
