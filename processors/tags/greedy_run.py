"""One run of the compiled sampler: lays out its memory, runs it and reads the result."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tagsmith.processors.compiled import announce
from tagsmith.processors.tags import lazy_greedy
from tagsmith.processors.tags.leaf_sets import LeafSets
from tagsmith.processors.tags.tree_shape import TreeShape

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Objective:
    """The numbers of the objective: Φ(x) = (x + eps)^power, and the alignment term; see `TreeSampler`."""

    power: float
    eps: float
    smooth: float = 0.0
    kl_weight: float = 0.0
    is_relative: bool = False


@dataclass(frozen=True, eq=False)
class Picked:
    """What a run picked: row numbers, their gains when picked, and how much work it was."""

    rows: NDArray[np.int32]
    gains: Floats
    scored: int
    touched: int


@dataclass(frozen=True, eq=False)
class Gradient:
    """The memory of the tree's or graph's side: nodes, their masses, sums near the root, edges of a graph."""

    nodes: NDArray[Any]
    masses: NDArray[Any]
    sides: NDArray[Any]
    upper: Floats
    starts: NDArray[np.int64]
    edges: NDArray[Any] | None


def tree_gradient(shape: TreeShape, objective: Objective, target: Floats | None, quota: NDArray[np.int64]) -> Gradient:
    """Before any pick. `target` (mass by node) and `quota` (by node, −1 for none) are in the shape's numbering."""
    n = len(shape)
    nodes, masses = np.zeros(n + 1, lazy_greedy.NODE), _aligned_zeros(n + 1, lazy_greedy.MASS)
    sides = np.zeros(n + 1, lazy_greedy.SIDE)
    nodes["parent"] = np.append(shape.parents, n)
    masses["first_child"] = shape.first_child
    masses["share"] = np.append(shape.share, 1.0)
    sides["quota"] = np.append(quota, -1)
    slope = objective.power * shape.share * objective.eps ** (objective.power - 1.0)
    masses["slope"][:n] = masses["anchor_slope"][:n] = slope
    masses["anchor"] = 1.0 / objective.eps
    sides["below"] = np.bincount(shape.parents, slope, minlength=n + 1)
    is_childless = np.diff(shape.first_child) == 0
    masses["inner"][:n] = np.where(is_childless, slope, 2.0 * slope + sides["below"][:n])

    # A pick changes all sums near the root and those under the nodes that it touches: both parts are kept small.
    n_upper = min(n, max(512, int(4 * n**0.5)))
    upper = np.zeros(n_upper + 1)
    nodes["base"][:n_upper] = np.arange(n_upper)
    nodes["base"][n] = n_upper
    for depth in range(int(shape.depth[n_upper - 1]), int(shape.depth[-1]) + 1):  # each level takes from the one above
        first, last = np.searchsorted(shape.depth, [depth, depth + 1])
        level = slice(max(first, n_upper), last)
        nodes["base"][level] = nodes["base"][nodes["parent"][level]]
    if target is not None:
        sides["target"][:n] = objective.kl_weight * target
        nodes["bonus"] = sides["target"] * np.log1p(1.0 / objective.smooth)
    return Gradient(nodes, masses, sides, upper, np.zeros(0, np.int64), None)


def graph_gradient(matrix: Any, objective: Objective) -> Gradient:
    """Before any pick, for the label graph with the sparse matrix P (labels × labels)."""
    by_row = matrix.tocsr()
    by_column = matrix.tocsc()
    n = by_row.shape[0]
    nodes, masses = np.zeros(n + 1, lazy_greedy.NODE), _aligned_zeros(n + 1, lazy_greedy.MASS)
    sides = np.zeros(n + 1, lazy_greedy.SIDE)
    nodes["parent"] = n
    sides["quota"] = -1
    slope = objective.power * objective.eps ** (objective.power - 1.0)
    masses["slope"][:n] = slope
    edges = np.zeros(2 * by_row.nnz, lazy_greedy.EDGE)
    edges["label"] = np.concatenate([by_row.indices, by_column.indices])
    edges["value"] = np.concatenate([by_row.data, by_column.data])
    sides["below"][:n] = np.asarray(by_row.sum(axis=1)).ravel() * slope
    nodes["lower"] = sides["below"]
    starts = np.concatenate([by_row.indptr, by_column.indptr.astype(np.int64) + by_row.nnz]).astype(np.int64)
    return Gradient(nodes, masses, sides, np.zeros(1), starts, edges)


def run_greedy(
    leaf_sets: LeafSets,
    weights: Floats,
    gradient: Gradient,
    objective: Objective,
    n: int,
    *,
    is_clipped: bool,
    n_leaves: int,
    is_candidate: NDArray[np.bool_],
    taken: NDArray[np.int64],
) -> Picked:
    """Take the rows `taken`, then pick up to n rows of those that are candidates.

    Args:
        leaf_sets: leaves in the gradient's numbering. The array is used as working memory.
        n_leaves: leaves of the tree, for smoothing P.
    """
    announce(lazy_greedy.greedy, "the sampler")
    n_rows = len(leaf_sets)
    starts, leaves = leaf_sets.starts, leaf_sets.leaves
    rows = _aligned_zeros(n_rows, lazy_greedy.ROW)
    rows["start"] = starts[:-1]
    rows["size"] = np.diff(starts)
    rows["weight"] = np.where(rows["size"] > 0, weights, 0.0)  # without leaves all rows are alike
    rows["following"] = -1
    rows["waits"] = is_candidate
    _join_rows(rows, leaves)
    joints = np.zeros(len(leaves) if is_clipped else 0, np.int32)
    if is_clipped:
        lazy_greedy.find_joints(rows, leaves, joints, gradient.nodes, np.empty(len(gradient.nodes), np.int32))

    state = np.zeros(1, lazy_greedy.STATE)
    state["power"], state["eps"], state["smooth"] = objective.power, objective.eps, objective.smooth
    state["smooth_total"] = objective.smooth * n_leaves
    state["kl_weight"], state["is_relative"] = objective.kl_weight, objective.is_relative
    state["has_quota"] = bool((gradient.sides["quota"] >= 0).any())
    state["information"] = (len(gradient.nodes) - 1) * objective.eps**objective.power
    sizes = np.zeros(int(rows["size"].max(initial=0)) + 1)
    picks, gains = np.empty(n, np.int32), np.empty(n)
    done = lazy_greedy.greedy(
        rows,
        leaves,
        joints,
        gradient.nodes,
        gradient.masses,
        gradient.sides,
        gradient.upper,
        gradient.starts,
        gradient.edges,
        sizes,
        np.empty(lazy_greedy.BUCKETS, np.int32),
        np.empty(n_rows, np.int32),
        np.empty(n_rows, lazy_greedy.ENTRY),
        np.empty(len(gradient.nodes), np.int32),
        np.empty(lazy_greedy.PIECE, np.int32),
        state,
        taken.astype(np.int32),
        picks,
        gains,
    )
    return Picked(picks[:done], gains[:done], int(state["scored"][0]), int(state["touched"][0]))


def _aligned_zeros(n: int, kind: np.dtype[Any]) -> NDArray[Any]:
    """Records that do not straddle cache lines."""
    size = kind.itemsize
    memory = np.zeros((n + 1) * size, np.uint8)
    first = -memory.ctypes.data % size
    return memory[first : first + n * size].view(kind)


def _join_rows(rows: NDArray[Any], leaves: NDArray[np.int32]) -> None:
    """Sort each row's leaves and link rows with the same ones, so that only the best of them waits."""
    hashes = np.empty(len(rows), np.int64)
    lazy_greedy.sort_leaves(rows, leaves, hashes)
    owner = np.empty(len(rows), np.int32)
    table = np.empty(1 << max(2, (2 * len(rows)).bit_length()), np.int32)
    lazy_greedy.join_alike(rows, leaves, hashes, table, owner)
    del hashes, table
    waiting = owner >= 0
    alike = np.flatnonzero(waiting & (np.bincount(owner[waiting], minlength=len(rows))[owner] > 1))
    order = alike[np.argsort(-rows["weight"][alike], kind="stable")].astype(np.int32)
    lazy_greedy.chain_alike(order, rows, owner, np.empty(len(rows), np.int32))
