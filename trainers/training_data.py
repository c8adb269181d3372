"""What a training learns from: rows to train on, rows set aside, and what was left out."""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import orjson
from datasets import Dataset

from tagsmith.processors.errors import InputError


@dataclass(frozen=True)
class TrainingData:
    """Rows that are ready for the trainer.

    Args:
        train, evaluation: in the trainer's columns; no prompt is in both. `evaluation` may have no rows.
        rows: that came in.
        left_out: how many were not taken, by reason.
    """

    train: Dataset
    evaluation: Dataset
    rows: int
    left_out: Mapping[str, int]

    def digest(self) -> str:
        """A hash of what is trained and evaluated on, in its order."""
        said = blake2b(digest_size=16)
        for part in (self.train, self.evaluation):
            for row in part:
                said.update(orjson.dumps(row, option=orjson.OPT_SORT_KEYS))
            said.update(b"\0")
        return said.hexdigest()


def split_by_prompt(rows: Dataset, share: float, seed: int, *, noun: str = "pairs") -> tuple[Dataset, Dataset]:
    """Training and evaluation rows; rows of one prompt stay together.

    Args:
        rows: with a column `prompt`.
        share: of the distinct prompts, to set aside; 0 for none.
        seed: of the split, which depends on nothing else but the prompts: not on their order, and not on other rows
            but for their number.
        noun: what the rows are, for errors.

    Raises:
        InputError: the share is not in [0, 1), or leaves one side without a prompt.
    """
    if not 0 <= share < 1:
        raise InputError(f"evaluation_share is {share}; expected a share of the prompts from 0 to below 1")
    keys = [_draw(prompt, seed) for prompt in rows["prompt"][:]]
    distinct = sorted(set(keys))
    # At least one where any are asked for; a rounded 0 would silently evaluate nothing.
    aside = max(1, round(share * len(distinct))) if share else 0
    if aside == len(distinct):
        raise InputError(
            f"evaluation_share {share} of {len(distinct)} distinct prompts leaves none to train on; give more {noun},"
            " or --evaluation_share 0"
        )
    chosen = set(distinct[:aside])
    sides: tuple[list[int], list[int]] = ([], [])
    for number, key in enumerate(keys):
        sides[key in chosen].append(number)
    return rows.select(sides[0]), rows.select(sides[1])


def _draw(prompt: Any, seed: int) -> bytes:
    """A number for each prompt, the same on every machine."""
    return blake2b(orjson.dumps([seed, prompt]), digest_size=16).digest()
