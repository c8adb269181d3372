"""Judges that are shown numbered things and answer with numbers, so that no text can pass for a verdict."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from datasets import Features, List, Value

from tagsmith.processors.endpoint.request import Reply, UnparsedReplyError
from tagsmith.processors.json_reply import read_json
from tagsmith.processors.one_prompt import OnePromptProcessor


@dataclass(kw_only=True)
class IndexJudge(OnePromptProcessor):
    """Numbers things, asks which of them are so, reads their numbers back.

    Output columns:
        the verdict (``list[int] | None``): numbers in order, once each; None when the case is unscored.
        `<verdict>_out_of_range` (``list[int]``): numbers that the judge gave though nothing bears them.
    """

    verdict: ClassVar[str]  # output column, and the key of the list in the reply

    def read(self, text: str) -> list[int]:
        """The numbers, in order and once each; their range is checked in `collect`, which knows the row."""
        data = read_json(text)
        if isinstance(data, dict):  # a bare list is read as well
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

    def verdict_on(self, replies: Sequence[Reply], judged: int) -> dict[str, Any]:
        """The columns, for a case of so many things."""
        reply = next(iter(replies), None)  # none for a case that came in rejected
        if reply is None or reply.status != "ok":
            return {self.verdict: None, f"{self.verdict}_out_of_range": []}
        beyond = [number for number in reply.value if number >= judged]
        # A verdict on things that were not shown is no verdict: the case stays unscored, and says why.
        return {self.verdict: None if beyond else reply.value, f"{self.verdict}_out_of_range": beyond}


def index_schema(name: str) -> dict[str, Any]:
    """The reply's JSON schema, with the list under `name`."""
    index = {"type": "object", "properties": {"idx": {"type": "integer", "minimum": 0}}, "required": ["idx"]}
    return {"type": "object", "properties": {name: {"type": "array", "items": index}}, "required": [name]}
