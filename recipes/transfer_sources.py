"""Several named datasets and pools: read by their names, kept in a release as one table each, and read from that."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Dataset

from tagsmith.processors.embedding import Embedder
from tagsmith.processors.errors import InputError
from tagsmith.processors.rows import to_rows
from tagsmith.processors.tag_evol.tag_pool import TagPool
from tagsmith.recipes.arguments import DataArguments
from tagsmith.recipes.evolved_rows import blank_rejected
from tagsmith.recipes.sources import load_source
from tagsmith.recipes.tag_pool_source import open_pool

# Configs of a release that hold what it was made from.
POOLS, SOURCES = "pools", "sources"


def read_sources(names: str, rows: int) -> tuple[Dataset, list[dict[str, Any]]]:
    """The first `rows` rows of each dataset, one under the other, and what the manifest says of them.

    Output columns: id (``str``), instruction, response, status, reason, domain (``str``: the dataset's name here).

    Args:
        names: `NAME=DATASET,NAME=DATASET`, or the folder of a release's config that holds such rows.

    Raises:
        InputError: no such dataset, a name twice, or fewer than one row wanted.
    """
    if rows < 1:
        raise InputError(f"rows={rows}: expected at least 1 of each dataset")
    if (table := _config(names)) is not None:
        return _rows(Dataset(table)), [{"name": Path(names).name, "rows": len(table)}]
    parts, facts = [], []
    for name, dataset in _named(names, "--datasets").items():
        source, known = load_source(DataArguments(dataset=dataset, max_rows=rows))
        read = to_rows(source)
        columns = {"domain": [name] * len(read), "instruction": read["instruction"], "response": read["response"]}
        parts.append(pa.table(columns, pa.schema(dict.fromkeys(columns, pa.string()))))
        if commit := known.pop("commit", None):  # under that name it would say where all rows can be read again
            known["revision"] = commit
        facts.append(known)
    return _rows(Dataset(pa.concat_tables(parts))), facts


def read_pools(names: str, embedder: Embedder) -> dict[str, TagPool]:
    """The pools by their names.

    Args:
        names: `NAME=POOL,NAME=POOL`, each as `--pool` takes it; or the folder of a release's config that holds them.

    Raises:
        InputError: no such pool, or a name twice.
    """
    if (table := _config(names)) is None:
        return {name: open_pool(pool, embedder) for name, pool in _named(names, "--pools").items()}
    which = table["pool"].to_pylist()
    return {
        name: TagPool.from_table(
            table.drop_columns(["pool"]).filter(pa.array([each == name for each in which])), embedder=embedder
        )
        for name in dict.fromkeys(which)
    }


def own_pools(tagged: Dataset, embedder: Embedder) -> dict[str, TagPool]:
    """A pool of each domain's own tags."""
    domains = tagged["domain"][:]
    return {
        name: TagPool(embedder=embedder).fit(tagged.select([n for n, each in enumerate(domains) if each == name]))
        for name in dict.fromkeys(domains)
    }


def stacked_pools(pools: Mapping[str, TagPool]) -> Dataset:
    """All pools as one table, the pool's name before its columns."""
    tables = [
        pool.table.add_column(0, pa.field("pool", pa.string()), pa.array([name] * len(pool), pa.string()))
        for name, pool in pools.items()
    ]
    return Dataset(pa.concat_tables(tables))


def _rows(table: Dataset) -> Dataset:
    """Rows with ids; equal texts in two domains are two rows."""
    rows = to_rows(table.select_columns(["instruction", "response"]))
    return blank_rejected(rows.add_column("domain", table["domain"][:]))


def _config(names: str) -> pa.Table | None:
    """The table in a config's folder; None where `names` is no such folder."""
    folder = Path(names).expanduser()
    files = sorted(folder.glob("*-of-*.parquet")) if folder.is_dir() else []
    return pq.read_table([str(file) for file in files]) if files else None


def _named(names: str, flag: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in names.split(","):
        name, _, what = part.strip().rpartition("=")
        name = name or Path(what).name.partition(".")[0]
        if not what or name in found:
            raise InputError(f"{flag} {names!r}: expected NAME=WHAT,NAME=WHAT, each name once")
        found[name] = what
    return found
