"""Cohen's and Fleiss' kappa: textbook values, checks, and no NaN."""

import builtins

import pytest

from tagsmith.eval.agreement import Agreement, cohen_kappa, fleiss_kappa
from tagsmith.processors.errors import InputError


def test_cohen_on_a_worked_example():
    # 20 yes/yes, 5 yes/no, 10 no/yes, 15 no/no: observed 0.7, by chance 0.5, kappa 0.4.
    a = [True] * 25 + [False] * 25
    b = [True] * 20 + [False] * 5 + [True] * 10 + [False] * 15
    found = cohen_kappa(a, b)
    assert found.kappa == pytest.approx(0.4)
    assert found.observed == pytest.approx(0.7)
    assert (found.reason, found.cases, found.annotators) == (None, 50, 2)


def test_cohen_bounds():
    assert cohen_kappa([True, False], [True, False]).kappa == 1
    assert cohen_kappa([True, False], [False, True]).kappa == -1
    assert cohen_kappa(["yes", "yes"], ["no", "no"]).kappa == 0


def test_fleiss_on_the_worked_example_of_ten_cases_and_fourteen_raters():
    pytest.importorskip("statsmodels", reason="the extra 'agreement' is not installed")
    # The usual textbook table: how many of 14 raters chose each of five labels; kappa is 0.210.
    table = [
        [0, 0, 0, 0, 14],
        [0, 2, 6, 4, 2],
        [0, 0, 3, 5, 6],
        [0, 3, 9, 2, 0],
        [2, 2, 8, 1, 1],
        [7, 7, 0, 0, 0],
        [3, 2, 6, 3, 0],
        [2, 5, 3, 2, 2],
        [6, 5, 2, 1, 0],
        [0, 2, 2, 3, 7],
    ]
    ratings = [[label for label, times in enumerate(row) for _ in range(times)] for row in table]
    found = fleiss_kappa(ratings)
    assert found.kappa == pytest.approx(0.210, abs=5e-4)
    assert found.observed == pytest.approx(0.378, abs=5e-4)
    assert (found.cases, found.annotators) == (10, 14)


def test_fleiss_full_agreement_and_order_of_raters():
    pytest.importorskip("statsmodels", reason="the extra 'agreement' is not installed")
    assert fleiss_kappa([["a", "a", "a"], ["b", "b", "b"]]).kappa == pytest.approx(1)
    one, other = fleiss_kappa([[1, 0, 0], [1, 1, 0]]), fleiss_kappa([[0, 1, 0], [0, 1, 1]])
    assert one == other
    assert one.kappa is not None
    assert one.kappa < 0


def test_one_label_alone_leaves_kappa_undefined_with_a_reason():
    for found in (cohen_kappa([True] * 3, [True] * 3), fleiss_kappa([[True, True]] * 3)):
        assert found == Agreement(
            kappa=None,
            reason="all ratings are True: with one label, agreement beyond chance is undefined",
            observed=1.0,
            cases=3,
            annotators=2,
        )


@pytest.mark.parametrize(
    ("compute", "message"),
    [
        (lambda: cohen_kappa([1, 0], [1]), "rated 2 and 1 cases"),
        (lambda: cohen_kappa([], []), "no ratings"),
        (lambda: cohen_kappa([1, None], [1, 0]), r"case 1 has a missing rating: \[None, 0\]"),
        (lambda: cohen_kappa([1, 1.0], [1, float("nan")]), "case 1 has a missing rating"),
        (lambda: fleiss_kappa([]), "no ratings"),
        (lambda: fleiss_kappa([[1], [0]]), "case 0 has 1 ratings"),
        (lambda: fleiss_kappa([[1, 0], [0, 1, 1]]), "case 1 has 3 ratings, case 0 has 2"),
        (lambda: fleiss_kappa([[1, 0], [0, None]]), "case 1 has a missing rating"),
    ],
)
def test_bad_ratings_are_named(compute, message):
    with pytest.raises(InputError, match=message):
        compute()


def test_fleiss_without_its_extra_says_what_to_install(monkeypatch):
    original = builtins.__import__

    def without_statsmodels(name, *args, **kwargs):
        if name.startswith("statsmodels"):
            raise ImportError(name)
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_statsmodels)
    with pytest.raises(InputError, match=r'pip install "tagsmith\[agreement\]"'):
        fleiss_kappa([[1, 0], [0, 1]])
