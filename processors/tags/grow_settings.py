"""How a tag tree is grown: sizes of its levels, models, and what each step of a level shows to the LLM."""

import math
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from tagsmith.processors.embedding import Embedder, TextEmbedder
from tagsmith.processors.errors import InputError
from tagsmith.processors.tags.tag_clusters import ROUNDS, SAMPLE_PER_CLUSTER


@dataclass(frozen=True)
class GrowSettings:
    """Settings of `TagTree.fit`.

    Args:
        sizes: clusters of each level, from the leaves up; the root above them is not counted. A level's size is what
            k-means is asked for: fewer topics remain where some are the same. A level that would not group anything,
            because the one below has no more topics than it should have, is left out.
        embedders: one a level from the leaves up; the last one serves all levels above it.
        seed: of k-means and its sample.
        rounds, sample_per_cluster: of k-means, see `spherical_kmeans`.
        shown: members of a cluster that the LLM sees when it names it: the most central half, and others spread evenly
            over the rest.
        same_above: cosine of two topics' names from which they are shown to the LLM as possibly the same.
        same_at_once: topics in one such request, at most.
        neighbours: other topics to which a reviewed member may go: those with the nearest centres.
        reviewed_at_once: members in one request of the review.
        review_margin: review only members whose similarity to another topic's centre comes within this of their own;
            None reviews all, as the paper does. It saves most of the requests of a large tree.

    Raises:
        InputError: a value is out of range.
    """

    sizes: tuple[int, ...]
    embedders: tuple[Embedder, ...] = field(default_factory=lambda: (TextEmbedder(),))
    seed: int = 0
    rounds: int = ROUNDS
    sample_per_cluster: int = SAMPLE_PER_CLUSTER
    shown: int = 30
    same_above: float = 0.7
    same_at_once: int = 20
    neighbours: int = 9
    reviewed_at_once: int = 40
    review_margin: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "sizes", tuple(self.sizes))
        object.__setattr__(self, "embedders", tuple(self.embedders))
        if not self.sizes or not all(type(size) is int and size >= 1 for size in self.sizes):
            raise InputError(
                f"sizes={list(self.sizes)}: expected the clusters of each level, leaves first: 1000 100 10"
            )
        if wrong := [(below, above) for below, above in pairwise(self.sizes) if above >= below]:
            below, above = wrong[0]
            raise InputError(
                f"sizes={list(self.sizes)}: {above} above {below}; each level is smaller than the one below"
            )
        if not self.embedders:
            raise InputError("embedders is empty; give at least one, for all levels")
        for name, low in (
            ("rounds", 1),
            ("sample_per_cluster", 1),
            ("shown", 2),
            ("same_at_once", 2),
            ("neighbours", 1),
            ("reviewed_at_once", 1),
        ):
            value = getattr(self, name)
            if type(value) is not int or value < low:
                raise InputError(f"{name}={value!r}: expected a whole number from {low}")
        if type(self.seed) is not int or self.seed < 0:
            raise InputError(f"seed={self.seed!r}: expected a whole number from 0")
        if not -1 <= self.same_above <= 1:
            raise InputError(f"same_above={self.same_above!r}: expected a cosine, from -1 to 1")
        if self.review_margin is not None and not 0 <= self.review_margin <= 2:
            raise InputError(
                f"review_margin={self.review_margin!r}: expected a difference of cosines from 0 to 2, or None"
            )

    def embedder(self, height: int) -> Embedder:
        """The model of a level, counted from the leaves (0)."""
        return self.embedders[min(height, len(self.embedders) - 1)]

    def as_json(self) -> dict[str, Any]:
        """The settings as a record has them."""
        values = {name: value for name, value in vars(self).items() if name != "embedders"}
        return values | {"sizes": list(self.sizes), "embedding_models": [each.model for each in self.embedders]}


def level_sizes(leaves: int, *, levels: int | None = None, branching: float | None = None) -> list[int]:
    """Clusters of each level, from the leaves up, root not counted, for a wanted depth or branching.

    Args:
        leaves: clusters at the bottom.
        levels: levels of the tree with leaves and root: sizes fall by one factor from `leaves` to the root's 1.
        branching: children of a node, on average: levels are added until one node could hold them all.

    Raises:
        InputError: both or none are given, or one is out of range.

    Example:
        >>> level_sizes(1000, branching=10)
        [1000, 100, 10]
        >>> level_sizes(1000, levels=4)
        [1000, 100, 10]
    """
    if type(leaves) is not int or leaves < 1:
        raise InputError(f"leaves={leaves!r}: expected a whole number from 1")
    if (levels is None) == (branching is None):
        raise InputError(f"give levels or branching, and not both; got levels={levels!r} and branching={branching!r}")
    if levels is not None:
        if type(levels) is not int or levels < 2:
            raise InputError(f"levels={levels!r}: expected a whole number from 2 (the leaves, and the root above them)")
        steps = levels - 1
        wanted = [round(leaves ** ((steps - height) / steps)) for height in range(steps)]
    else:
        assert branching is not None
        if not 1 < branching < math.inf:
            raise InputError(f"branching={branching!r}: expected a number above 1")
        wanted = [leaves]
        while wanted[-1] > branching:
            wanted.append(round(wanted[-1] / branching))
    sizes = wanted[:1]
    sizes += [above for below, above in pairwise(wanted) if 1 < above < below]
    return sizes
