"""Tables of tag pools as one table, spellings of one tag counted as one."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from tagsmith.processors.errors import InputError
from tagsmith.processors.rule_aggregation import rule_aggregation
from tagsmith.processors.tag_evol.pool_table import make_table


def united(parts: Sequence[tuple[pa.Table, float]], keep_characters: str) -> pa.Table:
    """Tables as one: counts, and weights (each table's times its factor), of spellings of one tag are added up.

    Raises:
        InputError: no tag has a letter or digit.
    """
    rows = pa.concat_tables([table for table, _ in parts])
    factors = np.concatenate([np.full(len(table), factor) for table, factor in parts])
    counts = rows["count"].to_pylist()
    names = rule_aggregation(rows["tag"].to_pylist(), counts, keep_characters)
    count_of: dict[str, int] = {}
    weight_of: dict[str, float] = {}
    for name, count, weight in zip(names, counts, (rows["weight"].to_numpy() * factors).tolist(), strict=True):
        if name is not None:
            count_of[name] = count_of.get(name, 0) + count
            weight_of[name] = weight_of.get(name, 0.0) + weight
    if not count_of:
        raise InputError(f"none of the pool's {len(rows)} tags has a letter or digit; give tags that are text")
    return make_table(count_of, weight_of, _aspects(rows, names, keep_characters))


def _aspects(rows: pa.Table, names: Sequence[str | None], keep_characters: str) -> dict[tuple[str, str], int]:
    """(tag, aspect) → rows, with tag j called `names[j]` and aspects by the rule stage."""
    listed = rows["aspects"].to_pylist()
    totals: dict[str, int] = {}
    for entries in listed:
        for entry in entries:
            totals[entry["aspect"]] = totals.get(entry["aspect"], 0) + entry["count"]
    spelled = dict(zip(totals, rule_aggregation(list(totals), list(totals.values()), keep_characters), strict=True))
    found: dict[tuple[str, str], int] = {}
    for name, entries in zip(names, listed, strict=True):
        for entry in entries:
            aspect = spelled[entry["aspect"]]
            if name is not None and aspect is not None:
                found[name, aspect] = found.get((name, aspect), 0) + entry["count"]
    return found
