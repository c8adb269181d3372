"""Three rows for the card: one with few tags, one with the median number, one with the most."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow.compute as pc
from datasets import Dataset

_LOOK_AT = 50  # rows of equal tag count that are looked at for one that reads well
_READABLE = range(20, 400)  # characters of an instruction that says something and fits a card


@dataclass(frozen=True)
class Example:
    """A row as the card shows it."""

    level: str  # easy, median or hard
    instruction: str
    response: str
    tags: list[str]


def example_rows(dataset: Dataset) -> list[Example]:
    """Real rows of an easy, a median and a hard instruction, by number of tags; fewer where fewer rows have tags.

    Input columns:
        tags (``list[str]``), and `instruction`, `response` (``str``) or `messages` (``list`` of `role`, `content`).

    Among rows with the same number of tags the first that reads well is taken, so the choice is reproducible. Without
    a column `tags` there are no examples.
    """
    if "tags" not in dataset.column_names:
        return []
    tags = dataset.select_columns("tags").with_format("arrow")[:]["tags"]
    counts = np.asarray(pc.fill_null(pc.list_value_length(tags), 0))
    ordered = np.sort(counts[counts > 0])
    chosen: dict[str, int] = {}
    for level, place in (("easy", 0), ("hard", len(ordered) - 1), ("median", len(ordered) // 2)):
        if len(chosen) < len(ordered):
            same = [int(row) for row in np.flatnonzero(counts == ordered[place])]
            free = [row for row in same if row not in chosen.values()][:_LOOK_AT]
            chosen[level] = next((row for row in free if _reads_well(dataset[row])), free[0])
    return [_example(level, dataset[chosen[level]]) for level in ("easy", "median", "hard") if level in chosen]


def _example(level: str, row: dict[str, Any]) -> Example:
    instruction, response = _texts(row)
    return Example(level, instruction, response, [tag for tag in row["tags"] if tag is not None])


def _reads_well(row: dict[str, Any]) -> bool:
    instruction, response = _texts(row)
    return len(instruction) in _READABLE and bool(response.strip())


def _texts(row: dict[str, Any]) -> tuple[str, str]:
    """Instruction and response; of a conversation the first turn of each side."""
    turns = {turn["role"]: turn["content"] for turn in reversed(row.get("messages") or [])}
    instruction = row.get("instruction") or turns.get("user")
    response = row.get("response") or turns.get("assistant")
    return str(instruction or ""), str(response or "")
