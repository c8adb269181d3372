"""Tag combination: tags drawn from the high, the low or all of the utility table, to be made one task (§5.3, E.3)."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import combinations
from math import comb

import orjson
import pyarrow as pa
from datasets import Dataset

from tagsmith.processors.errors import InputError
from tagsmith.processors.tag_instruct.utility_table import UtilityTable

POOLS = ("high", "low", "random")
METHOD = "tag-combination"
SCHEMA = pa.schema(
    {
        "id": pa.string(),
        "method": pa.string(),
        "pool": pa.string(),
        "tags": pa.list_(pa.string()),
        "utility_tokens": pa.float64(),
        "status": pa.string(),
        "reason": pa.string(),
    }
)


@dataclass(frozen=True)
class TagCombinations:
    """Draw sets of tags, each set at most once, for `TagCombiner` to write a task from (Tag-Instruct, §5.3).

    Output columns of `draw`:
        id (``str``): content hash of pool and tags. method (``str``): "tag-combination". pool (``str``).
        tags (``list[str]``): the drawn tags, in the order of the draw.
        utility_tokens (``float``): mean utility of the tags, in tokens.
        status (``str``): "ok", reason (``str``): empty.

    Args:
        pool: "high" (the tags of highest utility), "low" (of lowest), or "random" (drawn from all alike).
        pool_size: tags in the pool (paper: 1,000).
        tags_per_row: tags in a combination, at least 2 (paper: 2).
        rows: combinations to draw (paper: 5,000).
        min_count: tags in fewer rows of the utility's dataset are left out.
        seed: of the draw, and of the random pool.

    Raises:
        InputError: a setting is out of range; in `draw`: the table has fewer than pool_size tags, or the pool fewer
            than `rows` different combinations.

    Differs from the paper: which does not say whether a combination may come up twice; here it does not.
    """

    pool: str = "high"
    pool_size: int = 1_000
    tags_per_row: int = 2
    rows: int = 5_000
    min_count: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        if self.pool not in POOLS:
            raise InputError(f"pool {self.pool!r} is unknown; expected one of {', '.join(POOLS)}")
        for name, least in (("tags_per_row", 2), ("pool_size", 2), ("rows", 1)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise InputError(f"{name}={value!r}: expected a whole number from {least}")

    def draw(self, table: UtilityTable) -> Dataset:
        """The rows. The same table, seed and settings give the same rows."""
        means = table.frequent(self.min_count).means
        pool = self.tags(table)
        drawn = self._combinations(pool)
        records = [
            {
                "id": blake2b(orjson.dumps([METHOD, self.pool, tags]), digest_size=8).hexdigest(),
                "method": METHOD,
                "pool": self.pool,
                "tags": tags,
                "utility_tokens": sum(means[tag] for tag in tags) / len(tags),
                "status": "ok",
                "reason": "",
            }
            for tags in drawn
        ]
        return Dataset(pa.Table.from_pylist(records, schema=SCHEMA))

    def tags(self, table: UtilityTable) -> list[str]:
        """The pool: highest or lowest utility first (equal ones in alphabetical order), or in random order."""
        ranked = table.frequent(self.min_count).table
        if self.pool_size > len(ranked):
            raise InputError(
                f"pool_size={self.pool_size:,}: only {len(ranked):,} tags are in at least {self.min_count} rows; use a"
                " smaller pool_size, or fit the utility on more rows"
            )
        if self.pool == "low":
            ranked = ranked.sort_by([("mean", "ascending"), ("tag", "ascending")])
        names: list[str] = ranked["tag"].to_pylist()
        if self.pool == "random":
            return random.Random(self.seed).sample(names, self.pool_size)
        return names[: self.pool_size]

    def _combinations(self, pool: Sequence[str]) -> list[list[str]]:
        possible = comb(len(pool), self.tags_per_row)
        if self.rows > possible:
            raise InputError(
                f"rows={self.rows:,}: a pool of {len(pool):,} tags has only {possible:,} combinations of"
                f" {self.tags_per_row}; lower rows, or raise pool_size"
            )
        source = random.Random(f"{self.seed} {self.pool}")
        if possible <= 4 * self.rows:  # drawing again what was drawn before would take long
            return [list(tags) for tags in source.sample(list(combinations(pool, self.tags_per_row)), self.rows)]
        drawn: dict[frozenset[str], list[str]] = {}
        while len(drawn) < self.rows:
            tags = source.sample(pool, self.tags_per_row)
            drawn.setdefault(frozenset(tags), tags)
        return list(drawn.values())
