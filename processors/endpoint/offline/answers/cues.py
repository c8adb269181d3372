"""Cues: short patterns of words that say which concepts (tasks, domains, conditions) a request shows.

Notation of the .yaml tables, words of a cue being separated by spaces:
`poem` a word in any inflection; `cover letter` words in a row; `write ~ poem` up to six words between;
`poem|verse` alternatives; `@write` one of the words of that group; `#` a number in figures or words;
`^what is` only within the first three words of the request.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any

import yaml

_WORD = re.compile(r"\d+(?:[.,:]\d+)*|[^\W\d_]+(?:'[^\W\d_]+)?[+#]*|```|[=+*/%$€£]")
_INFLECTED = re.compile(r"(\w*[aeiouy]\w+|\w+[aeiouy])(?:ing|ed)")
_LOST_E = re.compile(r"[^aeiou]*[aeiou][^aeiouwxy]")
_TWO_CONSONANTS_E = re.compile(r"\w\w[^aeiou]{2}e$|^\w[^aeiou]{2}e$")
_NUMBER_WORDS = "two three four five six seven eight nine ten eleven twelve fifteen twenty thirty hundred"
_NUMBERS = frozenset(_NUMBER_WORDS.split())
_COMMON = "# a an and as at be by do for from how i in is it of on or that the this to what with you"
_FUNCTION_WORDS = frozenset(_COMMON.split())
_GAP = 6
_START = 3
_MAX_WORDS = 400
# Requests say what they want at their start or end; what stands between is mostly material to work on.
_HEAD, _TAIL = 60, 25


@lru_cache(maxsize=1 << 16)
def stem(word: str) -> str:
    """Strip English inflection (plural, -ing, -ed), lightly: only so that the forms of a word meet."""
    if word[0].isdigit() or word in _NUMBERS:
        return "#"
    if word in "€£":
        return "$"
    word = word.removesuffix("'s")
    if len(word) < 4:
        return word
    if word.endswith("ies") and len(word) > 4:
        word = word[:-3] + "y"
    elif word.endswith(("sses", "xes", "ches", "shes", "zes")):
        word = word[:-2]
    elif word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-1]
    inflected = _INFLECTED.fullmatch(word)
    if inflected and not word.endswith("eed"):
        word = inflected[1]
        if word[-1] == word[-2] and word[-1] not in "lsz":
            return word[:-1]  # planning, plan
        if _LOST_E.fullmatch(word):
            return word + "e"  # writing, write; but helping, help
    # The e that -ing replaces goes, except in short words, where it tells plane from plan and care from car.
    return word[:-1] if word.endswith("e") and (len(word) > 5 or _TWO_CONSONANTS_E.search(word)) else word


def words_of(text: str) -> list[str]:
    """Words, numbers and the symbols that say something, in lower case."""
    return _WORD.findall(text.lower().replace("’", "'"))


class Reading:
    """A text as the cues see it: its first words, their stems, and where each stem stands."""

    def __init__(self, text: str) -> None:
        words = words_of(text)
        self.length = len(words)
        self.words = words[:_MAX_WORDS]
        self.stems = [stem(word) for word in self.words]
        self.positions: dict[str, list[int]] = {}
        for position, word in enumerate(self.stems):
            self.positions.setdefault(word, []).append(position)

    def quote(self, start: int, end: int) -> str:
        return " ".join(self.words[start : end + 1])


@dataclass(frozen=True)
class Concept:
    """Something that a tag can name, with the ways of naming it."""

    name: str
    forms: tuple[str, ...]
    parent: str | None
    weak: bool


@dataclass(frozen=True)
class Cue:
    """One pattern: `parts` are alternatives of stems, `gaps[i]` says if words may stand before part i.

    `key` is the part by which the cue is looked up: the last one that is no function word, since these are everywhere.
    """

    concept: Concept
    parts: tuple[frozenset[str], ...]
    gaps: tuple[bool, ...]
    at_start: bool
    key: int

    def span(self, stems: list[str], at: int) -> tuple[int, int] | None:
        """First and last word of the cue when its key part stands at `at`, or None when the rest is not around it."""
        start = end = at
        for index in range(self.key, 0, -1):
            stop = max(start - 2 - (_GAP if self.gaps[index] else 0), -1)
            for before in range(start - 1, stop, -1):
                if stems[before] in self.parts[index - 1]:
                    start = before
                    break
            else:
                return None
        for index in range(self.key + 1, len(self.parts)):
            stop = min(end + 2 + (_GAP if self.gaps[index] else 0), len(stems))
            for after in range(end + 1, stop):
                if stems[after] in self.parts[index]:
                    end = after
                    break
            else:
                return None
        return None if self.at_start and start >= _START else (start, end)


@dataclass
class Hit:
    """A concept that a text shows: by which words, and by how many different cues."""

    concept: Concept
    start: int
    end: int
    parts: int
    cues: int = 1


@dataclass
class Table:
    """All concepts and cues of one .yaml file, indexed by the stems of each cue's key part."""

    concepts: dict[str, Concept] = field(default_factory=dict)
    index: dict[str, list[Cue]] = field(default_factory=dict)

    def hits(self, reading: Reading, head_only: bool = False) -> dict[str, Hit]:
        """The concepts that the text shows. Of several cues for one, the longest is kept, else the first."""
        found: dict[str, Hit] = {}
        stems, index = reading.stems, self.index
        tail = reading.length - _TAIL
        for word, positions in reading.positions.items():
            if word not in index:
                continue
            for cue in index[word]:
                for at in positions:
                    if head_only and _HEAD <= at < tail:
                        continue
                    span = cue.span(stems, at) if len(cue.parts) > 1 or cue.at_start else (at, at)
                    if span is None:
                        continue
                    start, end = span
                    hit = found.get(cue.concept.name)
                    if hit is None:
                        found[cue.concept.name] = Hit(cue.concept, start, end, len(cue.parts))
                    else:
                        hit.cues += 1
                        if (len(cue.parts), -start) > (hit.parts, -hit.start):
                            hit.start, hit.end, hit.parts = start, end, len(cue.parts)
                    break
        return found


@cache
def table(name: str) -> Table:
    """Read `tasks`, `domains` or `conditions` once a process."""
    loaded = read_yaml(name)
    groups = {group: frozenset(map(stem, words.split())) for group, words in loaded.pop("groups").items()}
    result = Table()
    for entries in loaded.values():
        for concept_name, entry in entries.items():
            concept = Concept(concept_name, tuple(entry["forms"]), entry.get("with"), entry.get("weak", False))
            result.concepts[concept_name] = concept
            for text in entry["cues"]:
                cue = _parse(text, concept, groups)
                for word in cue.parts[cue.key]:
                    result.index.setdefault(word, []).append(cue)
    return result


def read_yaml(name: str) -> dict[str, Any]:
    """One of the tables beside this file."""
    text = (files("tagsmith.processors") / "endpoint" / "offline" / "answers" / f"{name}.yaml").read_text("utf-8")
    # The C loader reads the tables ten times as fast; it is absent from a few builds of PyYAML.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    loaded: dict[str, Any] = yaml.load(text, loader)
    return loaded


def _parse(text: str, concept: Concept, groups: dict[str, frozenset[str]]) -> Cue:
    parts: list[frozenset[str]] = []
    gaps: list[bool] = []
    gap = False
    for word in text.removeprefix("^").replace("-", " ").split():
        if word == "~":
            gap = True
            continue
        parts.append(frozenset(_alternatives(word.split("|"), groups)))
        gaps.append(gap)
        gap = False
    telling = [index for index, part in enumerate(parts) if part.isdisjoint(_FUNCTION_WORDS)]
    return Cue(concept, tuple(parts), tuple(gaps), text.startswith("^"), telling[-1] if telling else len(parts) - 1)


def _alternatives(words: Iterable[str], groups: dict[str, frozenset[str]]) -> Iterator[str]:
    for word in words:
        if word.startswith("@"):
            yield from groups[word[1:]]
        else:
            yield stem(word)
