"""The inner loop of candidate sampling, compiled: a row's own sequence of draws, until enough of them are allowed."""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

BLOCK = 64  # dimensions after which a tag may turn out to lie outside the band
# Float32 sums are off by less than this; a cosine so near to an edge of the band is computed again in float64.
DOUBTFUL = 1e-5
_STEP = np.uint64(0x9E3779B97F4A7C15)
_MIX_1, _MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_30, _27, _31, _11 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(11)
_ONE = np.uint64(1)
_UNIT = 1.0 / (1 << 53)

# The names that the compiled functions give each other are typed by use, so that their own types say nothing.
_compiled: Any = njit(cache=True, nogil=True)
_compiled_fast: Any = njit(cache=True, nogil=True, fastmath=True)


@_compiled
def uniform(seed: Any, number: Any) -> Any:
    """Number `number` of the sequence of `seed`, in [0, 1): SplitMix64, whose numbers can be had in any order."""
    bits = seed + _STEP * (np.uint64(number) + _ONE)
    bits = (bits ^ (bits >> _30)) * _MIX_1
    bits = (bits ^ (bits >> _27)) * _MIX_2
    bits = bits ^ (bits >> _31)
    return np.float64(bits >> _11) * _UNIT


@_compiled
def drawn(share: Any, n_tags: Any, cumulative: Any) -> Any:
    """The tag at a share of the total weight; `cumulative` is empty where all weigh the same."""
    if len(cumulative) == 0:
        return min(int(share * n_tags), n_tags - 1)
    return min(np.searchsorted(cumulative, share, side="right"), n_tags - 1)


@_compiled
def cosine(a: Any, b: Any) -> Any:
    """The dot product of two unit vectors, summed in order in float64."""
    total = 0.0
    for i in range(len(a)):
        total += np.float64(a[i]) * np.float64(b[i])
    return total


@_compiled_fast
def _block_dot(a: Any, row: Any, b: Any, tag: Any, block: Any) -> Any:
    total = np.float32(0.0)
    for i in range(BLOCK):
        total += a[row, block, i] * b[tag, block, i]
    return total


@_compiled
def _in_band(row: Any, tag: Any, heads: Any, turned: Any, head_rests: Any, rests: Any, low: Any, high: Any) -> Any:
    """1 or 0: whether low ≤ cosine ≤ high, mostly told by a part of the dimensions; -1 where it is too near to tell.

    Turned vectors have most of their length in front. By Cauchy and Schwarz, what is left of the sum is at most the
    product of the lengths that are left.
    """
    total = 0.0
    for block in range(rests.shape[1]):
        total += _block_dot(heads, row, turned, tag, block)
        left = head_rests[row, block] * rests[tag, block]
        if total + left < low - DOUBTFUL or total - left > high + DOUBTFUL:
            return 0
    return 1 if low + DOUBTFUL < total < high - DOUBTFUL else -1


@_compiled
def _taken(tag: Any, own: Any, start: Any, end: Any, found: Any, row: Any, got: Any) -> Any:
    for i in range(start, end):
        if own[i] == tag:
            return True
    for i in range(got):  # noqa: SIM110  # no generators here
        if found[row, i] == tag:
            return True
    return False


@_compiled
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
    """Fill `found` (rows, n) with the first n distinct tags of each row's draws that the row has not.

    Row r has the tags `own[starts[r]:starts[r + 1]]`. `sizes` gets the number found in `most_draws` draws.
    """
    n = found.shape[1]
    for row in range(len(seeds)):
        got = 0
        for number in range(most_draws):
            tag = drawn(uniform(seeds[row], number), n_tags, cumulative)
            if not _taken(tag, own, starts[row], starts[row + 1], found, row, got):
                found[row, got] = tag
                got += 1
                if got == n:
                    break
        sizes[row] = got


@_compiled
def walk_band(
    seeds: NDArray[np.uint64],
    starts: NDArray[np.int64],
    own: NDArray[np.int32],
    cumulative: NDArray[np.float64],
    most_draws: int,
    found: NDArray[np.int32],
    sizes: NDArray[np.int64],
    anchors: NDArray[np.float32],
    vectors: NDArray[np.float32],
    heads: NDArray[np.float32],
    turned: NDArray[np.float32],
    head_rests: NDArray[np.float32],
    rests: NDArray[np.float32],
    low: float,
    high: float,
) -> None:
    """The same within a band of cosines to the row's anchor.

    `heads` and `turned` (…, blocks, 64) are `anchors` and `vectors` in other axes; `head_rests` and `rests`
    (…, blocks) are the lengths of what is left of them behind each block.
    """
    n, n_tags = found.shape[1], len(vectors)
    for row in range(len(seeds)):
        got = 0
        for number in range(most_draws):
            tag = drawn(uniform(seeds[row], number), n_tags, cumulative)
            inside = _in_band(row, tag, heads, turned, head_rests, rests, low, high)
            if inside == 0 or _taken(tag, own, starts[row], starts[row + 1], found, row, got):
                continue
            if inside < 0 and not low <= cosine(anchors[row], vectors[tag]) <= high:
                continue
            found[row, got] = tag
            got += 1
            if got == n:
                break
        sizes[row] = got


@_compiled
def race_times(seed: Any, first: int, log_weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """The logarithm of each tag's arrival in a race of exponential clocks, each as fast as its tag's weight."""
    times = np.empty(len(log_weights))
    for tag in range(len(log_weights)):
        times[tag] = np.log(-np.log1p(-uniform(seed, first + tag))) - log_weights[tag]
    return times
