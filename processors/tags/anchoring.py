"""Anchoring: each tag of a row goes to the most similar leaf of the tag tree (TAGS, §3.4)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset
from numpy.typing import NDArray

from tagsmith.processors.embedding import Embedder, TextEmbedder
from tagsmith.processors.errors import InputError
from tagsmith.processors.tag_sets import read_tag_sets
from tagsmith.processors.tags.tag_clusters import nearest
from tagsmith.processors.tags.tag_tree import TagTree
from tagsmith.processors.tags.tag_vectors import BLOCK, Vectors, embed_texts
from tagsmith.processors.typed_column import TypedColumn

MODES = ("similarity", "members")
_TYPES = {
    "leaves": pa.list_(pa.int32()),
    "tag_leaves": pa.list_(pa.int32()),
    "tag_similarities": pa.list_(pa.float32()),
    "unanchored": pa.int32(),
}
OUTPUT_COLUMNS = tuple(_TYPES)


@dataclass
class TagAnchor:
    """Find the leaf of each tag: the one whose name is most similar to it (TAGS, §3.4, "Data Anchoring").

    Input columns:
        tags (``list[str]``): tags of the row.
    Output columns:
        leaves (``list[int]``): the distinct leaves of the row's tags, as node numbers of the tree, in order of mention:
            the row's leaf activation, as `TreeSampler` reads it.
        tag_leaves (``list[int | None]``): the leaf of each tag; None where no leaf is similar enough.
        tag_similarities (``list[float]``): cosine of each tag with its most similar leaf, from −1 to 1.
        unanchored (``int``): how many of the row's tags have no leaf.

    Args:
        tree: a grown or loaded `TagTree`.
        embedder: of tags and of the leaves' names.
        min_similarity: cosine below which a tag stays unanchored; −1 anchors every tag, as the paper does.
        mode: "similarity" (the paper); "members": a tag that the tree was grown from goes to the leaf that holds it, in
            whatever words that is named, and only others go by similarity.
        tags_column: name of the column.
        work: folder for the tags' vectors. That of a tree grown by the same model over the same tags has them already.

    Raises:
        InputError: settings out of range; the column is missing, or a row has no tag list.

    Of equally similar leaves the first one counts. Tags are embedded 16,384 at a time and multiplied with the leaves in
    blocks of float32, so memory beyond rows and results is that of a block and of the leaves' vectors.

    Differs from the paper: it names no minimum; "members" is ours.
    """

    tree: TagTree
    embedder: Embedder = field(default_factory=TextEmbedder)
    min_similarity: float = -1.0
    mode: str = "similarity"
    tags_column: str = "tags"
    work: str | Path | None = None
    version: int = field(default=1, init=False)
    _leaf_vectors: Vectors | None = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if isinstance(self.min_similarity, bool) or not -1 <= self.min_similarity <= 1:
            raise InputError(f"min_similarity={self.min_similarity!r}: expected a cosine, from -1 to 1")
        if self.mode not in MODES:
            raise InputError(f"mode {self.mode!r} is unknown; expected {' or '.join(MODES)}")
        self.tree.fitted  # noqa: B018  # an error now, not after the rows were embedded

    def __call__(self, batch: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
        """Columns in, new columns out."""
        if self.tags_column not in batch:
            raise InputError(f"no column {self.tags_column!r} with the tags; the columns are: {', '.join(batch)}")
        made = self._columns(pa.table({self.tags_column: pa.array(batch[self.tags_column], pa.list_(pa.string()))}))
        return {name: TypedColumn(column.to_pylist(), column.type) for name, column in made.items()}

    def anchor_rows(self, dataset: Dataset) -> Dataset:
        """The whole dataset with the output columns: each distinct tag is embedded once."""
        made = self._columns(dataset.with_format("arrow").select_columns([self.tags_column])[:])
        kept = dataset.remove_columns([name for name in made if name in dataset.column_names])
        for name, column in made.items():
            kept = kept.add_column(name, column)
        return kept

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_leaf_vectors": None}

    def _columns(self, table: pa.Table) -> dict[str, pa.Array]:
        read_tag_sets(table, self.tags_column)  # whatever is wrong with the lists is said there
        lists = table[self.tags_column].combine_chunks().cast(pa.list_(pa.string()))
        sizes = pc.list_value_length(lists).to_numpy(zero_copy_only=False)
        offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)
        coded = pc.list_flatten(lists).dictionary_encode()
        codes = coded.indices.to_numpy(zero_copy_only=False)
        leaf_of, similarity_of = self._anchored(coded.dictionary)
        leaves, row = leaf_of[codes], np.repeat(np.arange(len(sizes)), sizes)
        found = leaves >= 0
        pairs = row[found] * len(self.tree) + leaves[found]
        _, first = np.unique(pairs, return_index=True)
        first.sort()
        distinct = np.bincount(row[found][first], minlength=len(sizes))
        columns = {
            "leaves": _lists(leaves[found][first], np.concatenate([[0], np.cumsum(distinct)])),
            "tag_leaves": _lists(pa.array(leaves, pa.int32(), mask=~found), offsets),
            "tag_similarities": _lists(similarity_of[codes], offsets),
            "unanchored": pa.array(np.bincount(row[~found], minlength=len(sizes))),
        }
        return {name: column.cast(_TYPES[name]) for name, column in columns.items()}

    def _anchored(self, tags: pa.Array) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Leaf and similarity of each tag; −1 for a tag without a leaf."""
        if self._leaf_vectors is None:
            names = self.tree.fitted.nodes["name"].take(self.tree.leaves).to_pylist()
            self._leaf_vectors = self.embedder.encode(names)
        leaf, similarity = np.empty(len(tags), np.int32), np.empty(len(tags), np.float32)
        texts = tags.to_pylist()
        order = np.array(sorted(range(len(texts)), key=texts.__getitem__), np.int64)  # as a tree grows over them
        ordered = [texts[number] for number in order]
        step = BLOCK if self.work is None else max(1, len(ordered))  # from a file it is all one, see `nearest`
        for start in range(0, len(ordered), step):
            part = ordered[start : start + step]
            vectors = embed_texts(part, self.embedder, None if self.work is None else Path(self.work))
            places, products = nearest(vectors, self._leaf_vectors)
            numbers = order[start : start + step]
            leaf[numbers], similarity[numbers] = self.tree.leaves[places], np.clip(products, -1, 1)
        leaf[similarity < self.min_similarity] = -1
        if self.mode == "members":
            members = self.tree.fitted.members
            row = pc.index_in(tags, members["tag"].combine_chunks())
            known = row.is_valid().to_numpy(zero_copy_only=False)
            leaf[known] = members["leaf"].take(row.drop_null()).to_numpy()
        return leaf, similarity


def _lists(values: Any, offsets: NDArray[Any]) -> pa.Array:
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(values))
