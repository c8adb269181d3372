"""Tags as texts: one spelling, and a key under which inflected spellings of one tag meet."""

import unicodedata

from tagsmith.processors.word_stems import stem, words

_AROUND = " \t\r\n\"'`“”‘’*#.,;:[](){}<>-•"


def normalise_tag(text: str) -> str:
    """A tag in its one spelling: lower case, underscores as spaces, no quotes, bullets or full stop around it.

    Hyphens within it stay ("self-care" is one word), and so do signs that end a word (C++). Empty when no letter or
    digit is left.
    """
    folded = unicodedata.normalize("NFKC", text).lower().replace("_", " ")
    end = folded.rstrip(_AROUND)
    if folded[len(end) : len(end) + 1] == "#" and end[-1:].isalpha():  # c#, f#
        end += "#"
    tag = " ".join(end.lstrip(_AROUND).split())
    return tag if any(map(str.isalnum, tag)) else ""


def tag_key(tag: str) -> str:
    """Equal for equal tags: "User_Interfaces" and "user interface" are one tag, "data model" and "model data" two."""
    return " ".join(map(stem, words(normalise_tag(tag).replace("-", " "))))
