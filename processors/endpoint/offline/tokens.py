"""A small deterministic tokeniser: pieces of words with their leading space, as sub-word vocabularies have them."""

import re
from dataclasses import dataclass
from hashlib import blake2b

# Every character falls in exactly one branch, so the pieces always join to the text.
_PIECE = re.compile(
    r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]"  # kana, han and hangul: a token a character
    r"| ?[^\W\d_\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]{1,7}"
    r"| ?\d{1,3}"
    r"| ?[^\w\s]{1,2}"
    r"|_{1,4}"
    r"|\s{1,4}"
)
_VOCABULARY = 128_000
END_OF_SEQUENCE = 2
# What else a model might have said: candidates for the runners-up in `top_tokens`.
_RUNNERS_UP = (" the", " a", "1", "2", "3", "4", "5", "6", " and", " to", ' "', "\n", " is", " of", ",", ".")


@dataclass(frozen=True)
class Token:
    """One token of a reply: `logprob` is the natural logarithm of its made-up probability."""

    id: int
    text: str
    logprob: float
    special: bool = False


def tokenize(text: str) -> list[str]:
    """The pieces of a text; joined they are the text."""
    return _PIECE.findall(text)


def token_id(text: str) -> int:
    """A stable id, the same in every process. The first 100 are left to special tokens."""
    return 100 + int.from_bytes(blake2b(text.encode("utf-8", "replace"), digest_size=8).digest(), "big") % (
        _VOCABULARY - 100
    )


def token(text: str, position: int) -> Token:
    """A token with a probability between 0.5 and 1, fixed by its text and place."""
    return Token(token_id(text), text, _logprob(text, position))


def top_tokens(chosen: Token, n: int) -> list[Token]:
    """The `n` most likely tokens at one place, most likely first: the chosen one and runners-up."""
    others = [text for text in _RUNNERS_UP if text != chosen.text]
    first = chosen.id % len(others)
    logprob = chosen.logprob
    likely = [chosen]
    for step in range(n - 1):
        text = others[(first + step) % len(others)]
        logprob -= 0.7 + step * 0.3
        likely.append(Token(token_id(text), text, round(logprob, 6)))
    return likely[:n]


def end_of_sequence() -> Token:
    """What an empty reply consists of: a model that says nothing still says that it is done."""
    return Token(END_OF_SEQUENCE, "", -0.01, special=True)


def _logprob(text: str, position: int) -> float:
    digest = blake2b(f"{position}/{text}".encode("utf-8", "replace"), digest_size=4).digest()
    return -round(0.7 * int.from_bytes(digest, "big") / 2**32, 6)
