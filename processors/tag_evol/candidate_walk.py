"""The inner loops of candidate sampling, compiled: draws one after the other, until enough of them are allowed."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tagsmith.processors.compiled import compiled

# Float32 sums are off by less than this; a cosine so near to an edge of the band is computed again in float64.
DOUBTFUL = 1e-5
_STEP = np.uint64(0x9E3779B97F4A7C15)
_MIX_1, _MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_30, _27, _31, _11 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(11)
_ONE = np.uint64(1)
_UNIT = 1.0 / (1 << 53)


@compiled
def uniform(seed: Any, number: Any) -> Any:
    """Number `number` of the sequence of `seed`, in [0, 1): SplitMix64, whose numbers can be had in any order."""
    bits = seed + _STEP * (np.uint64(number) + _ONE)
    bits = (bits ^ (bits >> _30)) * _MIX_1
    bits = (bits ^ (bits >> _27)) * _MIX_2
    bits = bits ^ (bits >> _31)
    return np.float64(bits >> _11) * _UNIT


@compiled
def drawn(seed: Any, number: Any, n_tags: Any, cumulative: Any) -> Any:
    """A draw: the tag at a uniform share of the total weight; `cumulative` is empty where all weigh the same."""
    share = uniform(seed, number)
    if len(cumulative) == 0:
        return min(int(share * n_tags), n_tags - 1)
    return min(np.searchsorted(cumulative, share, side="right"), n_tags - 1)


@compiled
def draws(seed: Any, first: int, number: int, n_tags: int, cumulative: NDArray[np.float64]) -> NDArray[np.int64]:
    """`number` draws from `first` on."""
    tags = np.empty(number, np.int64)
    for i in range(number):
        tags[i] = drawn(seed, first + i, n_tags, cumulative)
    return tags


@compiled
def cosine(a: Any, b: Any) -> Any:
    """The dot product of two unit vectors, summed in order in float64."""
    total = 0.0
    for i in range(len(a)):
        total += np.float64(a[i]) * np.float64(b[i])
    return total


@compiled
def _taken(tag: Any, own: Any, start: Any, end: Any, found: Any, row: Any, got: Any) -> Any:
    for i in range(start, end):
        if own[i] == tag:
            return True
    for i in range(got):  # noqa: SIM110  # no generators here
        if found[row, i] == tag:
            return True
    return False


@compiled
def walk(
    seeds: NDArray[np.uint64],
    starts: NDArray[np.int64],
    own: NDArray[np.int32],
    n_tags: int,
    cumulative: NDArray[np.float64],
    most_draws: int,
    found: NDArray[np.int32],
    sizes: NDArray[np.int64],
) -> None:
    """Fill `found` (rows, n) with the first n distinct tags of each row's own draws that the row has not.

    Row r has the tags `own[starts[r]:starts[r + 1]]`. `sizes` gets the number found in `most_draws` draws.
    """
    n = found.shape[1]
    for row in range(len(seeds)):
        got = 0
        for number in range(most_draws):
            tag = drawn(seeds[row], number, n_tags, cumulative)
            if not _taken(tag, own, starts[row], starts[row + 1], found, row, got):
                found[row, got] = tag
                got += 1
                if got == n:
                    break
        sizes[row] = got


@compiled
def walk_band(
    rows: NDArray[np.int64],
    places: NDArray[np.int64],
    starts: NDArray[np.int64],
    own: NDArray[np.int32],
    tags: NDArray[np.int64],
    cosines: NDArray[np.float32],
    anchors: NDArray[np.float32],
    vectors: NDArray[np.float32],
    low: float,
    high: float,
    found: NDArray[np.int32],
    sizes: NDArray[np.int64],
) -> None:
    """Add to `found` those of a group's draws that are in each row's band, new, and not the row's own.

    `rows` are numbers in `places`, `starts`, `found` and `sizes`; `cosines` (rows, tags) and `anchors` (rows, dim) are
    in the order of `rows`. Each row begins at its own place among the draws, and goes round.
    """
    n = found.shape[1]
    for i in range(len(rows)):
        row = rows[i]
        got = sizes[row]
        for step in range(len(tags)):
            place = (places[row] + step) % len(tags)
            near = cosines[i, place]
            if near < low - DOUBTFUL or near > high + DOUBTFUL:
                continue
            tag = tags[place]
            if _taken(tag, own, starts[row], starts[row + 1], found, row, got):
                continue
            sure = low + DOUBTFUL < near < high - DOUBTFUL
            if not sure and not low <= cosine(anchors[i], vectors[tag]) <= high:
                continue
            found[row, got] = tag
            got += 1
            if got == n:
                break
        sizes[row] = got


@compiled
def race_times(seed: Any, first: int, tags: NDArray[np.int64], log_weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """The logarithm of each tag's arrival in a race of exponential clocks, each as fast as its tag's weight."""
    times = np.empty(len(tags))
    for i in range(len(tags)):
        times[i] = np.log(-np.log1p(-uniform(seed, first + tags[i]))) - log_weights[tags[i]]
    return times
