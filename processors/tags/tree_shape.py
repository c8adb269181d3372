"""The tag tree as the sampler needs it: a checked array of parents, renumbered level by level."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tagsmith.processors.errors import InputError


@dataclass(frozen=True, eq=False)
class TreeShape:
    """A checked tree: nodes renumbered so that each level follows the one above and siblings are neighbours.

    Args:
        parents: each node's parent in the new numbering; the roots' parent is `len(parents)`, a node above all.
        first_child: node p's children are `first_child[p]` to `first_child[p + 1] - 1`.
        number: the new number of each node of the given tree.
        leaves: the given tree's leaves, in the given order.
        depth: nodes on the path from each node (new numbering) to its root, itself included.
    """

    parents: NDArray[np.int32]
    first_child: NDArray[np.int32]
    number: NDArray[np.int32]
    leaves: NDArray[np.int64]
    depth: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.parents)

    @property
    def share(self) -> NDArray[np.float64]:
        """1 / (1 + degree) of each node (Eq. 6)."""
        degree = np.diff(self.first_child) + (self.parents < len(self.parents))
        return 1.0 / (1.0 + degree)


def tree_shape(parents: Any, leaves: Any = None) -> TreeShape:
    """Check a tree given as an array of parents.

    Args:
        parents: the parent of each node, −1 for a root. Several roots are a forest; all −1 is tags without a tree.
        leaves: node numbers of the leaves; left out, all nodes that have no child.

    Raises:
        InputError: a parent that is no node, a cycle, a leaf that has a child, is listed twice or is no node, no leaf.
    """
    given = _whole_numbers(parents, "parents")
    n = len(given)
    if not n:
        raise InputError("the tree has no node: give the parent of each node, -1 for a root")
    wrong = np.flatnonzero((given < -1) | (given >= n))
    if len(wrong):
        node = int(wrong[0])
        raise InputError(f"tree, node {node}: its parent is {given[node]}, expected -1 (a root) or 0 to {n - 1}")
    children = np.bincount(given[given >= 0], minlength=n)
    chosen = np.flatnonzero(children == 0) if leaves is None else _whole_numbers(leaves, "leaves")
    order, sizes = _by_level(given, n)
    _check_leaves(chosen, children, n)

    number = np.empty(n, np.int32)
    number[order] = np.arange(n, dtype=np.int32)
    above = given[order]
    new_parents = np.where(above < 0, n, number[above]).astype(np.int32)
    first_child = np.concatenate([[0], np.cumsum(children[order])]).astype(np.int32) + np.int32(sizes[0])
    depth = np.repeat(np.arange(1, len(sizes) + 1, dtype=np.int32), sizes)
    return TreeShape(new_parents, first_child, number, chosen, depth)


def _by_level(parents: NDArray[np.int64], n: int) -> tuple[NDArray[np.int64], list[int]]:
    """Nodes in levels from the roots down, siblings together, and the size of each level."""
    by_parent = np.argsort(parents, kind="stable")
    starts = np.searchsorted(parents[by_parent], np.arange(-1, n + 1))
    levels = [by_parent[: starts[1]]]
    seen = len(levels[0])
    while len(levels[-1]):
        first, last = starts[levels[-1] + 1], starts[levels[-1] + 2]
        sizes = last - first
        offsets = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        levels.append(by_parent[np.repeat(first, sizes) + offsets])
        seen += len(levels[-1])
    if seen < n:
        reached = np.zeros(n, bool)
        reached[np.concatenate(levels)] = True
        node = int(np.flatnonzero(~reached)[0])
        path = [node]
        while parents[path[-1]] not in path:
            path.append(int(parents[path[-1]]))
        cycle = path[path.index(int(parents[path[-1]])) :]
        named = " -> ".join(map(str, [*cycle[:6], "…"] if len(cycle) > 6 else [*cycle, cycle[0]]))
        raise InputError(f"tree, node {node}: its parents go round in a circle ({named}); the tree's file is damaged")
    return np.concatenate(levels), [len(level) for level in levels[:-1]]


def _check_leaves(leaves: NDArray[np.int64], children: NDArray[np.int64], n: int) -> None:
    if not len(leaves):
        raise InputError("the tree has no leaf: give at least one")
    wrong = leaves[(leaves < 0) | (leaves >= n)]
    if len(wrong):
        raise InputError(f"leaf {wrong[0]} is no node of the tree: nodes are numbered 0 to {n - 1}")
    inner = leaves[children[leaves] > 0]
    if len(inner):
        raise InputError(f"leaf {inner[0]} has {children[inner[0]]} children: leaves are nodes without a child")
    if len(np.unique(leaves)) < len(leaves):
        values, counts = np.unique(leaves, return_counts=True)
        raise InputError(f"leaf {values[counts > 1][0]} is listed twice: list each leaf once")


def _whole_numbers(values: Any, name: str) -> NDArray[np.int64]:
    array = np.asarray(values)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise InputError(f"{name}: got {array.dtype} in {array.ndim} dimensions, expected one row of whole numbers")
    return array.astype(np.int64)
