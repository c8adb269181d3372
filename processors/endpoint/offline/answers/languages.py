"""In which language a request is written, told by script or by function words, and what it asks for if not English."""

import re
from collections import Counter
from dataclasses import dataclass
from functools import cache

from tagsmith.processors.endpoint.offline.answers.cues import read_yaml

_NOT_ASCII = re.compile(r"[^\x00-\x7f]")
_LETTER = re.compile(r"[^\W\d_]")
# In this order: kana tell Japanese from Chinese, a few letters tell Ukrainian, Persian and Urdu from their neighbours.
_SCRIPTS = {
    "japanese": re.compile(r"[\u3041-\u30fa]"),
    "korean": re.compile(r"[\uac00-\ud7af]"),
    "chinese": re.compile(r"[\u3400-\u9fff]"),
    "ukrainian": re.compile(r"[іїєґ]"),
    "russian": re.compile(r"[\u0400-\u04ff]"),
    "urdu": re.compile(r"[ٹڈڑےں]"),
    "persian": re.compile(r"[پچژگ]"),
    "arabic": re.compile(r"[\u0600-\u06ff]"),
    "hebrew": re.compile(r"[\u05d0-\u05ea]"),
    "hindi": re.compile(r"[\u0900-\u097f]"),
    "bengali": re.compile(r"[\u0980-\u09ff]"),
    "tamil": re.compile(r"[\u0b80-\u0bff]"),
    "thai": re.compile(r"[\u0e00-\u0e7f]"),
    "greek": re.compile(r"[\u0370-\u03ff]"),
}
# For languages known by a few letters: the whole script, by which their share of a text is counted.
_WHOLE_SCRIPT = {
    "japanese": re.compile(r"[\u3041-\u30fa\u3400-\u9fff]"),
    "ukrainian": _SCRIPTS["russian"],
    "urdu": _SCRIPTS["arabic"],
    "persian": _SCRIPTS["arabic"],
}
_LATIN_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?")
_ENGLISH = "the a an of to and in is for with that on are what how this you your my i be it as from or by write give"
# A request is foreign when this share of its words, and at least two different ones, are that language's.
_MIN_SHARE = 0.15
# Below this share of letters of another script, the text only quotes it.
_MIN_SCRIPT = 0.3
_NAMES = (
    "english german french spanish portuguese italian dutch polish swedish turkish vietnamese indonesian russian"
    " ukrainian chinese japanese korean arabic persian urdu hebrew hindi bengali tamil thai greek latin mandarin"
    " danish norwegian finnish swahili"
)
LANGUAGE_NAMES = frozenset(_NAMES.split())


@dataclass(frozen=True)
class Language:
    """Function words and letters by which a language is known, and word pieces that stand for concepts."""

    words: frozenset[str]
    letters: str
    cues: dict[str, str]


@cache
def languages() -> dict[str, Language]:
    """The languages that requests are recognised in, by name."""
    return {
        name: Language(frozenset(map(str, entry["words"])), entry.get("letters", ""), entry["cues"])
        for name, entry in read_yaml("languages").items()
    }


def foreign_language(text: str) -> str | None:
    """The language of a text that is not English, or None."""
    head = text[:1_000].lower()
    if _NOT_ASCII.search(head):
        letters = len(_LETTER.findall(head))
        for name, script in _SCRIPTS.items():
            if script.search(head) and len(_WHOLE_SCRIPT.get(name, script).findall(head)) >= _MIN_SCRIPT * letters:
                return name
    words = _LATIN_WORD.findall(head)
    if len(words) < 3:
        return None
    counts: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    known = _languages_of()
    for word, times in Counter(words).items():
        for evidence in (word, *_NOT_ASCII.findall(word)):
            for name in known.get(evidence, ()):
                counts[name] += times
                kinds[name] += 1
    counts["english"] += 1  # a tie with nothing is English
    best, count = counts.most_common(1)[0]
    return best if best != "english" and kinds[best] >= 2 and count >= _MIN_SHARE * len(words) else None


@cache
def _languages_of() -> dict[str, list[str]]:
    """Function word or letter → the languages that have it."""
    found: dict[str, list[str]] = {word: ["english"] for word in _ENGLISH.split()}
    for name, language in languages().items():
        for word in (*language.words, *language.letters):
            found.setdefault(word, []).append(name)
    return found


def foreign_concepts(text: str, name: str) -> dict[str, str]:
    """Concepts that a foreign text shows, each with the piece of text that shows it."""
    head = text[:1_000].lower()
    found: dict[str, str] = {}
    for piece, concept in languages()[name].cues.items():
        if piece in head:
            found.setdefault(concept, piece.strip())
    return found
