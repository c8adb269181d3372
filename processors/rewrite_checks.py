"""Checks of a rewritten instruction: leaked markup, a copy, padding, and whether it takes a tag up."""

import re
from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher

from tagsmith.processors.embedding import Embedder
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
    r"|\[(?:request|(?:rewritten )?instruction|problem|task|attempt|plan) (?:starts|ends)\]"
    r"|\[(?:candidate |chosen )?tags (?:start|end)\]"
    r'|"(?:chosen_tags|rewritten_instruction|final_instruction)"'
    r"|^#+ ?(?:instruction|response|input)\b",
    re.IGNORECASE | re.MULTILINE,
)
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n+")


def leaked_markup(original: str, new: str) -> str | None:
    """A mark of the prompt's form that stands in the new text and not in the original, or None."""
    found = _MARKUP.search(new)
    return found[0] if found and found[0].lower() not in original.lower() else None


def is_copy(original: str, new: str) -> bool:
    """Whether both say the same words: case, spaces and punctuation make no difference."""
    return words(original) == words(new)


def padding(original: str, new: str, tags: Iterable[str]) -> str | None:
    """What makes `new` the original with filler around it, in words; None when it asks for something of its own.

    `tags` are the tags that were to be taken up: naming them is no gain in itself.
    """
    before, after = words(original), words(new)
    added = _content(after) - _content(before) - {part for tag in tags for part in _content(words(tag))}
    if len(added) >= NEW_CONTENT_WORDS or (share := _contained(before, after)) < CONTAINED:
        return None
    shown = f" ({', '.join(sorted(added))})" if added else ""
    return (
        f"{share:.0%} of the original's words in order, and {len(added)} new content words{shown}; at least"
        f" {NEW_CONTENT_WORDS} beside the tags' own"
    )


def names_tag(tag: str, text: str) -> bool:
    """Whether half of the tag's telling words stand in the text, in any inflection.

    A tag of function words alone ("how to") is looked for as it stands.
    """
    named = set(map(stem, words(tag.replace("_", " ").replace("-", " "))))
    telling = named - FILLER or named
    return bool(telling) and len(telling & set(map(stem, words(text)))) >= TAG_WORDS * len(telling)


def carries(tag: str, text: str, similarity: float, embedder: Embedder | None) -> bool:
    """Whether the text takes a tag up: half of the tag's words in any inflection, else a sentence of near meaning.

    Without an embedder only words count.
    """
    if names_tag(tag, text):
        return True
    if embedder is None:
        return False
    sentences = sentences_of(text)
    vectors = embedder.encode([tag, *sentences])
    return bool(sentences) and bool((vectors[1:] @ vectors[0]).max() >= similarity)


def sentences_of(text: str) -> list[str]:
    """The text's sentences, and its lines, that are not blank."""
    return [part for part in _SENTENCE_END.split(text) if part.strip()]


def _content(of: Sequence[str]) -> set[str]:
    return set(map(stem, of)) - FILLER


def _contained(before: Sequence[str], after: Sequence[str]) -> float:
    """Share of the words `before` that stand in `after`, in order."""
    blocks = SequenceMatcher(None, before, after, autojunk=False).get_matching_blocks()
    return sum(block.size for block in blocks) / max(len(before), 1)
