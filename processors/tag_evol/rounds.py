"""Rounds of Tag-Evol: each from the seed (one pass, the paper's claim), or chained, for the comparison."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import pyarrow as pa

from tagsmith.processors.errors import InputError
from tagsmith.processors.evolved_rounds import TEXT, TEXTS, EvolvedRounds, Record


@dataclass(frozen=True, eq=False)
class TagEvolRounds(EvolvedRounds):
    """The rows of a run, in every round (Tag-Evol, §3.2).

    Own columns of `records`:
        tags (``list[str]``): the row's own tags; after a good round, those and the injected ones.
        injected_tags (``list[str]``): the tags of the round; chained, those of all rounds, the latest last.
        budget (``int | None``), candidates (``list[str]``): what the round asked with; of a failed round, too.
        plan (``str | None``): the model's.
    Columns of a round's results, for rows that are ok: chosen_tags, plan, budget, candidates.
    """

    method_name = "tag-evol"
    own_columns: ClassVar = {
        "tags": TEXTS,
        "injected_tags": TEXTS,
        "budget": pa.int64(),
        "candidates": TEXTS,
        "plan": TEXT,
    }
    seed_columns = ("tags",)
    start_columns = ("tags", "injected_tags")
    result_columns = ("chosen_tags", "plan")
    asked_columns = ("budget", "candidates")

    def own_content(self, version: Record, result: Mapping[str, Any]) -> Record:
        """The tags after the round."""
        chosen = result.get("chosen_tags")
        if not chosen:
            raise InputError(f"row {result['id']} is ok but has no chosen_tags; run all stages before advance")
        return {
            "tags": list(dict.fromkeys([*version["tags"], *chosen])),
            "injected_tags": [*version["injected_tags"], *chosen],
            "budget": result["budget"],
            "candidates": result["candidates"],
            "plan": result.get("plan"),
        }
