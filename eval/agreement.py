"""Agreement between annotators: Cohen's kappa for two, Fleiss' kappa for several (#InsTag, §3.3, Tab. 2)."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import cohen_kappa_score

from tagsmith.processors.errors import InputError


@dataclass(frozen=True)
class Agreement:
    """How far annotators agree beyond chance.

    Args:
        kappa: 1 is full agreement, 0 what chance gives; None where it is undefined.
        reason: why `kappa` is None; otherwise None.
        observed: share of pairs of annotators that agree, averaged over the cases, 0 to 1.
        cases: cases rated.
        annotators: ratings a case.
    """

    kappa: float | None
    reason: str | None
    observed: float
    cases: int
    annotators: int


def cohen_kappa(a: Sequence[Hashable], b: Sequence[Hashable]) -> Agreement:
    """Cohen's kappa between two annotators, as scikit-learn computes it.

    Args:
        a: one annotator's label for each case (verdicts as booleans, or any other labels of one kind).
        b: the other's, for the same cases in the same order.

    Raises:
        InputError: the two differ in length, are empty, or a case is not rated (None).
    """
    if len(a) != len(b):
        raise InputError(
            f"the annotators rated {len(a)} and {len(b)} cases; give both the same cases in the same order"
        )
    return _agreement([list(pair) for pair in zip(a, b, strict=True)], fleiss=False)


def fleiss_kappa(ratings: Sequence[Sequence[Hashable]]) -> Agreement:
    """Fleiss' kappa among several annotators, as statsmodels computes it.

    Args:
        ratings: for each case, the label that each annotator gave it. Every case needs the same number of ratings, at
            least two.

    Raises:
        InputError: there are no cases, a case has another number of ratings than the first or fewer than two, or a
            rating is missing (None); or statsmodels, the extra `agreement`, is not installed.
    """
    return _agreement([list(case) for case in ratings], fleiss=True)


def _agreement(ratings: list[list[Hashable]], fleiss: bool) -> Agreement:
    """Check, number the labels, and compute; `ratings` is cases × annotators."""
    if not ratings:
        raise InputError("there are no ratings; give at least one case")
    annotators = len(ratings[0])
    if annotators < 2:
        raise InputError(f"case 0 has {annotators} ratings; agreement needs at least two annotators")
    for number, case in enumerate(ratings):
        if len(case) != annotators:
            raise InputError(f"case {number} has {len(case)} ratings, case 0 has {annotators}; rate each equally often")
        if any(label is None or label != label for label in case):
            raise InputError(
                f"case {number} has a missing rating: {case!r:.60}; leave cases out that nobody could judge"
            )

    code_of = {label: code for code, label in enumerate(dict.fromkeys(label for case in ratings for label in case))}
    codes = np.array([[code_of[label] for label in case] for case in ratings])  # (cases, annotators)
    counts = np.stack([(codes == code).sum(axis=1) for code in range(len(code_of))], axis=1)  # (cases, labels)
    observed = float(((counts * (counts - 1)).sum(axis=1) / (annotators * (annotators - 1))).mean())
    if len(code_of) == 1:
        # Chance alone agrees fully, kappa is 0/0; with two labels or more it is always a number.
        reason = f"all ratings are {next(iter(code_of))!r}: with one label, agreement beyond chance is undefined"
        return Agreement(None, reason, observed, len(ratings), annotators)

    kappa = _fleiss(counts) if fleiss else float(cohen_kappa_score(codes[:, 0], codes[:, 1]))
    return Agreement(kappa, None, observed, len(ratings), annotators)


def _fleiss(counts: NDArray[np.int64]) -> float:
    try:
        from statsmodels.stats.inter_rater import fleiss_kappa as statsmodels_kappa
    except ImportError as error:
        raise InputError('Fleiss\' kappa needs statsmodels; run: pip install "tagsmith[agreement]"') from error
    return float(statsmodels_kappa(counts, method="fleiss"))
