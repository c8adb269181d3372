"""The turns of a row: each user message with the answer behind it."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from tagsmith.processors.one_prompt import text_of


class Turn(NamedTuple):
    """A user message and its answer."""

    instruction: str
    response: str | None


def turns_of(row: Mapping[str, Any]) -> list[Turn]:
    """The row's turns in their order; a row without messages has one.

    Of several answers behind a user message the first is taken.

    Raises:
        InputError: there is neither a conversation nor an instruction.
    """
    if not row.get("messages"):
        return [Turn(text_of(dict(row)), row.get("response"))]
    turns: list[Turn] = []
    for message in row["messages"]:
        if message["role"] == "user":
            turns.append(Turn(message["content"], None))
        elif message["role"] == "assistant" and turns and turns[-1].response is None:
            turns[-1] = turns[-1]._replace(response=message["content"])
    return turns
