"""Scores of judged cases: the two columns of #InsTag's Tab. 8 (§3.3, App. G)."""

from dataclasses import dataclass

from datasets import Dataset

from tagsmith.processors.errors import InputError


@dataclass(frozen=True)
class CaseScore:
    """A judge's verdicts on one kind of case. A case is negative if the judge objects to any part of it.

    Args:
        cases: cases judged or to be judged.
        unscored: cases without a verdict (a reply that could not be read); they count in no share.
        share_correct: share of the scored cases without objection (Tab. 2 and 8), 0 to 1; None if none is scored.
        share_negative: the rest: on counterfactual cases, the share of them that the judge found out.
    """

    cases: int
    unscored: int
    share_correct: float | None
    share_negative: float | None


@dataclass(frozen=True)
class QualityScore:
    """The two columns of the paper's Tab. 8: cases as drawn, and cases with something planted."""

    original: CaseScore
    counterfactual: CaseScore


def precision_score(cases: Dataset) -> QualityScore:
    """Score judged `precision_cases`.

    Input columns:
        tags, planted: as drawn; incorrect (``list[int] | None``): the tags to which the judge objects, None where
        there is no verdict.

    Raises:
        InputError: a column is missing, or a verdict names a tag that the case does not have.
    """
    return _score(cases, "tags", "incorrect")


def consistency_score(cases: Dataset) -> QualityScore:
    """Score judged `consistency_cases`.

    Input columns:
        instructions, planted: as drawn; inconsistent (``list[int] | None``): the instructions to which the judge
        objects, None where there is no verdict.

    Raises:
        InputError: a column is missing, or a verdict names an instruction that the case does not have.
    """
    return _score(cases, "instructions", "inconsistent")


def _score(cases: Dataset, parts_column: str, verdict_column: str) -> QualityScore:
    for column in (parts_column, "planted", verdict_column):
        if column not in cases.column_names:
            raise InputError(f"no column {column!r}; the columns are: {', '.join(cases.column_names)}")
    verdicts: dict[bool, list[list[int] | None]] = {False: [], True: []}
    columns = zip(cases[parts_column], cases["planted"], cases[verdict_column], strict=True)
    for number, (parts, planted, verdict) in enumerate(columns):
        if verdict is not None and any(not 0 <= index < len(parts) for index in verdict):
            raise InputError(
                f"case {number}, column {verdict_column!r}: {verdict} names something beyond the case's {len(parts)}"
                f" {parts_column}; give None where the verdict cannot be read"
            )
        verdicts[bool(planted)].append(verdict)
    return QualityScore(original=_case_score(verdicts[False]), counterfactual=_case_score(verdicts[True]))


def _case_score(verdicts: list[list[int] | None]) -> CaseScore:
    scored = [verdict for verdict in verdicts if verdict is not None]
    correct = sum(not verdict for verdict in scored) / len(scored) if scored else None
    negative = sum(bool(verdict) for verdict in scored) / len(scored) if scored else None
    return CaseScore(len(verdicts), len(verdicts) - len(scored), correct, negative)
