"""A card's metadata: what the Hub's fields accept, checked before anything is published."""

import re
from collections.abc import Mapping
from typing import Any

from huggingface_hub import CardData, RepoCard

from tagsmith.cards.errors import ReleaseError

# Of https://github.com/huggingface/hub-docs (datasetcard.md).
_CREATORS = {"found", "crowdsourced", "expert-generated", "machine-generated", "other", "no-annotation"}
_LANGUAGE = re.compile(r"[a-z]{2,3}|code|multilingual")
_LICENCE_NAME = re.compile(r"[a-z0-9][a-z0-9.+-]*")


def size_category(rows: int) -> str:
    """The Hub's word for a number of rows, such as `1K<n<10K`."""
    bounds = [(10**3, "1K"), (10**4, "10K"), (10**5, "100K"), (10**6, "1M"), (10**7, "10M"), (10**8, "100M")]
    below = ""
    for bound, name in bounds:
        if rows < bound:
            return f"{below}<n<{name}" if below else f"n<{name}"
        below = name
    return "100M<n<1B"


def on_the_hub(name: str, facts: Mapping[str, Any]) -> bool:
    """Whether an input or a model of a manifest lies on the Hub: there it has a revision or a commit."""
    return bool(("commit" in facts or "revision" in facts) and re.fullmatch(r"[\w.-]+(/[\w.-]+)?", name))


def checked(card: str, metadata: CardData) -> str:
    """The card, once it is sure that its metadata reads back as it was meant and that the Hub will accept it.

    Raises:
        ReleaseError: it does not; names the field and what it holds.
    """
    try:
        read = RepoCard(card).data.to_dict()  # type: ignore[no-untyped-call]
    except ValueError as error:
        raise ReleaseError(f"card: its metadata cannot be read back ({error})") from error
    meant = metadata.to_dict()  # type: ignore[no-untyped-call]
    if wrong := {name: value for name, value in meant.items() if read.get(name) != value} or read.keys() - meant.keys():
        raise ReleaseError(f"card: its metadata reads back differently than written: {wrong}")
    _check(meant)
    return card


def _check(metadata: dict[str, Any]) -> None:
    for name in ("annotations_creators", "language_creators"):
        if wrong := set(metadata.get(name) or ()) - _CREATORS:
            raise ReleaseError(f"card: {name} is one of {sorted(_CREATORS)}, got {sorted(wrong)}")
    if unknown := [code for code in metadata.get("language") or () if not _LANGUAGE.fullmatch(code)]:
        raise ReleaseError(f"card: language takes ISO 639 codes such as en, got {unknown}")
    if metadata.get("license") == "other" and not _LICENCE_NAME.fullmatch(metadata.get("license_name") or ""):
        raise ReleaseError(f"card: license `other` needs a license_name, got {metadata.get('license_name')!r}")
