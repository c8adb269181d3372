"""Words of a text by their stems (Porter's), so that inflected forms of one word meet."""

import re
import unicodedata
from collections.abc import Callable
from functools import cache, lru_cache

_WORD = re.compile(r"[^\W_]+(?:['’][^\W\d_]+)?[+#]*")


def words(text: str) -> list[str]:
    """Words and numbers in lower case; full-width letters and the like as plain ones. C++ and C# keep their signs."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    return _WORD.findall(text.lower())


@lru_cache(maxsize=1 << 16)
def stem(word: str) -> str:
    """The Porter stem of a word in lower case."""
    return _stemmer()(word)


@cache
def _stemmer() -> Callable[[str], str]:
    # Imported when first needed: NLTK takes about a second.
    from nltk.stem.porter import PorterStemmer

    return PorterStemmer().stem  # type: ignore[no-any-return]
