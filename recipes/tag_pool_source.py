"""Open the tag pool that `--pool` names: a release of build-tag-pool, a saved pool, a plain file, or a mixture."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow.parquet as pq
from datasets import Dataset

from tagsmith.cards.errors import ReleaseError
from tagsmith.cards.language import UNDETERMINED, detect_languages
from tagsmith.cards.manifest import read_manifest
from tagsmith.cards.opened_release import OpenedRelease, open_release
from tagsmith.processors.embedding import Embedder
from tagsmith.processors.errors import InputError
from tagsmith.processors.tag_evol.pool_mixture import mix_pools
from tagsmith.processors.tag_evol.tag_pool import TagPool

# Config of a release that holds the pool which its rows were made with, so that it can be made again.
CONFIG = "pool"
_EXPECTED = (
    "give a release of `tagsmith run build-tag-pool` (a folder, or org/name@v1.0.0), a folder that"
    " TagPool.save_pretrained wrote, or a table as .parquet or .jsonl (tag, and if known count, weight, aspect)"
)
_TAGS_A_TEXT = 20  # tags told together: a language cannot be told from one or two words


def open_pool(name: str, embedder: Embedder | None = None) -> TagPool:
    """A tag pool, or several mixed: `a=2,b=1` draws twice as often from `a` as from `b`.

    Raises:
        InputError: there is no such thing, it is no tag pool, or it is of another format version.
    """
    parts = [part.strip() for part in name.split(",")]
    if len(parts) == 1:
        return _open_one(name, embedder)
    weights: dict[str, float] = {}
    for part in parts:
        source, _, weight = part.rpartition("=") if "=" in part else (part, "", "1")
        try:
            weights[source] = float(weight)
        except ValueError as error:
            raise InputError(f"--pool {name}: {weight!r} is no weight; expected NAME=WEIGHT,NAME=WEIGHT") from error
    if len(weights) < len(parts):
        raise InputError(f"--pool {name} names a pool twice; name each once")
    return mix_pools({source: _open_one(source, embedder) for source in weights}, weights)


def language_warning(pool: TagPool, rows: Dataset) -> str | None:
    """A warning where most tags of the pool are in a language that hardly any row is in; None where all is well.

    Both are told from samples. Tags in several languages, code and mathematics without words raise no warning.
    """
    texts = [", ".join(pool.tags[first : first + _TAGS_A_TEXT]) for first in range(0, len(pool), _TAGS_A_TEXT)]
    of_pool, of_rows = (_main(detect_languages(Dataset.from_dict({"instruction": texts}))), _all(rows))
    if of_pool is None or not of_rows or of_pool in of_rows:
        return None
    return (
        f"the pool's tags are mostly in {of_pool!r}, the rows in {', '.join(map(repr, of_rows))}: instructions may come"
        " out mixed; build the pool from rows in their language"
    )


def _open_one(name: str, embedder: Embedder | None) -> TagPool:
    path = Path(name).expanduser()
    try:
        if path.is_file():
            return TagPool.from_table(path, embedder=embedder)
        if path.is_dir():
            if read_manifest(path) is not None:
                return _of_release(open_release(name), embedder)
            if files := sorted(path.glob("*-of-*.parquet")):  # a config of a release
                return TagPool.from_table(pq.read_table([str(file) for file in files]), embedder=embedder)
            return TagPool.from_pretrained(path, embedder=embedder)
        if "@" in name:
            return _of_release(open_release(name), embedder)
    except ReleaseError as error:
        raise InputError(f"--pool {name}: {error}; {_EXPECTED}") from error
    raise InputError(f"--pool {name!r} does not exist; {_EXPECTED}")


def _of_release(release: OpenedRelease, embedder: Embedder | None) -> TagPool:
    config = release.manifest["default"] if release.manifest["recipe"] == "build_tag_pool" else CONFIG
    if config not in release.manifest["configs"]:
        raise InputError(f"--pool {release.name} holds no tag pool; {_EXPECTED}")
    (table,) = release.load(config).values()
    kept = release.manifest["config"].get("keep_characters")
    return TagPool.from_table(table, embedder=embedder, **({"keep_characters": kept} if kept is not None else {}))


def _main(languages: object) -> str | None:
    shares: dict[str, float] = dict(languages.shares)  # type: ignore[attr-defined]
    shares.pop(UNDETERMINED, None)
    best = max(shares, key=lambda code: shares[code], default=None)
    return best if best is not None and shares[best] > 0.5 else None


def _all(rows: Dataset) -> Sequence[str]:
    texts = rows.select_columns([name for name in ("instruction", "messages") if name in rows.column_names])
    return detect_languages(texts).codes
