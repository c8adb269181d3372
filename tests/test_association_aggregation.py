"""Rules against mlxtend's FP-Growth, and what merging them leaves."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mlxtend.frequent_patterns import association_rules, fpgrowth

from tagsmith.processors.instag.association_aggregation import association_aggregation, mine_rules
from tagsmith.processors.tag_sets import read_tag_sets


def mlxtend_rules(baskets, min_support, min_confidence):
    """Rules with one tag on either side: {(antecedent, consequent): (support, confidence)}."""
    if min_support > len(baskets):  # which mlxtend refuses
        return {}
    items = sorted(set().union(*baskets))
    table = pd.DataFrame([[item in basket for item in items] for basket in baskets], columns=items, dtype=bool)
    # A share of the rows that no rounding lifts over the next whole number.
    itemsets = fpgrowth(table, min_support=(min_support - 0.5) / len(baskets), use_colnames=True)
    if itemsets.empty:
        return {}
    rules = association_rules(itemsets, metric="confidence", min_threshold=min_confidence)
    return {
        (*rule.antecedents, *rule.consequents): (round(rule.support * len(baskets)), pytest.approx(rule.confidence))
        for rule in rules.itertuples()
        if len(rule.antecedents) == len(rule.consequents) == 1
    }


def our_rules(baskets, min_support, min_confidence):
    tags = read_tag_sets([list(basket) for basket in baskets])
    rules = mine_rules(tags, min_support=min_support, min_confidence=min_confidence)
    names = tags.vocabulary
    return {
        (names[a], names[b]): (n, confidence)
        for a, b, n, confidence in zip(
            rules.antecedents, rules.consequents, rules.supports, rules.confidences, strict=True
        )
    }


def aggregate(rows, min_support=2, min_confidence=0.99):
    tags = read_tag_sets(rows)
    names, rules = association_aggregation(tags, min_support=min_support, min_confidence=min_confidence)
    return dict(zip(tags.vocabulary, names, strict=True)), rules.to_pylist()


BASKETS = st.lists(st.frozensets(st.sampled_from("abcdefg"), max_size=5), min_size=1, max_size=40).filter(any)


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
@settings(deadline=None, max_examples=80)
# No fraction of so few rows equals these confidences, so mlxtend's rounding cannot decide.
@given(baskets=BASKETS, min_support=st.integers(1, 8), min_confidence=st.sampled_from([0.1234, 0.5432, 0.8765, 0.9876]))
def test_rules_equal_fp_growth(baskets, min_support, min_confidence):
    assert our_rules(baskets, min_support, min_confidence) == mlxtend_rules(baskets, min_support, min_confidence)


@settings(deadline=None, max_examples=100)
@given(baskets=BASKETS, min_support=st.integers(1, 5), min_confidence=st.sampled_from([0.3, 0.8, 0.99, 1.0]))
def test_merging_ends_with_no_rule_left_and_names_that_stay(baskets, min_support, min_confidence):
    rows = [list(basket) for basket in baskets]
    becomes, rules = aggregate(rows, min_support, min_confidence)
    assert all(becomes[name] == name for name in becomes.values())
    assert (len(set(becomes.values())) < len(becomes)) == bool(rules)
    merged = [frozenset(becomes[tag] for tag in row) for row in rows]
    assert our_rules(merged, min_support, min_confidence) == {}


def test_table_1():
    rows = [["mathematics", "math problem"]] * 40 + [["mathematics"]] * 10
    rows += [["loop", "for loop"]] * 45 + [["for loop", "mathematics"]] * 5
    becomes, rules = aggregate(rows, min_support=40)
    assert becomes == {
        "mathematics": "mathematics",
        "math problem": "mathematics",
        "loop": "for loop",
        "for loop": "for loop",
    }
    assert rules == [
        {"antecedent": "math problem", "consequent": "mathematics", "support": 40, "confidence": 1.0, "round": 1},
        {"antecedent": "loop", "consequent": "for loop", "support": 45, "confidence": 1.0, "round": 1},
    ]


def test_one_row_too_few_is_no_rule():
    assert aggregate([["mathematics", "math problem"]] * 39 + [["mathematics"]], min_support=40)[1] == []


@pytest.mark.parametrize(("together", "alone", "holds"), [(99, 1, True), (98, 2, False), (197, 3, False)])
def test_confidence_is_compared_exactly(together, alone, holds):
    rows = [["a", "b"]] * together + [["a"]] * alone + [["b"]] * 50
    becomes, _ = aggregate(rows, min_support=40, min_confidence=0.99)
    assert becomes["a"] == ("b" if holds else "a")


def test_of_two_that_imply_each_other_the_more_frequent_stays():
    rows = [["rare", "common"]] * 99 + [["common"]]
    becomes, rules = aggregate(rows, min_support=40, min_confidence=0.99)
    assert becomes == {"rare": "common", "common": "common"}
    assert len(rules) == 2
    assert aggregate([["y", "x"]] * 50)[0] == {"x": "x", "y": "x"}  # equal counts: alphabetical


def test_chains_are_followed_to_their_end():
    rows = [["a", "b"]] * 4 + [["b", "c"]] * 400 + [["c", "d"]] * 40_000 + [["d"]] * 1000
    becomes, rules = aggregate(rows, min_support=3, min_confidence=0.98)
    assert becomes == dict.fromkeys("abcd", "d")
    assert {rule["round"] for rule in rules} == {1}
    assert ("a", "d") not in {(rule["antecedent"], rule["consequent"]) for rule in rules}


def test_merged_tags_are_counted_anew_and_mined_again():
    # x comes with c in 5 rows of 6; once b is c, in all.
    rows = [["x", "c"]] * 5 + [["x", "b"]] + [["b", "c"]] * 200 + [["c"]] * 10
    becomes, rules = aggregate(rows)
    assert becomes == {"x": "c", "b": "c", "c": "c"}
    assert [(rule["antecedent"], rule["support"], rule["round"]) for rule in rules] == [("b", 200, 1), ("x", 6, 2)]


def test_no_tags():
    tags = read_tag_sets([[], []])
    names, rules = association_aggregation(tags, min_support=1, min_confidence=0.5)
    assert names == []
    assert rules.num_rows == 0
    assert np.array_equal(tags.sizes, [0, 0])
