"""Publish a release folder that was made earlier: one commit and one tag on the Hugging Face Hub.

tagsmith push runs/instag org/name --release v1.0.0
tagsmith push runs/tag-policy org/model --release v1.0.0
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from tagsmith.cards.card_page import rewrite_card
from tagsmith.cards.errors import ReleaseError
from tagsmith.cards.hub_checks import check_access
from tagsmith.cards.hub_target import HubTarget
from tagsmith.cards.manifest import MANIFEST_NAME, read_manifest
from tagsmith.cards.model_page import is_model, rewrite_model_card
from tagsmith.cards.push import push_release
from tagsmith.cards.quality_gates import check_contents, check_gates, check_offline
from tagsmith.processors.endpoint.local_folder import check_model_folder
from tagsmith.processors.errors import EndpointError, InputError
from tagsmith.recipes.publish import push, pushed_lines
from tagsmith.recipes.summary import print_table

_EPILOG = """
Checked before anything is sent: the share of rejected rows, rows made by the offline endpoint's rules, that the rows
are still those of the manifest; the login, what it may do, the repository's name and visibility. A push that breaks
leaves no half release: the same command continues, and sends only what is missing. A tag never moves. The login is that
of `hf auth login`, or HF_TOKEN.
"""


def main(argv: Sequence[str]) -> None:
    """Check, render the card for the repository, push."""
    given = _parser().parse_args(list(argv))
    folder = Path(given.folder).expanduser()
    manifest = read_manifest(folder)
    if manifest is None:
        raise ReleaseError(
            f"{given.folder} is no release: it has no {MANIFEST_NAME} of ours; give the --output of a recipe"
        )
    if is_model(manifest):
        target = HubTarget(given.repository, given.release, given.private, repo_type="model")
        push_model(folder, target, manifest, allow_offline=given.allow_offline)
        return
    target = HubTarget(given.repository, given.release, given.private)
    check_gates(manifest, max_failed=given.max_failed, allow_offline=given.allow_offline)
    check_contents(folder, manifest)
    check_access(target)  # not the tag: it may be there already, from a push whose end was lost
    rewrite_card(folder, target)
    push(folder, target, max_failed=given.max_failed, allow_offline=given.allow_offline)


def push_model(folder: Path, target: HubTarget, manifest: Mapping[str, Any], *, allow_offline: bool) -> None:
    """Publish a trained model's folder, with its card rendered for the repository.

    Raises:
        ReleaseError: it learned from rows that rules made, files are missing, or the Hub refuses it.
    """
    check_offline(offline=manifest["offline"], allow_offline=allow_offline)
    try:
        check_model_folder(folder, str(folder))
    except EndpointError as error:
        raise ReleaseError(str(error).replace("cannot be served", "is not published")) from None
    check_access(target)
    rewrite_model_card(folder, target)
    pushed = push_release(folder, target)
    print_table("Published already" if pushed.already else "Published", pushed_lines(pushed, target))


class _OneLineParser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:  # argparse would print the whole usage first
        raise InputError(f"{message}; `tagsmith push --help` lists all flags")


def _parser() -> argparse.ArgumentParser:
    parser = _OneLineParser(
        prog="tagsmith push",
        description=(__doc__ or "").partition("\n")[0],
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("folder", help="a release folder, of rows or of a model: the --output of a recipe")
    parser.add_argument("repository", help="repository, org/name; made if it does not exist")
    parser.add_argument("--release", required=True, help="version, as a git tag that never moves: v1.0.0")
    parser.add_argument("--private", action="store_true", help="make a new repository private")
    parser.add_argument(
        "--max_failed",
        "--max-failed",
        type=float,
        default=0.05,
        metavar="SHARE",
        help="do not publish when a larger share of the rows was rejected [%(default)s]",
    )
    parser.add_argument(
        "--allow_offline",
        "--allow-offline",
        action="store_true",
        help="publish even rows that the offline endpoint's rules made",
    )
    return parser
