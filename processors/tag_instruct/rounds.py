"""Rounds of Tag-Instruct: each from a row's last good version; what fails keeps it, and every round is kept (§3.5)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import pyarrow as pa

from tagsmith.processors.evolved_rounds import TEXTS, EvolvedRounds, Record, check_text


@dataclass(frozen=True, eq=False)
class Rounds(EvolvedRounds):
    """The rows of a run, in every round.

    A round takes `current()` through encode, expand, score, choose, decode and respond, and gives the result back:

        >>> rounds = Rounds.start(rows)
        >>> for _ in range(5):
        ...     rounds = rounds.advance(one_round(rounds.current()))
        >>> rounds.final()                                             # the last good version of each row

    Own columns of `records`:
        base_tags (``list[str]``): tags that the parent's instruction was encoded to. tags (``list[str]``): those and
        the new tag. injected_tags (``list[str]``): new tags of all rounds, the latest last. utility (``float |
        None``): the score of the latest one, Eq. 2 and 3.
    Columns of a round's results, for rows that are ok: base_tags, new_tag, new_tag_score (where there is one).

    Differs from the authors' code: it drops what cannot be parsed from one list and pairs the rest by position, so that
    every later row gets another row's tag; here no row is ever dropped or moved.
    """

    method_name = "tag-instruct"
    own_columns: ClassVar = {"base_tags": TEXTS, "tags": TEXTS, "injected_tags": TEXTS, "utility": pa.float64()}
    start_columns = ("injected_tags",)
    result_columns = ("base_tags", "new_tag", "new_tag_score")

    def own_content(self, version: Record, result: Mapping[str, Any]) -> Record:
        """The tags after the round."""
        check_text(result, "new_tag")
        base_tags = list(result.get("base_tags") or ())
        return {
            "base_tags": base_tags,
            "tags": [*base_tags, result["new_tag"]],
            "injected_tags": [*version["injected_tags"], result["new_tag"]],
            "utility": result.get("new_tag_score"),
        }


SCHEMA = Rounds.schema()
