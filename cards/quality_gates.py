"""What a release must fulfil before it is published: few failed rows, no rows made by rules, the rows it says."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tagsmith.cards.content_hash import content_hash
from tagsmith.cards.errors import ReleaseError
from tagsmith.cards.release import load_config


def check_gates(manifest: Mapping[str, Any], *, max_failed: float, allow_offline: bool) -> None:
    """Whether a release is good enough to be published.

    Args:
        manifest: of the release.
        max_failed: the largest share of the rows in that may have been rejected (unparsed replies among them).
        allow_offline: whether rows that the offline endpoint's rules made may be published.

    Raises:
        ReleaseError: a gate is not passed; says the share, the reasons and the limit.
    """
    if not 0 <= max_failed <= 1:
        raise ReleaseError(f"max_failed is a share from 0 to 1, got {max_failed}")
    check_offline(offline=manifest["offline"], allow_offline=allow_offline)
    rows_in, reasons = manifest["counts"]["rows_in"], manifest["counts"]["rejected"]
    failed = sum(reasons.values())
    if failed > max_failed * rows_in:
        most = sorted(reasons.items(), key=lambda item: -item[1])
        counted = ", ".join(f"{rows:,} {reason}" for reason, rows in most[:5]) + (", …" if len(most) > 5 else "")
        share = f"{failed / rows_in:.2%}" if rows_in else "more than all"
        raise ReleaseError(
            f"{failed:,} of {rows_in:,} rows were rejected ({counted}): {share}, and at most {max_failed:.2%} may be;"
            " not published: mend what fails, or raise --max_failed"
        )


def check_offline(*, offline: bool, allow_offline: bool) -> None:
    """Whether rows that rules made may be published; usable before a run, as soon as the endpoint is known.

    Raises:
        ReleaseError: they may not.
    """
    if offline and not allow_offline:
        raise ReleaseError(
            "rows of the offline endpoint come from rules, not from a model, and are not published unasked; give"
            " another --endpoint, or --allow_offline (the card says it)"
        )


def check_contents(folder: str | Path, manifest: Mapping[str, Any]) -> None:
    """Whether the rows of a release folder are still those that its manifest speaks of.

    Raises:
        ReleaseError: a file is missing or damaged, or its rows were changed since the folder was written.
    """
    for config, splits in manifest["configs"].items():
        try:
            found = load_config(folder, config)
        except (OSError, ValueError) as error:  # pyarrow's, and the missing file's
            raise ReleaseError(f"{folder}: config {config!r} cannot be read: {error}; run the recipe again") from error
        for split, facts in splits.items():
            if content_hash(found[split]) != facts["content_hash"]:
                raise ReleaseError(
                    f"{folder}: the rows of config {config!r}, split {split!r}, are not those that the manifest was"
                    " written for; run the recipe again"
                )
