"""Agreement of a judge with a person on verdicts over numbered tags: Cohen's kappa (TAGS, §4.1, Tab. 2)."""

from collections.abc import Sequence
from dataclasses import dataclass

from tagsmith.eval.agreement import Agreement, cohen_kappa
from tagsmith.processors.errors import InputError

Verdict = Sequence[int] | None


@dataclass(frozen=True)
class VerdictAgreement:
    """How far judge and person agree.

    Args:
        agreement: Cohen's kappa over the tags of all cases that both have scored; None if there is no such case.
        cases: cases compared.
        left_out: cases that one of the two has not scored.
    """

    agreement: Agreement | None
    cases: int
    left_out: int


def verdict_agreement(judge: Sequence[Verdict], person: Sequence[Verdict], sizes: Sequence[int]) -> VerdictAgreement:
    """Compare verdicts such as those of `CoverageJudge`, `PrecisionJudge` and `GranularityJudge`, tag by tag.

    Args:
        judge, person: for each case the numbers of the tags that are so (covered, accurate, fine-grained); None where
            the case is unscored.
        sizes: tags judged in each case.

    Raises:
        InputError: the three differ in length, or a verdict names a tag that its case does not have.
    """
    if not len(judge) == len(person) == len(sizes):
        raise InputError(
            f"there are {len(judge)} verdicts of the judge, {len(person)} of the person and {len(sizes)} sizes; give"
            " each for the same cases in the same order"
        )
    ours: list[bool] = []
    theirs: list[bool] = []
    cases = 0
    for number, (mine, other, size) in enumerate(zip(judge, person, sizes, strict=True)):
        for verdict in (mine, other):
            if verdict is not None and any(not 0 <= index < size for index in verdict):
                raise InputError(f"case {number}: {list(verdict)} names a tag beyond the case's {size}")
        if mine is None or other is None:
            continue
        cases += 1
        ours += [index in mine for index in range(size)]
        theirs += [index in other for index in range(size)]
    agreement = cohen_kappa(ours, theirs) if ours else None
    return VerdictAgreement(agreement, cases, len(judge) - cases)
