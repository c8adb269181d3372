"""A tag pool as a folder: table, embeddings, parameters and the version of the format."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tagsmith.processors.errors import InputError
from tagsmith.processors.tag_evol.pool_table import SCHEMA

FORMAT_VERSION = 1  # raise it when a folder of before can no longer be read
TABLE_FILE, VECTORS_FILE, CONFIG_FILE = "pool.parquet", "embeddings.npy", "config.json"

# Makes `load_dataset(folder)` work, locally and on the Hub.
CARD = """---
configs:
- config_name: default
  data_files: pool.parquet
tags:
- tagsmith
- tag-evol
---
# Tag pool

{n_tags:,} tags under {n_aspects:,} aspects, with the number of rows that carry each (Tag-Evol). Columns: `tag`;
`aspect`: the one under which it stands most often; `count`; `weight`: its relative weight in draws; `aspects`: all of
its aspects with their counts. `embeddings.npy` has one unit vector a tag, by {model}. `config.json` has the parameters.

```python
from tagsmith.processors.tag_evol.tag_pool import TagPool

TagPool.from_pretrained("folder").find("a tag")
```
"""


def save_pool(folder: Path, table: pa.Table, vectors: NDArray[np.float32] | None, config: dict[str, Any]) -> None:
    """Write `pool.parquet`, `embeddings.npy` if there are any, `README.md` (for the Hub) and, last, `config.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONFIG_FILE).unlink(missing_ok=True)  # without it, a half-written folder does not load
    pq.write_table(table, folder / TABLE_FILE, compression="zstd")
    (folder / VECTORS_FILE).unlink(missing_ok=True)
    if vectors is not None:
        np.save(folder / VECTORS_FILE, vectors)
    aspects = len(set(table["aspect"].drop_null().to_pylist()))
    words = {"n_tags": len(table), "n_aspects": aspects, "model": config["embedding_model"]}
    (folder / "README.md").write_text(CARD.format(**words), encoding="utf-8")
    part = folder / f"{CONFIG_FILE}.part"
    written = {"format_version": FORMAT_VERSION, **config}
    part.write_text(json.dumps(written, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(part, folder / CONFIG_FILE)


def load_pool(folder: Path) -> tuple[pa.Table, NDArray[np.float32] | None, dict[str, Any]]:
    """Read a folder that `save_pool` wrote.

    Raises:
        InputError: a file is missing or is not what `save_pool` writes, or the folder is of another format version.
    """
    for name in (CONFIG_FILE, TABLE_FILE):
        if not (folder / name).is_file():
            raise InputError(
                f"{str(folder)!r} has no {name}; expected a tag pool's folder, as TagPool.save_pretrained writes it"
            )
    try:
        config = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
    except ValueError as error:
        raise _unreadable(folder, error) from error
    found = config.pop("format_version", None) if isinstance(config, dict) else None
    if found != FORMAT_VERSION:
        raise InputError(
            f"the tag pool in {str(folder)!r} is of format version {found}; this tagsmith reads version"
            f" {FORMAT_VERSION}: make the pool again with `tagsmith run build-tag-pool`, or install the tagsmith that"
            " wrote it"
        )
    try:
        table = pq.read_table(folder / TABLE_FILE).select(SCHEMA.names).cast(SCHEMA)
        vectors = np.load(folder / VECTORS_FILE) if (folder / VECTORS_FILE).is_file() else None
    except (ValueError, KeyError, OSError, pa.ArrowException) as error:
        raise _unreadable(folder, error) from error
    if vectors is not None and (vectors.ndim != 2 or len(vectors) != len(table) or vectors.dtype != np.float32):
        raise InputError(
            f"the tag pool in {str(folder)!r} has {len(table)} tags and embeddings {vectors.dtype}{vectors.shape};"
            " expected one float32 vector a tag: save it again"
        )
    return table, vectors, config


def _unreadable(folder: Path, error: Exception) -> InputError:
    return InputError(
        f"the tag pool in {str(folder)!r} cannot be read ({str(error).splitlines()[0]:.200}); save it again"
    )
