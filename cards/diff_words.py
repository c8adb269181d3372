"""Values in words for a terminal: one line, of a known width, with nothing in it that a terminal would obey."""

import re
import unicodedata
from collections import Counter
from typing import Any

# Control characters, which begin escape sequences; bidirectional overrides, which turn a line around.
_OBEYED = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_LEAD = 12  # characters of what two texts share that stay before the place where they part
_LEAST_SHARED = 24  # shorter beginnings are shown whole


def one_line(value: Any) -> str:
    """Text as it is, lists by their items, everything else as Python writes it; control characters become spaces."""
    if value is None:
        text = "null"
    elif isinstance(value, list):
        text = ", ".join(map(one_line, value)) or "[]"
    elif isinstance(value, dict):
        text = ", ".join(f"{name}: {one_line(item)}" for name, item in value.items())
    elif isinstance(value, float):
        text = f"{value:.6g}"
    elif isinstance(value, str):
        text = value or '""'
    else:
        text = str(value)
    return " ".join(_OBEYED.sub(" ", text).split())


def width(text: str) -> int:
    """Columns that the text takes in a terminal: Chinese characters and emoji take two, combining marks none."""
    return sum(_columns(char) for char in text)


def fit(text: str, columns: int) -> str:
    """The text cut to a width, with `…` where something is missing."""
    taken, end = 0, None
    for place, char in enumerate(text):
        taken += _columns(char)
        if end is None and taken > columns - 1:
            end = place
        if taken > columns:
            return text[:end].rstrip() + "…"
    return text


def pad(text: str, columns: int, *, right: bool = False) -> str:
    """Cut or filled to exactly that width; flush right where asked."""
    text = fit(text, columns)
    space = " " * (columns - width(text))
    return space + text if right else text + space


def change(before: Any, after: Any, columns: int) -> str:
    """What became of a value, on one line: `− gone, + new` for lists, `before → after` for all else."""
    if isinstance(before, list) and isinstance(after, list) and (said := _items_changed(before, after)):
        return fit(said, columns)
    old, new = one_line(before), one_line(after)
    shared = _shared_beginning(old, new)
    if shared > _LEAST_SHARED:
        start = max(old.rfind(" ", 0, shared - _LEAD + 1) + 1, shared - 2 * _LEAD)  # at a word's beginning, if near
        old, new = "…" + old[start:], "…" + new[start:]
    # Each side gets half, and what the other does not need.
    room = columns - 3
    half = max(room // 2, room - width(fit(new, room)))
    old = fit(old, half)
    return f"{old} → {fit(new, room - width(old))}"


def _items_changed(before: list[Any], after: list[Any]) -> str:
    """Items that only one of the lists has; nothing where merely the order differs."""
    counts = Counter(map(one_line, before)), Counter(map(one_line, after))
    gone, new = counts[0] - counts[1], counts[1] - counts[0]
    return ", ".join([*(f"− {item}" for item in gone.elements()), *(f"+ {item}" for item in new.elements())])


def _shared_beginning(a: str, b: str) -> int:
    return next((n for n, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


def _columns(char: str) -> int:
    if unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1
