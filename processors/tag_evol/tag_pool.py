"""The tag pool: all tags of a tagged dataset with aspect, frequency and embedding; a folder on disk."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.json
import pyarrow.parquet as pq
from datasets import Dataset
from numpy.typing import NDArray

from tagsmith.processors.embedding import Embedder, TextEmbedder
from tagsmith.processors.errors import InputError
from tagsmith.processors.hub_folder import find_folder, push_folder
from tagsmith.processors.rule_aggregation import clean, stems
from tagsmith.processors.semantic_aggregation import semantic_aggregation
from tagsmith.processors.tag_evol.aspect_reply import KEPT_CHARACTERS
from tagsmith.processors.tag_evol.pool_counts import Mentions, by_rule, read_mentions
from tagsmith.processors.tag_evol.pool_folder import load_pool, save_pool
from tagsmith.processors.tag_evol.pool_table import make_table, read_rows
from tagsmith.processors.tag_evol.pool_union import united


@dataclass(eq=False)
class TagPool:
    """Every tag of a tagged dataset (Tag-Evol, §3.1): the strategies from which instructions are evolved.

    Input columns of `fit`:
        aspects (``list[{aspect: str, tags: list[str]}]``), as `AspectTagger` makes them; or, where that column is not
        there, tags (``list[str]``): flat tags of #InsTag, Tag-Instruct or TAGS, which have no aspects.

    Tags are normalised as #InsTag does it, by its rule stage: lower case, special characters as spaces, spellings with
    the same stems as one, under the most frequent of them; `eps` adds its semantic stage. (#InsTag's own canonical tags
    pass through this unchanged.) Aspects' names are normalised by the rule stage as well. The order of the rows changes
    nothing.

    Args:
        min_count: tags of fewer rows are left out; the paper keeps all.
        keep_characters: special characters that stay in tags: "+#" keeps C++ and C# apart.
        eps: cosine distance below which tags become one (#InsTag's semantic stage); None: they do not. The paper's pool
            is not merged.
        tags_column, aspects_column: names of the columns. An `aspects_column` of "" reads flat tags only.
        embedder: embeds tags, when embeddings are needed.
        pool: the result of `fit`: the table with one row a tag, the most frequent first. `tag`; `aspect`: the one under
            which it stands in most rows, null where none is known; `count`: rows that carry it; `weight`: its relative
            weight in draws (1, unless pools were mixed); `aspects`: all of its aspects, each with its rows.
        config: how it was made, as JSON values.

    Raises:
        InputError: min_count or eps out of range; in `fit`: no such columns, a row with null, no tags, or min_count
            leaves none. Everything but `fit` and the constructors raises it before there is a pool.

    Differs from the paper: that stores a dictionary from aspect to tags; a tag that stands under several aspects is one
    entry here, which knows all of them, so that no draw can bring it twice. Differs from the authors' code, which has
    lower case and spaces for underscores only: inflections and punctuation are levelled, too.

    Example:
        >>> pool = TagPool().fit(tagged)
        >>> pool.save_pretrained("runs/pool")
        >>> sampler = CandidateSampler(TagPool.from_pretrained("runs/pool"), n=21)
    """

    min_count: int = 1
    keep_characters: str = KEPT_CHARACTERS
    eps: float | None = None
    tags_column: str = "tags"
    aspects_column: str = "aspects"
    embedder: Embedder = field(default_factory=TextEmbedder)
    pool: pa.Table | None = field(default=None, repr=False)
    config: dict[str, Any] = field(default_factory=dict, repr=False)

    version: int = field(default=1, init=False)
    _vectors: NDArray[np.float32] | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        if isinstance(self.min_count, bool) or not isinstance(self.min_count, int) or self.min_count < 1:
            raise InputError(f"min_count={self.min_count!r}: expected a whole number of rows from 1")
        if self.eps is not None and not 0 < self.eps < 2:
            raise InputError(f"eps={self.eps!r}: expected a cosine distance in (0, 2), 0.1 say, or None")

    def fit(self, dataset: Dataset) -> "TagPool":
        """Collect the tags of the whole dataset, and return self."""
        mentions = read_mentions(dataset, self.aspects_column, self.tags_column)
        raw_tags, with_tags = len(mentions.tag_names), len(np.unique(mentions.rows))
        mentions = by_rule(mentions, self.keep_characters)
        if not mentions.tag_names:
            raise InputError(
                f"{mentions.n_rows} rows hold no tag that has a letter or digit; expected tagged rows: run the tagger"
                " first"
            )
        if self.eps is not None:
            mentions = self._merged(mentions, self.eps)
        counts = dict(zip(mentions.tag_names, mentions.tag_rows.tolist(), strict=True))
        kept = {tag: count for tag, count in counts.items() if count >= self.min_count}
        if not kept:
            raise InputError(
                f"min_count={self.min_count} leaves no tag: the most frequent of {len(counts):,} is in"
                f" {max(counts.values()):,} rows; use min_count={max(counts.values())} or less"
            )
        aspects = {key: count for key, count in mentions.aspect_rows().items() if key[0] in kept}
        facts = {
            "rows": mentions.n_rows,
            "rows_with_tags": with_tags,
            "mentions": len(mentions.tags),
            "raw_tags": raw_tags,
        }
        self._set(make_table(kept, dict.fromkeys(kept, 1.0), aspects), facts)
        return self

    @property
    def table(self) -> pa.Table:
        """The table; raises InputError before `fit`."""
        if self.pool is None:
            raise InputError("the TagPool is empty; call fit(dataset), TagPool.from_pretrained or TagPool.from_table")
        return self.pool

    def __len__(self) -> int:
        return len(self.table)

    @cached_property
    def tags(self) -> list[str]:
        """The tags, most frequent first; a tag's place is its number."""
        made: list[str] = self.table["tag"].to_pylist()
        return made

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """Rows that carry each tag."""
        made: NDArray[np.int64] = self.table["count"].to_numpy()
        return made

    @cached_property
    def weights(self) -> NDArray[np.float64]:
        """Each tag's relative weight in draws."""
        made: NDArray[np.float64] = self.table["weight"].to_numpy()
        return made

    @property
    def vectors(self) -> NDArray[np.float32]:
        """(tags, dim), each of length 1: as saved, else made at the first use."""
        if self._vectors is None:
            self._vectors = self.embedder.encode(self.tags)
        return self._vectors

    def clean(self, tag: str) -> str:
        """A tag as the rule stage writes it; empty for a text without a letter or digit."""
        return clean(tag, self.keep_characters)

    def key(self, tag: str) -> str:
        """Equal for spellings of one tag; empty for a text without a letter or digit."""
        return stems(self.clean(tag))

    def find(self, tag: str) -> int | None:
        """The number of a tag, in whatever spelling; None where the pool does not have it."""
        return self._numbers.get(self.key(tag))

    def by_aspect(self) -> dict[str, list[str]]:
        """Aspect → its tags, as the paper stores a pool: the aspects with most tags first. Flat tags are under ""."""
        found: dict[str, list[str]] = {}
        for tag, entries in zip(self.tags, self.table["aspects"].to_pylist(), strict=True):
            for name in [entry["aspect"] for entry in entries] or [""]:
                found.setdefault(name, []).append(tag)
        return dict(sorted(found.items(), key=lambda item: (-len(item[1]), item[0])))

    def save_pretrained(self, folder: str | Path, *, embeddings: bool = True) -> None:
        """Write table, embeddings and parameters to a folder.

        Args:
            embeddings: whether to embed the tags if that has not been done, and to save the vectors: 1.5 KB a tag with
                the bundled model. Without, whoever needs them makes them again.
        """
        save_pool(Path(folder), self.table, self.vectors if embeddings else None, self.config)

    @classmethod
    def from_pretrained(cls, folder: str | Path, *, embedder: Embedder | None = None, **download: Any) -> "TagPool":
        """Read a folder that `save_pretrained` wrote, or a dataset repository that `push_to_hub` made.

        Args:
            folder: a path, or a repository's id on the Hub.
            embedder: in place of a `TextEmbedder` of the model that the pool names, which the saved vectors are from.
            download: for `huggingface_hub.snapshot_download`: `revision`, `token`, …

        Raises:
            InputError: there is no pool, it cannot be read, or it is of another format version.
        """
        table, vectors, config = load_pool(find_folder(folder, "tag pool", **download))
        names = ("min_count", "keep_characters", "eps", "tags_column", "aspects_column")
        pool = cls(
            **{name: config[name] for name in names if name in config},
            embedder=embedder or TextEmbedder(config["embedding_model"]),
            pool=table,
            config=config,
        )
        pool._vectors = vectors
        return pool

    @classmethod
    def from_table(
        cls,
        table: str | Path | pa.Table | Dataset,
        *,
        keep_characters: str = KEPT_CHARACTERS,
        embedder: Embedder | None = None,
    ) -> "TagPool":
        """Take a pool that was made elsewhere: the table of a release, or a list of tags of your own.

        Args:
            table: `tag`, and if known `count`, `weight`, `aspect` (or `aspects`); a JSON Lines or Parquet file, or in
                memory. Spellings of one tag become one, as in `fit`.

        Raises:
            InputError: the file cannot be read, or what is in it is no tag pool (names the first bad row).
        """
        name = Path(table).name if isinstance(table, str | Path) else None
        if isinstance(table, str | Path):
            table = _read_file(Path(table))
        elif isinstance(table, Dataset):
            table = table.with_format("arrow")[:]
        rows = read_rows(table)
        made = cls(keep_characters=keep_characters, embedder=embedder or TextEmbedder())
        made._set(united([(rows, 1.0)], keep_characters), {"source": name, "raw_tags": len(rows)})
        return made

    @classmethod
    def of_parts(cls, parts: Sequence[tuple["TagPool", float]], facts: Mapping[str, Any]) -> "TagPool":
        """The pools as one, each with a factor on its weights: see `mix_pools`, which checks them."""
        first = parts[0][0]
        made = cls(keep_characters=first.keep_characters, embedder=first.embedder)
        made._set(united([(pool.table, factor) for pool, factor in parts], first.keep_characters), facts)
        if all(pool._vectors is not None for pool, _ in parts):
            known = {tag: vector for pool, _ in parts for tag, vector in zip(pool.tags, pool.vectors, strict=True)}
            made._vectors = np.stack([known[tag] for tag in made.tags])
        return made

    def push_to_hub(self, repo_id: str, *, private: bool | None = None, token: str | None = None, **upload: Any) -> str:
        """Upload the folder of `save_pretrained` as a dataset repository, made if need be; returns the commit's URL.

        Args:
            upload: for `HfApi.upload_folder`: `commit_message`, `revision`, …
        """
        return push_folder(self.save_pretrained, repo_id, private=private, token=token, **upload)

    def _merged(self, mentions: Mentions, eps: float) -> Mentions:
        """Tags of similar meaning as one: #InsTag's semantic stage."""
        vectors = self.embedder.encode(mentions.tag_names)
        names = semantic_aggregation(mentions.tag_names, mentions.tag_rows.tolist(), vectors, eps=eps)
        return mentions.renamed(names, mentions.aspect_names)

    def _set(self, table: pa.Table, facts: Mapping[str, Any]) -> None:
        names = ("min_count", "keep_characters", "eps", "tags_column", "aspects_column", "version")
        self.config = {name: getattr(self, name) for name in names}
        self.config |= {"embedding_model": self.embedder.model, **facts}
        self.pool, self._vectors = table, None
        for name in ("tags", "counts", "weights", "_numbers"):
            self.__dict__.pop(name, None)

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {self.key(tag): number for number, tag in enumerate(self.tags)}

    def __getstate__(self) -> dict[str, Any]:
        # Embeddings follow from tags and model: they must not change a fingerprint, and are made again elsewhere.
        names = ("min_count", "keep_characters", "eps", "tags_column", "aspects_column", "embedder", "pool", "config")
        return {name: getattr(self, name) for name in (*names, "version")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _vectors=None)


def _read_file(path: Path) -> pa.Table:
    try:
        return pq.read_table(path) if path.suffix == ".parquet" else pa.json.read_json(path)
    except (OSError, pa.ArrowException) as error:
        raise InputError(
            f"tag pool {str(path)!r} cannot be read ({str(error).splitlines()[0]:.200}); expected JSON Lines or Parquet"
        ) from error
