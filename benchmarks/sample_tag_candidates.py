"""How long it takes to draw candidate tags for many rows, and how much memory.

python benchmarks/sample_tag_candidates.py --rows 1000000 --pool 100000 --mode band

Tags are pairs and triples of 3,000 made-up words; a tag's vector is the sum of its words' random vectors and of one
that all share. So a tenth of the tags lies in the band from 0.35 to 0.7 of a row's centroid, as with MiniLM on 12,000
tags of Tag-Instruct's table. Rows have 4 to 8 tags, most of them with one word in common. Building pool and rows is not
timed; memory is that of the whole process. The last line is one JSON object.
"""

import argparse
import json
import os
import resource
import threading
import time

import numpy as np
import pyarrow as pa
from datasets import Dataset

from tagsmith.processors.tag_evol.candidates import MODES, CandidateSampler
from tagsmith.processors.tag_evol.tag_pool import TagPool

WORDS, DIM = 3_000, 384


class SummedWords:
    """A stand-in for a sentence embedding; its vectors are made from words."""

    model = "summed-words"

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        # Most of the length in few directions, as with real models (64 of 384 hold about two thirds of it).
        self.scale = (1 / np.sqrt(1 + np.arange(DIM) / 20)).astype(np.float32)
        self.words = rng.normal(size=(WORDS, DIM)).astype(np.float32) * self.scale
        self.shared = rng.normal(size=DIM).astype(np.float32) * self.scale

    def encode(self, texts):
        made = np.stack([self.words[[int(word[1:]) for word in text.split()]].sum(0) for text in texts])
        made += 0.6 * self.shared
        return made / np.linalg.norm(made, axis=1, keepdims=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--pool", type=int, default=100_000, help="tags in the pool")
    parser.add_argument("--mode", choices=[*MODES, "all"], default="all")
    parser.add_argument("--band", type=float, nargs=2, default=(0.35, 0.7), help="lowest and highest cosine")
    parser.add_argument("--n", type=int, default=21, help="candidates a row")
    arguments = parser.parse_args()

    rng = np.random.default_rng(1)
    pool, of_word = _pool(arguments.pool, rng)
    rows = _rows(arguments.rows, pool, of_word, rng)
    _ = pool.vectors
    figures = {"rows": arguments.rows, "pool": len(pool), "n": arguments.n, "cores": os.cpu_count()}
    figures["peak_before_mb"] = round(_peak_mb())
    for mode in MODES if arguments.mode == "all" else [arguments.mode]:
        sampler = CandidateSampler(pool=pool, n=arguments.n, mode=mode, band=tuple(arguments.band))
        start = time.perf_counter()
        sampler.sample_rows(rows.select(range(2)))
        figures[f"{mode}_first_call_s"] = round(time.perf_counter() - start, 2)
        if mode == "band":
            figures["band"] = list(sampler.band)
            figures["share_in_band"] = round(_share(sampler, rows), 4)
        highest, stop = _watch()
        start, cpu = time.perf_counter(), time.process_time()
        made = sampler.sample_rows(rows)
        figures[f"{mode}_s"] = round(time.perf_counter() - start, 2)
        figures[f"{mode}_cpu_s"] = round(time.process_time() - cpu, 2)
        stop.set()
        figures[f"{mode}_peak_mb"] = round(max(highest))
        drawn = sum(map(len, made.select(range(min(1000, len(made))))["candidates"])) / min(1000, len(made))
        del made
        print(f"{mode}: {figures[f'{mode}_s']} s, {figures[f'{mode}_peak_mb']} MB, {drawn:.1f} candidates a row")
    figures["peak_mb"] = round(_peak_mb())
    print(json.dumps(figures))


def _pool(size, rng):
    """A pool of about `size` tags, and for each word the tags that have it."""
    words = rng.zipf(1.3, size=(size, 3)) % WORDS
    numbers = [words_of[: 2 + int(three)] for words_of, three in zip(words, rng.random(size) < 0.5, strict=True)]
    tags = [" ".join(f"w{word:04d}" for word in each) for each in numbers]
    extra = 0
    distinct = dict.fromkeys(tags)
    while len(distinct) < size:
        distinct[f"w{extra % WORDS:04d} w{rng.integers(WORDS):04d}"] = None
        extra += 1
    counts = rng.zipf(1.5, size=size).clip(max=10_000)
    pool = TagPool.from_table(pa.table({"tag": list(distinct)[:size], "count": counts}), embedder=SummedWords())
    of_word = {}
    for number, tag in enumerate(pool.tags):
        for word in tag.split():
            of_word.setdefault(word, []).append(number)
    return pool, of_word


def _rows(number, pool, of_word, rng):
    """Rows of 4 to 8 tags: those of one word, and some of any."""
    sizes = rng.integers(4, 9, size=number)
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    words = [np.array(numbers) for numbers in of_word.values()]
    chosen = rng.integers(len(words), size=number)
    lengths = np.array([len(each) for each in words])[chosen]
    starts = np.concatenate([[0], np.cumsum([len(each) for each in words])])[:-1][chosen]
    flat = np.concatenate(words)
    places = np.repeat(starts, sizes) + (rng.random(offsets[-1]) * np.repeat(lengths, sizes)).astype(np.int64)
    tags = flat[places]
    stray = rng.random(len(tags)) < 0.3
    tags[stray] = rng.integers(len(pool), size=int(stray.sum()))
    lists = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(pool.tags).take(pa.array(tags)))
    return Dataset(pa.table({"id": [f"{row:016x}" for row in range(number)], "tags": lists}))


def _share(sampler, rows):
    """Mean share of the pool that lies in a row's band, over 50 rows."""
    shares = []
    for row in rows.select(range(min(50, len(rows)))):
        centroid = sampler.pool.embedder.encode(row["tags"]).sum(0)
        cosines = sampler.pool.vectors @ (centroid / np.linalg.norm(centroid))
        shares.append(np.mean((cosines >= sampler.band[0]) & (cosines <= sampler.band[1])))
    return float(np.mean(shares))


def _peak_mb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _watch():
    """Resident memory in MB, looked at every 50 ms until the event is set."""
    seen, stop = [0.0], threading.Event()

    def look():
        while not stop.wait(0.05):
            with open("/proc/self/statm") as file:
                seen.append(int(file.read().split()[1]) * resource.getpagesize() / 1e6)

    threading.Thread(target=look, daemon=True).start()
    return seen, stop


if __name__ == "__main__":
    main()
