"""The table of a tag pool: one row a tag, made from counts, checked when it comes from elsewhere."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from tagsmith.processors.errors import InputError

ASPECT_COUNTS = pa.list_(pa.struct({"aspect": pa.string(), "count": pa.int64()}))
SCHEMA = pa.schema(
    {
        "tag": pa.string(),
        "aspect": pa.string(),
        "count": pa.int64(),
        "weight": pa.float64(),
        "aspects": ASPECT_COUNTS,
    }
)

AspectCounts = Mapping[tuple[str, str], int]  # (tag, aspect) → rows


def make_table(counts: Mapping[str, int], weights: Mapping[str, float], aspects: AspectCounts) -> pa.Table:
    """The table, most frequent tag first, equal ones in alphabetical order.

    Args:
        counts: tag → rows that carry it.
        weights: tag → its weight when tags are drawn, relative to the others.
        aspects: rows that carry a tag under an aspect; the most frequent aspect of a tag (then the alphabetically
            first) is the tag's `aspect`.
    """
    of_tag: defaultdict[str, list[tuple[int, str]]] = defaultdict(list)
    for (tag, aspect), count in aspects.items():
        of_tag[tag].append((-count, aspect))
    order = sorted(counts, key=lambda tag: (-counts[tag], tag))
    ranked = [sorted(of_tag[tag]) for tag in order]
    return pa.table(
        [
            pa.array(order, pa.string()),
            pa.array([found[0][1] if found else None for found in ranked], pa.string()),
            pa.array([counts[tag] for tag in order], pa.int64()),
            pa.array([weights[tag] for tag in order], pa.float64()),
            pa.array([[{"aspect": name, "count": -n} for n, name in found] for found in ranked], ASPECT_COUNTS),
        ],
        schema=SCHEMA,
    )


def read_rows(rows: pa.Table) -> pa.Table:
    """A table that was made elsewhere, in the pool's columns; only `tag` has to be there.

    A missing `count` is 1, a missing `weight` the same for all, a missing `aspect` unknown.

    Raises:
        InputError: a column is missing, of another type or has a null; a count is below 1 or a weight not above 0;
            names the first such row.
    """
    if "tag" not in rows.column_names:
        raise InputError(
            f"the tag pool has the columns {', '.join(rows.column_names) or 'none'}; expected tag, and if known count,"
            " weight and aspect"
        )
    if not len(rows):
        raise InputError("the tag pool has no rows; expected at least one tag")
    number = len(rows)
    made = {"tag": rows["tag"], "count": pa.array(np.ones(number, np.int64)), "weight": pa.array(np.ones(number))}
    made |= {name: rows[name] for name in ("count", "weight", "aspect", "aspects") if name in rows.column_names}
    made.setdefault("aspect", pa.nulls(number, pa.string()))
    if "aspects" not in made:
        pairs = zip(made["aspect"].to_pylist(), made["count"].to_pylist(), strict=True)
        made["aspects"] = [[] if name is None else [{"aspect": name, "count": count}] for name, count in pairs]
    try:
        table = pa.table([pa.array(_plain(made[name]), SCHEMA.field(name).type) for name in SCHEMA.names], SCHEMA)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise InputError(f"the tag pool has a column of another type: {str(error).splitlines()[0]:.200}") from error
    for name in ("tag", "count", "weight", "aspects"):
        _check(table, table[name].is_null().to_numpy(), f"null in {name!r}")
    _check(table, table["count"].to_numpy() < 1, "count below 1")
    weight = table["weight"].to_numpy()
    _check(table, ~(np.isfinite(weight) & (weight > 0)), "weight that is not above 0")
    return table


def _plain(column: Any) -> Any:
    return column.to_pylist() if isinstance(column, pa.Array | pa.ChunkedArray) else column


def _check(table: pa.Table, bad: Any, what: str) -> None:
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise InputError(
            f"tag pool, row {row}: {table.slice(row, 1).to_pylist()[0]} has a {what} ({int(bad.sum())} such rows); make"
            " the pool again"
        )
