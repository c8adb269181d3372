"""All pairs of vectors within a cosine distance of each other, exactly: a cheap upper bound first, then the product."""

import os
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from tagsmith.processors.errors import InputError

Pairs = tuple[NDArray[np.int64], NDArray[np.int64]]

ROWS, COLUMNS = 512, 2048  # a block of products: 4 MB, which stays in cache while it is scanned
STRIP = 4 * COLUMNS  # the columns that one task goes through
ULP = float(np.finfo(np.float32).eps)


def close_pairs(vectors: NDArray[np.floating], eps: float) -> Iterator[Pairs]:
    """Yield the pairs i < j whose cosine distance 1 − cos(i, j) is at most `eps`, some at a time, each pair once.

    Each vector, brought to unit length, is written in its principal axes. The first k coordinates of two vectors give
    a part of their product, and by Cauchy–Schwarz the rest is at most the product of the rest's lengths; with that
    length as coordinate k + 1, one small matrix product bounds a whole block of cosines from above. The few pairs whose
    bound reaches 1 − eps are multiplied out in float32, and those within its rounding error of the threshold again in
    float64, on the vectors as given: the answer is that of float64 throughout.

    Args:
        vectors: (n, dim), any length but not NaN or infinite; a zero vector has distance 1 from every other.
        eps: cosine distance, in (0, 2).

    Raises:
        InputError: eps is out of range, or a vector is not finite.

    Memory: a float32 copy of `vectors` at most, and blocks; never n × n. Measured, 100,000 real-like tags in 384
    dimensions, eps 0.05: k = 23, one pair in 13,000 passes the bound, 8 core-seconds where plain blocked products of
    the upper triangle took 60 on the same busy machine.
    """
    if not 0 < eps < 2:
        raise InputError(f"eps={eps!r} is not a cosine distance for neighbours; expected a number in (0, 2), 0.05 say")
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))
    if not np.isfinite(lengths).all():
        row = int(np.flatnonzero(~np.isfinite(lengths))[0])
        raise InputError(f"vector {row} holds NaN or infinity; expected finite embeddings: check the embedding model")
    lengths[lengths == 0] = 1
    # One BLAS thread for each of ours: OpenBLAS gains nothing from a second thread on products this narrow, and the
    # scan of the products would be left to one core.
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(_cores()) as pool:
        search = _Search(vectors, lengths, eps)
        under_way: deque[Future[Pairs]] = deque()
        for tile in search.tiles():
            under_way.append(pool.submit(search.pairs, *tile))
            if len(under_way) > 2 * _cores():
                yield from _unless_empty(under_way.popleft().result())
        for found in under_way:
            yield from _unless_empty(found.result())


class _Search:
    def __init__(self, vectors: NDArray[np.floating], lengths: NDArray[np.float64], eps: float) -> None:
        self.vectors, self.lengths, self.eps = vectors, lengths, eps
        is_unit = vectors.dtype == np.float32 and np.abs(lengths - 1).max(initial=0) < 4 * ULP
        self.unit = vectors if is_unit else vectors * (1 / lengths).astype(np.float32)[:, None]
        self.unit = self.unit.astype(np.float32, copy=False)
        self.sketch = _sketch(self.unit, 1 - eps)
        # A float32 product of m terms of unit vectors errs by less than m · ULP / 2: we allow twice that, and some more
        # for the rounding of the vectors themselves.
        self.may_reach = np.float32(1 - eps - (self.sketch.shape[1] + 16) * ULP)
        self.unsure = (self.unit.shape[1] + 16) * ULP
        self.buffers = threading.local()

    def tiles(self) -> Iterator[tuple[int, int]]:
        """Corners of the tiles, ROWS × STRIP, that cover the upper triangle."""
        n = len(self.unit)
        return ((top, left) for top in range(0, n, ROWS) for left in range(top, n, STRIP))

    def pairs(self, top: int, first: int) -> Pairs:
        """The close pairs of a tile."""
        n = len(self.unit)
        rows = slice(top, min(top + ROWS, n))
        decided, open_pairs = [], []
        for left in range(first, min(first + STRIP, n), COLUMNS):
            columns = slice(left, min(left + COLUMNS, n))
            i, j, width = *self.candidates(rows, columns), columns.stop - left
            if len(i) * 64 > width * (rows.stop - top):
                # So many that the block's full product costs less than fetching single rows.
                cosines = (self.unit[rows] @ self.unit[columns].T)[i, j]
                decided.append(self.close_ones(i + top, j + left, cosines))
            else:
                open_pairs.append((i + top, j + left))
        if open_pairs:
            i, j = _joined(open_pairs)
            decided.append(self.close_ones(i, j, np.einsum("ij,ij->i", self.unit[i], self.unit[j])))
        return _joined(decided)

    def candidates(self, rows: slice, columns: slice) -> Pairs:
        """Pairs of a block, numbered within it, that the bound does not exclude."""
        if not hasattr(self.buffers, "bounds"):
            self.buffers.bounds = np.empty((ROWS, COLUMNS), np.float32)
        bounds = self.buffers.bounds[: rows.stop - rows.start, : columns.stop - columns.start]
        np.matmul(self.sketch[rows], self.sketch[columns].T, out=bounds)
        return np.divmod(np.flatnonzero(bounds >= self.may_reach), bounds.shape[1])

    def close_ones(self, i: NDArray[np.int64], j: NDArray[np.int64], cosines: NDArray[np.float32]) -> Pairs:
        close = (cosines >= 1 - self.eps) & (i < j)
        check = (np.abs(cosines - (1 - self.eps)) <= self.unsure) & (i < j)
        close[check] = self.is_close(i[check], j[check])
        return i[close], j[close]

    def is_close(self, i: NDArray[np.int64], j: NDArray[np.int64]) -> NDArray[np.bool_]:
        """The definition, in float64, a few thousand pairs at a time."""
        close = np.empty(len(i), bool)
        for start in range(0, len(i), 4096):
            a, b = i[start : start + 4096], j[start : start + 4096]
            products = np.einsum("ij,ij->i", self.vectors[a], self.vectors[b], dtype=np.float64)
            close[start : start + 4096] = 1 - products / (self.lengths[a] * self.lengths[b]) <= self.eps
        return close


def _sketch(unit: NDArray[np.float32], threshold: float) -> NDArray[np.float32]:
    """(n, k + 1): the first k principal coordinates and the length of the rest; `unit` itself where that is cheaper."""
    n, dim = unit.shape
    if n < 2 * COLUMNS or dim < 16:
        return unit
    random = np.random.default_rng(0)
    sample = unit[random.choice(n, min(n, 8_192), replace=False)].astype(np.float64)
    _, axes = np.linalg.eigh(sample.T @ sample)
    axes = axes[:, ::-1]
    # Which k? Each pair costs k + 1 products, and one that passes about 128 · dim (its vectors are fetched from
    # memory). How many pass is seen on a sample. The values make k + 1 a multiple of 8, which suits BLAS.
    some, others = sample[:256] @ axes, sample[-4096:] @ axes
    costs = {dim: float(dim)}
    for k in (k for k in (7, 15, 23, 31, 47, 63, 95, 127, 191, 255, 383, 511) if k < dim):
        if k > min(costs.values()):
            break
        rest = np.outer(_length(some[:, k:]), _length(others[:, k:]))
        passing = np.mean(some[:, :k] @ others[:, :k].T + rest >= threshold)
        costs[k] = k + 1 + 128 * dim * float(passing)
    k = min(costs, key=costs.__getitem__)
    if k == dim:
        return unit
    sketch = np.empty((n, k + 1), np.float32)
    for top in range(0, n, STRIP):
        exact = unit[top : top + STRIP].astype(np.float64)
        first = exact @ axes[:, :k]
        sketch[top : top + len(exact), :k] = first
        sketch[top : top + len(exact), k] = np.sqrt(np.maximum(_length(exact) ** 2 - _length(first) ** 2, 0))
    return sketch


def _length(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    lengths: NDArray[np.float64] = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
    return lengths


def _joined(pairs: list[Pairs]) -> Pairs:
    return np.concatenate([i for i, _ in pairs]), np.concatenate([j for _, j in pairs])


def _unless_empty(pairs: Pairs) -> Iterator[Pairs]:
    if len(pairs[0]):
        yield pairs


def _cores() -> int:
    """Cores that this process may use; a container's share, not the machine's, where the system says."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
