"""Clustering and anchoring of a million tags and more: seconds and memory, without an LLM and without a network.

python benchmarks/grow_tag_tree.py --tags 1000000 --leaves 10000 --dim 384

Vectors are drawn around as many centres as leaves and lie in a file, as `embed_texts` leaves them (embedding is not
measured: its speed is the model's). `--compare` also runs scikit-learn's MiniBatchKMeans on the same vectors.
"""

import argparse
import json
import resource
import sys
import tempfile
import time
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from tagsmith.processors.tags.tag_clusters import SAMPLE_PER_CLUSTER, nearest, similarities, spherical_kmeans
from tagsmith.processors.tags.tag_vectors import BLOCK, Vectors


def main() -> None:
    """Run, and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tags", type=int, default=50_000)
    parser.add_argument("--leaves", type=int, default=500)
    parser.add_argument("--dim", type=int, default=384)
    parser.add_argument("--sample_per_cluster", type=int, default=SAMPLE_PER_CLUSTER)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--compare", action="store_true", help="also scikit-learn's MiniBatchKMeans")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "vectors.npy"
        # In a process of its own: what writing takes must not hide what clustering takes.
        writer = get_context("spawn").Process(target=_write, args=(file, options.tags, options.leaves, options.dim))
        writer.start()
        writer.join()
        vectors: Vectors = np.load(file, mmap_mode="r")
        nearest(vectors[:100], np.asarray(vectors[:10]))  # imports FAISS
        before = _peak_mb()  # the mapped file counts as memory once it is read
        started = time.perf_counter()
        settings = {"rounds": options.rounds, "sample_per_cluster": options.sample_per_cluster}
        clusters = spherical_kmeans(vectors, options.leaves, **settings)
        cluster_sec = time.perf_counter() - started
        started = time.perf_counter()
        nearest(vectors, clusters.centres)
        anchor_sec = time.perf_counter() - started
        figures = {
            "tags": options.tags,
            "leaves": options.leaves,
            "dim": options.dim,
            "vectors_mb": round(vectors.nbytes / 2**20),
            "cluster_s": round(cluster_sec, 2),
            "anchor_s": round(anchor_sec, 2),
            "mean_cosine": round(float(similarities(vectors, clusters.labels, clusters.centres).mean()), 4),
            "peak_mb_beyond_start": round(_peak_mb() - before),
            "same_twice": bool((spherical_kmeans(vectors, options.leaves, **settings).labels == clusters.labels).all()),
        }
        if options.compare:
            figures |= _mini_batch(vectors, options.leaves)
    print(json.dumps(figures))


def _write(file: Path, n: int, k: int, dim: int) -> None:
    random = np.random.default_rng(0)
    centres = random.normal(size=(k, dim)).astype(np.float32)
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    written = np.lib.format.open_memmap(file, "w+", np.float32, (n, dim))
    for start in range(0, n, BLOCK):
        size = min(BLOCK, n - start)
        part = centres[random.integers(0, k, size)] + random.normal(scale=0.06, size=(size, dim)).astype(np.float32)
        written[start : start + size] = part / np.linalg.norm(part, axis=1, keepdims=True)
    written.flush()


def _mini_batch(vectors: Vectors, k: int) -> dict[str, float]:
    from sklearn.cluster import MiniBatchKMeans

    started = time.perf_counter()
    model = MiniBatchKMeans(
        k, init="random", n_init=1, batch_size=max(4096, 2 * k), max_iter=20, max_no_improvement=None
    )
    labels = model.fit(vectors).labels_.astype(np.int32)
    seconds = time.perf_counter() - started
    lengths = np.linalg.norm(model.cluster_centers_, axis=1, keepdims=True)
    centres = (model.cluster_centers_ / np.where(lengths == 0, 1, lengths)).astype(np.float32)
    return {
        "mini_batch_s": round(seconds, 2),
        "mini_batch_mean_cosine": round(float(similarities(vectors, labels, centres).mean()), 4),
    }


def _peak_mb() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


if __name__ == "__main__":
    main()
