"""Good and bad tag pools: the two ends of a utility table (Tag-Instruct, App. D.1)."""

from dataclasses import dataclass
from typing import Any

from tagsmith.processors.errors import InputError
from tagsmith.processors.tag_instruct.utility_table import UtilityTable

# What `tag_pools` takes for each reading of the paper.
POOL_VARIANTS: dict[str, dict[str, Any]] = {
    "paper": {"size": 10_000, "min_count": 1},
    "official": {"size": 1_000, "min_count": 3},  # the authors' code: count > 2
}


@dataclass(frozen=True)
class TagPools:
    """Tags at the two ends of a utility table.

    Args:
        good: T_good, highest utility first. bad: T_bad, lowest utility first.
        good_low: the lowest utility in `good`, in tokens. bad_high: the highest in `bad`; below `good_low`.
        min_count: rows that each tag is in, at least.
        ranked: tags that were to choose from.
    """

    good: list[str]
    bad: list[str]
    good_low: float
    bad_high: float
    min_count: int
    ranked: int


def tag_pools(
    table: UtilityTable, *, size: int | None = None, share: float | None = None, min_count: int = 1
) -> TagPools:
    """The tags of highest and of lowest utility, as many of each (App. D.1).

    Equal utilities are ranked alphabetically (the paper does not say), so the same table always gives the same pools.

    Args:
        table: fitted utilities (`TagUtility.fitted`).
        size: tags in each pool; or
        share: tags in each pool as a share of those that are ranked, above 0 and at most 0.5; rounded down, at least 1.
            POOL_VARIANTS has the paper's size and that of the authors' code: `tag_pools(table,
            **POOL_VARIANTS["official"])`.
        min_count: tags in fewer rows are not ranked.

    Raises:
        InputError: neither or both of size and share are given, one is out of range, or the pools would overlap: more
            tags than there are, or the worst good tag no better than the best bad one.

    The authors' own table of 11,976 tags is too small for the paper's two pools of 10,000.
    """
    if (size is None) == (share is None):
        raise InputError(f"size={size}, share={share}: give one of them, size=10000 or share=0.1 say")
    if share is not None and not 0 < share <= 0.5:
        raise InputError(f"share={share}: expected above 0 and at most 0.5, so that the two pools do not overlap")
    if size is not None and (isinstance(size, bool) or not isinstance(size, int) or size < 1):
        raise InputError(f"size={size!r}: expected a whole number of tags from 1")
    ranked = table.frequent(min_count).table
    most = len(ranked) // 2
    if size is None:
        size = max(int(len(ranked) * (share or 0)), 1)
    if size > most:
        raise InputError(
            f"two pools of {size:,} tags would overlap: only {len(ranked):,} tags are in at least {min_count} rows;"
            f" {f'use size={most} or less, ' if most else ''}lower min_count, or fit the utility on more rows"
        )
    good = ranked.slice(0, size)  # as the table is: highest first, equal ones in alphabetical order
    bad = ranked.sort_by([("mean", "ascending"), ("tag", "ascending")]).slice(0, size)
    good_low, bad_high = good["mean"][-1].as_py(), bad["mean"][-1].as_py()
    if good_low <= bad_high:
        raise InputError(
            f"two pools of {size:,} tags would overlap in utility: the worst good tag and the best bad one both have"
            f" {good_low:.6g} tokens; use a smaller size, or fit the utility on more rows"
        )
    return TagPools(good["tag"].to_pylist(), bad["tag"].to_pylist(), good_low, bad_high, min_count, len(ranked))
