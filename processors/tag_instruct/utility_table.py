"""The table of tag utilities: tag, count, total and mean, its quartiles, and its form as a folder on disk."""

import json
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tagsmith.processors.errors import InputError

SCHEMA = pa.schema({"tag": pa.string(), "count": pa.int64(), "total": pa.float64(), "mean": pa.float64()})
# As the authors' code names them (tag_values.jsonl).
AUTHORS_NAMES = {"tag": "tag", "count": "count", "total": "total_value", "mean": "average_value"}
TABLE_FILE, CONFIG_FILE = "utility.parquet", "config.json"
QUARTILES = ("Q1", "Q2", "Q3", "Q4")

# Makes `load_dataset(folder)` work, locally and on the Hub.
CARD = """---
configs:
- config_name: default
  data_files: utility.parquet
tags:
- tagsmith
- tag-instruct
---
# Tag utility

Utility of {n_tags:,} tags: mean response tokens of the rows that carry them (Tag-Instruct, Eq. 1; variant
"{variant}"; tokenizer: {tokenizer}). Columns: `tag`, `count` (rows with the tag), `total` and `mean` (tokens).
`config.json` has the parameters.

```python
from tagsmith.processors.tag_instruct.utility import TagUtility

TagUtility.from_pretrained("folder").lookup("a tag")
```
"""


@dataclass(frozen=True)
class Quartile:
    """A quarter of the tags by rank of utility (§5.2; App. F, Tab. 6).

    Args:
        name: "Q1" (lowest) to "Q4".
        low, high: smallest and largest utility in it, in tokens.
        tags: its tags, lowest utility first; equal ones in alphabetical order.
    """

    name: str
    low: float
    high: float
    tags: list[str]


@dataclass(frozen=True, eq=False)
class UtilityTable:
    """How long the responses are that come with each tag.

    Args:
        table: one row a tag, highest mean first, equal means in alphabetical order. `tag`; `count`: rows that carry it;
            `total`: the sum of their values, in tokens; `mean`: total / count, the utility.
        config: how the table was made, as JSON values.
    """

    table: pa.Table
    config: dict[str, Any]

    def __len__(self) -> int:
        return len(self.table)

    @cached_property
    def means(self) -> dict[str, float]:
        """Tag → utility, highest first."""
        return dict(zip(self.table["tag"].to_pylist(), self.table["mean"].to_pylist(), strict=True))

    def frequent(self, min_count: int) -> "UtilityTable":
        """The tags that at least `min_count` rows carry.

        Raises:
            InputError: min_count is below 1, or leaves no tag.
        """
        if min_count < 1:
            raise InputError(f"min_count={min_count}: expected at least 1 row a tag")
        kept = self.table.filter(pc.greater_equal(self.table["count"], min_count))
        if not len(kept):
            highest = pc.max(self.table["count"]).as_py()
            raise InputError(
                f"min_count={min_count} leaves no tag: the most frequent of {len(self)} is in {highest} rows; use"
                f" min_count={highest} or less"
            )
        return UtilityTable(kept, self.config)

    def quartiles(self, min_count: int = 1) -> list[Quartile]:
        """Q1 to Q4: the tags in ascending order of utility, cut after each n // 4 of the n; Q4 has the rest.

        Args:
            min_count: tags in fewer rows are left out. The paper's Table 6 comes out of the authors' table with 3.

        Raises:
            InputError: fewer than four tags are left.
        """
        ordered = self.frequent(min_count).table
        if len(ordered) < len(QUARTILES):
            raise InputError(
                f"{len(ordered)} tags are in at least {min_count} rows, too few for quartiles; lower min_count or take"
                " more rows"
            )
        # The table has equal means in alphabetical order; so have the quartiles, though they ascend.
        ordered = ordered.sort_by([("mean", "ascending"), ("tag", "ascending")])
        size = len(ordered) // len(QUARTILES)
        quartiles = []
        for number, name in enumerate(QUARTILES):
            is_last = number == len(QUARTILES) - 1
            part = ordered.slice(number * size, None if is_last else size)
            means = part["mean"]
            quartiles.append(Quartile(name, means[0].as_py(), means[-1].as_py(), part["tag"].to_pylist()))
        return quartiles

    def __getstate__(self) -> dict[str, Any]:
        return {"table": self.table, "config": self.config}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    def save(self, folder: str | Path) -> None:
        """Write `utility.parquet`, `README.md` (for the Hub) and, last, `config.json`."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / CONFIG_FILE).unlink(missing_ok=True)  # without it, a half-written folder does not load
        pq.write_table(self.table, folder / TABLE_FILE, compression="zstd")
        named = {name: self.config.get(name) or "unknown" for name in ("variant", "tokenizer")}
        (folder / "README.md").write_text(CARD.format(n_tags=len(self), **named), encoding="utf-8")
        part = folder / f"{CONFIG_FILE}.part"
        part.write_text(json.dumps(self.config, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        os.replace(part, folder / CONFIG_FILE)

    @classmethod
    def load(cls, folder: str | Path) -> "UtilityTable":
        """Read a folder that `save` wrote.

        Raises:
            InputError: a file is missing or is not what `save` writes.
        """
        folder = Path(folder)
        for name in (CONFIG_FILE, TABLE_FILE):
            if not (folder / name).is_file():
                raise InputError(
                    f"{str(folder)!r} has no {name}; expected a utility table's folder, as TagUtility.save_pretrained"
                    " writes it"
                )
        try:
            config = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
            table = pq.read_table(folder / TABLE_FILE).select(SCHEMA.names).cast(SCHEMA)
        except (ValueError, KeyError, pa.ArrowException) as error:
            raise InputError(
                f"the utility table in {str(folder)!r} cannot be read ({str(error).splitlines()[0]:.200}); save it"
                " again"
            ) from error
        return cls(table, config)

    @classmethod
    def from_rows(cls, rows: pa.Table, config: dict[str, Any]) -> "UtilityTable":
        """Check and order the rows of a table, named as ours or as the authors' code names them.

        Raises:
            InputError: a column is missing, a value is null or of another type, a tag repeats, a count is below 1, or
                mean × count is not the total; names the first such row.
        """
        names = AUTHORS_NAMES if AUTHORS_NAMES["mean"] in rows.column_names else {name: name for name in SCHEMA.names}
        missing = [name for name in names.values() if name not in rows.column_names]
        if missing:
            raise InputError(
                f"the utility table has the columns {', '.join(rows.column_names)}; expected {', '.join(names)} or"
                f" {', '.join(AUTHORS_NAMES.values())}"
            )
        if not len(rows):
            raise InputError("the utility table has no rows; expected at least one tag")
        try:
            table = rows.select(list(names.values())).rename_columns(list(names)).cast(SCHEMA)
        except pa.ArrowException as error:
            raise InputError(f"the utility table has a column of another type: {str(error).splitlines()[0]}") from error
        count, total, mean = (table[name].to_numpy() for name in ("count", "total", "mean"))
        for name, found in (("value that is null", _null_rows(table)), ("tag seen before", _repeated(table["tag"]))):
            if found.any():
                raise _bad_row(table, found, name)
        if (few := count < 1).any():
            raise _bad_row(table, few, "count below 1")
        agree = np.isfinite(total) & np.isfinite(mean) & np.isclose(total, mean * count, rtol=1e-6, atol=1e-9)
        if (off := ~agree).any():
            raise _bad_row(table, off, "mean that is not total / count")
        return cls(table.sort_by([("mean", "descending"), ("tag", "ascending")]).combine_chunks(), config)


def _null_rows(table: pa.Table) -> Any:
    return np.any([column.is_null().to_numpy() for column in table.columns], axis=0)


def _repeated(tags: Any) -> Any:
    codes = tags.combine_chunks().dictionary_encode().indices.to_numpy(zero_copy_only=False)
    first = np.zeros(len(codes), bool)
    first[np.unique(codes, return_index=True)[1]] = True
    return ~first


def _bad_row(table: pa.Table, bad: Any, what: str) -> InputError:
    row = int(np.flatnonzero(bad)[0])
    return InputError(
        f"utility table, row {row}: {table.slice(row, 1).to_pylist()[0]} has a {what} ({int(bad.sum())} such rows);"
        " make the table again"
    )
