"""Whether the Hub will take a release: asked before any work is done and any money spent."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from huggingface_hub import HfApi, constants, get_token
from huggingface_hub.errors import HfHubHTTPError

from tagsmith.cards.errors import ReleaseError
from tagsmith.cards.hub_calls import settled
from tagsmith.cards.hub_state import HubState, files_at, look
from tagsmith.cards.hub_target import HubTarget
from tagsmith.cards.manifest import MANIFEST_NAME

_RELEASE = re.compile(r"v(?:0|[1-9]\d*)(?:\.(?:0|[1-9]\d*)){2}(?:-[0-9A-Za-z]+(?:[.-][0-9A-Za-z]+)*)?", re.ASCII)
_MAY_WRITE = ("admin", "write", "contributor")  # roles in an organisation; a contributor may make repositories
_NOT_OURS = {"README.md", ".gitattributes", "LICENSE"}  # what a repository made on the website may begin with


def check_target(target: HubTarget) -> None:
    """Whether a new release may go there. Changes nothing.

    Raises:
        ReleaseError: as `check_access`; or the tag exists already.
    """
    state = check_access(target)
    if state is not None and target.release in state.tags:
        raise ReleaseError(
            f"{target.repo_id} has a release {target.release} already (commit {state.tags[target.release][:12]}), and"
            " a published release never changes; give a higher version with --release"
        )


def check_access(target: HubTarget) -> HubState | None:
    """Whether the login may write there, and whether what is there goes with a release. Changes nothing.

    Returns:
        The repository's state; None where it must still be made.

    Raises:
        ReleaseError: the version has another form, nobody is logged in, the token is not valid or may not write to
            this user or organisation, the repository is private and should be public or the other way round or holds
            files that no release of ours put there, or the Hub cannot be reached.
    """
    check_release_name(target.release)
    failed = f"{target.repo_id} cannot be checked"
    if not settled(failed, get_token):
        raise ReleaseError(
            f"publishing {target.repo_id} needs a login at the Hugging Face Hub, and there is none; run"
            " `hf auth login`, or set HF_TOKEN"
        )
    api = HfApi(library_name="tagsmith")
    check_may_write(settled(failed, lambda: _whoami(api)), target)
    state = settled(failed, lambda: look(api, target))
    if state is not None:
        check_repository(target, state)
        if target.repo_type == "dataset":
            head = state.head
            _check_ours(target, set(settled(failed, lambda: files_at(api, target, head))))
    return state


def check_release_name(release: str) -> None:
    """Whether a version has the form that tags of ours have.

    Raises:
        ReleaseError: it has not.
    """
    if not _RELEASE.fullmatch(release) or release.endswith(".lock"):  # which git reserves
        raise ReleaseError(
            f"release {release!r} is no version; expected vMAJOR.MINOR.PATCH, such as v1.0.0 or v1.1.0-rc.1"
        )


def check_may_write(me: Mapping[str, Any], target: HubTarget) -> None:
    """Whether the token may write to the target's user or organisation, as far as the Hub's `whoami` tells.

    Raises:
        ReleaseError: it may not.
    """
    token = (me.get("auth") or {}).get("accessToken") or {}
    scopes = (token.get("fineGrained") or {}).get("scoped")
    if token.get("role") == "fineGrained" and scopes is not None:
        if not _in_scope(scopes, target):
            raise ReleaseError(
                f"the fine-grained token may not write to {target.repo_id}; give it write access to the repositories"
                f" of {target.namespace} at {constants.ENDPOINT}/settings/tokens"
            )
        return
    if token.get("role") == "read":
        raise ReleaseError(
            f"the token may only read, and publishing {target.repo_id} writes; make one with the role `write` at"
            f" {constants.ENDPOINT}/settings/tokens"
        )
    if target.namespace == me.get("name"):
        return
    roles = {str(org.get("name")): org.get("roleInOrg") for org in me.get("orgs") or ()}
    may_write = [str(me.get("name")), *(name for name, role in roles.items() if role in (None, *_MAY_WRITE))]
    if target.namespace not in may_write:
        role = f" (its role there: {roles[target.namespace]})" if target.namespace in roles else ""
        raise ReleaseError(
            f"the login of {me.get('name')} may not write to {target.namespace!r}{role}, where {target.repo_id} would"
            f" be; give a repository of {' or '.join(may_write)}, or log in as somebody who may"
        )


def check_repository(target: HubTarget, state: HubState) -> None:
    """Whether a repository that exists goes with the target.

    Raises:
        ReleaseError: its visibility is not the one asked for, or a branch has the release's name.
    """
    if state.private != target.private:
        now, asked = ("private", "public") if state.private else ("public", "private")
        how = "add --private" if state.private else "leave --private out"
        raise ReleaseError(
            f"{target.repo_id} exists and is {now}, but a {asked} one is asked for; {how}, or change it at"
            f" {target.repo_url}/settings"
        )
    if target.release in state.branches:
        raise ReleaseError(
            f"{target.repo_id} has a branch named {target.release}, so a tag of that name would be ambiguous; give"
            " another version"
        )


def _check_ours(target: HubTarget, paths: set[str]) -> None:
    """A push makes main equal to the release folder: what somebody else put there would go."""
    if MANIFEST_NAME in paths or not (foreign := sorted(paths - _NOT_OURS)):
        return
    shown = ", ".join(foreign[:3]) + (" and more" if len(foreign) > 3 else "")
    raise ReleaseError(
        f"{target.repo_id} holds files that no release put there ({shown}) and that a release would delete; give a new"
        " repository"
    )


def _whoami(api: HfApi) -> Mapping[str, Any]:
    try:
        me: Mapping[str, Any] = api.whoami()
    except HfHubHTTPError as error:
        if error.response.status_code != 401:
            raise
    else:
        return me
    raise ReleaseError(  # not chained: the library's exception holds the token
        "the Hub does not accept the token (wrong, expired or revoked); run `hf auth login --force`, or set HF_TOKEN,"
        " which goes first, to a valid one"
    )


def _in_scope(scopes: Sequence[Mapping[str, Any]], target: HubTarget) -> bool:
    """Whether one scope of a fine-grained token covers writing: the namespace as a whole, or just this repository."""
    other_kinds = {"model", "dataset", "space"} - {target.repo_type}
    for scope in scopes:
        entity = scope.get("entity") or {}
        meant = entity.get("name") in (target.namespace, target.repo_id) and entity.get("type") not in other_kinds
        if meant and "repo.write" in (scope.get("permissions") or ()):
            return True
    return False
