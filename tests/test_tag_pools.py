"""Good and bad pools: sizes, shares, ties, and the error when they would overlap."""

from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagsmith.processors.errors import InputError
from tagsmith.processors.tag_instruct.tag_pools import POOL_VARIANTS, tag_pools
from tagsmith.processors.tag_instruct.utility import TagUtility
from tagsmith.processors.tag_instruct.utility_table import UtilityTable

AUTHORS_TABLE = Path(__file__).resolve().parents[2] / "shared" / "data" / "tag-instruct" / "tag_values.jsonl"


def table(means, counts=None):
    counts = counts or {}
    rows = [
        {"tag": tag, "count": (n := counts.get(tag, 1)), "total": mean * n, "mean": mean} for tag, mean in means.items()
    ]
    return UtilityTable.from_rows(pa.Table.from_pylist(rows), {})


SIX = table({"a": 1.0, "b": 6.0, "c": 3.0, "d": 5.0, "e": 2.0, "f": 4.0})


def test_the_two_ends_best_and_worst_first():
    pools = tag_pools(SIX, size=2)
    assert (pools.good, pools.bad) == (["b", "d"], ["a", "e"])
    assert (pools.good_low, pools.bad_high, pools.ranked) == (5.0, 2.0, 6)


@pytest.mark.parametrize(("share", "size"), [(0.5, 3), (0.34, 2), (0.49, 2), (0.01, 1)])
def test_a_share_is_rounded_down_to_at_least_one(share, size):
    assert len(tag_pools(SIX, share=share).good) == size


def test_equal_utilities_are_ranked_alphabetically_at_both_ends():
    tied = table({"d": 2.0, "c": 2.0, "b": 9.0, "f": 1.0, "e": 1.0, "a": 9.0})
    pools = tag_pools(tied, size=1)
    assert (pools.good, pools.bad) == (["a"], ["e"])
    assert tag_pools(tied, size=2).bad == ["e", "f"]


def test_min_count_leaves_out_rarer_tags():
    pools = tag_pools(table({"a": 1.0, "b": 2.0, "c": 3.0, "d": 4.0}, {"a": 3, "b": 2, "d": 3}), size=1, min_count=3)
    assert (pools.good, pools.bad, pools.ranked) == (["d"], ["a"], 2)


@given(
    st.dictionaries(st.text("abc", min_size=1, max_size=4), st.integers(1, 8).map(float), min_size=2, max_size=30),
    st.integers(1, 15),
)
def test_pools_never_share_a_tag_nor_a_utility(means, size):
    ranked = sorted(means.values())
    if 2 * size > len(means) or ranked[size - 1] == ranked[-size]:
        with pytest.raises(InputError, match="overlap"):
            tag_pools(table(means), size=size)
        return
    pools = tag_pools(table(means), size=size)
    assert len(set(pools.good)) == len(set(pools.bad)) == size
    rest = set(means) - set(pools.good) - set(pools.bad)
    assert max(means[tag] for tag in pools.bad) == pools.bad_high < pools.good_low
    assert pools.good_low == min(means[tag] for tag in pools.good)
    assert all(pools.bad_high <= means[tag] <= pools.good_low for tag in rest)
    assert pools == tag_pools(table(dict(reversed(means.items()))), size=size)  # the order of the table does not matter


def test_more_tags_than_there_are():
    with pytest.raises(InputError, match=r"two pools of 4 tags would overlap: only 6 tags.*use size=3 or less"):
        tag_pools(SIX, size=4)
    with pytest.raises(
        InputError, match=r"two pools of 1 tags would overlap: only 1 tags are in at least 1 rows; lower"
    ):
        tag_pools(table({"a": 1.0}), share=0.5)


def test_pools_that_meet_at_one_utility_overlap():
    with pytest.raises(InputError, match=r"would overlap in utility.*both have 2 tokens"):
        tag_pools(table({"a": 1.0, "b": 2.0, "c": 2.0, "d": 3.0}), size=2)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"size": 1, "share": 0.1},
        {"share": 0.0},
        {"share": 0.6},
        {"share": float("nan")},
        {"size": 0},
        {"size": 1.5},
    ],
)
def test_settings_out_of_range(settings):
    with pytest.raises(InputError, match=r"size|share"):
        tag_pools(SIX, **settings)


def test_the_authors_table_holds_their_pools_and_not_the_papers():
    if not AUTHORS_TABLE.is_file():
        pytest.skip("the authors' table is not beside this checkout (../shared)")
    authors = TagUtility.from_table(AUTHORS_TABLE).fitted
    pools = tag_pools(authors, **POOL_VARIANTS["official"])
    assert (len(pools.good), len(pools.bad), pools.ranked) == (1_000, 1_000, 6_418)
    assert pools.bad[:3] == ["mathematical expression evaluation", "code execution environment", "repayment"]
    assert (round(pools.good_low, 2), round(pools.bad_high, 2)) == (376.73, 145.61)
    with pytest.raises(InputError, match="two pools of 10,000 tags would overlap: only 11,976"):
        tag_pools(authors, **POOL_VARIANTS["paper"])
