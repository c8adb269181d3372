"""Checks of a decoded instruction: other than the original, more than its padding, with the new tag, within limits."""

from collections.abc import Sequence
from dataclasses import dataclass

from tagsmith.processors.embedding import Embedder
from tagsmith.processors.errors import InputError
from tagsmith.processors.rewrite_checks import carries, is_copy, leaked_markup, padding


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
    if found := leaked_markup(original, new):
        return f"leaked_markup: the text contains {found!r}"
    if is_copy(original, new):
        return "same: it says the same words as the original"
    longest = min(limits.max_characters, int(limits.max_ratio * len(original) + limits.slack))
    if len(new) < limits.min_ratio * len(original):
        return f"too_short: {len(new)} characters, the original has {len(original)}; at least {limits.min_ratio} of it"
    if len(new) > longest:
        return f"too_long: {len(new)} characters, the original has {len(original)}; at most {longest}"
    if padded := padding(original, new, (*tags, new_tag)):
        return f"padded: {padded}"
    if not carries(new_tag, new, limits.tag_similarity, embedder):
        return f"tag_missing: neither words nor meaning of {new_tag!r} can be found in the text"
    return None
