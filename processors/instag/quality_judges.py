"""#InsTag's two judges of tagging quality: are a request's tags right, and does a tag keep its meaning."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tagsmith.processors.endpoint.request import Parameters, Reply, Request
from tagsmith.processors.generation_processor import Row
from tagsmith.processors.index_judge import IndexJudge, index_schema


@dataclass(kw_only=True)
class TagPrecisionJudge(IndexJudge):
    """Ask which of a request's tags do not belong (#InsTag, §3.3, Tab. 5).

    Input columns:
        query (``str``), tags (``list[str]``): as `precision_cases` makes them.
    Output columns:
        incorrect (``list[int] | None``): numbers of the wrong tags; None when the case is unscored.
        incorrect_out_of_range (``list[int]``): numbers that the judge gave though no tag bears them.
        and the columns of every `GenerationProcessor`.

    Differs from the paper: the reply is an object with the list under "incorrect"; a bare list is read as well.
    """

    verdict = "incorrect"
    prompt_name = "instag/precision"
    prompt_inputs = ("query", "tags")

    parameters: Parameters = field(default_factory=lambda: Parameters(json_schema=index_schema("incorrect")))

    def render(self, row: Row) -> list[Request]:
        """One request."""
        tags = "\n".join(f"[tag {number}] {tag}" for number, tag in enumerate(row["tags"]))
        return self.ask(query=row["query"], tags=tags)

    def collect(self, row: Row, replies: Sequence[Reply]) -> dict[str, Any]:
        """The verdict on the row's tags."""
        return self.verdict_on(replies, len(row["tags"]))


@dataclass(kw_only=True)
class TagConsistencyJudge(IndexJudge):
    """Ask in which of the requests that carry a tag it would have to mean something else (#InsTag, §3.3, Tab. 6).

    Input columns:
        tag (``str``), instructions (``list[str]``): as `consistency_cases` makes them.
    Output columns:
        inconsistent (``list[int] | None``): numbers of the deviating requests; None when the case is unscored.
        inconsistent_out_of_range (``list[int]``): numbers that the judge gave though no request bears them.
        and the columns of every `GenerationProcessor`.

    Differs from the paper: the reply is an object with the list under "inconsistent"; a bare list is read as well.
    """

    verdict = "inconsistent"
    prompt_name = "instag/consistency"
    prompt_inputs = ("tag", "instructions")

    parameters: Parameters = field(default_factory=lambda: Parameters(json_schema=index_schema("inconsistent")))

    def render(self, row: Row) -> list[Request]:
        """One request."""
        blocks = "\n\n".join(f"[instruction {number}] {text}" for number, text in enumerate(row["instructions"]))
        return self.ask(tag=row["tag"], instructions=blocks)

    def collect(self, row: Row, replies: Sequence[Reply]) -> dict[str, Any]:
        """The verdict on the tag's requests."""
        return self.verdict_on(replies, len(row["instructions"]))
