"""TagScorer: one product a candidate equals Eq. 2 and 3 pair by pair, and each distinct candidate is embedded once."""

import pickle
from collections import Counter
from dataclasses import dataclass, field
from hashlib import blake2b

import numpy as np
import pyarrow as pa
import pytest
from datasets import Dataset, Features, List, Value
from datasets.fingerprint import Hasher
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics.pairwise import cosine_similarity

from tagsmith.processors.embedding import TextEmbedder
from tagsmith.processors.errors import InputError
from tagsmith.processors.tag_instruct.tag_pools import TagPools
from tagsmith.processors.tag_instruct.tag_score import TagScorer

CANDIDATE = {"tag": Value("string"), "status": Value("string")}


@dataclass
class HashEmbedder:
    """Unit vectors that depend on the text alone; counts what it is asked."""

    dim: int = 7
    model: str = "hash"
    asked: Counter = field(default_factory=Counter)

    def encode(self, texts):
        self.asked.update(texts)
        seeds = [int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big") for text in texts]
        vectors = np.array([np.random.default_rng(seed).normal(size=self.dim) for seed in seeds]).reshape(-1, self.dim)
        return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def pools(good, bad):
    return TagPools(good, bad, 1.0, 0.0, 1, len(good) + len(bad))


def by_pairs(embedder, tags, good, bad):
    """Eq. 2 and 3 as printed."""
    vectors = [embedder.encode(texts).astype(np.float64) for texts in (tags, good, bad)]
    return cosine_similarity(vectors[0], vectors[1]).mean(axis=1) - cosine_similarity(vectors[0], vectors[2]).mean(
        axis=1
    )


def expanded(*rows):
    """A dataset of candidate lists; a tag alone stands for a candidate."""
    lists = [None if row is None else [{"tag": tag, "status": "ok"} for tag in row] for row in rows]
    return Dataset.from_dict(
        {"id": [str(number) for number in range(len(rows))], "candidates": lists},
        features=Features({"id": Value("string"), "candidates": List(CANDIDATE)}),
    )


some_tags = st.lists(st.text("abcdef ", min_size=1, max_size=6), min_size=1, max_size=12, unique=True)


@settings(max_examples=100, deadline=None)
@given(some_tags, some_tags, some_tags, st.integers(2, 40))
def test_one_product_equals_the_pairwise_form(tags, good, bad, dim):
    embedder = HashEmbedder(dim)
    scores = TagScorer.from_pools(pools(good, bad), embedder).score(tags)
    np.testing.assert_allclose(scores, by_pairs(embedder, tags, good, bad), atol=1e-6)
    assert (np.abs(scores) <= 2 + 1e-6).all()


def test_one_product_equals_the_pairwise_form_with_the_bundled_model():
    good = ["strategic planning", "research methodology", "marketing strategy", "system architecture"]
    bad = ["spelling", "subtraction", "addition", "yes or no question", "typo"]
    tags = ["responsive design", "user authentication", "count letters", "business analysis"]
    scores = TagScorer.from_pools(pools(good, bad)).score(tags)
    np.testing.assert_allclose(scores, by_pairs(TextEmbedder(), tags, good, bad), atol=1e-6)
    assert scores[3] > scores[0] > scores[2]  # the nearer to planning and the farther from spelling, the higher


def test_a_tag_of_the_good_pool_alone_scores_one_less_its_likeness_to_the_bad_one():
    embedder = HashEmbedder()
    scorer = TagScorer.from_pools(pools(["x"], ["y"]), embedder)
    likeness = float(embedder.encode(["x"])[0] @ embedder.encode(["y"])[0])
    np.testing.assert_allclose(scorer.score(["x", "y"]), [1 - likeness, likeness - 1], atol=1e-6)


def test_candidates_get_their_score_and_keep_the_rest():
    embedder = HashEmbedder()
    scorer = TagScorer.from_pools(pools(["x"], ["y"]), embedder)
    rows = expanded(["a", None, "b"], None, [], ["", "a"])
    scored = scorer.score_rows(rows)
    a, b = scorer.score(["a", "b"]).tolist()
    assert scored["candidates"][:] == [
        [
            {"tag": "a", "status": "ok", "score": a},
            {"tag": None, "status": "ok", "score": None},
            {"tag": "b", "status": "ok", "score": b},
        ],
        None,
        [],
        [{"tag": "", "status": "ok", "score": None}, {"tag": "a", "status": "ok", "score": a}],
    ]
    assert scored["id"][:] == rows["id"][:]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.none() | st.lists(st.none() | st.text("ab", max_size=2), max_size=4), min_size=1, max_size=9),
    st.randoms(use_true_random=False),
)
def test_arrow_and_python_ways_agree_on_any_rows(lists, random):
    rows = expanded(*lists)
    order = random.sample(range(len(rows)), random.randint(1, len(rows)))
    rows = rows.select(order)  # slices and gathered rows as well
    scorer = TagScorer.from_pools(pools(["x"], ["y"]), HashEmbedder())
    in_arrow = scorer.score_rows(rows)
    in_python = rows.map(scorer, batched=True, batch_size=2, features=scorer.features(rows.features))
    assert in_arrow[:] == in_python[:]
    assert in_arrow.features == in_python.features
    expected = [None if lists[row] is None else [bool(tag) for tag in lists[row]] for row in order]
    found = [None if row is None else [c["score"] is not None for c in row] for row in in_arrow["candidates"]]
    assert found == expected


def test_each_distinct_candidate_is_embedded_once():
    embedder = HashEmbedder()
    scorer = TagScorer.from_pools(pools(["x"], ["y"]), embedder)
    embedder.asked.clear()
    rows = expanded(*[["a", "b", f"c{number % 3}"] for number in range(40)])
    rows.map(scorer, batched=True, batch_size=4, features=scorer.features(rows.features), load_from_cache_file=False)
    scorer.score_rows(rows)
    assert embedder.asked == dict.fromkeys(["a", "b", "c0", "c1", "c2"], 1)


def test_scoring_again_replaces_the_score():
    rows = expanded(["a"])
    first = TagScorer.from_pools(pools(["x"], ["y"]), HashEmbedder()).score_rows(rows)
    second = TagScorer.from_pools(pools(["y"], ["x"]), HashEmbedder())
    turned = second.score_rows(first)["candidates"][0][0]
    assert turned["score"] == pytest.approx(-first["candidates"][0][0]["score"])
    assert list(turned) == ["tag", "status", "score"]


def test_it_pickles_and_its_memory_is_no_part_of_the_state():
    scorer = TagScorer.from_pools(pools(["x"], ["y"]), TextEmbedder())
    again = pickle.loads(pickle.dumps(scorer))
    before = Hasher.hash(scorer)
    scores = scorer.score(["a tag", "another"])
    np.testing.assert_allclose(again.score(["a tag", "another"]), scores, atol=1e-6)
    assert Hasher.hash(scorer) == before
    assert Hasher.hash(TagScorer.from_pools(pools(["z"], ["y"]), TextEmbedder())) != before


def test_a_missing_column_is_named():
    scorer = TagScorer(np.ones(7), HashEmbedder())
    with pytest.raises(InputError, match="no column 'candidates'; the columns are: id"):
        scorer.score_rows(Dataset.from_dict({"id": ["a"]}))
    with pytest.raises(InputError, match="no column 'candidates'; the columns are: id"):
        scorer({"id": ["a"]})


def test_candidates_that_are_plain_texts_are_refused():
    scorer = TagScorer(np.ones(7), HashEmbedder())
    with pytest.raises(InputError, match="candidates with a `tag`"):
        scorer.score_rows(Dataset.from_dict({"candidates": [["a"]]}))
    with pytest.raises(InputError, match="candidates with a `tag`"):
        scorer({"candidates": [["a"]]})


def test_another_model_than_the_pools_were_embedded_with():
    with pytest.raises(InputError, match=r"\(1, 9\).*embedded to 7 dimensions"):
        TagScorer(np.ones(7), HashEmbedder(9)).score(["a"])


def test_an_empty_dataset_stays_empty():
    rows = expanded(["a"]).select([])
    scored = TagScorer(np.ones(7), HashEmbedder()).score_rows(rows)
    assert len(scored) == 0
    assert scored.features["candidates"].feature.keys() == {"tag", "status", "score"}


def test_large_lists_are_read_too():
    kind = pa.large_list(pa.struct({"tag": pa.string(), "status": pa.string()}))
    lists = pa.chunked_array([pa.array([[{"tag": "a", "status": "ok"}]], kind), pa.array([None], kind)])
    scored = TagScorer(np.ones(7), HashEmbedder())(pa.table({"candidates": lists}))
    assert [None if row is None else len(row) for row in scored["candidates"].to_pylist()] == [1, None]
