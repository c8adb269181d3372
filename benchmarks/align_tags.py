"""What λ does in aligned sampling: KL to the target and mean weight of the picks, for both forms of alignment.

A good λ means the same wherever it is used. So each λ is tried on several pools, which differ in rows, picks, leaves,
scale of the weights and target; `spread` is the largest difference between pools in how far KL has gone from general
sampling's (0) to the lowest that any λ reaches there (1).

    python benchmarks/align_tags.py
    python benchmarks/align_tags.py --scale 4
"""

import argparse
import json
from typing import Any

import numpy as np
from made_tag_pool import make_rows, make_tree

from tagsmith.processors.tags import TreeSampler

WEIGHTS = {
    "relative": [0.0, 0.1, 0.3, 1.0, 3.0, 5.0, 10.0, 30.0, 100.0],
    "paper": [0.0, 5.0, 50.0, 500.0, 5e3, 5e4, 5e5, 5e6],
}
# rows, picks, leaves, scale of the weights, share of the leaves that the target is on
POOLS = {
    "small": (20_000, 1_000, 1_000, 1.0, 0.01),
    "usual": (100_000, 5_000, 3_000, 1.0, 0.01),
    "weights of 0 to 1": (100_000, 5_000, 3_000, 0.01, 0.01),
    "more picks": (100_000, 20_000, 3_000, 1.0, 0.01),
    "broad target": (100_000, 5_000, 3_000, 1.0, 0.2),
}


def curve(rows: int, n: int, leaves: int, unit: float, share: float, form: str, seed: int) -> list[dict[str, float]]:
    """KL, mean weight and share of picks with a target leaf, by λ."""
    generator = np.random.default_rng(seed)
    parents = make_tree(leaves, 8, "random", generator)
    pool = make_rows(rows, leaves, 3, 5, 1.0, generator)
    weights = unit * (1.0 + 5.0 * generator.random(rows))
    target = np.zeros(leaves)
    on = generator.permutation(leaves)[: max(5, round(share * leaves))]
    target[on] = generator.dirichlet(np.ones(len(on)))
    has = np.add.reduceat((target > 0)[pool[1]], pool[0][:-1]) > 0
    points = []
    for kl_weight in WEIGHTS[form]:
        sampler = TreeSampler(
            parents, n=n, leaves=np.arange(leaves), target=target, kl_weight=kl_weight, alignment=form
        )
        picked = sampler.select(pool, weights)
        points.append(
            {
                "kl": float(picked.kl[-1]) if picked.kl is not None else np.nan,
                "mean_weight": float(weights[picked.rows].mean() / unit),
                "on_target": float(has[picked.rows].mean()),
            }
        )
    return points


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=1.0, help="rows and picks of all pools, times this")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    figures: dict[str, Any] = {}
    for form, kl_weights in WEIGHTS.items():
        print(f"\n{form}: KL after (mean weight of the picks, share with a target leaf) by λ")
        print("pool".ljust(20) + "".join(f"{weight:>22g}" for weight in kl_weights))
        progress = []
        for name, (rows, n, *rest) in POOLS.items():
            points = curve(round(rows * options.scale), round(n * options.scale), *rest, form, options.seed)
            print(
                name.ljust(20)
                + "".join(f"{p['kl']:8.3f} ({p['mean_weight']:.2f}, {p['on_target']:4.0%})".rjust(22) for p in points)
            )
            kl = np.array([p["kl"] for p in points])
            progress.append((kl[0] - kl) / (kl[0] - kl.min()))
            figures.setdefault(form, {})[name] = [
                {"kl_weight": w, **p} for w, p in zip(kl_weights, points, strict=True)
            ]
        spread = np.ptp(np.array(progress), axis=0)
        print("spread".ljust(20) + "".join(f"{value:22.2f}" for value in spread))
        figures[f"{form}_spread"] = round(float(spread.max()), 3)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
