"""Tags and topics as lines of a prompt: one line each, whatever is in them."""

from collections.abc import Iterable

LONGEST_ENTRY = 200  # characters: a tag that is a whole paragraph must not push the others out of the prompt


def one_line(text: str) -> str:
    """A text without line ends, cut where it is too long to be a tag."""
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_ENTRY else line[: LONGEST_ENTRY - 1] + "…"


def bulleted(texts: Iterable[str]) -> str:
    """A line each."""
    return "\n".join(f"- {one_line(text)}" for text in texts)


def numbered(texts: Iterable[str]) -> str:
    """A line each, numbered from 1."""
    return "\n".join(f"{number}. {one_line(text)}" for number, text in enumerate(texts, 1))


def explained(topic: str, description: str) -> str:
    """A topic with what it covers."""
    return f"{topic}: {description}" if description else topic
