"""Score of a candidate tag: nearer to the good pool than to the bad one (Tag-Instruct, App. D.2, Eq. 2 and 3)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset, Features, Value
from numpy.typing import NDArray

from tagsmith.processors.embedding import Embedder, TextEmbedder
from tagsmith.processors.errors import InputError
from tagsmith.processors.tag_instruct.tag_pools import TagPools

# Tags embedded at a time (their vectors take 12 MB), and rows scored at a time.
TAGS_AT_A_TIME = 8_192
ROWS_AT_A_TIME = 10_000


@dataclass(eq=False)
class TagScorer:
    """Score candidate tags by their mean cosine to the good pool less that to the bad pool (App. D.2).

    With e(t) the unit embedding of tag t, T_good and T_bad the pools, and μ the mean of a pool's unit embeddings,

        score(t) = 1/|T_good| Σ_g cos(e(t), e(g)) − 1/|T_bad| Σ_b cos(e(t), e(b))      (Eq. 2, 3)
                 = e(t) · (μ_good − μ_bad)

    since the cosine of unit vectors is their dot product, which is linear: one product a candidate instead of one for
    each pair, and the same number.

    Input columns:
        candidates (``list[{tag, …}] | None``): the candidates of a row; null where it has none.
    Output columns:
        candidates (``list[{tag, …, score}] | None``): each with its ``score`` (``float | None``), between −2 and 2;
            None where there is no tag (null or empty). Rejected candidates are scored as well.

    Args:
        direction: (dim,) μ_good − μ_bad; `TagScorer.from_pools` makes it.
        embedder: the model that made it. Each distinct candidate is embedded once.
        candidates_column: name of the column.

    Raises:
        InputError: there is no such column, or its entries have no `tag`.

    The embedding model takes `author_info` and `author info` for different words: candidates and pools must be written
    alike, as `normalise_tag` does. Same as the paper and the authors' code, but for the order of the sums.

    Measured: 20 candidates for 100,000 rows (10,000 distinct), pools of 10,000, two busy cores: 0.8 s beside the
    embedding, 1.1 GB at peak (`benchmarks/score_candidates.py`).

    Example:
        >>> pools = tag_pools(utility.fitted, **POOL_VARIANTS["official"])
        >>> scorer = TagScorer.from_pools(pools)
        >>> scored = scorer.score_rows(expanded)               # or expanded.map(scorer, batched=True)
    """

    direction: NDArray[np.float64]
    embedder: Embedder = field(default_factory=TextEmbedder)
    candidates_column: str = "candidates"
    version: int = field(default=1, init=False)
    _scores: dict[str, float] = field(default_factory=dict, init=False, repr=False)

    @classmethod
    def from_pools(
        cls, pools: TagPools, embedder: Embedder | None = None, *, candidates_column: str = "candidates"
    ) -> "TagScorer":
        """Embed the two pools."""
        embedder = embedder or TextEmbedder()
        return cls(_mean(pools.good, embedder) - _mean(pools.bad, embedder), embedder, candidates_column)

    def score(self, tags: Sequence[str]) -> NDArray[np.float64]:
        """(n,) scores of tags; those seen before are not embedded again."""
        new = list(dict.fromkeys(tag for tag in tags if tag not in self._scores))
        for start in range(0, len(new), TAGS_AT_A_TIME):
            part = new[start : start + TAGS_AT_A_TIME]
            vectors = self.embedder.encode(part)
            if vectors.shape != (len(part), len(self.direction)):
                raise InputError(
                    f"the embedder made an array {vectors.shape} of {len(part)} tags; the pools were embedded to"
                    f" {len(self.direction)} dimensions: use the model that they were embedded with"
                )
            # Summed row by row: a matrix product rounds otherwise for another number of rows.
            self._scores.update(zip(part, (vectors * self.direction).sum(axis=1).tolist(), strict=True))
        return np.array([self._scores[tag] for tag in tags], np.float64)

    def score_rows(self, dataset: Dataset) -> Dataset:
        """The dataset with its candidates scored. Arrow in, Arrow out: much faster than over Python values."""
        features = self.features(dataset.features)
        if not len(dataset):  # which `map` returns as it is
            return Dataset.from_dict({name: [] for name in features}, features=features)
        mapped = dataset.with_format("arrow").map(
            self, batched=True, batch_size=ROWS_AT_A_TIME, features=features, desc="scoring candidates"
        )
        return mapped.with_format(None)

    def features(self, before: Features) -> Features:
        """Types of a dataset with the features `before` after scoring: for `Dataset.map(features=…)`."""
        listed = before.get(self.candidates_column)
        entry = getattr(listed, "feature", None)
        if not isinstance(entry, dict) or "tag" not in entry:
            raise self._not_candidates(", ".join(before) if listed is None else f"{listed}"[:80], listed is None)
        return Features({**before, self.candidates_column: type(listed)({**entry, "score": Value("float64")})})

    def __call__(self, batch: Mapping[str, Sequence[Any]] | pa.Table) -> dict[str, list[Any]] | pa.Table:
        """Columns in, the candidates' column out; an Arrow table comes back whole."""
        name = self.candidates_column
        columns = batch.column_names if isinstance(batch, pa.Table) else list(batch)
        if name not in columns:
            raise self._not_candidates(", ".join(columns), True)
        if isinstance(batch, pa.Table):
            scored = self._score_lists(batch[name].combine_chunks())
            return batch.set_column(columns.index(name), name, scored)
        rows = batch[name]
        try:
            tags = [candidate["tag"] for row in rows for candidate in row or ()]
        except (TypeError, KeyError) as error:
            raise self._not_candidates(f"{next(row for row in rows if row)!r:.80}", False) from error
        given = [tag for tag in tags if tag]
        score_of = dict(zip(given, self.score(given).tolist(), strict=True))
        return {
            name: [
                None if row is None else [candidate | {"score": score_of.get(candidate["tag"])} for candidate in row]
                for row in rows
            ]
        }

    def _score_lists(self, lists: Any) -> Any:
        """A list array of structs with the field `score` added to (or replaced in) each."""
        if isinstance(lists, pa.ChunkedArray):  # of no chunks
            lists = pa.array([], lists.type)
        lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy()
        offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int32())
        entries = lists.flatten()
        tags = pc.struct_field(entries, "tag")
        coded = pc.if_else(pc.equal(tags, ""), None, tags).dictionary_encode()
        distinct = coded.dictionary.to_pylist()
        columns = {field.name: pc.struct_field(entries, field.name) for field in entries.type}
        columns["score"] = pa.array(self.score(distinct), pa.float64()).take(coded.indices)
        scored = pa.StructArray.from_arrays(list(columns.values()), list(columns), mask=entries.is_null())
        return pa.ListArray.from_arrays(offsets, scored, mask=lists.is_null())

    def _not_candidates(self, found: str, is_missing: bool) -> InputError:
        what = f"no column {self.candidates_column!r}; the columns are: {found}"
        if not is_missing:
            what = f"column {self.candidates_column!r} holds {found}"
        return InputError(f"{what}; expected lists of candidates with a `tag`, as the expander makes them")

    def __getstate__(self) -> dict[str, Any]:
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name != "_scores"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _scores={})


def _mean(tags: Sequence[str], embedder: Embedder) -> NDArray[np.float64]:
    """(dim,) the mean of the tags' unit embeddings."""
    mean: NDArray[np.float64] = embedder.encode(tags).mean(axis=0, dtype=np.float64)
    return mean
