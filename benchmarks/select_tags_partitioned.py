"""What sampling in two rounds over partitions loses against the exact picks: a simulation in one process.

Round 1: rows are dealt to partitions at random, and each partition picks `oversampling` times its share of n by itself.
Round 2: n rows are picked from what round 1 picked. The loss is that of the information I(D) (TAGS, Eq. 7).

    python benchmarks/select_tags_partitioned.py
    python benchmarks/select_tags_partitioned.py --rows 939000 --n 50000 --leaves 10000
"""

import argparse
import json
import time
from typing import Any

import numpy as np
from made_tag_pool import make_rows, make_tree

from tagsmith.processors.tags import TreeSampler


def information(parents: Any, leaves: int, pool: Any, weights: Any, picks: Any) -> float:
    """I(D) = Σ Φ(v), v = A Σ e (Eq. 7), computed plainly."""
    starts, entries = pool
    sizes = np.diff(starts)[picks]
    ends = np.cumsum(sizes)
    taken = entries[np.arange(sizes.sum()) - np.repeat(ends - sizes - starts[picks], sizes)]
    pairs = np.unique(np.repeat(np.arange(len(picks)), sizes) * leaves + taken)
    owner, leaf = np.divmod(pairs, leaves)
    mass = np.zeros(len(parents))
    node, weight = leaf, weights[picks][owner]
    while len(node):
        mass += np.bincount(node, weight, minlength=len(parents))
        node = parents[node]
        node, weight = node[node >= 0], weight[node >= 0]
    child = np.flatnonzero(parents >= 0)
    around = mass.copy()
    np.add.at(around, child, mass[parents[child]])
    np.add.at(around, parents[child], mass[child])
    degree = np.bincount(np.concatenate([child, parents[child]]), minlength=len(parents))
    return float((around / (1 + degree) + 1e-6).__pow__(0.85).sum())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--n", type=int, default=10_000)
    parser.add_argument("--leaves", type=int, default=5_000)
    parser.add_argument("--partitions", type=int, nargs="+", default=[8, 64])
    parser.add_argument("--oversampling", type=float, nargs="+", default=[1.0, 2.0, 4.0])
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    generator = np.random.default_rng(options.seed)
    parents = make_tree(options.leaves, 10, "random", generator)
    pool = make_rows(options.rows, options.leaves, 3, 5, 1.0, generator)
    weights = 1.0 + 5.0 * generator.random(options.rows)

    def pick(n: int, among: Any = None) -> Any:
        exclude = None
        if among is not None:
            exclude = np.ones(options.rows, bool)
            exclude[among] = False
        sampler = TreeSampler(parents, n=n, leaves=np.arange(options.leaves))
        return sampler.select(pool, weights, exclude=exclude).rows

    def value(picks: Any) -> float:
        return information(parents, options.leaves, pool, weights, picks)

    start = time.perf_counter()
    exact = pick(options.n)
    seconds = time.perf_counter() - start
    best = value(exact)
    figures: dict[str, Any] = {"exact_s": round(seconds, 2)}
    heaviest = np.argsort(-weights, kind="stable")[: options.n]
    for name, picks in (("random", generator.permutation(options.rows)[: options.n]), ("heaviest rows", heaviest)):
        figures[f"{name} loss_%"] = round(100 * (1 - value(picks) / best), 3)
        print(f"{name}: loses {figures[f'{name} loss_%']} %")
    for partitions in options.partitions:
        owner = generator.permutation(options.rows) % partitions
        for oversampling in options.oversampling:
            share = min(int(np.ceil(oversampling * options.n / partitions)), options.rows // partitions)
            first = np.concatenate([pick(share, np.flatnonzero(owner == part)) for part in range(partitions)])
            picks = pick(options.n, first)
            loss, same = 100 * (1 - value(picks) / best), np.isin(picks, exact).mean()
            name = f"{partitions} partitions, {oversampling:g} times"
            figures[name] = {"loss_%": round(loss, 4), "same_rows": round(float(same), 4), "sent_rows": len(first)}
            print(f"{name}: loses {loss:.4f} %, {same:.1%} of the rows are the exact ones, {len(first):,} rows sent")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
