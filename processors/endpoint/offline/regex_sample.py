"""Guided output for regular expressions: a string that fully matches one, drawn from its parsed form."""

import re
from collections.abc import Callable, Iterable, Sequence
from re import _constants as sre  # type: ignore[attr-defined]
from re import _parser  # type: ignore[attr-defined]
from typing import Any

from tagsmith.processors.endpoint.offline.draw import Draw

_ATTEMPTS = 50
_LETTERS = "abcdefghijklmnoprstuvwy"
_MORE = 4  # repetitions beyond the fewest, at most
_PRINTABLE = [chr(code) for code in range(32, 127)]
_CATEGORIES: dict[Any, Callable[[str], bool]] = {
    sre.CATEGORY_DIGIT: str.isdecimal,
    sre.CATEGORY_NOT_DIGIT: lambda c: not c.isdecimal(),
    sre.CATEGORY_SPACE: str.isspace,
    sre.CATEGORY_NOT_SPACE: lambda c: not c.isspace(),
    sre.CATEGORY_WORD: lambda c: c.isalnum() or c == "_",
    sre.CATEGORY_NOT_WORD: lambda c: not (c.isalnum() or c == "_"),
}


class NoMatchError(ValueError):
    """No string was found that matches: the expression asks for what its parts cannot give."""


def sample(pattern: str, draw: Draw) -> str:
    """A string that `pattern` fully matches.

    Look-around and word boundaries are not followed while drawing: what is drawn is checked, and drawn again.

    Raises:
        re.error: the pattern is not a regular expression.
        NoMatchError: nothing matched in a fair number of attempts.
    """
    compiled = re.compile(pattern)
    parsed = _parser.parse(pattern)
    for attempt in range(_ATTEMPTS):
        text = _Sampler(draw, attempt).run(parsed)
        if compiled.fullmatch(text):
            return text
    raise NoMatchError(f"no string that matches {pattern!r} was found in {_ATTEMPTS} attempts")


class _Sampler:
    def __init__(self, draw: Draw, attempt: int) -> None:
        self._draw = draw
        self._attempt = attempt
        self._drawn = 0
        self._groups: dict[int, str] = {}

    def run(self, parts: Iterable[tuple[Any, Any]]) -> str:
        return "".join(self._one(kind, value) for kind, value in parts)

    def _one(self, kind: Any, value: Any) -> str:
        if kind is sre.LITERAL:
            return chr(value)
        if kind is sre.NOT_LITERAL:
            return self._letter([c for c in _LETTERS if ord(c) != value])
        if kind is sre.ANY:
            return self._letter(_LETTERS)
        if kind is sre.IN:
            return self._one_of(value)
        if kind is sre.BRANCH:
            return self.run(self._pick(value[1]))
        if kind is sre.SUBPATTERN:
            text = self.run(value[3])
            if value[0] is not None:
                self._groups[value[0]] = text
            return text
        if kind in (sre.MAX_REPEAT, sre.MIN_REPEAT, sre.POSSESSIVE_REPEAT):
            fewest, most, body = value
            times = fewest + self._number(min(int(most) - fewest, _MORE) + 1)
            return "".join(self.run(body) for _ in range(times))
        if kind is sre.ATOMIC_GROUP:
            return self.run(value)
        if kind is sre.GROUPREF:
            return self._groups.get(value, "")
        if kind is sre.GROUPREF_EXISTS:
            group, yes, no = value
            return self.run(yes if group in self._groups else no or ())
        return ""  # anchors and look-around take no characters

    def _one_of(self, items: list[tuple[Any, Any]]) -> str:
        negated = items[0][0] is sre.NEGATE
        choices = items[1:] if negated else items
        if negated:
            # Letters first: what is left of the printable characters serves only when no letter is allowed.
            left = [c for c in _PRINTABLE if not any(_in_item(c, item) for item in choices)]
            letters = [c for c in left if c in _LETTERS]
            if not left:
                raise NoMatchError("a character class excludes every printable character")
            return self._letter(letters or left)
        kind, value = self._pick(choices)
        if kind is sre.LITERAL:
            return chr(value)
        if kind is sre.RANGE:
            return chr(value[0] + self._number(value[1] - value[0] + 1))
        fitting = [c for c in _PRINTABLE if _CATEGORIES[value](c)]
        return self._letter([c for c in fitting if c in _LETTERS] or fitting)

    def _letter(self, letters: Sequence[str]) -> str:
        return letters[self._number(len(letters))]

    def _pick(self, options: Any) -> Any:
        return options[self._number(len(options))]

    def _number(self, below: int) -> int:
        self._drawn += 1
        return self._draw.bits(f"regex/{self._attempt}/{self._drawn}") % below


def _in_item(character: str, item: tuple[Any, Any]) -> bool:
    kind, value = item
    if kind is sre.LITERAL:
        return ord(character) == int(value)
    if kind is sre.RANGE:
        return bool(value[0] <= ord(character) <= value[1])
    return _CATEGORIES[value](character)
