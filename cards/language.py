"""Which languages the rows are in, told from a sample of the rows themselves."""

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from datasets import Dataset

from tagsmith.cards.row_texts import texts

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

UNDETERMINED = "und"  # as ISO 639-2 has it
_SAMPLE = 500  # rows
_LEAST_SHARE = 0.05  # of the texts, for a language to stand in the metadata
_WORTH_NAMING = 0.01  # of the texts, for a language to be named on the page
_LEAST_CONFIDENCE = 0.35  # 37 of 40 one-sentence instructions in 27 languages lie above it, remains of code below 0.2
_LEAST_LETTERS = 12
_LEAST_IDEOGRAPHS = 4  # a sentence in Chinese is shorter
_LONGEST = 1000  # characters of a text that are looked at

_NO_PROSE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`|https?://\S+|<[^<>\n]+>|\$[^$\n]+\$", re.DOTALL)
_WORD = re.compile(r"(?<!\S)[^\W\d_]{2,}[.,:;!?]?(?!\S)")
_WORDS_OF_A_SENTENCE = 6
_CODE_LINE = re.compile(
    r"[{};]\s*$|^\s*(?:def|class|import|from|return|elif|else|#include|@|//)\b.*[:;(]|\w\(.*\)|[=!<>]=|->"
)


@dataclass(frozen=True)
class Languages:
    """Languages of a sample of texts.

    Args:
        texts: how many instructions and responses were looked at.
        shares: ISO 639 code to its share of them; `und` for code, numbers and texts too short.
    """

    texts: int
    shares: Mapping[str, float]

    @property
    def codes(self) -> list[str]:
        """The languages for a card's metadata: those of one text in twenty at least."""
        return [code for code, share in self._told() if share >= _LEAST_SHARE]

    @property
    def undetermined(self) -> float:
        """The share of texts whose language could not be told."""
        return self.shares.get(UNDETERMINED, 0.0)

    def words(self) -> str:
        """The shares for a sentence: `en 92%, de 3%, 4 others 2%, undetermined 3%`."""
        told = self._told()
        shown = [(code, share) for code, share in told if share >= _WORTH_NAMING] or told[:1]
        rest = told[len(shown) :]
        parts = [*shown]
        parts += [(f"{len(rest)} other{'s' if len(rest) > 1 else ''}", sum(share for _, share in rest))] if rest else []
        parts += [("undetermined", self.undetermined)] if self.undetermined else []
        return ", ".join(f"{name} {share:.0%}" if share >= 0.005 else f"{name} <1%" for name, share in parts)

    def _told(self) -> list[tuple[str, float]]:
        """Languages and their shares, the largest first, equal ones by code."""
        told = [(code, share) for code, share in self.shares.items() if code != UNDETERMINED]
        return sorted(told, key=lambda item: (-item[1], item[0]))


def detect_languages(dataset: Dataset) -> Languages:
    """Tell the languages of instructions and responses, from 500 rows spread evenly over the dataset.

    py3langid (Barbaresi; after Lui and Baldwin's langid.py, 2012) knows 97 languages and needs no network. Code blocks,
    lines of code, formulas and addresses are left out first; what has too few letters left, or no language that is
    likely enough, is undetermined.

    Input columns:
        instruction, response (``str``) or messages (``list`` of `role`, `content`).
    """
    step = max(1, len(dataset) / _SAMPLE)
    sample = dataset.select([int(n * step) for n in range(min(len(dataset), _SAMPLE))])
    found = Counter(detect_language(text) for row in sample for text in texts(row) if text.strip())
    return Languages(found.total(), {code: number / found.total() for code, number in sorted(found.items())})


def detect_language(text: str) -> str:
    """ISO 639 code of a text's language; `und` where there is too little prose to tell."""
    prose = _prose(text[:_LONGEST])
    letters = sum(map(str.isalpha, prose))
    ideographs = sum(unicodedata.east_asian_width(char) == "W" for char in prose)
    if letters < _LEAST_LETTERS and ideographs < _LEAST_IDEOGRAPHS:
        return UNDETERMINED
    code, confidence = _identifier().classify(prose)
    return str(code) if confidence >= _LEAST_CONFIDENCE else UNDETERMINED


def _prose(text: str) -> str:
    """The text without code, formulas, addresses and lines that are mostly signs and digits."""
    lines = _NO_PROSE.sub(" ", text).splitlines()
    return "\n".join(line.strip() for line in lines if not _is_code(line) and _mostly_letters(line))


def _is_code(line: str) -> bool:
    """A sentence that mentions `f(x)` has more words than a line of code."""
    return len(_WORD.findall(line)) < _WORDS_OF_A_SENTENCE and bool(_CODE_LINE.search(line))


def _mostly_letters(line: str) -> bool:
    kinds = Counter(unicodedata.category(char)[0] for char in line)
    return kinds["L"] + kinds["M"] >= 0.7 * (kinds.total() - kinds["Z"])


@cache
def _identifier() -> "LanguageIdentifier":
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
