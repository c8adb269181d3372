"""Text from rows and settings made safe for a Markdown page: nothing in it can act as Markdown or HTML."""

import html
import re
import shlex
import unicodedata
from collections.abc import Sequence
from typing import Any

# Bidirectional embeddings and overrides can show a text in another order than it has; single marks (LRM, RLM) stay.
_BIDI_CONTROLS = re.compile("[\u202a-\u202e\u2066-\u2069]")
_MARKUP = re.compile(r"([\\`*_\[\]|~$])")
_WIDEST_LINE = 90  # characters of a code block that a card shows without a scroll bar
_JOINERS = "\u200d\ufe0e\ufe0f"  # a cut must not leave half of an emoji sequence waiting for the rest


def inline(text: str, longest: int | None = None) -> str:
    """One line of escaped Markdown, fit for a table's cell, at most `longest` characters of text (then `…`)."""
    text = " ".join(_BIDI_CONTROLS.sub("", text).split())
    text = "".join(char for char in text if unicodedata.category(char) not in ("Cc", "Cs"))
    if longest is not None:
        text = shorten(text, longest)
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MARKUP.sub(r"\\\1", text)


def prose(text: str, longest: int) -> str:
    """Several lines of escaped Markdown within a table's cell: line ends and indentation stay, blank lines go."""
    lines = shorten(text.strip(), longest).splitlines()
    return "<br>".join("&nbsp;" * (len(line) - len(line.lstrip())) + inline(line) for line in lines if line.strip())


def attribute(text: str) -> str:
    """The value of an HTML attribute in double quotes."""
    return html.escape(" ".join(text.split()), quote=True)


def shorten(text: str, longest: int) -> str:
    """Cut at `longest` characters, at a space if one is near, never inside a composed character."""
    if len(text) <= longest:
        return text
    end = longest - 1
    while end > 0 and (unicodedata.combining(text[end]) or text[end] in _JOINERS or text[end - 1] in _JOINERS):
        end -= 1
    space = text.rfind(" ", end - 30, end)
    return text[: space if space > 0 else end].rstrip() + "…"


def fence(text: str, language: str = "") -> str:
    """A code block whose fence is longer than any run of backticks inside."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    ticks = "`" * max(3, longest + 1)
    return f"{ticks}{language}\n{text.strip()}\n{ticks}"


def shell_lines(command: Sequence[str]) -> str:
    """A command to copy into a shell; one that is too long for a card has each option on a line of its own."""
    line = shlex.join(command)
    if len(line) <= _WIDEST_LINE:
        return line
    lines: list[list[str]] = [[]]
    for word in command:
        if word.startswith("--"):
            lines.append([])
        lines[-1].append(word)
    return " \\\n  ".join(shlex.join(words) for words in lines if words)


def code(text: str) -> str:
    """A short piece of code within a sentence or a table's cell."""
    text = " ".join(text.split()).replace("|", "\\|")
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    ticks = "`" * (longest + 1)
    return f"{ticks} {text} {ticks}" if longest else f"`{text}`"


def cell(value: Any) -> str:
    """A value in a table: whole numbers with thousands, others to four digits, nothing as a dash, text escaped."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return inline(str(value))
