"""A tag tree as a folder: nodes, members, parameters and the version of the format."""

import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tagsmith.processors.errors import InputError
from tagsmith.processors.tags.tree_table import MEMBERS_SCHEMA, NODES_SCHEMA, TreeTable

FORMAT_VERSION = 1  # raise it when a folder of before can no longer be read
NODES_FILE, MEMBERS_FILE, CONFIG_FILE = "nodes.parquet", "members.parquet", "config.json"

# Makes `load_dataset(folder, "nodes")` and `"members"` work, locally and on the Hub.
CARD = """---
configs:
- config_name: nodes
  default: true
  data_files: nodes.parquet
- config_name: members
  data_files: members.parquet
tags:
- tagsmith
- tags
---
# Tag tree

{tags:,} tags below {leaves:,} leaves, {levels} levels, {nodes:,} nodes, grown with tagsmith (TAGS). `nodes`: a row a
node, the root first, with its parent, level, name and description. `members`: a row a tag, with the leaf that holds it.
`config.json` has the parameters.

```python
from tagsmith.processors.tags.tag_tree import TagTree

print(TagTree.from_pretrained("folder").to_text(depth=2))
```
"""


def save_tree(folder: str | Path, table: TreeTable) -> None:
    """Write `nodes.parquet`, `members.parquet`, `README.md` (for the Hub) and, last, `config.json`."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONFIG_FILE).unlink(missing_ok=True)  # without it, a half-written folder does not load
    pq.write_table(table.nodes, folder / NODES_FILE, compression="zstd")
    pq.write_table(table.members, folder / MEMBERS_FILE, compression="zstd")
    levels = 1 + max(table.nodes["level"].to_pylist())
    words = {"tags": len(table.members), "leaves": len(table.leaves), "levels": levels, "nodes": len(table)}
    (folder / "README.md").write_text(CARD.format(**words), encoding="utf-8")
    part = folder / f"{CONFIG_FILE}.part"
    written = {"format_version": FORMAT_VERSION, **table.config}
    part.write_text(json.dumps(written, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(part, folder / CONFIG_FILE)


def load_tree(folder: Path) -> TreeTable:
    """Read a folder that `save_tree` wrote.

    Raises:
        InputError: a file is missing or is not what `save_tree` writes, the folder is of another format version, or
            what is in it is no tree.
    """
    for name in (CONFIG_FILE, NODES_FILE, MEMBERS_FILE):
        if not (folder / name).is_file():
            raise InputError(
                f"{str(folder)!r} has no {name}; expected a tag tree's folder, as TagTree.save_pretrained writes it"
            )
    try:
        config = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
    except ValueError as error:
        raise _unreadable(folder, error) from error
    found = config.pop("format_version", None) if isinstance(config, dict) else None
    if found != FORMAT_VERSION:
        raise InputError(
            f"the tag tree in {str(folder)!r} is of format version {found}; this tagsmith reads version"
            f" {FORMAT_VERSION}: grow the tree again with `tagsmith run grow-tag-tree`, or install the tagsmith that"
            " wrote it"
        )
    try:
        nodes = _read(folder / NODES_FILE, NODES_SCHEMA)
        members = _read(folder / MEMBERS_FILE, MEMBERS_SCHEMA)
    except (ValueError, KeyError, OSError, pa.ArrowException) as error:
        raise _unreadable(folder, error) from error
    try:
        return TreeTable.checked(nodes, members, config)
    except InputError as error:
        raise InputError(f"the tag tree in {str(folder)!r} cannot be used: {error}") from error


def _read(path: Path, schema: pa.Schema) -> pa.Table:
    return pq.read_table(path).select(schema.names).cast(schema)


def _unreadable(folder: Path, error: Exception) -> InputError:
    return InputError(
        f"the tag tree in {str(folder)!r} cannot be read ({str(error).splitlines()[0]:.200}); save it again"
    )


def columns_of(table: pa.Table, needed: tuple[str, ...], schema: pa.Schema, what: str) -> dict[str, Any]:
    """The columns of a table from elsewhere that a tree can use, as lists.

    Raises:
        InputError: a needed column is missing, or one is of another type.
    """
    if missing := [name for name in needed if name not in table.column_names]:
        raise InputError(f"the table of {what} has no column {missing[0]!r}; it has: {', '.join(table.column_names)}")
    columns: dict[str, Any] = {}
    for name in (name for name in schema.names if name in table.column_names):
        try:
            columns[name] = table[name].cast(schema.field(name).type).to_pylist()
        except (pa.ArrowException, NotImplementedError) as error:
            kind = schema.field(name).type
            raise InputError(f"the table of {what}: column {name!r} is {table[name].type}, expected {kind}") from error
    return columns
