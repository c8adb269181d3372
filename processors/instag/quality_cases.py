"""Cases for judging tag quality: drawn, spoilt on purpose for the counterfactual, scored (#InsTag, §3.3, App. G)."""

import math
import random
from collections.abc import Callable
from typing import Any

import numpy as np
from datasets import Dataset, Features, List, Value
from numpy.typing import NDArray

from tagsmith.processors.errors import InputError
from tagsmith.processors.tag_sets import TagSets, read_tag_sets

Embedder = Callable[[list[str]], NDArray[np.floating[Any]]]

# Share of a counterfactual case's parts that are replaced, rounded up. Ours: the paper says "some".
PLANTED_SHARE = 0.5


def precision_cases(
    dataset: Dataset,
    n: int,
    seed: int,
    counterfactual: bool = False,
    embedder: Embedder | None = None,
    text_column: str = "instruction",
    tags_column: str = "tags",
    id_column: str = "id",
) -> Dataset:
    """Draw n queries with their tags: does each tag describe its query? (#InsTag, §3.3, App. G)

    A counterfactual case has half of its tags replaced, each by the most similar tag that the query does not have: a
    judge worth its verdicts finds them. The same seed draws the same queries with and without `counterfactual`.

    Input columns:
        id, instruction (``str``), tags (``list[str]``); rows without tags are left out.
    Output columns:
        query (``str``), tags (``list[str]``: as in the row, without repetition), source_id, planted (``list[int]``:
        which of the tags were replaced).

    Args:
        dataset: tagged rows.
        n: cases (the paper: 2,000).
        seed: the draw; it depends on ids and tags, not on the order of the rows, as long as ids are unique.
        counterfactual: replace tags.
        embedder: tags → unit vectors, one a row; needed for `counterfactual`.
        text_column, tags_column, id_column: names of the input columns.

    Raises:
        InputError: a column is missing or not of its type, n exceeds the rows with tags, or `counterfactual` has no
            embedder, one that does not return unit vectors, or no other tag to plant.
    """
    ids = _ids(dataset, id_column)
    tag_sets = read_tag_sets(dataset, tags_column)
    rows = sorted(np.flatnonzero(tag_sets.sizes).tolist(), key=ids.__getitem__)
    rows = _sample(random.Random(seed), rows, n, f"rows with tags in column {tags_column!r}")
    tag_lists = [list(dict.fromkeys(tags)) for tags in dataset.select(rows)[tags_column]]
    planted: list[list[int]] = [[] for _ in rows]
    if counterfactual:
        planted = _plant_tags(tag_lists, tag_sets, embedder, seed)
    return Dataset.from_dict(
        {
            "query": _texts(dataset, rows, text_column),
            "tags": tag_lists,
            "source_id": [ids[row] for row in rows],
            "planted": planted,
        },
        features=Features(
            {
                "query": Value("string"),
                "tags": List(Value("string")),
                "source_id": dataset.features[id_column],
                "planted": List(Value("int32")),
            }
        ),
    )


def consistency_cases(
    dataset: Dataset,
    n: int,
    instructions_per_case: int,
    seed: int,
    counterfactual: bool = False,
    text_column: str = "instruction",
    tags_column: str = "tags",
    id_column: str = "id",
) -> Dataset:
    """Draw n tags with instructions that carry them: does the tag mean the same in all? (#InsTag, §3.3, App. G)

    A counterfactual case has half of its instructions replaced by ones that do not carry the tag. The same seed draws
    the same tags with and without `counterfactual`, unless some tag is carried by nearly all rows.

    Input columns:
        id, instruction (``str``), tags (``list[str]``).
    Output columns:
        tag (``str``), instructions (``list[str]``), source_ids (``list``), planted (``list[int]``: which of the
        instructions do not carry the tag).

    Args:
        dataset: tagged rows.
        n: cases, each about another tag (the paper: 2,000).
        instructions_per_case: instructions shown (the paper does not say); only tags that so many rows carry are drawn.
        seed: the draw; it depends on ids and tags, not on the order of the rows, as long as ids are unique.
        counterfactual: replace instructions.
        text_column, tags_column, id_column: names of the input columns.

    Raises:
        InputError: a column is missing or not of its type, or n exceeds the tags that enough rows carry.
    """
    if instructions_per_case < 2:
        raise InputError(f"instructions_per_case={instructions_per_case}: comparing needs at least 2")
    ids = _ids(dataset, id_column)
    tag_sets = read_tag_sets(dataset, tags_column)
    to_plant = math.ceil(PLANTED_SHARE * instructions_per_case) if counterfactual else 0
    counts = tag_sets.tag_counts
    eligible = (counts >= instructions_per_case) & (len(dataset) - counts >= to_plant)
    tags = sorted(np.flatnonzero(eligible).tolist(), key=tag_sets.vocabulary.__getitem__)
    tags = _sample(random.Random(seed), tags, n, f"tags that {instructions_per_case} or more rows carry")

    by_id = np.array(sorted(range(len(dataset)), key=ids.__getitem__), np.int64)
    holders_of = tag_sets.take(by_id).matrix().tocsc()  # positions in by_id, tag after tag
    rows, planted = [], []
    for tag in tags:
        holders = holders_of.indices[holders_of.indptr[tag] : holders_of.indptr[tag + 1]]
        draw = random.Random(f"{seed} {tag_sets.vocabulary[tag]}")
        case = draw.sample(by_id[holders].tolist(), instructions_per_case)
        positions = sorted(draw.sample(range(instructions_per_case), to_plant))
        others = np.delete(by_id, holders) if counterfactual else by_id
        for position, other in zip(positions, draw.sample(range(len(others)), to_plant), strict=True):
            case[position] = int(others[other])
        rows.append(case)
        planted.append(positions)
    texts = iter(_texts(dataset, [row for case in rows for row in case], text_column))
    return Dataset.from_dict(
        {
            "tag": [tag_sets.vocabulary[tag] for tag in tags],
            "instructions": [[next(texts) for _ in case] for case in rows],
            "source_ids": [[ids[row] for row in case] for case in rows],
            "planted": planted,
        },
        features=Features(
            {
                "tag": Value("string"),
                "instructions": List(Value("string")),
                "source_ids": List(dataset.features[id_column]),
                "planted": List(Value("int32")),
            }
        ),
    )


def _plant_tags(tag_lists: list[list[str]], tag_sets: TagSets, embedder: Embedder | None, seed: int) -> list[list[int]]:
    """Replace tags in `tag_lists` by their nearest neighbours; returns which."""
    if embedder is None:
        raise InputError("counterfactual precision cases need an embedder that turns a list of tags into unit vectors")
    vocabulary = sorted(tag_sets.vocabulary)  # equally near tags: the first in the alphabet
    vectors = np.asarray(embedder(vocabulary), np.float32)
    if vectors.ndim != 2 or len(vectors) != len(vocabulary):
        raise InputError(
            f"the embedder returned shape {vectors.shape} for {len(vocabulary)} tags; expected a row a tag"
        )
    if not np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-2):
        raise InputError("the embedder's vectors are not of length 1; normalise them")
    number = {tag: i for i, tag in enumerate(vocabulary)}
    draw = random.Random(f"{seed} planted")
    planted = []
    for tags in tag_lists:
        positions = sorted(draw.sample(range(len(tags)), math.ceil(PLANTED_SHARE * len(tags))))
        barred = [number[tag] for tag in tags]
        if len(barred) + len(positions) > len(vocabulary):
            raise InputError(
                f"a row carries {len(tags)} of only {len(vocabulary)} tags: too few others to plant {len(positions)};"
                " draw from a larger dataset"
            )
        for position in positions:
            similarity = vectors @ vectors[number[tags[position]]]
            similarity[barred] = -np.inf
            barred.append(int(similarity.argmax()))
            tags[position] = vocabulary[barred[-1]]
        planted.append(positions)
    return planted


def _sample(draw: random.Random, population: list[int], n: int, what: str) -> list[int]:
    if not 1 <= n <= len(population):
        raise InputError(f"n={n} cases: there are {len(population)} {what}; give a number from 1 to that")
    return draw.sample(population, n)


def _check_column(dataset: Dataset, column: str) -> None:
    if column not in dataset.column_names:
        raise InputError(f"no column {column!r}; the columns are: {', '.join(dataset.column_names)}")


def _ids(dataset: Dataset, column: str) -> list[Any]:
    _check_column(dataset, column)
    ids: list[Any] = dataset[column][:]
    if None in ids:
        raise InputError(f"column {column!r}, row {ids.index(None)}: got null, expected an id; give every row one")
    return ids


def _texts(dataset: Dataset, rows: list[int], column: str) -> list[str]:
    _check_column(dataset, column)
    texts: list[Any] = dataset.select(rows)[column][:]
    for row, text in zip(rows, texts, strict=True):
        if not isinstance(text, str):
            raise InputError(f"column {column!r}, row {row}: got {text!r:.60}, expected the query's text")
    return texts
