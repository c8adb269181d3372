"""Frequency filter and rule aggregation (#InsTag, §3.2): rare tags go, spellings of one tag become one."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from functools import cache

from tagsmith.processors.word_stems import stem


def frequency_filter(names: Sequence[str], counts: Sequence[int], alpha: int) -> list[str | None]:
    """Each tag's own name, or None where fewer than `alpha` rows carry it."""
    return [name if count >= alpha else None for name, count in zip(names, counts, strict=True)]


def rule_aggregation(names: Sequence[str], counts: Sequence[int], keep_characters: str = "") -> list[str | None]:
    """The name that each tag bears afterwards: the most frequent clean spelling among the tags with the same stems.

    "Information Retrieval" (5 rows), "information_retrieval" (3) and "information retrieve" (2) all become
    "information retrieval". A tag without any letter or digit becomes None.

    Args:
        names: tags as the model wrote them.
        counts: rows that carry each. Equal counts: the alphabetically first spelling wins.
        keep_characters: special characters that stay: "+#" keeps C++ and C# apart. The paper keeps none.
    """
    spellings = [clean(name, keep_characters) for name in names]
    groups: defaultdict[str, defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
    for spelling, count in zip(spellings, counts, strict=True):
        groups[stems(spelling)][spelling] += count
    chosen = {key: min(group, key=lambda name: (-group[name], name)) for key, group in groups.items()}
    return [chosen[stems(spelling)] or None for spelling in spellings]


def clean(name: str, keep_characters: str = "") -> str:
    """Lower case, each special character a space, spaces squeezed; empty when no letter or digit is left.

    Letters and digits are those of any script, with their marks. Before that, look-alikes are made equal (Unicode NFKC:
    full-width letters, accents in two code points) and invisible format characters removed. Idempotent.
    """
    cleaned = _clean_once(name, keep_characters)
    if not cleaned.isascii():
        # Removing a character can bring a letter and an accent together, which then compose.
        while (again := _clean_once(cleaned, keep_characters)) != cleaned:
            cleaned = again
    return cleaned if any(map(str.isalnum, cleaned)) else ""


def stems(spelling: str) -> str:
    """A clean name with each word stemmed by NLTK's Porter stemmer: the key under which spellings meet."""
    return " ".join(map(stem, spelling.split()))


def _clean_once(name: str, keep_characters: str) -> str:
    if name.isascii():
        return " ".join(_ascii_special(keep_characters).sub(" ", name.lower()).split())
    lowered = unicodedata.normalize("NFKC", name).lower()
    return " ".join(lowered.translate(_special(keep_characters)).split())


@cache
def _ascii_special(keep_characters: str) -> re.Pattern[str]:
    return re.compile(f"[^a-z0-9{re.escape(keep_characters)}]+")


@cache
def _special(keep_characters: str) -> "_Special":
    return _Special(keep_characters)


class _Special(dict[int, str]):
    """What `str.translate` makes of a character; looked up once each."""

    def __init__(self, keep_characters: str) -> None:
        self.keep_characters = keep_characters

    def __missing__(self, code_point: int) -> str:
        character = chr(code_point)
        category = unicodedata.category(character)
        if character in self.keep_characters or category[0] in "LNM":
            made = character
        else:
            made = "" if category == "Cf" else " "
        self[code_point] = made
        return made
