"""Anchoring: each tag at its most similar leaf, none below the minimum, and the counts add up."""

import pickle
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tagsmith.processors.errors import InputError
from tagsmith.processors.tags import tag_vectors
from tagsmith.processors.tags.anchoring import OUTPUT_COLUMNS, TagAnchor
from tagsmith.processors.tags.tag_clusters import nearest, spherical_kmeans
from tagsmith.processors.tags.tag_tree import TagTree
from tagsmith.processors.tags.tag_vectors import embed_texts

# Root, an inner node, and leaves 1 (north), 3 (east) and 4 (also east).
NODES = pa.table(
    {"node": [0, 1, 2, 3, 4], "parent": [None, 0, 0, 2, 2], "name": ["all", "north", "inner", "east", "east too"]}
)
MEMBERS = pa.table({"tag": ["known", "other"], "leaf": [1, 4]})
PLANE = {
    "north": (0, 1),
    "east": (1, 0),
    "east too": (1, 0),
    "known": (1, 0),
    "n": (0, 1),
    "e": (1, 0),
    "ne": (0.6, 0.8),
}
PLANE |= {"south": (0, -1), "west": (-1, 0), "other": (0, 1)}


class Plane:
    """Points of the unit circle."""

    model = "plane"

    def __init__(self) -> None:
        self.seen: list[str] = []

    def encode(self, texts: Any) -> NDArray[np.float32]:
        self.seen += texts
        return np.array([PLANE[text] for text in texts], np.float32).reshape(len(texts), 2)


def anchor(**options: Any) -> TagAnchor:
    return TagAnchor(TagTree.from_table(NODES, MEMBERS), Plane(), **options)


ROWS = [["n", "e", "ne"], [], ["e", "e", "n"], ["south"], ["known"]]


def test_each_tag_goes_to_its_most_similar_leaf() -> None:
    made = anchor().anchor_rows(Dataset.from_dict({"tags": ROWS, "more": list("abcde"), "leaves": [0] * 5}))
    assert made.column_names == ["tags", "more", *OUTPUT_COLUMNS]
    assert made["tag_leaves"][:] == [[1, 3, 1], [], [3, 3, 1], [3], [3]]  # of two equal leaves the first
    assert made["leaves"][:] == [[1, 3], [], [3, 1], [3], [3]]
    assert made["tag_similarities"][0] == pytest.approx([1, 1, 0.8])
    assert made["unanchored"][:] == [0, 0, 0, 0, 0]


def test_tags_below_the_minimum_stay_unanchored() -> None:
    made = anchor(min_similarity=0.9).anchor_rows(Dataset.from_dict({"tags": ROWS}))
    assert made["tag_leaves"][:] == [[1, 3, None], [], [3, 3, 1], [None], [3]]
    assert made["leaves"][:] == [[1, 3], [], [3, 1], [], [3]]
    assert made["unanchored"][:] == [1, 0, 0, 1, 0]
    assert made["tag_similarities"][3] == [0.0]


def test_members_go_to_the_leaf_that_holds_them() -> None:
    made = anchor(mode="members", min_similarity=0.9).anchor_rows(
        Dataset.from_dict({"tags": [["known", "other", "e", "west"]]})
    )
    assert made["tag_leaves"][0] == [1, 4, 3, None]
    assert made["unanchored"][0] == 1


def test_batches_give_what_the_whole_gives_and_each_tag_is_embedded_once() -> None:
    rows = Dataset.from_dict({"tags": ROWS})
    one = anchor()
    whole = one.anchor_rows(rows)
    assert one.embedder.seen == ["north", "east", "east too", "e", "known", "n", "ne", "south"]
    again = pickle.loads(pickle.dumps(one))
    mapped = rows.map(again, batched=True, batch_size=2)
    assert mapped.features == whole.features
    assert mapped.to_dict() == whole.to_dict()


def test_vectors_that_a_tree_grew_from_are_not_made_again(tmp_path: Any) -> None:
    embed_texts(sorted({tag for row in ROWS for tag in row}), Plane(), tmp_path)
    one = anchor(work=tmp_path)
    made = one.anchor_rows(Dataset.from_dict({"tags": ROWS}))
    assert one.embedder.seen == ["north", "east", "east too"]
    assert made.to_dict() == anchor().anchor_rows(Dataset.from_dict({"tags": ROWS})).to_dict()


def test_no_rows_and_no_tags() -> None:
    empty = anchor().anchor_rows(Dataset.from_dict({"tags": [[], []]}))
    assert empty["leaves"][:] == [[], []]
    assert empty["unanchored"][:] == [0, 0]


@given(
    st.lists(st.lists(st.sampled_from([*PLANE]), max_size=6), min_size=1, max_size=8),
    st.sampled_from([-1.0, 0.0, 0.7, 1.0]),
)
@settings(max_examples=15, deadline=None)
def test_against_the_definition(rows: list[list[str]], least: float) -> None:
    made = (
        anchor(min_similarity=least)
        .anchor_rows(Dataset.from_dict({"tags": pa.array(rows, pa.list_(pa.string()))}))
        .to_list()
    )
    for tags, row in zip(rows, made, strict=True):
        expected = []
        for tag in tags:
            cosines = [float(np.float32(np.dot(PLANE[tag], PLANE[name]))) for name in ("north", "east")]
            best = int(np.argmax(cosines))
            expected.append((1, 3)[best] if cosines[best] >= least else None)
        assert row["tag_leaves"] == expected
        assert row["leaves"] == list(dict.fromkeys(leaf for leaf in expected if leaf is not None))
        assert row["unanchored"] == expected.count(None)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: anchor(min_similarity=1.5), "min_similarity=1.5"),
        (lambda: anchor(min_similarity=float("nan")), "min_similarity=nan"),
        (lambda: anchor(mode="nearest"), "similarity or members"),
        (lambda: TagAnchor(TagTree((3,)), Plane()), "has not grown"),
        (lambda: anchor()({"labels": []}), "no column 'tags'"),
        (lambda: anchor()({"tags": [["n"], None]}), "row 1"),
        (lambda: anchor().anchor_rows(Dataset.from_dict({"tags": [["n", None]]})), "null tag"),
    ],
)
def test_bad_input_is_told(call: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        call()


def unit(n: int, dim: int, seed: int = 0) -> NDArray[np.float32]:
    vectors = np.random.default_rng(seed).normal(size=(n, dim)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_nearest_is_that_of_the_whole_product_whatever_the_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, centres = unit(500, 24), unit(60, 24, 1)
    products = vectors @ centres.T
    for block in (7, 64, 1000):
        monkeypatch.setattr(tag_vectors, "BLOCK", block)
        places, found = nearest(vectors, centres)
        assert (places == products.argmax(axis=1)).all()
        np.testing.assert_allclose(found, products.max(axis=1), atol=1e-6)
    twice = np.concatenate([centres, centres])
    assert (nearest(vectors, twice)[0] == products.argmax(axis=1)).all()


def test_clusters_are_whole_repeatable_and_each_vector_is_at_its_centre() -> None:
    centres = unit(12, 32)
    vectors = centres[np.random.default_rng(3).integers(0, 12, 900)] + 0.05 * unit(900, 32, 4)
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    first, second = (spherical_kmeans(vectors, 12, seed=1) for _ in range(2))
    assert (first.labels == second.labels).all()
    assert (first.centres == second.centres).all()
    assert set(first.labels.tolist()) == set(range(len(first)))
    planted, found = (vectors @ centres.T).max(axis=1).mean(), (vectors @ first.centres.T).max(axis=1).mean()
    assert len(first) == 12
    assert found > planted - 0.05
    few = spherical_kmeans(vectors, 12, seed=1, sample_per_cluster=5)
    assert set(few.labels.tolist()) == set(range(len(few)))
    assert len(few.labels) == 900
    for k in (0, -1, True):
        with pytest.raises(InputError, match="k="):
            spherical_kmeans(vectors, k)


def test_embedding_to_a_file_goes_on_after_a_kill(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tag_vectors, "BLOCK", 3)
    texts = [*PLANE]

    class Dies(Plane):
        def encode(self, texts: Any) -> NDArray[np.float32]:
            if len(self.seen) >= 6:
                raise KeyboardInterrupt
            return super().encode(texts)

    with pytest.raises(KeyboardInterrupt):
        embed_texts(texts, Dies(), tmp_path)
    rest = Plane()
    vectors = embed_texts(texts, rest, tmp_path)
    assert rest.seen == texts[6:]
    assert vectors.tolist() == embed_texts(texts, Plane()).tolist()
    again = Plane()
    embed_texts(texts, again, tmp_path)
    assert not again.seen
    assert len(list(tmp_path.iterdir())) == 1


def test_vectors_that_are_no_numbers_are_told(tmp_path: Any) -> None:
    class Broken(Plane):
        def encode(self, texts: Any) -> NDArray[np.float32]:
            return np.full((len(texts), 2), np.nan, np.float32)

    for folder in (None, tmp_path):
        with pytest.raises(InputError, match="tag 0 holds NaN"):
            embed_texts(["n"], Broken(), folder)
