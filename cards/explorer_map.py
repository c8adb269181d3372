"""The map of tags: the most frequent ones, placed so that those which go together lie together."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, leaves_list, linkage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import shortest_path
from scipy.spatial.distance import squareform

WIDTH, HEIGHT = 1000.0, 560.0
_MOST_TAGS = 60
_FEWEST_ROWS = 3  # rows that two tags must share before we call it more than chance
_NEIGHBOURS = 4  # links of a tag, at most, that it asks for itself
_COLOURS = 7
_LONGEST_LABEL = 28
_FONT_SIZES = (12.0, 20.0)

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def tag_map(rows: Ints, tags: Ints, counts: Ints, names: list[str], n_rows: int) -> dict[str, Any] | None:
    """Positions of the most frequent tags and the links between them.

    A link is a pair of tags that share more rows than chance would have (lift above 1), of those each tag's closest by
    normalised pointwise mutual information. The layout minimises stress over path lengths along the links (SMACOF),
    then moves labels apart. The same pairs give the same map.

    Args:
        rows, tags: a row's number and a tag's number, once for each tag of a row; tags by falling count.
        counts: rows of each tag.
        names: their texts.
        n_rows: rows in all.

    Returns:
        width, height, tags (number, x, y, width, height, font size, colour 0 to 6, label), links (places in `tags` of
        the two, rows with both, lift). None where there are not three tags to place.
    """
    n = min(_MOST_TAGS, len(counts))
    if n < 3 or not n_rows:
        return None
    shared = _shared_rows(rows, tags, n, n_rows)
    share = counts[:n] / n_rows
    expected = share[:, None] * share[None, :] * n_rows
    lift = np.where(expected > 0, shared / np.maximum(expected, 1e-12), 0.0)
    closeness = _npmi(shared, lift, n_rows)
    links = _links(closeness)
    distance = _path_lengths(closeness, links)
    places = _smacof(distance)
    labels = [name if len(name) <= _LONGEST_LABEL else name[: _LONGEST_LABEL - 1] + "…" for name in names[:n]]
    low, high = _FONT_SIZES
    sizes = np.round(low + (high - low) * np.sqrt(counts[:n] / counts[0]), 1)
    boxes = np.array([[_width(label) * size + 18, size * 1.3 + 8] for label, size in zip(labels, sizes, strict=True)])
    places = _apart(_spread(places), boxes)
    colours = _colours(distance)
    return {
        "width": WIDTH,
        "height": HEIGHT,
        "tags": [
            [number, *(round(float(v), 1) for v in (*places[number], *boxes[number], sizes[number])), colour, label]
            for number, (colour, label) in enumerate(zip(colours, labels, strict=True))
        ],
        "links": [[a, b, int(shared[a, b]), round(float(lift[a, b]), 2)] for a, b in links],
    }


def _shared_rows(rows: Ints, tags: Ints, n: int, n_rows: int) -> Floats:
    kept = tags < n
    ones = np.ones(int(kept.sum()))
    has = coo_array((ones, (rows[kept], tags[kept])), shape=(n_rows, n)).tocsr()
    both: Floats = (has.T @ has).toarray()
    np.fill_diagonal(both, 0)
    return both


def _npmi(shared: Floats, lift: Floats, n_rows: int) -> Floats:
    """Normalised pointwise mutual information (Bouma, 2009), 0 where it is negative or rests on too few rows."""
    solid = (shared >= _FEWEST_ROWS) & (lift > 1) & (shared < n_rows)
    with np.errstate(divide="ignore", invalid="ignore"):
        value = np.log(lift) / -np.log(shared / n_rows)
    return np.where(solid, np.clip(value, 0, 1), 0.0)


def _links(closeness: Floats) -> list[tuple[int, int]]:
    nearest = np.argsort(-closeness, axis=1, kind="stable")[:, :_NEIGHBOURS]
    pairs = {(min(a, int(b)), max(a, int(b))) for a, row in enumerate(nearest) for b in row if closeness[a, b] > 0}
    return sorted(pairs)


def _path_lengths(closeness: Floats, links: list[tuple[int, int]]) -> Floats:
    """Lengths of the shortest ways along the links; tags that no way joins lie further apart than all that are."""
    n = len(closeness)
    steps = np.full((n, n), np.inf)
    for a, b in links:
        steps[a, b] = steps[b, a] = 1.15 - closeness[a, b]
    lengths: Floats = shortest_path(np.where(np.isinf(steps), 0, steps), directed=False)
    reached = lengths[np.isfinite(lengths)]
    longest = reached.max(initial=0.0) or 1.0
    lengths[~np.isfinite(lengths)] = 1.1 * longest
    return lengths


def _smacof(distance: Floats, steps: int = 100) -> Floats:
    """Points in the plane whose distances come close to those given: stress weighted by 1/d², from a circle."""
    n = len(distance)
    # Tags that belong together start beside each other: their order in the dendrogram.
    order = linkage(squareform(distance, checks=False), "average")
    angle = np.empty(n)
    angle[leaves_list(order)] = np.arange(n) * (2 * np.pi / n)
    places: Floats = np.column_stack([np.cos(angle), np.sin(angle)]) * distance.max() / 2
    weights = 1 / np.maximum(distance, 1e-9) ** 2
    np.fill_diagonal(weights, 0)
    laplacian = np.diag(weights.sum(axis=1)) - weights
    inverse = np.linalg.inv(laplacian + 1 / n)  # its null space are shifts of the whole, which do not matter
    for _ in range(steps):
        apart = np.linalg.norm(places[:, None] - places[None], axis=2)
        ratio = -weights * distance / np.maximum(apart, 1e-9)
        np.fill_diagonal(ratio, 0)
        np.fill_diagonal(ratio, -ratio.sum(axis=1))
        places = inverse @ (ratio @ places)
    return places


def _spread(places: Floats) -> Floats:
    """Fill the picture: each axis by rank and by position in equal parts, so that crowds open up."""
    ranks = np.argsort(np.argsort(places, axis=0), axis=0) / max(1, len(places) - 1)
    low, high = places.min(axis=0), places.max(axis=0)
    even = (places - low) / np.maximum(high - low, 1e-9)
    result: Floats = (0.5 * ranks + 0.5 * even) * (WIDTH - 140, HEIGHT - 50) + (70, 25)
    return result


def _apart(places: Floats, boxes: Floats) -> Floats:
    """Labels one after the other, the most frequent first, each at the free spot nearest to where it belongs."""
    x, y = (axis.ravel() for axis in np.meshgrid(np.arange(-800.0, 801, 8), np.arange(-480.0, 481, 6)))
    nearest_first = np.argsort(np.hypot(x, y), kind="stable")
    offsets = np.column_stack([x, y])[nearest_first]
    edge = boxes / 2 + 2
    settled = np.clip(places, edge, (WIDTH, HEIGHT) - edge)
    for number, place in enumerate(settled):
        gap = (boxes[:number] + boxes[number]) / 2 + 3
        for some in np.array_split(offsets, (200, 2_000)):  # hardly any label has to go far
            spots = np.clip(place + some, edge[number], (WIDTH, HEIGHT) - edge[number])
            covers = (np.abs(spots[:, None] - settled[None, :number]) < gap).all(axis=2).any(axis=1)
            if not covers.all():
                settled[number] = spots[np.argmin(covers)]
                break
    return settled


def _colours(distance: Floats) -> list[int]:
    """Clusters by average linkage, the largest first."""
    clusters = fcluster(linkage(squareform(distance, checks=False), "average"), _COLOURS, "maxclust")
    by_size = sorted(set(clusters.tolist()), key=lambda c: (-(clusters == c).sum(), int(np.argmax(clusters == c))))
    return [by_size.index(c) for c in clusters.tolist()]


def _width(label: str) -> float:
    """About how many times its font size a label is wide."""
    return sum(1.0 if ord(char) > 0x2E80 else 0.36 if char in "iljtf.,' " else 0.61 for char in label)
