"""Checks of a decoded instruction: other than the original, more than its padding, with the new tag, within limits."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from tagsmith.processors.embedding import Embedder
from tagsmith.processors.errors import InputError
from tagsmith.processors.word_stems import stem, words

# A copy with padding: so much of the original's words stand in the new text in order, and fewer than so many content
# words are new that are neither a tag's own nor filler. An instruction that takes a tag up says what to do with it.
CONTAINED = 0.9
NEW_CONTENT_WORDS = 2
# Share of a tag's words that must stand in the text, in any inflection.
TAG_WORDS = 0.5
# Words that make a request longer and ask for nothing, beside function words.
_FILLER = """
a about above additionally again all also an and any answer answers are as at be been before being below best better
both but by can clear clearly complete completely comprehensive comprehensively could deep deeper deeply detail
detailed details do does each elaborate elaborately ensure especially every example examples explain explanation
extensive extensively extra few following for from full fully further furthermore give given go good great had has have
here how i if important in include including information instead into is it its just kind length lengthy less let like
long longer make many may me moreover more most much must my need no not note of often on one only or other our out
over particular please point points possible provide provided question questions quite really regard remember respond
response same see several shall should so some specific specifically still such sure tag take task tasks than that the
their them then there these they thing things this thorough thoroughly those through to too topic under up use using
various very want was way ways we well were what when where which while who why will with within without word words
work would write you your
"""
FILLER = frozenset(map(stem, _FILLER.split()))
_MARKUP = re.compile(
    r"\[(?:new |original |base |existing )?(?:tags?|questions?|instructions?|input|output|explanation|task)\]"
    r"|^#+ ?(?:instruction|response|input)\b|\[(?:request|instruction) (?:starts|ends)\]",
    re.IGNORECASE | re.MULTILINE,
)
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n+")


@dataclass(frozen=True)
class DecodeLimits:
    """How long a decoded instruction may be, in characters, and when it counts as carrying its tag.

    Args:
        min_ratio: it has at least this share of the original's length: rewriting must not lose the material.
        max_ratio, slack: at most this multiple of the original's length, plus so many characters, which is what a
            short original needs.
        max_characters: in any case at most. 6,000 are about 1,500 tokens; the paper trains on sequences of 2,048.
        tag_similarity: cosine of the tag to one of the sentences that shows the tag where its words do not occur. With
            the bundled model 2 % of the tags of other Alpaca instructions pass at 0.35, and 19 % of an instruction's
            own tags that it does not name.

    Raises:
        InputError: a number is out of range.
    """

    min_ratio: float = 0.5
    max_ratio: float = 4.0
    slack: int = 800
    max_characters: int = 6_000
    tag_similarity: float = 0.35

    def __post_init__(self) -> None:
        for name, low in (("min_ratio", 0), ("max_ratio", 1), ("slack", 0), ("max_characters", 1)):
            if not getattr(self, name) >= low:
                raise InputError(f"decode limit {name}={getattr(self, name)!r}: expected at least {low}")
        if not -1 <= self.tag_similarity <= 1:
            raise InputError(f"decode limit tag_similarity={self.tag_similarity!r}: expected a cosine, 0.35 say")


def problem_of(
    original: str,
    new: str,
    tags: Sequence[str],
    new_tag: str,
    limits: DecodeLimits,
    embedder: Embedder | None,
) -> str | None:
    """Why `new` is no harder version of `original`, as a code and the detail; None when nothing speaks against it.

    ``leaked_markup``, ``same``, ``too_short``, ``too_long``, ``padded`` and ``tag_missing``, looked for in this order.
    `tags` are all tags of the row, the new one included or not. Texts are compared by their words, so that case, spaces
    and punctuation make no difference.
    """
    if (found := _MARKUP.search(new)) and found[0].lower() not in original.lower():
        return f"leaked_markup: the text contains {found[0]!r}"
    before, after = words(original), words(new)
    if before == after:
        return "same: it says the same words as the original"
    longest = min(limits.max_characters, int(limits.max_ratio * len(original) + limits.slack))
    if len(new) < limits.min_ratio * len(original):
        return f"too_short: {len(new)} characters, the original has {len(original)}; at least {limits.min_ratio} of it"
    if len(new) > longest:
        return f"too_long: {len(new)} characters, the original has {len(original)}; at most {longest}"
    added = _content(after) - _content(before) - {part for tag in (*tags, new_tag) for part in _content(words(tag))}
    if len(added) < NEW_CONTENT_WORDS and (share := _contained(before, after)) >= CONTAINED:
        shown = f" ({', '.join(sorted(added))})" if added else ""
        return (
            f"padded: {share:.0%} of the original's words in order, and {len(added)} new content words{shown}; at"
            f" least {NEW_CONTENT_WORDS} beside the tags' own"
        )
    if not carries(new_tag, new, limits.tag_similarity, embedder):
        return f"tag_missing: neither words nor meaning of {new_tag!r} can be found in the text"
    return None


def carries(tag: str, text: str, similarity: float, embedder: Embedder | None) -> bool:
    """Whether the text takes a tag up: half of the tag's words in any inflection, else a sentence of near meaning.

    Without an embedder only words count. A tag of function words alone ("how to") is looked for as it stands.
    """
    named = set(map(stem, words(tag.replace("_", " ").replace("-", " "))))
    telling = named - FILLER or named
    if telling and len(telling & set(map(stem, words(text)))) >= TAG_WORDS * len(telling):
        return True
    if embedder is None:
        return False
    sentences = [part for part in _SENTENCE_END.split(text) if part.strip()]
    vectors = embedder.encode([tag, *sentences])
    return bool(sentences) and bool((vectors[1:] @ vectors[0]).max() >= similarity)


def _content(of: Sequence[str]) -> set[str]:
    return set(map(stem, of)) - FILLER


def _contained(before: Sequence[str], after: Sequence[str]) -> float:
    """Share of the words `before` that stand in `after`, in order."""
    blocks = SequenceMatcher(None, before, after, autojunk=False).get_matching_blocks()
    return sum(block.size for block in blocks) / max(len(before), 1)
