"""Time #InsTag's complexity-first selection on a made pool of the paper's shape, strings included.

The pool has the paper's size (§4.1: 306,044 rows, 6,398 tags, 4.48 tags a row); tag frequencies follow Zipf's law.
Picks are compared with a plain walk through Alg. 1, on a small pool, and with --check-full on the timed one.

    python benchmarks/select_complexity_first.py
    python benchmarks/select_complexity_first.py --rows 1000000 --picks 6000 500000 --check-full
"""

import argparse
import json
import resource
import statistics
import time

import numpy as np
import pyarrow as pa
from datasets import Dataset

from tagsmith.processors.instag.complexity_first import ComplexityFirstSelector


def make_pool(rows: int, tags: int, mean_tags: float, seed: int) -> Dataset:
    """Rows with 1 + Poisson distinct tags each, drawn by Zipf's law; each tag occurs, if there is room."""
    generator = np.random.default_rng(seed)
    sizes = np.minimum(1 + generator.poisson(mean_tags - 1, rows), tags)
    weights = 1 / np.arange(1, tags + 1)
    cumulative = np.cumsum(weights / weights.sum())
    # Draw all rows at once, each tag somewhere, and redraw what repeats within a row until nothing does.
    missing = np.repeat(np.arange(rows), sizes)
    drawn = np.searchsorted(cumulative[:-1], generator.random(len(missing)))
    slots = generator.permutation(len(missing))[:tags]
    drawn[slots] = np.arange(len(slots))
    pairs = np.unique(missing * tags + drawn)
    while len(pairs) < sizes.sum():
        missing = np.repeat(np.arange(rows), sizes - np.bincount(pairs // tags, minlength=rows))
        drawn = np.searchsorted(cumulative[:-1], generator.random(len(missing)))
        pairs = np.unique(np.concatenate([pairs, missing * tags + drawn]))
    offsets = np.concatenate([[0], np.cumsum(np.bincount(pairs // tags, minlength=rows))])
    names = pa.array([f"tag number {number}" for number in range(tags)])
    lists = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), names.take(pa.array(pairs % tags)))
    return Dataset(pa.table({"tags": lists}))


def plain_walk(tags: list[list[str]], n: int) -> list[int]:
    """Alg. 1 as a reader would write it."""
    rest = sorted(range(len(tags)), key=lambda row: -len(set(tags[row])))
    picks: list[int] = []
    while rest and len(picks) < n:
        met: set[str] = set()
        passed_over = []
        for row in rest:
            if len(picks) < n and not met.issuperset(tags[row]):
                met.update(tags[row])
                picks.append(row)
            else:
                passed_over.append(row)
        rest = passed_over
    return picks


def median_seconds(pool: Dataset, n: int, runs: int) -> float:
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        ComplexityFirstSelector(n).select(pool)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=306_044)
    parser.add_argument("--tags", type=int, default=6_398)
    parser.add_argument("--mean-tags", type=float, default=4.48)
    parser.add_argument("--picks", type=int, nargs="+", default=[6_000, 100_000], help="numbers of rows to choose")
    parser.add_argument("--runs", type=int, default=5, help="timed runs; the median is reported")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--check-full", action="store_true", help="compare the picks on the timed pool too")
    options = parser.parse_args()

    pool = make_pool(options.rows, options.tags, options.mean_tags, options.seed)
    figures: dict[str, object] = {}
    for n in options.picks:
        name = f"select_{n // 1000}k_s" if n % 1000 == 0 else f"select_{n}_s"
        figures[name] = round(median_seconds(pool, n, options.runs), 4)
        print(f"{n:,} of {len(pool):,} rows: {figures[name]} s")
    figures["peak_mb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)  # making the pool included

    small = make_pool(5_000, 300, options.mean_tags, options.seed)
    checks = [(small, n) for n in (1, 299, 300, 301, 2_500, 5_000)]
    if options.check_full:
        checks += [(pool, n) for n in options.picks]
    same = True
    for checked, n in checks:
        same &= ComplexityFirstSelector(n).select(checked)[0].tolist() == plain_walk(checked["tags"][:], n)
    mean_tags = round(len(pool.data.column("tags").combine_chunks().flatten()) / len(pool), 3)
    figures |= {"same_picks": same, "rows": options.rows, "tags": options.tags, "mean_tags": mean_tags}
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
