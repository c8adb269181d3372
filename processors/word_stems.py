"""Words of a text by their stems (Porter's), so that inflected forms of one word meet."""

import re
import unicodedata
from functools import lru_cache

from nltk.stem.porter import PorterStemmer

_WORD = re.compile(r"[^\W_]+(?:['’][^\W\d_]+)?[+#]*")

_STEMMER = PorterStemmer()


def words(text: str) -> list[str]:
    """Words and numbers in lower case; full-width letters and the like as plain ones. C++ and C# keep their signs."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    return _WORD.findall(text.lower())


@lru_cache(maxsize=1 << 16)
def stem(word: str) -> str:
    """The Porter stem of a word in lower case."""
    return _STEMMER.stem(word)  # type: ignore[no-any-return]
