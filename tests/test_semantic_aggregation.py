"""Close pairs against the definition, clusters against scikit-learn's DBSCAN, and the names that clusters get."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import DBSCAN

from tagsmith.processors import close_pairs as close_pairs_module
from tagsmith.processors import semantic_aggregation as semantic_module
from tagsmith.processors.close_pairs import close_pairs
from tagsmith.processors.embedding import TextEmbedder
from tagsmith.processors.errors import InputError
from tagsmith.processors.semantic_aggregation import dbscan, semantic_aggregation


def sklearn_labels(vectors, eps, min_samples):
    # In float64: in float32 scikit-learn's own rounding decides about pairs near the threshold.
    return DBSCAN(eps=eps, min_samples=min_samples, metric="cosine").fit(vectors.astype(np.float64)).labels_


def pairs_by_definition(vectors, eps):
    vectors = vectors.astype(np.float64)
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-300)
    return set(zip(*np.nonzero(np.triu(1 - unit @ unit.T <= eps, 1)), strict=True))


def found_pairs(vectors, eps):
    found = [pair for i, j in close_pairs(vectors, eps) for pair in zip(i, j, strict=True)]
    assert len(found) == len(set(found))
    return set(found)


def clustered(n, dim, seed, spread=0.1):
    """Unit vectors in groups of a few near-duplicates, with unequal variance along the axes as embeddings have."""
    random = np.random.default_rng(seed)
    axes = (np.arange(dim) + 2.0) ** -0.5
    centres = random.standard_normal((n // 3 + 1, dim)) * axes
    vectors = centres[random.integers(0, len(centres), n)] + spread * random.standard_normal((n, dim)) * axes
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@settings(deadline=None, max_examples=150)
@given(
    n=st.integers(1, 70),
    dim=st.integers(2, 5),
    eps=st.sampled_from([0.003, 0.02, 0.05, 0.3, 0.9, 1.3]),
    min_samples=st.integers(1, 6),
    seed=st.integers(0, 2**32 - 1),
)
def test_labels_equal_sklearn(n, dim, eps, min_samples, seed):
    random = np.random.default_rng(seed)
    vectors = random.standard_normal((n, dim)).astype(np.float32) * random.uniform(0.1, 10)
    vectors[random.random(n) < 0.1] = vectors[0]  # duplicates
    vectors[random.random(n) < 0.02] = 0  # and zero vectors, at distance 1 from all
    np.testing.assert_array_equal(dbscan(vectors, eps, min_samples), sklearn_labels(vectors, eps, min_samples))


@pytest.mark.parametrize(("eps", "min_samples"), [(0.05, 2), (0.02, 4), (0.3, 5)])
def test_labels_equal_sklearn_where_the_short_bound_is_used(eps, min_samples):
    vectors = clustered(5000, 64, seed=int(eps * 100))
    assert close_pairs_module._sketch(vectors, 1 - eps).shape[1] < 64
    labels = dbscan(vectors, eps, min_samples)
    assert len(set(labels.tolist())) > 2
    np.testing.assert_array_equal(labels, sklearn_labels(vectors, eps, min_samples))


@pytest.mark.parametrize(("dtype", "n"), [(np.float32, 700), (np.float64, 700), (np.float32, 201), (np.float32, 38)])
def test_pairs_equal_the_definition_over_several_blocks(monkeypatch, dtype, n):
    for name, value in (("ROWS", 37), ("COLUMNS", 50), ("STRIP", 100)):
        monkeypatch.setattr(close_pairs_module, name, value)
    vectors = 3 * clustered(n, 48, seed=5).astype(dtype)
    vectors[-1] = vectors[0]  # a pair in the corner block
    for eps in (0.01, 0.1, 0.8):
        expected = pairs_by_definition(vectors, eps)
        assert (0, n - 1) in expected
        assert found_pairs(vectors, eps) == expected


def test_rounding_of_float32_decides_nothing():
    vectors = clustered(300, 384, seed=9, spread=0.3)
    exact = vectors.astype(np.float64)
    exact /= np.linalg.norm(exact, axis=1, keepdims=True)
    for i, j in [(3, 250), (7, 8), (100, 200), (11, 299), (42, 43)]:
        distance = 1 - exact[i] @ exact[j]
        assert (i, j) in found_pairs(vectors, distance + 1e-13)
        assert (i, j) not in found_pairs(vectors, distance - 1e-13)


def test_many_equal_vectors_are_one_cluster_within_bounded_memory(monkeypatch):
    monkeypatch.setattr(semantic_module, "MAX_EDGES", 1000)
    vectors = np.repeat(clustered(2, 24, seed=1, spread=1.0), 800, axis=0)
    np.testing.assert_array_equal(dbscan(vectors, 0.001), np.repeat([0, 1], 800))


@pytest.mark.parametrize("order", [[0, 1, 2, 3, 4, 5, 6, 7, 8], [4, 8, 7, 6, 5, 0, 1, 2, 3]])
def test_a_border_joins_the_cluster_whose_first_core_comes_first(order):
    # The tag at 21.5° has a core on either side within 18.6°, which with itself makes three: it is no core for 4.
    degrees = np.array([40, 41, 42, 43, 21.5, 3, 2, 1, 0])[order]
    vectors = np.stack([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))], axis=1)
    labels = dbscan(vectors, 1 - np.cos(np.radians(18.6)), 4)
    first_group, border = (degrees > 30) == (order[-1] == 8), degrees == 21.5
    assert labels.tolist() == np.where(first_group | border, 0, 1).tolist()
    np.testing.assert_array_equal(labels, sklearn_labels(vectors, 1 - np.cos(np.radians(18.6)), 4))


def test_no_vectors_no_labels():
    assert dbscan(np.zeros((0, 8), np.float32), 0.05).tolist() == []


def test_the_most_frequent_tag_names_its_cluster_and_noise_stays_alone():
    vectors = np.array([[1, 0], [1, 0.01], [0, 1], [1, 0.02], [0.7, 0.7], [0, 1.1]])
    names = ["b", "c", "y", "a", "alone", "x"]
    assert semantic_aggregation(names, [5, 9, 2, 9, 50, 2], vectors, eps=0.05) == ["a", "a", "x", "a", "alone", "x"]


def test_table_1_with_the_bundled_model():
    # The paper's group, clustered by another model than the paper's: in all-MiniLM-L6-v2 its tags are farther apart.
    group = [
        "information request",
        "request for information",
        "request for additional information",
        "request for more information",
        "additional information request",
        "specific information request",
    ]
    names = [*group, "mathematics", "poetry"]
    vectors = TextEmbedder().encode(names)
    counts = [90, 50, 30, 30, 20, 20, 40, 40]
    assert semantic_aggregation(names, counts, vectors, eps=0.13) == [group[0]] * 6 + ["mathematics", "poetry"]


@pytest.mark.parametrize("eps", [0, -0.1, 2, float("nan")])
def test_eps_out_of_range(eps):
    with pytest.raises(InputError, match=r"eps=.*\(0, 2\)"):
        dbscan(np.eye(3), eps)


def test_min_samples_out_of_range():
    with pytest.raises(InputError, match="min_samples=0"):
        dbscan(np.eye(3), 0.05, 0)


def test_a_vector_that_is_not_finite_is_named():
    vectors = np.eye(3)
    vectors[1, 2] = np.nan
    with pytest.raises(InputError, match="vector 1 holds NaN"):
        dbscan(vectors, 0.05)
