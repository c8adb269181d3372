"""Alg. 2 and 3: equal to plain versions, disjoint subsets, the mean's condition, and what cannot be had."""

import numpy as np
import pytest
from datasets import Dataset
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tagsmith.processors.errors import InputError
from tagsmith.processors.instag.decoupled_sampling import sample_by_complexity, sample_by_diversity

tag_lists = st.lists(st.lists(st.sampled_from("abcdefgh"), max_size=5), min_size=1, max_size=25)


def plain_alg_2(tags: list[list[str]], n_subsets: int, subset_size: int) -> list[list[int]] | None:
    """Alg. 2 line by line; None where it would not end."""
    rest = sorted(range(len(tags)), key=lambda row: -len(set(tags[row])))
    subsets = []
    for _ in range(n_subsets):
        subset: list[int] = []
        while len(subset) < subset_size:
            met: set[str] = set()
            before = len(subset)
            for row in list(rest):
                if len(met | set(tags[row])) > len(met):
                    subset.append(row)
                    met |= set(tags[row])
                    rest.remove(row)
                    if len(subset) == subset_size:
                        break
            if len(subset) == before:
                return None
        subsets.append(subset)
    return subsets


def plain_alg_3(
    tags: list[list[str]], rates: list[float], subset_size: int, mean_tags: float | None, tolerance: float
) -> list[list[int]] | None:
    """Alg. 3 line by line, with the condition on the mean; None where it would not end or end off the mark."""
    every_tag = set().union(*tags)
    rest = list(range(len(tags)))
    subsets = []
    for rate in rates:
        subset: list[int] = []
        met: set[str] = set()
        for row in list(rest):
            if len(met | set(tags[row])) > len(met):
                subset.append(row)
                met |= set(tags[row])
                rest.remove(row)
                if len(met) / len(every_tag) > rate:
                    break
        if not (len(met) / len(every_tag) > rate or (rate == 1 and met == every_tag)) or len(subset) > subset_size:
            return None
        while len(subset) < subset_size:
            before = len(subset)
            for row in list(rest):
                if len(met | set(tags[row])) == len(met) and fits(tags, subset, row, subset_size, mean_tags, tolerance):
                    subset.append(row)
                    rest.remove(row)
                    if len(subset) == subset_size:
                        break
            if len(subset) == before:
                return None
        if mean_tags is not None and abs(mean(tags, subset) - mean_tags) > tolerance:
            return None
        subsets.append(subset)
    return subsets


def mean(tags: list[list[str]], subset: list[int]) -> float:
    return sum(len(set(tags[row])) for row in subset) / len(subset)


def fits(tags, subset, row, subset_size, mean_tags, tolerance) -> bool:
    if mean_tags is None:
        return True
    after = mean(tags, [*subset, row])
    so_far = sum(len(set(tags[taken])) for taken in subset)
    needed = (subset_size * mean_tags - so_far) / (subset_size - len(subset))
    if after > mean_tags + tolerance:
        return len(set(tags[row])) <= needed
    if after < mean_tags - tolerance:
        return len(set(tags[row])) >= needed
    return True


def rows_of(subsets) -> list[list[int]]:
    return [subset.rows.tolist() for subset in subsets]


# Alg. 2

POOL = [["a"], ["a", "b"], ["c"], ["a", "b", "c"], [], ["b"], ["c", "b"]]


def test_complexity_subsets_of_a_handmade_pool():
    # Sorted: 3, 1, 6, 0, 2, 5. First subset: pass 1 takes 3 alone, pass 2 takes 1 and would take 6 next.
    # Second subset starts over: 6 (c b), 0 (a).
    subsets = sample_by_complexity(POOL, n_subsets=2, subset_size=2)
    assert rows_of(subsets) == [[3, 1], [6, 0]]
    assert [subset.mean_tags for subset in subsets] == [2.5, 1.5]
    assert [subset.coverage for subset in subsets] == [1.0, 1.0]


@given(tag_lists, st.integers(1, 4), st.integers(1, 6))
@settings(max_examples=200, deadline=None)
def test_complexity_subsets_equal_alg_2(tags, n_subsets, subset_size):
    expected = plain_alg_2(tags, n_subsets, subset_size)
    if expected is None:
        with pytest.raises(InputError, match=r"subset \d of \d: only \d+ rows with tags are left"):
            sample_by_complexity(tags, n_subsets, subset_size)
    else:
        assert rows_of(sample_by_complexity(tags, n_subsets, subset_size)) == expected


def test_complexity_says_which_subset_cannot_be_filled():
    with pytest.raises(InputError, match="subset 3 of 4: only 2 rows with tags are left, subset_size=4"):
        sample_by_complexity([["a"]] * 10 + [[]], n_subsets=4, subset_size=4)


# Alg. 3


def test_diversity_subsets_of_a_handmade_pool():
    tags = [["a"], ["a"], ["b", "a"], ["c"], ["b"], ["d"], ["a", "b"], ["c", "d"], []]
    # Rate 0.25 of four tags: more than one tag, so rows 0 and 2; then rows within {a, b}: 1, 4.
    # Rate 0.5: rows 3, 5, 6 reach all of c, d, a, b (3 tags would do, but row 6 adds two); then 7 fits.
    subsets = sample_by_diversity(tags, [0.25, 0.5], subset_size=4, mean_tags=None)
    assert rows_of(subsets) == [[0, 2, 1, 4], [3, 5, 6, 7]]
    assert [subset.coverage for subset in subsets] == [0.5, 1.0]
    assert [subset.mean_tags for subset in subsets] == [1.25, 1.5]


def test_rows_without_tags_add_none_as_printed():
    assert rows_of(sample_by_diversity([[], ["a"], []], [0.5], subset_size=3, mean_tags=None)) == [[1, 0, 2]]


def test_the_mean_decides_in_the_second_part():
    tags = [["a", "b", "c", "d"], ["a", "b", "c"], ["a"], ["a", "b"], ["b"], ["c"], ["d"]]
    # Row 0 covers all. Mean 2 over 4 rows wants 4 more tags in 3 rows, 4/3 a row: row 1 (3) has too many, row 2 (1)
    # passes; then 3 tags in 2 rows, 1.5: row 3 (2) has too many, row 4 (1) passes and leaves 2 tags for the last
    # row: row 5 (1) brings the mean to 7/4, within 0.25.
    assert rows_of(sample_by_diversity(tags, [1.0], 4, mean_tags=2.0, mean_tolerance=0.25)) == [[0, 2, 4, 5]]
    # Within 0.1 the last row must have two tags: row 3, which was passed over, is taken on the second walk.
    assert rows_of(sample_by_diversity(tags, [1.0], 4, mean_tags=2.0, mean_tolerance=0.1)) == [[0, 2, 4, 3]]


@given(
    tags=tag_lists,
    rates=st.lists(st.sampled_from([0, 0.125, 0.3, 0.5, 0.75, 1.0]), min_size=1, max_size=3),
    subset_size=st.integers(1, 7),
    mean_tags=st.none() | st.sampled_from([1.0, 1.5, 2.0, 3.0]),
    tolerance=st.sampled_from([0.0, 0.125, 0.5, 1.0]),
)
@settings(max_examples=300, deadline=None)
def test_diversity_subsets_equal_alg_3(tags, rates, subset_size, mean_tags, tolerance):
    assume(any(tags))
    expected = plain_alg_3(tags, rates, subset_size, mean_tags, tolerance)
    if expected is None:
        with pytest.raises(InputError, match=r"^subset \d \(coverage"):
            sample_by_diversity(tags, rates, subset_size, mean_tags, tolerance)
    else:
        assert rows_of(sample_by_diversity(tags, rates, subset_size, mean_tags, tolerance)) == expected


def test_subsets_of_a_large_pool_differ_in_diversity_alone():
    generator = np.random.default_rng(0)
    tags = [[str(tag) for tag in generator.zipf(1.3, 1 + generator.poisson(4)) if tag < 300] for _ in range(20_000)]
    rates = [0.2, 0.4, 0.6, 0.8, 0.95]
    subsets = sample_by_diversity(tags, rates, subset_size=1_000, seed=1)
    taken = np.concatenate([subset.rows for subset in subsets])
    assert len(set(taken.tolist())) == len(taken) == 5_000
    every_tag = set().union(*tags)
    for rate, subset in zip(rates, subsets, strict=True):
        carried = set().union(*(tags[row] for row in subset.rows))
        assert subset.coverage == pytest.approx(len(carried) / len(every_tag))
        assert rate < subset.coverage < rate + 0.03
        assert subset.mean_tags == pytest.approx(mean(tags, subset.rows.tolist()))
        assert abs(subset.mean_tags - 5.0) <= 0.1


def test_a_seed_shuffles_the_order_and_repeats():
    dataset = Dataset.from_dict({"tags": [[str(number % 7)] for number in range(100)]})
    in_order, first, again, other = (
        rows_of(sample_by_diversity(dataset, [0.5], 20, mean_tags=None, seed=seed)) for seed in (None, 1, 1, 2)
    )
    assert in_order[0][:4] == [0, 1, 2, 3]
    assert first == again
    assert len({str(rows) for rows in (in_order, first, other)}) == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"coverage_rates": [0.9], "subset_size": 2},
            r"subset 1 \(coverage 0.9\): takes 4 rows to reach, subset_size=2",
        ),
        ({"coverage_rates": [0, 0.9], "subset_size": 3}, r"subset 2 \(coverage 0.9\): the 3 rows left cover 0.7500"),
        (
            {"coverage_rates": [0.9], "subset_size": 7},
            r"coverage 0.9\): found 6 rows of subset_size=7: 4 that add tags, 2",
        ),
        (
            {"coverage_rates": [0.9], "subset_size": 6, "mean_tags": 2},
            r"found 4 rows .* and keep the mean at 2 ± 0.1 tags",
        ),
        ({"coverage_rates": [0.9], "subset_size": 4, "mean_tags": 2}, r"fill it with 1.000 tags a row, wanted 2 ± 0.1"),
        ({"coverage_rates": [1.5], "subset_size": 4}, r"coverage_rates: got 1.5, expected shares"),
        ({"coverage_rates": [0.5], "subset_size": 0}, r"subset_size=0: expected a whole number"),
        ({"coverage_rates": [0.5], "subset_size": 4, "mean_tags": -1}, r"mean_tags=-1, mean_tolerance=0.1: expected"),
    ],
)
def test_what_cannot_be_had_is_named(options, message):
    tags = [["a"], ["a"], ["a"], ["b"], ["c"], ["d"]]
    with pytest.raises(InputError, match=message):
        sample_by_diversity(tags, **{"mean_tags": None, **options})


def test_a_pool_without_tags_has_no_coverage():
    with pytest.raises(InputError, match="no row has a tag"):
        sample_by_diversity([[], []], [0.5], 1)
    with pytest.raises(InputError, match="subset 1 of 1: only 0 rows"):
        sample_by_complexity([[], []], 1, 1)
