"""Semantic aggregation (#InsTag, §3.2): tags whose embeddings DBSCAN puts into one cluster become one tag."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from tagsmith.processors.close_pairs import close_pairs
from tagsmith.processors.errors import InputError

NOISE = -1
MAX_EDGES = 4_000_000  # held at a time


def semantic_aggregation(
    names: Sequence[str], counts: Sequence[int], vectors: NDArray[np.floating], *, eps: float, min_samples: int = 2
) -> list[str]:
    """The name that each tag bears afterwards: that of the most frequent tag of its cluster; its own if it has none.

    Args:
        names: the tags.
        counts: rows that carry each. Equal counts: the alphabetically first name wins.
        vectors: one embedding a tag, (n, dim).
        eps: cosine distance within which two tags are neighbours. The paper's "minimum semantic similarity of 0.05" can
            only be meant as this distance.
        min_samples: neighbours, itself among them, that make a tag a core of a cluster. The paper does not say; with 2,
            a cluster is whatever neighbours connect.

    Raises:
        InputError: eps or min_samples is out of range, or a vector is not finite.
    """
    labels = dbscan(vectors, eps, min_samples)
    # Best first; the first of each cluster then names it.
    order = sorted(np.flatnonzero(labels != NOISE).tolist(), key=lambda tag: (-counts[tag], names[tag]))
    leaders: dict[int, str] = {}
    merged = list(names)
    for tag in order:
        merged[tag] = leaders.setdefault(int(labels[tag]), names[tag])
    return merged


def dbscan(vectors: NDArray[np.floating], eps: float, min_samples: int = 2) -> NDArray[np.int64]:
    """DBSCAN by cosine distance: the labels of `sklearn.cluster.DBSCAN(metric="cosine")` on float64, their order too.

    A vector with at least `min_samples` neighbours within `eps`, itself among them, is a core. Cores that are
    neighbours share a cluster. Another vector joins the first cluster, in order of the clusters' first cores, in which
    it has a neighbouring core; without one it is noise, -1.

    Memory is that of `close_pairs` and min_samples × n, however many pairs are close.
    """
    if min_samples < 1:
        raise InputError(f"min_samples={min_samples}: expected at least 1 (2 joins any two neighbouring tags)")
    n = len(vectors)
    is_core = np.ones(n, bool)
    if min_samples > 2:  # up to 2, whoever has a neighbour is a core
        neighbours = np.ones(n, np.int64)
        for i, j in close_pairs(vectors, eps):
            np.add.at(neighbours, i, 1)
            np.add.at(neighbours, j, 1)
        is_core = neighbours >= min_samples

    clusters = _Connected(n)
    borders, border_cores = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for i, j in close_pairs(vectors, eps):
        among_cores = is_core[i] & is_core[j]
        clusters.connect(i[among_cores], j[among_cores])
        for border, core in ((i, j), (j, i)):
            is_border = ~is_core[border] & is_core[core]
            borders.append(border[is_border])
            border_cores.append(core[is_border])

    first_core = clusters.first_members()
    labels = np.where(is_core, first_core, n)
    # A border has fewer than min_samples neighbours, so these lists are short.
    np.minimum.at(labels, np.concatenate(borders), first_core[np.concatenate(border_cores)])
    if min_samples == 2:
        is_alone = np.bincount(first_core, minlength=n)[first_core] == 1
        labels[is_alone] = n
    clustered = labels < n
    labels[~clustered] = NOISE
    labels[clustered] = np.unique(labels[clustered], return_inverse=True)[1]
    return labels


class _Connected:
    """Connected components of a graph whose edges come in parts; holds MAX_EDGES and n of them at most."""

    def __init__(self, n: int) -> None:
        self.n = n
        self.first = np.arange(n)  # each node's component, called by its first member
        self.edges: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []
        self.n_edges = 0

    def connect(self, i: NDArray[np.int64], j: NDArray[np.int64]) -> None:
        news = self.first[i] != self.first[j]
        self.edges.append((i[news], j[news]))
        self.n_edges += int(news.sum())
        if self.n_edges > MAX_EDGES:
            self.first_members()

    def first_members(self) -> NDArray[np.int64]:
        if self.edges:
            # What is connected already stays so by one edge from each node to its component's first member.
            i = np.concatenate([np.arange(self.n), *(i for i, _ in self.edges)])
            j = np.concatenate([self.first, *(j for _, j in self.edges)])
            graph = coo_array((np.ones(len(i), bool), (i, j)), shape=(self.n, self.n))
            _, component = connected_components(graph, directed=False)
            _, firsts = np.unique(component, return_index=True)
            self.first = firsts[component]
            self.edges, self.n_edges = [], 0
        return self.first
