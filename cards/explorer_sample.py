"""Which rows of a large release go into its explorer: every frequent tag, config and reason keeps some."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

_LARGEST_LINEAGE = 500  # rows that are kept together; a larger family is cut into parts of this size

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Strata:
    """A way to divide rows: pairs of a row and the number of a stratum that it is in, and the rows that each keeps."""

    rows: Ints
    numbers: Ints
    keeps: int


@dataclass(frozen=True)
class Order:
    """Row numbers in the order in which they should be taken, and where in it each group of rows ends."""

    rows: Ints
    ends: Ints


def sample_order(n_rows: int, parents: Ints, divisions: Sequence[Strata]) -> Order:
    """The order in which rows should be taken until the page is full.

    A group is a whole lineage (rows joined by parent and child), or a row without any. First come, in turns, the rows
    that each stratum keeps, drawn at random within it; then all the others at random. The draw depends on nothing but
    the row numbers: equal input, equal order.

    Args:
        n_rows: rows to order.
        parents: each row's parent, or -1.
        divisions: the strata.

    Returns:
        All rows, group by group; within a group ascending.
    """
    draw = _shuffled(n_rows)
    # How far down the list of what its stratum keeps a row stands: 0 first, 1 and more not at all.
    turn = np.ones(n_rows)
    for strata in divisions:
        order = np.lexsort((draw[strata.rows], strata.numbers))
        begins = np.flatnonzero(np.diff(strata.numbers[order], prepend=-1))
        ranks = np.arange(len(order)) - np.repeat(begins, np.diff(begins, append=len(order)))
        np.minimum.at(turn, strata.rows[order], ranks / strata.keeps)
    turn = np.minimum(turn, 1.0)

    groups = lineages(n_rows, parents)
    by_group = np.argsort(groups, kind="stable")  # a group's rows in ascending order
    begins = np.flatnonzero(np.diff(groups[by_group], prepend=-1))
    if not n_rows:
        return Order(by_group, begins)
    first_turn = np.minimum.reduceat(turn[by_group], begins)
    first_draw = np.minimum.reduceat(draw[by_group], begins)
    order = np.lexsort((first_draw, first_turn))
    lengths = np.diff(begins, append=n_rows)[order]
    ends = np.cumsum(lengths)
    # Each group's slice of `by_group`, one behind the other.
    slots = np.arange(n_rows) + np.repeat(begins[order] - (ends - lengths), lengths)
    return Order(by_group[slots], ends)


def lineages(n_rows: int, parents: Ints) -> Ints:
    """For each row the number of its lineage."""
    children = np.flatnonzero(parents >= 0)
    if not len(children):
        return np.arange(n_rows)
    edges = coo_array((np.ones(len(children), dtype=np.int8), (children, parents[children])), shape=(n_rows, n_rows))
    _, found = connected_components(edges, directed=False)
    family: Ints = found.astype(np.int64)
    order = np.argsort(family, kind="stable")
    begins = np.flatnonzero(np.diff(family[order], prepend=-1))
    positions = np.arange(n_rows) - np.repeat(begins, np.diff(begins, append=n_rows))
    part = np.empty(n_rows, dtype=np.int64)
    part[order] = positions // _LARGEST_LINEAGE
    return family * (int(part.max()) + 1) + part


def _shuffled(n: int) -> NDArray[np.uint64]:
    """A random number for each row number: SplitMix64, which no version of a library changes."""
    with np.errstate(over="ignore"):
        z = (np.arange(n, dtype=np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))
