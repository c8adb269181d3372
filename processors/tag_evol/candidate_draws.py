"""Candidate tags for rows, as numbers: which tags a row is offered, whatever batch it comes in.

A row's candidates are the first n distinct tags, of an endless sequence of draws by weight, that it may have: sampling
by weight without replacement, restricted to what is allowed. Where a bounded number of draws brings too few, all tags
are looked at, and exponential clocks as fast as the weights decide among the allowed ones. The law is the same, since
such clocks have no memory; so a row has fewer than n only if there are no more.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from tagsmith.processors.compiled import announce
from tagsmith.processors.tag_evol.candidate_walk import DOUBTFUL, cosine, draws, race_times, walk, walk_band

# These are part of what a seed means: with other numbers, rows get other candidates.
DRAWS = 1_024  # of a row, before the race
CHUNK, CHUNKS = 512, 32  # draws of a group that are looked at together, and how often, before the race
GROUPS = 1_024
RACE_FIRST = 1 << 40  # number, in a row's sequence, of the race's first tag

_ROWS_AT_A_TIME = 2_048
_COSINES_AT_A_TIME = 8_000_000


@dataclass(frozen=True, eq=False)
class OwnNumbers:
    """Rows' own tags by their numbers in the pool: row r has `tags[starts[r]:starts[r + 1]]`."""

    starts: NDArray[np.int64]
    tags: NDArray[np.int32]

    def of(self, row: int) -> NDArray[np.int32]:
        """One row's."""
        return self.tags[self.starts[row] : self.starts[row + 1]]


@dataclass(frozen=True, eq=False)
class Band:
    """Cosines to a row's anchor between which a tag is related but not the same: low ≤ cosine ≤ high.

    Args:
        vectors: (tags, dim) float32, each of length 1.
    """

    vectors: NDArray[np.float32]
    low: float
    high: float

    def holds(self, anchors: NDArray[np.float32]) -> NDArray[np.bool_]:
        """(rows, tags) whether each tag is in each row's band."""
        cosines = anchors @ self.vectors.T
        inside = (cosines > self.low) & (cosines < self.high)
        near = (abs(cosines - self.low) < DOUBTFUL) | (abs(cosines - self.high) < DOUBTFUL)
        for row, tag in np.argwhere(near):
            inside[row, tag] = self.low <= cosine(anchors[row], self.vectors[tag]) <= self.high
        return inside


def draw_candidates(
    seeds: NDArray[np.uint64], own: OwnNumbers, log_weights: NDArray[np.float64], n: int
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """n tags for each row, each row by a sequence of its own.

    Args:
        seeds: (rows,) one a row.
        own: what each row must not get.
        log_weights: (tags,) logarithms of the tags' weights.

    Returns:
        (rows, n) tags, -1 where there are too few; and how many there are.
    """
    announce(walk, "drawing candidate tags")
    found, sizes = np.full((len(seeds), n), -1, np.int32), np.zeros(len(seeds), np.int64)
    cumulative = _cumulative(log_weights)

    def draw(first: int) -> None:
        part = slice(first, first + _ROWS_AT_A_TIME)
        starts = own.starts[first : first + _ROWS_AT_A_TIME + 1]
        walk(seeds[part], starts, own.tags, len(log_weights), cumulative, DRAWS, found[part], sizes[part])
        for row in first + np.flatnonzero(sizes[part] < n):
            _race(int(row), np.ones(len(log_weights), bool), seeds, own, log_weights, found, sizes)

    _in_threads(draw, range(0, len(seeds), _ROWS_AT_A_TIME))
    return found, sizes


def draw_in_band(
    seeds: NDArray[np.uint64],
    group_seed: Callable[[int], np.uint64],
    own: OwnNumbers,
    log_weights: NDArray[np.float64],
    n: int,
    band: Band,
    anchors_of: Callable[[NDArray[np.int64]], NDArray[np.float32]],
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """The same within a band. Rows of a group share a sequence, each from a place of its own, so that their cosines are
    one matrix product: twenty times as fast as one by one. By its seed a row falls in one of 1,024 groups.

    Args:
        group_seed: the seed of a group's sequence.
        anchors_of: (rows, dim) the unit vectors that cosines are measured from, of the given rows.
    """
    announce(walk_band, "drawing candidate tags in a band")
    found, sizes = np.full((len(seeds), n), -1, np.int32), np.zeros(len(seeds), np.int64)
    cumulative = _cumulative(log_weights)
    groups = (seeds % np.uint64(GROUPS)).astype(np.int64)
    places = (seeds // np.uint64(GROUPS) % np.uint64(CHUNK)).astype(np.int64)
    order = np.argsort(groups, kind="stable")
    cuts = np.flatnonzero(np.diff(groups[order], prepend=-1))

    left: list[tuple[NDArray[np.int64], NDArray[np.float32]]] = []  # rows for the race, with their anchors

    def draw(rows: NDArray[np.int64]) -> None:
        seed = group_seed(int(groups[rows[0]]))
        anchors = anchors_of(rows)
        for first in range(0, CHUNK * CHUNKS, CHUNK):
            tags = draws(seed, first, CHUNK, len(log_weights), cumulative)
            cosines = anchors @ band.vectors[tags].T
            at = places, own.starts, own.tags, tags
            walk_band(rows, *at, cosines, anchors, band.vectors, band.low, band.high, found, sizes)
            short = sizes[rows] < n
            rows, anchors = rows[short], anchors[short]
            if not len(rows):
                return
        left.append((rows, anchors))

    def race(part: slice) -> None:
        for row, inside in zip(late[part], band.holds(late_anchors[part]), strict=True):
            _race(row, inside, seeds, own, log_weights, found, sizes)

    with threadpool_limits(1, user_api="blas"):  # the threads here are enough
        _in_threads(draw, np.split(order, cuts[1:]) if len(order) else [])
        if left:  # all groups' together: one look at the vectors serves many rows
            late, late_anchors = (np.concatenate(parts) for parts in zip(*left, strict=True))
            step = max(1, _COSINES_AT_A_TIME // len(log_weights))
            _in_threads(race, [slice(first, first + step) for first in range(0, len(late), step)])
    return found, sizes


def _in_threads(work: Callable[..., None], parts: Any) -> None:
    def quietly(part: Any) -> None:
        with np.errstate(over="ignore"):  # as plain Python, without Numba: products of hashes are meant to wrap round
            work(part)

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        for _ in threads.map(quietly, parts):
            pass


def _cumulative(log_weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cumulated shares of the weights; empty where all weigh the same."""
    if np.all(log_weights == log_weights[0]):
        return np.zeros(0)
    sums = np.cumsum(np.exp(log_weights - log_weights.max()))
    shares: NDArray[np.float64] = sums / sums[-1]
    return shares


def _race(
    row: int,
    allowed: NDArray[np.bool_],
    seeds: NDArray[np.uint64],
    own: OwnNumbers,
    log_weights: NDArray[np.float64],
    found: NDArray[np.int32],
    sizes: NDArray[np.int64],
) -> None:
    """Fill up a row with the first of the allowed tags to arrive."""
    got, n = int(sizes[row]), found.shape[1]
    allowed[own.of(row)] = False
    allowed[found[row, :got]] = False
    tags = np.flatnonzero(allowed)
    times = race_times(seeds[row], RACE_FIRST, tags, log_weights)
    further = tags[np.argsort(times, kind="stable")[: n - got]]
    found[row, got : got + len(further)] = further
    sizes[row] = got + len(further)
