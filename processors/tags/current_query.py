"""What the tagger of TAGS looks at in a row: the current query, its answer, and what was said before."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tagsmith.processors.endpoint.request import Message
from tagsmith.processors.one_prompt import text_of

NOTHING = "none"


@dataclass(frozen=True)
class CurrentQuery:
    """The part of a row that is tagged.

    Args:
        problem: the instruction; in a conversation the last user turn.
        answer: the response to it, if there is one.
        history: the messages before the last user turn.
    """

    problem: str
    answer: str | None
    history: list[Message] = field(default_factory=list)

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> "CurrentQuery":
        """A row's current query (App. C, Tab. 12: earlier turns are context, the current query is what is tagged).

        Raises:
            InputError: there is no instruction.
        """
        messages = row.get("messages")
        asked = [place for place, message in enumerate(messages or ()) if message["role"] == "user"]
        if not messages or not asked:
            return cls(text_of(dict(row)), row.get("response"))
        last = asked[-1]
        answers = [message["content"] for message in messages[last + 1 :] if message["role"] == "assistant"]
        return cls(messages[last]["content"], answers[0] if answers else None, messages[:last])

    def values(self) -> dict[str, str]:
        """As prompts take it: `history`, `problem` and `answer`, each "none" where there is nothing."""
        said = "\n\n".join(f"{message['role']}: {message['content']}" for message in self.history)
        return {"history": said or NOTHING, "problem": self.problem, "answer": self.answer or NOTHING}
