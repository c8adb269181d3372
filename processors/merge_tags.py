"""Give the tags of a dataset new names: those that share one become one tag, those without one go."""

from collections.abc import Sequence

import numpy as np

from tagsmith.processors.tag_sets import TagSets


def merge_tags(tags: TagSets, names: Sequence[str | None]) -> TagSets:
    """The same rows with tag j called `names[j]`, or dropped where that is None; numbered alphabetically.

    A row that carries several tags of one name carries it once.
    """
    vocabulary = sorted({name for name in names if name is not None})
    number = {name: new for new, name in enumerate(vocabulary)}
    renumbered = np.array([-1 if name is None else number[name] for name in names], np.int64)
    n_rows, n_tags = len(tags), len(vocabulary)
    rows = np.repeat(np.arange(n_rows, dtype=np.int64), tags.sizes)
    targets = renumbered[tags.indices]
    pairs = rows[targets >= 0] * n_tags + targets[targets >= 0]  # row and tag in one integer: sorted as one
    pairs.sort()
    pairs = pairs[np.diff(pairs, prepend=-1) != 0]
    rows, indices = np.divmod(pairs, max(n_tags, 1))
    indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=n_rows))])
    return TagSets(indptr, indices.astype(np.int32), vocabulary)
