"""k-means of unit vectors, for millions: trained on a sample by FAISS, and every vector assigned in blocks."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tagsmith.processors.errors import InputError
from tagsmith.processors.tags.tag_vectors import BLOCK, Vectors, blocks

ROUNDS = 20
SAMPLE_PER_CLUSTER = 128
# Lloyd's algorithm is started anew this often, and the best result taken, where it costs next to nothing: the upper
# levels of a tree are small, and there a bad start shows.
RESTARTS, RESTARTS_UP_TO = 10, 1_000_000  # vectors times clusters


@dataclass(frozen=True, eq=False)
class Clusters:
    """A clustering: the number of each vector's cluster, all from 0 to `len(centres) − 1` in use, and unit centres."""

    labels: NDArray[np.int32]
    centres: Vectors

    def __len__(self) -> int:
        return len(self.centres)


def spherical_kmeans(
    vectors: Vectors, k: int, *, seed: int = 0, rounds: int = ROUNDS, sample_per_cluster: int = SAMPLE_PER_CLUSTER
) -> Clusters:
    """Cluster by cosine. With no more vectors than clusters, each is a cluster of its own.

    Centres come from `rounds` rounds of Lloyd's algorithm on a sample of at most `sample_per_cluster · k` vectors; all
    vectors then go to the centre with the largest product (the lowest number among equals), some thousands at a time.
    The same vectors, seed and machine give the same clusters.

    Args:
        vectors: (n, dim) unit vectors; a memory map is read in blocks.
        k: clusters; fewer come out where some stay empty.

    Raises:
        InputError: no vectors, or k, rounds or sample_per_cluster below 1.

    Memory beyond the vectors: the sample (2 GB for k = 10,000 and dim = 384, and twice that while it is drawn from
    memory), the centres, blocks, and 4 bytes a vector.
    """
    for name, value in (("k", k), ("rounds", rounds), ("sample_per_cluster", sample_per_cluster)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise InputError(f"{name}={value!r}: expected a whole number from 1")
    n = len(vectors)
    if not n:
        raise InputError("there are no vectors to cluster (0 tags); the dataset needs tags")
    if n <= k:
        return Clusters(np.arange(n, dtype=np.int32), np.array(vectors, np.float32))
    centres = _train(vectors, k, seed, rounds, sample_per_cluster)
    return _without_empty(nearest(vectors, centres)[0], vectors, k)


def nearest(vectors: Vectors, centres: Vectors) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """The centre with the largest product for each vector, and that product."""
    import faiss

    index = faiss.IndexFlatIP(centres.shape[1])
    index.add(np.ascontiguousarray(centres))
    labels, products = np.empty(len(vectors), np.int32), np.empty(len(vectors), np.float32)
    for start, part in blocks(vectors):
        found, numbers = index.search(np.ascontiguousarray(part), 1)
        products[start : start + len(part)], labels[start : start + len(part)] = found[:, 0], numbers[:, 0]
    return labels, products


def centres_of(vectors: Vectors, labels: NDArray[np.int32], k: int) -> Vectors:
    """(k, dim): the mean of each cluster's vectors, brought to length 1; zero for an empty one."""
    from scipy.sparse import csr_array

    sums = np.zeros((k, vectors.shape[1]), np.float64)
    for start, part in blocks(vectors):
        mine = labels[start : start + len(part)]
        used, places = np.unique(mine, return_inverse=True)
        member = csr_array((np.ones(len(part), np.float32), (places, np.arange(len(part)))), (len(used), len(part)))
        sums[used] += member @ part
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    return (sums / np.where(lengths == 0, 1, lengths)).astype(np.float32)


def similarities(vectors: Vectors, labels: NDArray[np.int32], centres: Vectors) -> NDArray[np.float32]:
    """The cosine of each vector with the centre of its cluster."""
    found = np.empty(len(vectors), np.float32)
    for start, part in blocks(vectors):
        found[start : start + len(part)] = np.einsum("ij,ij->i", part, centres[labels[start : start + len(part)]])
    return found


def kept_clusters(file: Path, vectors: Vectors, k: int, *, seed: int, rounds: int, sample_per_cluster: int) -> Clusters:
    """`spherical_kmeans`, read from the file if it is there, else written to it."""
    if file.is_file():
        with np.load(file) as kept:
            return Clusters(kept["labels"], kept["centres"])
    made = spherical_kmeans(vectors, k, seed=seed, rounds=rounds, sample_per_cluster=sample_per_cluster)
    part = file.with_suffix(".part.npz")
    np.savez(part, labels=made.labels, centres=made.centres)
    part.replace(file)
    return made


def _train(vectors: Vectors, k: int, seed: int, rounds: int, sample_per_cluster: int) -> Vectors:
    import faiss

    n, most = len(vectors), sample_per_cluster * k
    sample: Vectors = vectors
    if n > most:  # in ascending order, so that a file is read from front to back
        chosen = np.sort(np.random.default_rng(seed).choice(n, most, replace=False))
        sample = np.concatenate([vectors[chosen[at : at + BLOCK]] for at in range(0, most, BLOCK)])
    kmeans = faiss.Kmeans(
        vectors.shape[1],
        k,
        niter=rounds,
        nredo=RESTARTS if len(sample) * k <= RESTARTS_UP_TO else 1,
        seed=seed % 2**31,
        spherical=True,
        min_points_per_centroid=1,
        max_points_per_centroid=sample_per_cluster + 1,  # the sample is drawn above
    )
    kmeans.train(np.ascontiguousarray(sample, np.float32))
    centres = np.asarray(kmeans.centroids, np.float32)
    return centres


def _without_empty(labels: NDArray[np.int32], vectors: Vectors, k: int) -> Clusters:
    used, renumbered = np.unique(labels, return_inverse=True)
    labels = renumbered.astype(np.int32)
    return Clusters(labels, centres_of(vectors, labels, len(used)))
