"""Three rows for the card, from easy to hard, each with the rows that it was made from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset

from tagsmith.cards.row_texts import texts

_LOOK_AT = 50  # rows of the wanted difficulty that are looked at for one that reads well
_READABLE = range(20, 400)  # characters of an instruction that says something and fits a card
_LONGEST_CHAIN = 12  # rows from the original to the last round


@dataclass(frozen=True)
class Version:
    """A row as the card shows it: `made` says which round made it (`original`: none; `rewritten`: not known)."""

    made: str
    instruction: str
    response: str
    tags: list[str]


@dataclass(frozen=True)
class Example:
    """A row of the release, last, behind the rows that it was made from.

    Args:
        level: easy, median or hard.
        versions: from the original to the release's row; one where it has no parent.
    """

    level: str
    versions: tuple[Version, ...]


def example_rows(configs: Mapping[str, Mapping[str, Dataset]], default: str) -> list[Example]:
    """Real rows of an easy, a median and a hard instruction; fewer where there are fewer rows.

    Difficulty is the number of tags, or of characters of the instruction where there are no tags. Around the wanted
    place in that order the first row that reads well is taken, one whose parent is here before others: the choice is
    the same every time.

    Input columns:
        instruction, response (``str``) or messages (``list`` of `role`, `content`); tags (``list[str]``), if any;
        id, parent_id (``str``) and iteration (``int``), if any: parents are looked for in every config.

    Args:
        configs: the rows, by config and split.
        default: the config that examples come from, from its largest split.
    """
    dataset = max(configs[default].values(), key=len)
    family = _Family([split for splits in configs.values() for split in splits.values()])
    amounts = _difficulty(dataset)
    usable = np.flatnonzero(amounts)
    ranked = np.sort(amounts[usable])
    chosen: dict[str, list[dict[str, Any]]] = {}
    taken: set[int] = set()
    for level, place in (("easy", 0), ("hard", len(ranked) - 1), ("median", len(ranked) // 2)):
        if len(taken) == len(ranked):
            break
        nearest = usable[np.argsort(abs(amounts[usable] - ranked[place]), kind="stable")]
        near = [row for row in map(int, nearest[: _LOOK_AT + len(taken)]) if row not in taken]
        chains = {row: family.chain(dataset[row]) for row in near}
        best = min(near, key=lambda row, chains=chains: _blemishes(chains[row]))  # type: ignore[misc]
        taken.add(best)
        chosen[level] = chains[best]
    return [
        Example(level, tuple(_version(row, n) for n, row in enumerate(chosen[level])))
        for level in ("easy", "median", "hard")
        if level in chosen
    ]


def _difficulty(dataset: Dataset) -> "np.ndarray[Any, np.dtype[np.int64]]":
    """The number of tags of each row, or of characters; 0 for a row that is no example."""
    if "tags" in dataset.column_names:
        tags = dataset.select_columns("tags").with_format("arrow")[:]["tags"]
        return np.asarray(pc.fill_null(pc.list_value_length(tags), 0), dtype=np.int64)
    columns = [name for name in ("instruction", "messages") if name in dataset.column_names]
    rows = dataset.select_columns(columns) if columns else ()
    return np.asarray([len(texts(row)[0]) for row in rows], dtype=np.int64)


class _Family:
    """Finds rows by `id` in all splits that have texts."""

    def __init__(self, splits: list[Dataset]) -> None:
        self._splits = [
            split
            for split in splits
            if "id" in split.column_names and {"instruction", "messages"} & set(split.column_names) and len(split)
        ]
        self._ids = [split.select_columns("id").with_format("arrow")[:]["id"] for split in self._splits]

    def chain(self, row: dict[str, Any]) -> list[dict[str, Any]]:
        """The rows that this one was made from, the original first, then the row itself."""
        found = [row]
        seen = {row.get("id")}
        while len(found) < _LONGEST_CHAIN and (parent := found[0].get("parent_id")) and parent not in seen:
            seen.add(parent)
            if (older := self._find(parent)) is None:
                break
            found.insert(0, older)
        return found

    def _find(self, wanted: str) -> dict[str, Any] | None:
        for split, ids in zip(self._splits, self._ids, strict=True):
            place = pc.index(ids, pa.scalar(wanted, ids.type)).as_py()
            if place >= 0:
                return dict(split[place])
        return None


def _version(row: Mapping[str, Any], n: int) -> Version:
    instruction, response = texts(row)
    round_number = row.get("iteration") or n
    made = "original" if not row.get("parent_id") else f"round {round_number}" if round_number else "rewritten"
    return Version(made, instruction, response, [tag for tag in row.get("tags") or () if tag is not None])


def _blemishes(chain: list[dict[str, Any]]) -> tuple[bool, bool, bool]:
    """What speaks against an example, the worst first: it reads badly, it has no parent, the original reads badly."""
    return (not _reads_well(chain[-1]), len(chain) < 2, not _reads_well(chain[0]))


def _reads_well(row: Mapping[str, Any]) -> bool:
    instruction, response = texts(row)
    return len(instruction) in _READABLE and bool(response.strip())
