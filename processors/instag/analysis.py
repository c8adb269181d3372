"""What tags say about datasets: diversity, complexity, tag frequencies, and who covers whom (#InsTag, §3.4, Fig. 2)."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tagsmith.processors.errors import InputError
from tagsmith.processors.tag_sets import TagSets, read_tag_sets


@dataclass(frozen=True)
class TagStatistics:
    """One dataset's dot in the paper's Fig. 2a.

    Args:
        dataset: its name.
        rows: rows, with those that have no tag.
        unique_tags: distinct tags that its rows carry.
        diversity: share of the overall tag set that its rows carry, 0 to 1.
        complexity: distinct tags a row, on average over all rows.
    """

    dataset: str
    rows: int
    unique_tags: int
    diversity: float
    complexity: float


@dataclass(frozen=True, eq=False)
class RecallMatrix:
    """Which dataset's tags cover which other's (Fig. 2b).

    Args:
        datasets: names, of the rows as of the columns.
        recall: entry [row, column] is the share of the row dataset's unique tags that the column dataset has too.
    """

    datasets: list[str]
    recall: NDArray[np.float64]


def tag_statistics(
    datasets: Mapping[str, Any], tag_set: Collection[str] | None = None, tags_column: str = "tags"
) -> list[TagStatistics]:
    """Diversity and complexity of each dataset (#InsTag, §3.4, Fig. 2a).

    Args:
        datasets: name → rows, each in any shape that `read_tag_sets` takes.
        tag_set: the overall tag set, of which diversity is the covered share; by default all tags of `datasets`. Tags
            outside it count for `unique_tags` and `complexity`, not for `diversity`.
        tags_column: name of the column with the tags.

    Raises:
        InputError: a dataset has no rows, the overall tag set is empty, or a row has no tag list.
    """
    read = _read(datasets, tags_column)
    carried = {name: set(_carried(tag_sets)) for name, tag_sets in read.items()}
    overall = set(tag_set) if tag_set is not None else set().union(*carried.values())
    if not overall:
        raise InputError("the overall tag set is empty, so there is no diversity to measure; tag the rows first")
    return [
        TagStatistics(
            dataset=name,
            rows=len(tag_sets),
            unique_tags=len(carried[name]),
            diversity=len(carried[name] & overall) / len(overall),
            complexity=float(tag_sets.sizes.mean()),
        )
        for name, tag_sets in read.items()
    ]


def tag_frequencies(tags: Any, tags_column: str = "tags") -> dict[str, int]:
    """Tag → rows that carry it, most frequent first, equal counts in alphabetical order.

    Args:
        tags: rows in any shape that `read_tag_sets` takes; a tag repeated within a row counts once.
        tags_column: name of the column with the tags.

    Raises:
        InputError: a row has no tag list.
    """
    tag_sets = read_tag_sets(tags, tags_column)
    counts = zip(tag_sets.vocabulary, tag_sets.tag_counts.tolist(), strict=True)
    return dict(sorted(((tag, count) for tag, count in counts if count), key=lambda item: (-item[1], item[0])))


def recall_matrix(datasets: Mapping[str, Any], tags_column: str = "tags") -> RecallMatrix:
    """How far each dataset's unique tags are covered by each other's (#InsTag, §3.4, Fig. 2b).

    Args:
        datasets: name → rows, each in any shape that `read_tag_sets` takes.
        tags_column: name of the column with the tags.

    Raises:
        InputError: a dataset has no rows or no tags (the recall of nothing is undefined), or a row has no tag list.
    """
    carried = {name: _carried(tag_sets) for name, tag_sets in _read(datasets, tags_column).items()}
    for name, names_of_tags in carried.items():
        if not names_of_tags:
            raise InputError(f"dataset {name!r} has no tags, so their recall is undefined; tag it or leave it out")
    number = {tag: i for i, tag in enumerate(dict.fromkeys(tag for tags in carried.values() for tag in tags))}
    has = np.zeros((len(carried), len(number)))  # datasets × tags
    for row, names_of_tags in enumerate(carried.values()):
        has[row, [number[tag] for tag in names_of_tags]] = 1
    return RecallMatrix(list(carried), has @ has.T / has.sum(axis=1, keepdims=True))


def _read(datasets: Mapping[str, Any], tags_column: str) -> dict[str, TagSets]:
    if not datasets:
        raise InputError("no datasets were given; give at least one, as name → rows")
    read = {}
    for name, rows in datasets.items():
        try:
            read[name] = read_tag_sets(rows, tags_column)
        except InputError as error:
            raise InputError(f"dataset {name!r}: {error}") from error
        if not len(read[name]):
            raise InputError(f"dataset {name!r} has no rows; leave it out")
    return read


def _carried(tag_sets: TagSets) -> list[str]:
    """The tags that some row carries: a `TagSets` taken from a larger one may list others."""
    return [tag_sets.vocabulary[tag] for tag in np.flatnonzero(tag_sets.tag_counts)]
