"""What processors with a single chat prompt share: its template, checked before a run, and the request made of it."""

from dataclasses import dataclass
from typing import Any, ClassVar

from tagsmith.processors.endpoint.request import Reply, Request
from tagsmith.processors.errors import InputError
from tagsmith.processors.generation_processor import GenerationProcessor, Row
from tagsmith.processors.prompt_template import PromptTemplate
from tagsmith.processors.rows import user_turns


@dataclass(kw_only=True)
class OnePromptProcessor(GenerationProcessor):
    """A `GenerationProcessor` whose rows are all put into one template, sent as one user message.

    A subclass names the shipped template and its inputs.

    Args:
        prompt: a shipped template's name or a file, in place of the subclass's own; it has the same inputs.

    Raises:
        InputError: the prompt has other inputs, or a row lacks a column.
    """

    prompt_name: ClassVar[str]
    prompt_inputs: ClassVar[tuple[str, ...]]

    prompt: PromptTemplate | str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.prompt, PromptTemplate):
            self.prompt = PromptTemplate.load(self.prompt or self.prompt_name)
        self.prompt.check(*self.prompt_inputs)

    @property
    def templates(self) -> tuple[PromptTemplate, ...]:
        """The prompt in use."""
        assert isinstance(self.prompt, PromptTemplate)
        return (self.prompt,)

    def ask(self, **values: str) -> list[Request]:
        """One request, made of the template's values."""
        return [Request(self.parameters, messages=({"role": "user", "content": self.templates[0].render(**values)},))]


def cell(row: Row, column: str) -> Any:
    """A row's value in a column.

    Raises:
        InputError: there is no such column, or nothing in it.
    """
    value = row.get(column)
    if value is None:
        found = "is null" if column in row else f"is missing (there are: {', '.join(row)})"
        raise InputError(f"row {row.get('id', '?')}: column {column!r} {found}; run the step that makes it first")
    return value


def text_of(row: Row, column: str = "instruction") -> str:
    """A row's text; that of a conversation's `instruction` is its first user turn.

    Raises:
        InputError: there is no such column, or no text in it.
    """
    if column == "instruction" and row.get("messages"):
        turns = user_turns(row)
        return turns[0] if turns else ""
    value = cell(row, column)
    if not isinstance(value, str):
        raise InputError(f"row {row.get('id', '?')}: column {column!r} holds {value!r:.60}; expected text")
    return value


def cut_off(reply: Reply) -> str | None:
    """Why a reply that could be read is not whole, or None: half a text must not pass for one."""
    if reply.completion is None or reply.completion.finish_reason != "length":
        return None
    return f"cut_off: the reply ended at its limit of tokens ({reply.completion.reply_tokens}); raise max_new_tokens"
