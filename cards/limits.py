"""What every release has to say against itself: told from its manifest, its licence and its languages."""

from collections.abc import Mapping
from typing import Any

from tagsmith.cards.language import Languages
from tagsmith.cards.licence import UNKNOWN, Licence
from tagsmith.cards.numbers import share

_WORTH_SAYING = 0.05  # the share of texts from which on unknown languages are mentioned


def known_limits(manifest: Mapping[str, Any], licence: Licence, languages: Languages | None) -> list[str]:
    """One line of Markdown for each limit that holds: who answered, rows that fell out or were not read, languages,
    licence."""
    counts = manifest["counts"]
    rows_in, rejected = counts["rows_in"], sum(counts["rejected"].values())
    most = manifest["config"].get("max_rows") if isinstance(manifest["config"], Mapping) else None
    lines = [
        "Rules of the offline endpoint answered, not a model: what they wrote has the right shape and no meaning."
        if manifest["offline"]
        else "Whatever a model wrote here (tags, texts, scores) was parsed and counted, but checked by no person."
    ]
    if most is not None:
        lines.append(f"Only the first {most:,} rows of a source were read (`max_rows`).")
    if rejected:
        lines.append(
            f"{rejected:,} of {rows_in:,} rows ({share(rejected, rows_in)}) fell out; they are in the config `rejected`"
            " with the reason, so what is here may lean away from rows of their kind."
        )
    if counts.get("unparsed"):
        lines.append(f"{counts['unparsed']:,} replies could not be read even after asking again.")
    if languages and languages.undetermined >= _WORTH_SAYING:
        lines.append(
            f"The language of {languages.undetermined:.0%} of the texts could not be told: code, numbers, or too short."
        )
    if licence.identifiers == (UNKNOWN,):
        lines.append("The licence is not known (see below).")
    return lines
