"""Made trees and pools of the shape of TAGS' data, for the sampler's benchmarks: 10,000 leaves in 10 levels."""

import numpy as np
from numpy.typing import NDArray

Longs = NDArray[np.int64]


def make_tree(leaves: int, levels: int, shape: str, generator: np.random.Generator) -> Longs:
    """Parents, leaves numbered first. Level sizes grow geometrically from the root.

    Args:
        shape: "random" (each node has a random parent above), "regular" (children spread evenly), "hub" (half the nodes
            of each level under the first node of the level above).
    """
    sizes = [max(1, round(leaves ** (level / (levels - 1)))) for level in range(levels)]
    offsets = np.cumsum([0, *sizes[::-1]])[:-1][::-1]
    parents = np.full(sum(sizes), -1)
    for level in range(1, levels):
        here, above = sizes[level], sizes[level - 1]
        if shape == "regular":
            parent = np.arange(here) * above // here
        else:
            parent = np.concatenate([np.arange(above), generator.integers(0, above, here - above)])
            if shape == "hub":
                parent[above:][generator.random(here - above) < 0.5] = 0
        parents[offsets[level] : offsets[level] + here] = offsets[level - 1] + parent
    return parents


def make_rows(
    rows: int, leaves: int, fewest: int, most: int, zipf: float, generator: np.random.Generator
) -> tuple[Longs, NDArray[np.int32]]:
    """(starts, leaves): `fewest` to `most` leaves a row, drawn by Zipf's law with this exponent; 0 is flat."""
    sizes = generator.integers(fewest, most + 1, rows)
    popularity = np.cumsum(1 / np.arange(1, leaves + 1) ** zipf)
    drawn = np.searchsorted(popularity[:-1] / popularity[-1], generator.random(sizes.sum()))
    return np.concatenate([[0], np.cumsum(sizes)]), generator.permutation(leaves).astype(np.int32)[drawn]
