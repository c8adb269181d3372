"""MIG's sampler against a dense reference, and target distributions."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from datasets import Dataset
from scipy.sparse import csr_array

from tagsmith.processors.errors import InputError
from tagsmith.processors.tags.label_graph_sampler import LabelGraphSampler, similar_labels
from tagsmith.processors.tags.target_distribution import target_from_rows, target_from_subtrees
from tagsmith.processors.tags.tree_shape import tree_shape

ORACLE = Path(__file__).resolve().parents[2] / "shared" / "oracle" / "label_graph_reference.py"


@pytest.fixture(scope="module")
def oracle():
    if not ORACLE.exists():
        pytest.skip("../shared/oracle is not beside this checkout")
    spec = importlib.util.spec_from_file_location("label_graph_reference", ORACLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def as_csr(labels):
    return np.concatenate([[0], np.cumsum(labels.sum(axis=1))]), np.nonzero(labels)[1]


def long_double_scores(labels, score, similarity, picked, threshold, per_label):
    long = np.longdouble
    w = np.where(similarity >= threshold, similarity, 0.0).astype(long)
    count = np.maximum(labels.sum(axis=1, keepdims=True), 1) if per_label else 1
    x = labels * score.astype(long)[:, None] / count @ (w / w.sum(axis=0))
    power, eps = long(str(0.8)), long(str(1e-6))
    scores = x @ (power * (x[picked].sum(axis=0) + eps) ** (power - 1))
    scores[picked] = -1
    return scores


def test_picks_are_the_dense_reference_s(oracle):
    for seed in range(300):
        rng = np.random.default_rng(seed)
        n_rows, n_labels = int(rng.integers(1, 25)), int(rng.integers(1, 9))
        labels = (rng.random((n_rows, n_labels)) < 0.4).astype(int)
        score = rng.random(n_rows) if rng.random() < 0.7 else rng.integers(0, 3, n_rows).astype(float)
        half = rng.random((n_labels, n_labels))
        similarity = np.maximum(np.minimum(half, half.T), np.eye(n_labels))
        threshold, per_label = float(rng.choice([0.2, 0.9])), bool(rng.random() < 0.5)
        expected = oracle.select(labels, score, similarity, n_rows, threshold=threshold, per_label=per_label)
        given = csr_array(similarity) if rng.random() < 0.5 else similarity
        sampler = LabelGraphSampler(given, n=n_rows, threshold=threshold, per_label=per_label)
        got = sampler.select(as_csr(labels), score).rows.tolist()
        if got != expected:  # only where float64 cannot tell two rows apart, and then the lower one
            at = next(i for i in range(n_rows) if got[i] != expected[i])
            scores = long_double_scores(labels, score, similarity, expected[:at], threshold, per_label)
            assert abs(scores[got[at]] - scores[expected[at]]) <= 1e-14 * scores.max(), seed
            assert got[at] < expected[at], seed


def test_scores_are_the_mean_over_turns():
    rows = {
        "labels": [[0], [1], [0, 1]],
        "quality": [[1.0, 3.0], [2.0], [4.0]],
        "complexity": [[2.0, 2.0], [5.0], [1.0]],
    }
    picked = LabelGraphSampler(np.eye(2), n=3).select(Dataset.from_dict(rows))
    by_hand = LabelGraphSampler(np.eye(2), n=3).select(rows["labels"], [4.0, 10.0, 4.0])
    assert picked.rows.tolist() == by_hand.rows.tolist() == [1, 0, 2]
    assert picked.gains.tolist() == by_hand.gains.tolist()


def test_similar_labels_are_cosines_over_the_threshold():
    vectors = np.random.default_rng(0).normal(size=(50, 3))
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    dense = unit @ unit.T
    got = similar_labels(vectors, 0.6, block=7).toarray()
    assert np.allclose(got, np.where(dense >= 0.6, dense, 0), atol=1e-6)


@pytest.mark.parametrize(
    ("similarity", "rows", "message"),
    [
        (np.ones((2, 3)), [[0]], r"got shape \(2, 3\), expected labels × labels"),
        (np.array([[np.nan]]), [[0]], "it holds NaN"),
        (np.diag([1.0, 0.5]), [[0]], "label 1: none reaches 0.9"),
        (np.eye(2), [[2]], "column 'labels', row 0: label 2; the graph has labels 0 to 1"),
    ],
)
def test_bad_graphs_are_named(similarity, rows, message):
    with pytest.raises(InputError, match=message):
        LabelGraphSampler(similarity, n=1).select(rows, [1.0])


# Targets. Leaves 0, 1 under 4; 2, 3 under 5; both under the root 6.
SHAPE = tree_shape([4, 4, 5, 5, 6, 6, -1])


def test_a_target_from_a_benchmark_counts_its_leaves():
    assert target_from_rows([[0, 3], [3], []], SHAPE).tolist() == pytest.approx([1 / 3, 0, 0, 2 / 3])


def test_a_target_from_subtrees_spreads_each_share():
    assert target_from_subtrees({4: 3, 2: 1}, SHAPE).tolist() == pytest.approx([0.375, 0.375, 0.25, 0])
    pool = [[0], [0], [0, 1], [2]]
    assert target_from_subtrees({4: 1, 5: 1}, SHAPE, pool).tolist() == pytest.approx([0.375, 0.125, 0.5, 0])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: target_from_rows([[5]], SHAPE), "5 is no leaf of the tree"),
        (lambda: target_from_rows([[]], SHAPE), "none of its rows has a leaf"),
        (lambda: target_from_subtrees({7: 1}, SHAPE), "7 is no node of the tree"),
        (lambda: target_from_subtrees({4: -1}, SHAPE), "subtree 4: its share is -1"),
        (lambda: target_from_subtrees({4: 0}, SHAPE), "the masses of all leaves are zero"),
        (lambda: target_from_subtrees({5: 1}, SHAPE, [[0]]), "the pool has no leaf under it"),
    ],
)
def test_bad_targets_are_named(make, message):
    with pytest.raises(InputError, match=message):
        make()
