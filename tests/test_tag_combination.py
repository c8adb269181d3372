"""TagCombinations: distinct draws from the high, low and random pools, the same for the same seed."""

from itertools import combinations
from math import comb

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tagsmith.processors.errors import InputError
from tagsmith.processors.tag_instruct.tag_combination import TagCombinations
from tagsmith.processors.tag_instruct.utility_table import UtilityTable


def table(n, count=1):
    rows = [
        {"tag": f"tag {i:03}", "count": count, "total": float(i * count), "mean": float(i)} for i in range(1, n + 1)
    ]
    return UtilityTable.from_rows(pa.Table.from_pylist(rows), {})


TEN = table(10)


def test_the_pools_are_the_two_ends_and_a_sample_of_all():
    high = TagCombinations("high", pool_size=3).tags(TEN)
    low = TagCombinations("low", pool_size=3).tags(TEN)
    assert high == ["tag 010", "tag 009", "tag 008"]
    assert low == ["tag 001", "tag 002", "tag 003"]
    samples = {tuple(TagCombinations("random", pool_size=3, seed=seed).tags(TEN)) for seed in range(20)}
    assert len(samples) > 10
    assert {tag for sample in samples for tag in sample} == set(TEN.means)


def test_rows_have_tags_utility_and_an_id_of_their_own():
    drawn = TagCombinations("high", pool_size=3, rows=3).draw(TEN)
    assert drawn.column_names == ["id", "method", "pool", "tags", "utility_tokens", "status", "reason"]
    for row in drawn:
        assert row["utility_tokens"] == sum(TEN.means[tag] for tag in row["tags"]) / 2
        assert (row["method"], row["pool"], row["status"]) == ("tag-combination", "high", "ok")
    assert {frozenset(tags) for tags in drawn["tags"]} == set(
        map(frozenset, combinations(["tag 010", "tag 009", "tag 008"], 2))
    )


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["high", "low", "random"]), st.integers(2, 8), st.integers(2, 4), st.integers(1, 80))
def test_draws_are_distinct_sets_from_the_pool(pool, pool_size, size, rows):
    settings = TagCombinations(pool, pool_size, size, rows)
    possible = comb(pool_size, size)
    if rows > possible:
        with pytest.raises(InputError, match=f"only {possible} combinations"):
            settings.draw(TEN)
        return
    drawn = settings.draw(TEN)
    names = settings.tags(TEN)
    assert len(drawn) == rows
    assert all(len(set(tags)) == size and set(tags) <= set(names) for tags in drawn["tags"])
    assert len({frozenset(tags) for tags in drawn["tags"]}) == rows
    assert len(set(drawn["id"])) == rows
    assert drawn.to_list() == settings.draw(TEN).to_list()


def test_another_seed_draws_other_combinations():
    large = table(200)
    first, second = (TagCombinations("high", 100, rows=50, seed=seed).draw(large)["tags"][:] for seed in (0, 1))
    assert first != second


def test_every_tag_of_the_pool_comes_up_about_as_often():
    drawn = TagCombinations("low", pool_size=40, rows=400).draw(table(100))
    times = [
        sum(tag in tags for tags in drawn["tags"]) for tag in TagCombinations("low", pool_size=40).tags(table(100))
    ]
    assert min(times) > 5  # 20 on average
    assert max(times) < 45


def test_a_pool_larger_than_the_table():
    with pytest.raises(InputError, match="pool_size=1,000: only 10 tags"):
        TagCombinations("high").draw(TEN)
    with pytest.raises(InputError, match="min_count=2 leaves no tag"):
        TagCombinations("high", pool_size=3, min_count=2).draw(TEN)


@pytest.mark.parametrize(
    "given", [{"pool": "best"}, {"tags_per_row": 1}, {"rows": 0}, {"pool_size": 1.5}, {"rows": True}]
)
def test_settings_out_of_range(given):
    with pytest.raises(InputError, match=next(iter(given))):
        TagCombinations(**given)
