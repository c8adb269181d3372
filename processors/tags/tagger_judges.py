"""TaggerEval's three judges: coverage, precision and granularity of a tagger's tags (TAGS, §4.1, App. C.2)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tagsmith.processors.endpoint.request import Parameters, Reply, Request
from tagsmith.processors.generation_processor import Row
from tagsmith.processors.index_judge import IndexJudge, index_schema
from tagsmith.processors.one_prompt import cell


@dataclass(kw_only=True)
class CoverageJudge(IndexJudge):
    """Ask which of the reference tags the generated tags cover (TAGS, Tab. 14).

    Input columns:
        reference_tags, raw_tags (``list[str]``), or as set: what experts said, and what a tagger said.
    Output columns:
        covered (``list[int] | None``): numbers of the covered reference tags; None when the case is unscored.
        covered_out_of_range (``list[int]``): numbers that the judge gave though no tag bears them.
        and the columns of every `GenerationProcessor`. A case without reference tags or without generated tags is
        rejected unasked (``no_tags``); `tagger_score` counts the latter as covering nothing.

    Args:
        reference_column, tags_column: where the tags are.

    Differs from the paper: the judge answers with numbers in place of a dictionary of tags, which a tag's text could
    break or forge.
    """

    verdict = "covered"
    prompt_name = "tags/coverage"
    prompt_inputs = ("reference", "generated")

    reference_column: str = "reference_tags"
    tags_column: str = "raw_tags"
    parameters: Parameters = field(default_factory=lambda: Parameters(512, json_schema=index_schema("covered")))

    def render(self, row: Row) -> list[Request] | str:
        """One request."""
        reference, generated = cell(row, self.reference_column), row.get(self.tags_column)
        if not reference or not generated:
            return _without(reference, generated)
        return self.ask(reference=_numbered(reference), generated=_lines(generated))

    def collect(self, row: Row, replies: Sequence[Reply]) -> dict[str, Any]:
        """The verdict on the reference tags."""
        return self.verdict_on(replies, len(row[self.reference_column] or ()))


@dataclass(kw_only=True)
class PrecisionJudge(IndexJudge):
    """Ask which of the generated tags correspond to a reference tag (TAGS, Tab. 15).

    Input columns, Args: as `CoverageJudge`'s.
    Output columns:
        accurate (``list[int] | None``): numbers of the accurate generated tags; accurate_out_of_range (``list[int]``);
        and the columns of every `GenerationProcessor`.
    """

    verdict = "accurate"
    prompt_name = "tags/precision"
    prompt_inputs = ("reference", "generated")

    reference_column: str = "reference_tags"
    tags_column: str = "raw_tags"
    parameters: Parameters = field(default_factory=lambda: Parameters(512, json_schema=index_schema("accurate")))

    def render(self, row: Row) -> list[Request] | str:
        """One request."""
        reference, generated = cell(row, self.reference_column), row.get(self.tags_column)
        if not reference or not generated:
            return _without(reference, generated)
        return self.ask(reference=_lines(reference), generated=_numbered(generated))

    def collect(self, row: Row, replies: Sequence[Reply]) -> dict[str, Any]:
        """The verdict on the generated tags."""
        return self.verdict_on(replies, len(row[self.tags_column] or ()))


@dataclass(kw_only=True)
class GranularityJudge(IndexJudge):
    """Ask which of the generated tags are fine-grained (TAGS, Tab. 16).

    Input columns:
        raw_tags (``list[str]``), or as set.
    Output columns:
        fine_grained (``list[int] | None``): numbers of the fine-grained tags; fine_grained_out_of_range
        (``list[int]``); and the columns of every `GenerationProcessor`.
    """

    verdict = "fine_grained"
    prompt_name = "tags/granularity"
    prompt_inputs = ("generated",)

    tags_column: str = "raw_tags"
    parameters: Parameters = field(default_factory=lambda: Parameters(512, json_schema=index_schema("fine_grained")))

    def render(self, row: Row) -> list[Request] | str:
        """One request."""
        generated = row.get(self.tags_column)
        return self.ask(generated=_numbered(generated)) if generated else "no_tags: the tagger gave none"

    def collect(self, row: Row, replies: Sequence[Reply]) -> dict[str, Any]:
        """The verdict on the generated tags."""
        return self.verdict_on(replies, len(row[self.tags_column] or ()))


def _without(reference: Sequence[str], generated: Sequence[str] | None) -> str:
    return "no_tags: there are no reference tags" if not reference else "no_tags: the tagger gave none"


def _lines(tags: Iterable[str]) -> str:
    return "\n".join(" ".join(tag.split()) for tag in tags)  # a line end in a tag would make two of it


def _numbered(tags: Iterable[str]) -> str:
    return "\n".join(f"[tag {number}] {' '.join(tag.split())}" for number, tag in enumerate(tags))
