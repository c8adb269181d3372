"""Answers to the two #InsTag judges: a tag belongs where rules or embeddings support it."""

import re
from functools import cache
from typing import Any

from tagsmith.processors.endpoint.offline.answers.cues import stem, table, words_of
from tagsmith.processors.endpoint.offline.answers.embedding import cosines
from tagsmith.processors.endpoint.offline.answers.instag import all_concepts
from tagsmith.processors.endpoint.offline.draw import Draw

_TAG_LINE = re.compile(r"^\[tag (\d+)\][ \t]*(.*)$", re.MULTILINE)
_INSTRUCTION_START = re.compile(r"^\[instruction (\d+)\] ?", re.MULTILINE)

# Cosine of MiniLM embeddings between a tag and a request from which on the tag fits. On 400 Alpaca requests all tags
# of our own rules pass in any case; of tags taken from other requests 92 % are caught at 0.25, 95 % at 0.30 and 96 %
# at 0.35. Lower passes chance likeness; higher would refuse tags that say the same in words of their own.
_NEAR = 0.30

# Words that many tags share and that therefore support none of them.
_GENERIC_WORDS = """
request question information generation generate writing write creation create creating task text content language
analysis description explanation answer knowledge general topic issue concept skill type specific format limit
constraint number list item requirement style tone advice suggestion idea and of for the in to a an on with about
"""


def precision(values: dict[str, str], draw: Draw) -> dict[str, Any]:
    """Reply to instag/precision: the numbers of the tags that do not belong to the query."""
    tags = [(int(number), name.strip()) for number, name in _TAG_LINE.findall(values["tags"])]
    query = values["query"]
    concepts = all_concepts(query)
    roots = _roots(query)
    doubtful = [(number, name) for number, name in tags if not _supported(name, concepts, roots)]
    if doubtful:
        near = cosines([name for _, name in doubtful], [query])[:, 0]
        doubtful = [tag for tag, similarity in zip(doubtful, near, strict=True) if similarity < _NEAR]
    return {"incorrect": [{"idx": number} for number, _ in doubtful]}


def consistency(values: dict[str, str], draw: Draw) -> dict[str, Any]:
    """Reply to instag/consistency: the numbers of the requests to which the tag does not apply."""
    tag = values["tag"].strip()
    doubtful = [
        (number, text)
        for number, text in _instructions(values["instructions"])
        if not _supported(tag, all_concepts(text), _roots(text))
    ]
    if doubtful:
        near = cosines([tag], [text for _, text in doubtful])[0]
        doubtful = [request for request, similarity in zip(doubtful, near, strict=True) if similarity < _NEAR]
    return {"inconsistent": [{"idx": number} for number, _ in doubtful]}


def _supported(tag: str, concepts: set[str], roots: frozenset[str]) -> bool:
    if _concepts_named(tag) & concepts:
        return True
    telling = _roots(tag) - _generic_roots()
    return bool(telling) and 2 * len(telling & roots) >= len(telling)


def _concepts_named(tag: str) -> frozenset[str]:
    """The concepts that a tag can mean, whatever its case, joining characters, inflection or stemming."""
    return _names().get(_roots(tag), frozenset())


@cache
def _names() -> dict[frozenset[str], frozenset[str]]:
    found: dict[frozenset[str], frozenset[str]] = {}
    for name in ("tasks", "domains", "conditions"):
        for concept in table(name).concepts.values():
            for form in (concept.name, *concept.forms):
                roots = _roots(form)
                found[roots] = found.get(roots, frozenset()) | {concept.name}
    return found


@cache
def _generic_roots() -> frozenset[str]:
    return frozenset(stem(word)[:5] for word in _GENERIC_WORDS.split())


def _roots(text: str) -> frozenset[str]:
    # Five letters of the stem: tags may come stemmed by Porter's rules ("poetri write"), which ours must meet.
    return frozenset(stem(word)[:5] for word in words_of(text.replace("_", " ").replace("-", " ")))


def _instructions(block: str) -> list[tuple[int, str]]:
    starts = list(_INSTRUCTION_START.finditer(block))
    ends = [start.start() for start in starts[1:]] + [len(block)]
    return [(int(start[1]), block[start.end() : end].strip()) for start, end in zip(starts, ends, strict=True)]
