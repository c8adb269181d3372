"""TaggerEval's scores out of its judges' verdicts (TAGS, §4.1, Tab. 2)."""

from dataclasses import dataclass

from datasets import Dataset

from tagsmith.processors.errors import InputError


@dataclass(frozen=True)
class DimensionScore:
    """One dimension of TaggerEval.

    Args:
        score: mean over the scored cases of each case's share, 0 to 1; None if none is scored.
        pooled: the same share over the tags of all scored cases together.
        cases, unscored: cases there, and those among them without a verdict, which count in no share.
    """

    score: float | None
    pooled: float | None
    cases: int
    unscored: int


@dataclass(frozen=True)
class TaggerScore:
    """The four columns of the paper's Tab. 2; `average` is None where a dimension is."""

    coverage: DimensionScore
    precision: DimensionScore
    granularity: DimensionScore

    @property
    def average(self) -> float | None:
        """Mean of the three scores."""
        scores = [self.coverage.score, self.precision.score, self.granularity.score]
        known = [score for score in scores if score is not None]
        return sum(known) / 3 if len(known) == 3 else None


def tagger_score(
    judged: Dataset, *, reference_column: str = "reference_tags", tags_column: str = "raw_tags"
) -> TaggerScore:
    """Score cases that `CoverageJudge`, `PrecisionJudge` and `GranularityJudge` have judged.

    Input columns:
        the two tag columns; covered, accurate, fine_grained (``list[int] | None``).

    A case to which the tagger gave no tags covers nothing (coverage 0), and has no precision or granularity.

    Raises:
        InputError: a column is missing, or a verdict names a tag that the case does not have.

    Differs from the paper: it says "average score" without saying over cases or tags; both are given.
    """
    return TaggerScore(
        _dimension(judged, "covered", reference_column, tags_column),
        _dimension(judged, "accurate", tags_column, tags_column),
        _dimension(judged, "fine_grained", tags_column, tags_column),
    )


def _dimension(judged: Dataset, verdict_column: str, judged_column: str, tags_column: str) -> DimensionScore:
    for column in (verdict_column, judged_column, tags_column):
        if column not in judged.column_names:
            raise InputError(f"no column {column!r}; the columns are: {', '.join(judged.column_names)}")
    shares: list[tuple[int, int]] = []  # (tags that are so, tags judged)
    columns = zip(judged[verdict_column], judged[judged_column], judged[tags_column], strict=True)
    for number, (verdict, things, tags) in enumerate(columns):
        if verdict_column == "covered" and things and not tags:
            verdict = []
        if verdict is None or not things:
            continue
        if any(not 0 <= index < len(things) for index in verdict):
            raise InputError(
                f"case {number}, column {verdict_column!r}: {verdict} names something beyond the case's {len(things)}"
                f" {judged_column}; give None where the verdict cannot be read"
            )
        shares.append((len(set(verdict)), len(things)))
    cases = len(judged)
    if not shares:
        return DimensionScore(None, None, cases, cases)
    score = sum(so / of for so, of in shares) / len(shares)
    pooled = sum(so for so, _ in shares) / sum(of for _, of in shares)
    return DimensionScore(score, pooled, cases, cases - len(shares))
