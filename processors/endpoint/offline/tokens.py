"""A small deterministic tokeniser: pieces of words with their leading space, as sub-word vocabularies have them."""

import re
from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple

# Up to seven ASCII letters, two signs or three digits, with the space before them; any other letter on its own, as in
# byte-level vocabularies. Every character falls in exactly one branch, so the pieces always join to the text.
_PIECE = re.compile(r" ?(?:[A-Za-z]{1,7}|[^\w\s]{1,2}|\d{1,3}|\w)|\s{1,4}")
_VOCABULARY = 128_000
END_OF_SEQUENCE = 2
# What else a model might have said: candidates for the runners-up in `top_tokens`.
_RUNNERS_UP: tuple[str, ...] = (" the", " a", "1", "2", "3", "4", "5", "6", " and", " to", ' "', "\n", " is", " of")
_RUNNERS_UP += (",", ".", " in", " it", " for", "The", "I", "7", "0", ":", "-", " (", " with", " not", "?", " as")


class Token(NamedTuple):
    """One token of a reply: `logprob` is the natural logarithm of its made-up probability."""

    id: int
    text: str
    logprob: float
    special: bool = False


def tokenize(text: str) -> list[str]:
    """The pieces of a text; joined they are the text."""
    return _PIECE.findall(text)


@lru_cache(maxsize=1 << 16)
def token_id(text: str) -> int:
    """A stable id, the same in every process. The first 100 are left to special tokens."""
    return 100 + int.from_bytes(blake2b(text.encode("utf-8", "replace"), digest_size=8).digest(), "big") % (
        _VOCABULARY - 100
    )


def token(text: str, position: int) -> Token:
    """A token with a probability between 0.5 and 1, fixed by its text and place."""
    number = token_id(text)
    # Multiplicative hashing (Knuth): cheap, since long replies have many tokens.
    mixed = (number * 2_654_435_761 + position * 2_246_822_519) % 2**32
    return Token(number, text, -round(0.7 * mixed / 2**32, 6))


class OneToken(NamedTuple):
    """A reply of one token whose alternatives matter: (text, logprob) of each, the likeliest first."""

    likely: tuple[tuple[str, float], ...]


def top_tokens(chosen: Token, n: int, likely: Sequence[Token] = ()) -> list[Token]:
    """The `n` most likely tokens at one place, most likely first: the chosen one and runners-up.

    `likely` are the first of them where they are known, the chosen one included; no other figures come after them.
    """
    others = [text for text in _RUNNERS_UP if text != chosen.text and not (likely and text.isdigit())]
    likely = list(likely) or [chosen]
    first = chosen.id % len(others)
    logprob = likely[-1].logprob
    for step in range(min(n - len(likely), len(others))):
        text = others[(first + step) % len(others)]
        logprob -= 0.7 + step * 0.3
        likely.append(Token(token_id(text), text, round(logprob, 6)))
    return likely[:n]


def end_of_sequence() -> Token:
    """What an empty reply consists of: a model that says nothing still says that it is done."""
    return Token(END_OF_SEQUENCE, "", -0.01, special=True)
