"""The way from a dataset to the models trained on it: a line on its card, added after its release."""

import re

from huggingface_hub import CommitOperationAdd, HfApi

from tagsmith.cards.errors import ReleaseError
from tagsmith.cards.hub_calls import settled
from tagsmith.cards.hub_state import MAIN, look
from tagsmith.cards.hub_target import HubTarget

_CARD = "README.md"
_BEGIN, _END = "<!-- models: begin -->", "<!-- models: end -->"
_SECTION = re.compile(
    rf"\n*(?:## Models trained on this release\n+)?{re.escape(_BEGIN)}\n(.*?){re.escape(_END)}\n*", re.S
)


def link_model(dataset: HubTarget, model: HubTarget, commit: str) -> str:
    """Name a model on the card of the dataset that it was trained on, in one commit on main; no tag moves.

    One line a model and version; said again, nothing changes, and another commit of the same version replaces the
    line. (The model's own card has the way back: the dataset's release and its commit.)

    Args:
        dataset: the release that the model was trained on.
        model: the checkpoint's repository and version.
        commit: the model's commit, as `push_release` returned it.

    Returns:
        The commit of the dataset's main that has the line.

    Raises:
        ReleaseError: the dataset has no card, or the Hub refuses or cannot be reached.
    """
    api = HfApi(library_name="tagsmith")
    failed = f"{model} is not linked from {dataset.repo_id}"

    def linked() -> str:
        state = look(api, dataset)
        if state is None or state.head is None:
            raise ReleaseError(f"{failed}: there is no such dataset, or none that this login may see")
        card = _card(api, dataset, state.head)
        more = with_model(card, dataset, model, commit)
        if more == card:
            return state.head
        return api.create_commit(
            dataset.repo_id,
            [CommitOperationAdd(_CARD, more.encode())],
            commit_message=f"Trained on {dataset.release}: {model.repo_id} {model.release}",
            repo_type=dataset.repo_type,
            revision=MAIN,
            parent_commit=state.head,  # somebody else's change of the card in between is not lost
        ).oid

    return settled(failed, linked, then="; the same call may be repeated")


def with_model(card: str, dataset: HubTarget, model: HubTarget, commit: str) -> str:
    """The card with the model's line in its section, which is added at the end where there is none."""
    name = f"- [{model.repo_id}]({model.repo_url}) {model.release}"
    line = f"{name}, commit [`{commit[:12]}`]({model.repo_url}/commit/{commit}), trained on {dataset.release}"
    found = _SECTION.search(card)
    lines = found[1].splitlines() if found else []
    # The comma ends the version: v1.0.0 must not replace v1.0.0-rc1.
    lines = [line if known.startswith(f"{name},") else known for known in lines]
    if line not in lines:
        lines.append(line)
    section = "\n".join(["", "## Models trained on this release", "", _BEGIN, *lines, _END, ""])
    if not found:
        return f"{card.rstrip()}\n{section}"
    return f"{card[: found.start()]}\n{section}" + (f"\n{rest}" if (rest := card[found.end() :]) else "")


def _card(api: HfApi, dataset: HubTarget, commit: str) -> str:
    path = api.hf_hub_download(dataset.repo_id, _CARD, repo_type=dataset.repo_type, revision=commit)
    with open(path, encoding="utf-8", newline="") as file:
        return file.read()
