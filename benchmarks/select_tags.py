"""Time tree-aware sampling on a made pool, against the naive method, and check its picks.

By default the pool is as large as TAGS' own: 939,000 rows with 3 to 5 of 10,000 leaves each (Zipf), in 10 levels.

general_s, aligned_s   seconds of `TreeSampler.select`, profiles included, compiled code loaded (see first_call_s)
first_call_s           the first call of all on a small pool: compiling, or loading what was compiled before
peak_mb                memory over what the input takes, at the highest
ratio_to_naive         the naive method computes all rows' gains by a sparse product at each pick; some picks are timed
same_picks             on the timed pool: the naive method's first picks; and all picks of smaller pools of every kind
calibration_s          a fixed NumPy workload, so that figures of a busy machine can be judged
scored_per_pick        rows scored anew at each pick; touched_per_pick: tree nodes that a pick changes
reads_of_the_pool      seconds of the run ÷ seconds of one pass over the rows' leaves, summing one number a leaf

    python benchmarks/select_tags.py
    python benchmarks/select_tags.py --rows 3000000 --n 100000 --naive-picks 0
    python benchmarks/select_tags.py --hard
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from made_tag_pool import make_rows, make_tree
from scipy.sparse import csr_array

from tagsmith.processors.tags import TreeSampler

KINDS: dict[str, dict[str, Any]] = {
    "usual": {},
    "hub-heavy tree": {"shape": "hub"},
    "all weights equal": {"equal": True},
    "regular tree": {"shape": "regular"},
    "regular tree, equal weights": {"shape": "regular", "equal": True},
    "flat popularity": {"zipf": 0.0},
    "regular, equal, flat": {"shape": "regular", "equal": True, "zipf": 0.0},
    "1 to 12 leaves a row": {"fewest": 1, "most": 12},
}


class Pool:
    """A made pool, with a target for aligned sampling: a hundredth of the leaves, as a narrow benchmark has."""

    def __init__(self, rows: int, leaves: int, levels: int, seed: int, **kind: Any) -> None:
        generator = np.random.default_rng(seed)
        self.leaves = leaves
        self.parents = make_tree(leaves, levels, kind.get("shape", "random"), generator)
        fewest, most, zipf = kind.get("fewest", 3), kind.get("most", 5), kind.get("zipf", 1.0)
        self.rows = make_rows(rows, leaves, fewest, most, zipf, generator)
        self.weights = np.ones(rows) if kind.get("equal") else 1.0 + 5.0 * generator.random(rows)
        self.target = np.zeros(leaves)
        self.target[generator.permutation(leaves)[: max(1, leaves // 100)]] = 1.0

    def select(self, n: int, **options: Any) -> Any:
        sampler = TreeSampler(self.parents, n=n, leaves=np.arange(self.leaves), **options)
        return sampler.select(self.rows, self.weights)


def timed(work: Callable[[], Any]) -> tuple[float, float, Any]:
    """Wall seconds, CPU seconds and the result."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    return time.perf_counter() - wall, time.process_time() - cpu, result


def calibration() -> None:
    """A fixed amount of sorting, gathering and powers."""
    values = np.random.default_rng(0).random(2_000_000)
    order = np.argsort(values)
    np.cumsum(values[order] ** 0.85)


def naive(
    pool: Pool, n: int, aligned: bool, gamma: float = 0.85, eps: float = 1e-6, smooth: float = 1e-6
) -> tuple[list[int], float]:
    """Alg. 1 with all rows' gains by a SciPy sparse product at each pick (Eq. 9 with λ = 5 when aligned).

    Returns the picks and the seconds that they took, building the matrices not included.
    """
    starts, leaves = pool.rows
    n_rows, n_nodes = len(starts) - 1, len(pool.parents)
    ancestors = []
    node = np.arange(pool.leaves)
    while (node >= 0).any():
        ancestors.append(node)
        node = np.where(node >= 0, pool.parents[np.maximum(node, 0)], -1)
    levels = len(ancestors)
    path = np.stack(ancestors, axis=1)
    owner = np.repeat(np.arange(n_rows), np.diff(starts))
    distinct = np.unique(owner * pool.leaves + leaves)
    owner, leaf = np.divmod(distinct, pool.leaves)
    leaf_matrix = csr_array((np.ones(len(leaf)), (owner, leaf)), shape=(n_rows, pool.leaves))
    columns, rows = path[leaf].ravel(), np.repeat(owner, levels)
    kept = columns >= 0
    e = csr_array((pool.weights[rows[kept]], (rows[kept], columns[kept])), shape=(n_rows, n_nodes))
    child = np.flatnonzero(pool.parents >= 0)
    ones, every = np.ones(len(child)), np.arange(n_nodes)
    edges = csr_array((ones, (child, pool.parents[child])), shape=(n_nodes, n_nodes))
    links = edges + edges.T + csr_array((np.ones(n_nodes), (every, every)))
    spread = csr_array(links.multiply(1.0 / links.sum(axis=1)[:, None]))
    sizes = np.diff(leaf_matrix.indptr)
    target = pool.target / pool.target.sum()
    on = np.flatnonzero(target)
    total, covered = np.zeros(n_nodes), np.zeros(pool.leaves)
    free, picks = np.ones(n_rows, bool), []
    start = time.perf_counter()
    for _ in range(n):
        slope = gamma * (spread @ total + eps) ** (gamma - 1.0)
        gain = e @ (spread.T @ slope)
        if aligned:
            step = np.zeros(pool.leaves)
            step[on] = target[on] * np.log1p(1.0 / (covered[on] + smooth))
            kl = np.log(covered.sum() + sizes + smooth * pool.leaves) - leaf_matrix @ step
            gain = gain - 5.0 * kl
        gain[~free] = -np.inf
        best = int(np.argmax(gain))
        picks.append(best)
        free[best] = False
        total += e[[best]].toarray().ravel()
        covered += leaf_matrix[[best]].toarray().ravel()
    return picks, time.perf_counter() - start


def same_first(one: Any, other: Any) -> int:
    """How many leading picks are the same."""
    differing = np.flatnonzero(np.asarray(one) != np.asarray(other))
    return int(differing[0]) if len(differing) else len(one)


def first_call() -> float:
    """The first call in a new process, on a small pool."""
    program = (
        "import time, numpy as np; t = time.perf_counter();"
        "from tagsmith.processors.tags import TreeSampler as S; u = time.perf_counter();"
        "S([1, -1], n=1, leaves=np.array([0])).select([[0]], [1.0]); print(time.perf_counter() - u)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return round(float(done.stdout.split()[-1]), 2)


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=939_000)
    parser.add_argument("--n", type=int, default=50_000)
    parser.add_argument("--leaves", type=int, default=10_000)
    parser.add_argument("--levels", type=int, default=10)
    parser.add_argument("--runs", type=int, default=3, help="timed runs; the fastest is reported")
    parser.add_argument("--naive-picks", type=int, default=20, help="picks of the naive method, timed per mode")
    parser.add_argument("--hard", action="store_true", help="time the hard kinds of pools too")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    sizes = {"leaves": options.leaves, "levels": options.levels, "seed": options.seed}

    figures: dict[str, Any] = {"rows": options.rows, "n": options.n, "first_call_s": first_call()}
    pool = Pool(options.rows, **sizes)
    TreeSampler([1, -1], n=1, leaves=[0]).select([[0]], [1.0])
    before = peak_mb()
    figures["calibration_s"] = round(min(timed(calibration)[0] for _ in range(3)), 3)
    modes: dict[str, dict[str, Any]] = {
        "general": {},
        "aligned": {"target": pool.target},
        "paper_aligned": {"target": pool.target, "alignment": "paper", "kl_weight": 5.0},
        "clipped": {"profile": "clipped"},
    }
    picked = {}
    for mode, settings in modes.items():
        runs = [timed(lambda settings=settings: pool.select(options.n, **settings)) for _ in range(options.runs)]
        picked[mode] = runs[0][2]
        figures[f"{mode}_s"] = round(min(run[0] for run in runs), 3)
        figures[f"{mode}_cpu_s"] = round(min(run[1] for run in runs), 3)
        work = picked[mode].statistics
        print(
            f"{mode}: {figures[f'{mode}_s']} s ({figures[f'{mode}_cpu_s']} s CPU), {work['scored'] / options.n:.0f}"
            f" rows scored and {work['touched'] / options.n:.0f} nodes touched per pick"
        )
    figures["peak_mb"] = round(peak_mb() - before)
    figures["scored_per_pick"] = round(picked["general"].statistics["scored"] / options.n, 1)
    figures["touched_per_pick"] = round(picked["general"].statistics["touched"] / options.n, 1)
    starts, leaves = pool.rows
    numbers = np.random.default_rng(1).random(options.leaves)
    one_read = min(timed(lambda: np.add.reduceat(numbers[leaves], starts[:-1]))[0] for _ in range(3))
    figures["reads_of_the_pool"] = round(figures["general_s"] / one_read, 1)

    same = True
    if options.naive_picks:
        for mode, name in (("general", "general"), ("aligned", "paper_aligned")):
            expected, seconds = naive(pool, options.naive_picks, mode == "aligned")
            whole = seconds / options.naive_picks * options.n
            figures[f"naive_{mode}_minutes"] = round(whole / 60, 1)
            figures[f"ratio_to_naive_{mode}"] = round(whole / figures[f"{name}_s"])
            same &= same_first(expected, picked[name].rows[: options.naive_picks]) == options.naive_picks
        figures["ratio_to_naive"] = figures["ratio_to_naive_general"]
    for kind, settings in KINDS.items():
        small = Pool(3_000, 300, 6, options.seed, **settings)
        for aligned in (False, True):
            more = {"target": small.target, "alignment": "paper", "kl_weight": 5.0} if aligned else {}
            found = same_first(naive(small, 1_000, aligned)[0], small.select(1_000, **more).rows)
            if not (settings.get("equal") or found == 1_000):  # equal weights tie: the naive method decides by rounding
                print(f"{kind}, aligned {aligned}: the picks differ from pick {found} on")
                same = False
    figures["same_picks"] = same

    if options.hard:
        for kind, settings in list(KINDS.items())[1:]:
            hard = Pool(options.rows, **sizes, **settings)
            wall, cpu, found = timed(lambda hard=hard: hard.select(options.n))
            work = found.statistics
            scored, touched = work["scored"] / options.n, work["touched"] / options.n
            figures[f"{kind.replace(', ', ' ').replace(' ', '_')}_s"] = round(wall, 2)
            print(f"{kind}: {wall:.2f} s ({cpu:.2f} s CPU), {scored:.0f} scored, {touched:.0f} touched per pick")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
