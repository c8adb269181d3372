"""What the card of a release is rendered from, kept beside it: a card can be rendered again for another repository."""

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tagsmith.cards.dataset_card import CardText, render_card
from tagsmith.cards.errors import ReleaseError
from tagsmith.cards.examples import Example, Version
from tagsmith.cards.hub_target import HubTarget
from tagsmith.cards.language import Languages
from tagsmith.cards.manifest import MANIFEST_NAME, dump_manifest, read_manifest
from tagsmith.cards.pictures import Picture, Theme
from tagsmith.cards.redact import redact_text

CARD_NAME = "card.json"


@dataclass(frozen=True)
class CardPage:
    """The words, rows and pictures of a card; numbers come from the manifest.

    Args:
        text: the recipe's words.
        examples: rows to show.
        pictures: name and caption of each.
        folder: what the card calls the release as long as it has no repository.
        languages: of the default config's rows.
    """

    text: CardText
    examples: Sequence[Example]
    pictures: Sequence[tuple[str, str]]
    folder: str
    languages: Languages

    def save(self, folder: Path) -> None:
        """Write `card.json`, without secrets."""
        (folder / CARD_NAME).write_text(redact_text(dump_manifest(dataclasses.asdict(self))), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> "CardPage":
        """Read `card.json`.

        Raises:
            ReleaseError: it is missing, or another version of tagsmith wrote it.
        """
        try:
            page = json.loads((folder / CARD_NAME).read_text(encoding="utf-8"))
            examples = [
                Example(e["level"], tuple(Version(**version) for version in e["versions"])) for e in page["examples"]
            ]
            pictures = [(name, caption) for name, caption in page["pictures"]]
            languages = Languages(**page["languages"])
            return cls(CardText(**page["text"]), examples, pictures, page["folder"], languages)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ReleaseError(
                f"{folder / CARD_NAME} is not what this version writes ({error}); run the recipe again"
            ) from error


def rewrite_card(folder: str | Path, target: HubTarget | None) -> None:
    """Render the card of a release folder for the repository that it goes to (None: for the folder itself).

    Raises:
        ReleaseError: the folder is no release, or its card does not fit this version of tagsmith.
    """
    manifest = read_manifest(folder)
    if manifest is None:
        raise ReleaseError(f"{folder} is not a tagsmith release: it has no {MANIFEST_NAME} of ours")
    page = CardPage.load(Path(folder))
    readme = render_card(
        page.text,
        manifest,
        load_name=target.repo_id if target else page.folder,
        revision=target.release if target else None,
        examples=page.examples,
        pictures=[Picture(name, caption, _drawn_already) for name, caption in page.pictures],
        languages=page.languages,
        explorer=True,
    )
    (Path(folder) / "README.md").write_text(readme, encoding="utf-8")


def _drawn_already(path: Path, theme: Theme) -> None:
    raise AssertionError("the card is rendered again, its pictures are not")
