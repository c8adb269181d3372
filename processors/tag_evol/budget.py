"""Budgets: how many tags a row gets in a round, the same for all rows or adapted to each row's own complexity."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from datasets import Features, Value

from tagsmith.processors.errors import InputError
from tagsmith.processors.generation_processor import rows_of
from tagsmith.processors.typed_column import TypedColumn

# What the paper uses for mathematics and for code, and the authors' code computes: 1/3/5 in rounds 1, 2, 3.
PAPER = {"math": "1/3/5", "code": "3/5/7"}
_NUMBERS = re.compile(r"\s*(adaptive\s*:)?\s*(-?\d+(?:\s*[/,]\s*-?\d+)*)\s*", re.IGNORECASE)


@dataclass(frozen=True)
class Budgets:
    """A budget b for each round (Tag-Evol, §3.2: |t| = b).

    Args:
        rounds: b of each round, at least 1; with `adaptive`, the complexity that a row shall reach in that round, in
            tags.
        adaptive: b = target − the row's own tags, within `lowest` and `highest`: a plain instruction gets more tags
            than one that is complex already. (The paper uses fixed budgets and names this as open.)
        lowest, highest: bounds of an adaptive b. A row at or above its target still gets `lowest`.

    Raises:
        InputError: no rounds, or a number below 1.

    The paper: 1/3/5 for mathematics, 3/5/7 for code. The authors' code: b = 2·round − 1, which is 1/3/5.
    """

    rounds: tuple[int, ...]
    adaptive: bool = False
    lowest: int = 1
    highest: int = 7

    def __post_init__(self) -> None:
        if not self.rounds or min(self.rounds) < 1:
            raise InputError(f"budgets {list(self.rounds)}: expected a number of tags of at least 1 for each round")
        if not 1 <= self.lowest <= self.highest:
            raise InputError(
                f"adaptive budgets from {self.lowest} to {self.highest}: expected 1 ≤ lowest ≤ highest, 1 and 7 say"
            )

    @classmethod
    def parse(cls, text: str, *, lowest: int = 1, highest: int = 7) -> "Budgets":
        """`1/3/5` (or with commas): fixed, one a round. `adaptive:6/8/10`: towards so many tags, one target a round.

        Raises:
            InputError: neither of the two.
        """
        found = _NUMBERS.fullmatch(text)
        if found is None:
            raise InputError(f"budgets {text!r}: expected 1/3/5 (tags a round) or adaptive:6/8/10 (targets a round)")
        numbers = tuple(int(number) for number in re.split("[/,]", found[2]))
        return cls(numbers, adaptive=found[1] is not None, lowest=lowest, highest=highest)

    @property
    def most(self) -> int:
        """The largest budget that any row can get: so many candidates are needed."""
        return self.highest if self.adaptive else max(self.rounds)

    def of(self, number: int, tags: int) -> int:
        """The budget in round `number` (from 1) of a row that has so many tags."""
        given = self.rounds[number - 1]
        return max(self.lowest, min(self.highest, given - tags)) if self.adaptive else given

    def __str__(self) -> str:
        return ("adaptive:" if self.adaptive else "") + "/".join(map(str, self.rounds))


@dataclass(frozen=True)
class BudgetSetter:
    """Write each row's budget for a round.

    Input columns:
        tags (``list[str]``): the row's own tags; read only for adaptive budgets.
    Output columns:
        budget (``int``).

    Args:
        budgets: for all rounds.
        number: the round, from 1.

    Raises:
        InputError: adaptive budgets, and rows without `tags`.
    """

    budgets: Budgets
    number: int

    def features(self, before: Features) -> Features:
        """Types of a dataset with the features `before` afterwards."""
        return Features({**before, "budget": Value("int64")})

    def __call__(self, batch: Mapping[str, Sequence[Any]]) -> dict[str, list[int]]:
        """Columns in, `budget` out."""
        rows = rows_of(batch)
        if self.budgets.adaptive and any(row.get("tags") is None for row in rows):
            raise InputError("adaptive budgets count a row's own tags, but a row has none: tag the rows first")
        values = [self.budgets.of(self.number, len(row.get("tags") or ())) for row in rows]
        return {"budget": TypedColumn(values, self.features(Features()).arrow_schema.field("budget").type)}
