"""Rounds of Evol-Instruct: each from a row's last good version; what is eliminated goes back to the pool as it was."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from tagsmith.processors.evolved_rounds import TEXT, TEXTS, EvolvedRounds, Record


@dataclass(frozen=True, eq=False)
class EvolInstructRounds(EvolvedRounds):
    """The rows of a run, in every round (WizardLM, §3.2).

    Own columns of `records`:
        tags (``list[str]``): the seed's own tags, where it has any. operations (``list[str]``): of all good rounds, the
        latest last. operation (``str | None``): the one of this round, of a failed round, too.
    Columns of a round's results: operation.
    """

    method_name = "evol-instruct"
    own_columns: ClassVar = {"tags": TEXTS, "operations": TEXTS, "operation": TEXT}
    seed_columns = ("tags",)
    asked_columns = ("operation",)

    def own_content(self, version: Record, result: Mapping[str, Any]) -> Record:
        """The operations after the round."""
        done = result["operation"]
        return {"tags": version["tags"], "operations": [*version["operations"], done], "operation": done}
