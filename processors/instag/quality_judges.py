"""#InsTag's two judges of tagging quality: are a request's tags right, and does a tag keep its meaning."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from datasets import Features, List, Value

from tagsmith.processors.endpoint.request import Parameters, Reply, Request, UnparsedReplyError
from tagsmith.processors.generation_processor import GenerationProcessor, Row
from tagsmith.processors.json_reply import read_json
from tagsmith.processors.prompt_template import PromptTemplate


def _schema(name: str) -> dict[str, Any]:
    index = {"type": "object", "properties": {"idx": {"type": "integer", "minimum": 0}}, "required": ["idx"]}
    return {"type": "object", "properties": {name: {"type": "array", "items": index}}, "required": [name]}


@dataclass(kw_only=True)
class _IndexJudge(GenerationProcessor):
    """Numbers things, asks which of them are wrong, reads their numbers back."""

    verdict: ClassVar[str]  # output column, and the key of the list in the reply
    prompt_name: ClassVar[str]

    prompt: PromptTemplate | str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.prompt, PromptTemplate):
            self.prompt = PromptTemplate.load(self.prompt or self.prompt_name)

    @property
    def templates(self) -> tuple[PromptTemplate, ...]:
        """The prompt in use."""
        assert isinstance(self.prompt, PromptTemplate)
        return (self.prompt,)

    def read(self, text: str) -> list[int]:
        """The numbers, in order and once each; their range is checked in `collect`, which knows the row."""
        data = read_json(text)
        if isinstance(data, dict):  # the paper's bare list is read as well
            data = data.get(self.verdict)
        if not isinstance(data, list):
            raise UnparsedReplyError(f'expected a list under "{self.verdict}"')
        numbers = set()
        for entry in data:
            number = entry.get("idx") if isinstance(entry, dict) else None
            if not isinstance(number, int) or isinstance(number, bool) or number < 0:
                raise UnparsedReplyError('each entry needs an "idx" that is a whole number from 0')
            numbers.add(number)
        return sorted(numbers)

    def own_features(self) -> Features:
        """Type of the verdict."""
        return Features({self.verdict: List(Value("int64")), f"{self.verdict}_out_of_range": List(Value("int64"))})

    def _verdict(self, replies: Sequence[Reply], judged: int) -> dict[str, Any]:
        reply = next(iter(replies), None)  # none for a case that came in rejected
        if reply is None or reply.status != "ok":
            return {self.verdict: None, f"{self.verdict}_out_of_range": []}
        beyond = [number for number in reply.value if number >= judged]
        # A verdict on things that were not shown is no verdict: the case stays unscored, and says why.
        return {self.verdict: None if beyond else reply.value, f"{self.verdict}_out_of_range": beyond}


@dataclass(kw_only=True)
class TagPrecisionJudge(_IndexJudge):
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

    parameters: Parameters = field(default_factory=lambda: Parameters(json_schema=_schema("incorrect")))

    def render(self, row: Row) -> list[Request]:
        """One request."""
        tags = "\n".join(f"[tag {number}] {tag}" for number, tag in enumerate(row["tags"]))
        text = self.templates[0].render(query=row["query"], tags=tags)
        return [Request(self.parameters, messages=({"role": "user", "content": text},))]

    def collect(self, row: Row, replies: Sequence[Reply]) -> dict[str, Any]:
        """The verdict on the row's tags."""
        return self._verdict(replies, len(row["tags"]))


@dataclass(kw_only=True)
class TagConsistencyJudge(_IndexJudge):
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

    parameters: Parameters = field(default_factory=lambda: Parameters(json_schema=_schema("inconsistent")))

    def render(self, row: Row) -> list[Request]:
        """One request."""
        blocks = "\n\n".join(f"[instruction {number}] {text}" for number, text in enumerate(row["instructions"]))
        text = self.templates[0].render(tag=row["tag"], instructions=blocks)
        return [Request(self.parameters, messages=({"role": "user", "content": text},))]

    def collect(self, row: Row, replies: Sequence[Reply]) -> dict[str, Any]:
        """The verdict on the tag's requests."""
        return self._verdict(replies, len(row["instructions"]))
