"""Candidate tags for rows, as numbers: which tags a row is offered, whatever batch it comes in."""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tagsmith.processors.tag_evol.candidate_walk import BLOCK, DOUBTFUL, cosine, race_times, walk, walk_band

# Draws after which a row that lacks tags goes on by a race: few where most draws are allowed, more where most fall
# outside the band. Part of what a seed means: another number gives some rows other candidates.
DRAWS, BAND_DRAWS = 1_024, 16_384
RACE_FIRST = 1 << 40  # number, in a row's sequence, of the race's first tag
ROWS_AT_A_TIME = 2_048


@dataclass(frozen=True, eq=False)
class Band:
    """Cosines to a row's anchor between which a tag is related but not the same: low ≤ cosine ≤ high.

    Args:
        vectors: (tags, dim) float32, each of length 1.
    """

    vectors: NDArray[np.float32]
    low: float
    high: float

    @cached_property
    def axes(self) -> NDArray[np.float32]:
        """A rotation to axes along which tags have most of their length first; it changes no cosine."""
        sample = self.vectors[:: max(1, len(self.vectors) // 10_000)].astype(np.float64)
        return np.ascontiguousarray(np.linalg.eigh(sample.T @ sample)[1][:, ::-1], np.float32)

    @cached_property
    def turned(self) -> NDArray[np.float32]:
        """The vectors in those axes, by blocks."""
        return self.turn(self.vectors)

    @cached_property
    def rests(self) -> NDArray[np.float32]:
        """What is left of each vector's length behind each block of dimensions."""
        return rests_of(self.turned)

    def turn(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """(n, blocks, 64) vectors in those axes; the last block is filled up with zeros."""
        n, dim = vectors.shape
        blocks = np.zeros((n, -(-dim // BLOCK) * BLOCK), np.float32)
        blocks[:, :dim] = vectors @ self.axes
        return blocks.reshape(n, -1, BLOCK)

    def holds(self, anchor: NDArray[np.float32]) -> NDArray[np.bool_]:
        """For every tag, whether it is in the band of one row."""
        cosines = self.vectors @ anchor
        inside = (cosines > self.low) & (cosines < self.high)
        for tag in np.flatnonzero((abs(cosines - self.low) < DOUBTFUL) | (abs(cosines - self.high) < DOUBTFUL)):
            inside[tag] = self.low <= cosine(anchor, self.vectors[tag]) <= self.high
        return inside


def draw_candidates(
    seeds: NDArray[np.uint64],
    starts: NDArray[np.int64],
    own: NDArray[np.int32],
    log_weights: NDArray[np.float64],
    n: int,
    band: Band | None = None,
    anchors: NDArray[np.float32] | None = None,
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """n tags for each row, drawn by weight without replacement among those that it may have.

    A row's seed stands for an endless sequence of draws, each tag in proportion to its weight; its candidates are the
    first n distinct ones that it has not itself and, with a band, that lie in it. That is sampling without replacement
    by weight, restricted to what is allowed. Where 1,024 draws (with a band 16,384) bring too few, all tags are looked
    at, and exponential clocks (as fast as the weights) decide among the allowed ones: the law is the same, since such
    clocks have no memory. So a row has fewer than n only if there are no more.

    Args:
        seeds: (rows,) one a row.
        starts, own: row r has the tags `own[starts[r]:starts[r + 1]]`.
        log_weights: (tags,) logarithms of the tags' weights.
        band, anchors: with a band, (rows, dim) the unit vectors that it is measured from.

    Returns:
        (rows, n) tags, -1 where there are too few; and how many there are.
    """
    rows = len(seeds)
    found, sizes = np.full((rows, n), -1, np.int32), np.zeros(rows, np.int64)
    cumulative = _cumulative(log_weights)

    def draw(first: int) -> None:
        part = slice(first, first + ROWS_AT_A_TIME)
        common = seeds[part], starts[first : first + ROWS_AT_A_TIME + 1], own
        if band is None:
            walk(*common, len(log_weights), cumulative, DRAWS, found[part], sizes[part])
        else:
            assert anchors is not None
            heads = band.turn(anchors[part])
            looked_at = anchors[part], band.vectors, heads, band.turned, rests_of(heads), band.rests
            walk_band(*common, cumulative, BAND_DRAWS, found[part], sizes[part], *looked_at, band.low, band.high)
        for row in first + np.flatnonzero(sizes[part] < n):
            allowed = np.ones(len(log_weights), bool) if band is None else band.holds(anchors[row])  # type: ignore[index]
            allowed[own[starts[row] : starts[row + 1]]] = False
            allowed[found[row, : sizes[row]]] = False
            further = _race(seeds[row], np.flatnonzero(allowed), log_weights, n - int(sizes[row]))
            found[row, sizes[row] : sizes[row] + len(further)] = further
            sizes[row] += len(further)

    if band is not None:
        _ = band.turned, band.rests  # made once, before there are threads
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        list(threads.map(draw, range(0, rows, ROWS_AT_A_TIME)))
    return found, sizes


def rests_of(turned: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n, blocks) what is left of each vector's length behind each block."""
    squares = np.square(turned, dtype=np.float64).sum(axis=2)
    behind = np.cumsum(squares[:, ::-1], axis=1)[:, ::-1] - squares
    return np.sqrt(np.maximum(behind, 0)).astype(np.float32)


def _cumulative(log_weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cumulated shares of the weights; empty where all weigh the same."""
    if np.all(log_weights == log_weights[0]):
        return np.zeros(0)
    sums = np.cumsum(np.exp(log_weights - log_weights.max()))
    return sums / sums[-1]


def _race(seed: np.uint64, allowed: NDArray[np.int64], log_weights: NDArray[np.float64], n: int) -> NDArray[np.int64]:
    """The first n of the allowed tags to arrive."""
    times = race_times(seed, RACE_FIRST, log_weights)[allowed]
    return allowed[np.argsort(times, kind="stable")[:n]]
