"""Which topics the LLM is asked about together, because they may be the same: those with the closest names."""

import numpy as np
from numpy.typing import NDArray

from tagsmith.processors.close_pairs import close_pairs
from tagsmith.processors.tags.tag_vectors import Vectors


def close_groups(vectors: Vectors, above: float, most: int) -> list[list[int]]:
    """Groups of at most `most` topics, the closest pairs joined first; no topic is in two, and none is alone.

    Args:
        vectors: one unit vector a topic.
        above: cosine from which two topics may be the same.
        most: topics in a group.

    A chain of close topics that is longer than `most` is cut where they are farthest from each other: single linkage
    with a limit on size.
    """
    if len(vectors) < 2:
        return []
    # float32 products of equal vectors fall short of 1 by a little.
    eps = min(max(1 - above, 1e-6), 2 - 1e-6)
    found = list(close_pairs(vectors, eps))
    if not found:
        return []
    left, right = (np.concatenate(side) for side in zip(*found, strict=True))
    cosines = np.einsum("ij,ij->i", vectors[left], vectors[right])
    leader, members = list(range(len(vectors))), {number: [number] for number in range(len(vectors))}
    for pair in np.lexsort((right, left, -cosines)).tolist():
        a, b = _leader(leader, int(left[pair])), _leader(leader, int(right[pair]))
        if a != b and len(members[a]) + len(members[b]) <= most:
            leader[b] = a
            members[a] += members.pop(b)
    return sorted(sorted(group) for group in members.values() if len(group) > 1)


def joined(groups: list[list[int]], weights: NDArray[np.int64]) -> NDArray[np.int32]:
    """For each topic the one that stands for its group: the heaviest, of equals the first; itself without a group."""
    leader = list(range(len(weights)))
    for group in groups:
        for other in group[1:]:
            a, b = _leader(leader, group[0]), _leader(leader, other)
            best, rest = (a, b) if (-weights[a], a) <= (-weights[b], b) else (b, a)
            leader[rest] = best
    return np.array([_leader(leader, number) for number in range(len(leader))], np.int32)


def _leader(leader: list[int], number: int) -> int:
    while leader[number] != number:
        leader[number] = leader[leader[number]]
        number = leader[number]
    return number
