"""Requests as the Tag-Instruct rules see them: their kind, their concepts in short names, and demands added to them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

from tagsmith.processors.endpoint.offline.answers.cues import Concept, Reading, read_yaml, stem, words_of
from tagsmith.processors.endpoint.offline.answers.instag import concepts_of
from tagsmith.processors.endpoint.offline.answers.languages import foreign_language
from tagsmith.processors.endpoint.offline.draw import Draw
from tagsmith.processors.endpoint.offline.keyphrases import STOP_WORDS, keyphrases

# Kinds that have demands of their own; every other request is about a topic.
_KINDS = {"writing": "writing", "language work": "language", "code": "code", "mathematics": "mathematics"}
# What a request refers to and does not bring along.
NOT_GIVEN = re.compile(
    r"\b(?:attached|enclosed) (?:file|image|picture|photo|document|table|spreadsheet|audio|video)"
    r"|\bin the (?:image|picture|photo) (?:above|below)",
    re.IGNORECASE,
)
_BETWEEN_SENTENCES = re.compile(r"(?<=[.!?])\s+")
_SENTENCE_ENDS = (".", "!", "?", '"', "”", ")", "。", "？", "！", "…")


@dataclass(frozen=True)
class Request:
    """What the rules know of a request."""

    kind: str
    concepts: tuple[Concept, ...]
    phrases: tuple[str, ...]  # of its first sentence, the most telling first
    stems: frozenset[str]


# The many candidates of one request come one after the other, and its analysis takes a millisecond.
@lru_cache(maxsize=4096)
def read_request(text: str) -> Request:
    """Analyse a request."""
    found = concepts_of(text, Reading(text), foreign_language(text))
    concepts = tuple(each.concept for each in found)
    parts = [_task_parts()[each.name] for each in concepts if each.name in _task_parts()]
    kind = _KINDS.get(parts[0], "topic") if parts else "topic"  # demands that were added must not change it
    return Request(
        kind, concepts, tuple(keyphrases((sentences_of(text) or [text])[0], 6)), frozenset(map(stem, words_of(text)))
    )


@dataclass(frozen=True)
class Expansion:
    """A tag that can make requests harder. `kinds` is empty for any."""

    tag: str
    asks: tuple[str, ...]
    kinds: frozenset[str]
    against: frozenset[str]

    def fits(self, kind: str) -> bool:
        return not self.kinds or kind in self.kinds


@cache
def expansions() -> dict[str, Expansion]:
    """The table, by tag."""
    return {
        tag: Expansion(tag, tuple(e["asks"]), frozenset(e.get("kinds", ())), frozenset(e.get("against", ())))
        for tag, e in _table()["expansions"].items()
    }


def misfits() -> list[str]:
    """Tags that belong to no usual request."""
    misfits: list[str] = _table()["misfits"]
    return misfits


def aspects() -> list[str]:
    """What can be asked about any subject."""
    aspects: list[str] = _table()["aspects"]
    return aspects


def short_name(concept: Concept) -> str | None:
    """A concept's name in one or two words, or None where it has none."""
    return next((name for name in (concept.name, *concept.forms) if len(name.split()) <= 2), None)


def takes_up(request: Request, tag: str) -> bool:
    """Whether all words of a tag stand in the request already."""
    return all(stem(word) in request.stems for word in words_of(tag.replace("-", " ")))


@lru_cache(maxsize=4096)
def fitting(text: str) -> tuple[str, ...]:
    """The tags of the table that suit a request and that it does not take up yet."""
    request = read_request(text)
    return tuple(
        each.tag for each in expansions().values() if each.fits(request.kind) and not takes_up(request, each.tag)
    )


def harder(text: str, tag: str, draw: Draw) -> str:
    """The request with the demand that a tag stands for: after its first line when material follows, else at its end.

    Of the ways to say it, the one with the most words that are new to the request is taken, so that demands which come
    one after the other in several rounds do not repeat each other.
    """
    known = expansions().get(tag)
    asks = known.asks if known else [each.format(tag=tag) for each in _table()["other_asks"]]
    stems = read_request(text).stems
    start = draw.bits(f"ask {tag}") % len(asks)
    asks = [*asks[start:], *asks[:start]]
    ask = max(asks, key=lambda each: len(_content(each) - stems))
    return insert(text, ask)


def requirements(text: str) -> list[str]:
    """The sentences of a request after its first one, material that it brings along left out."""
    return sentences_of(text)[1:]


def sentences_of(text: str) -> list[str]:
    """The sentences of a text's first line."""
    return [part for part in _BETWEEN_SENTENCES.split(text.strip().partition("\n")[0]) if part]


def insert(text: str, sentence: str) -> str:
    """The request with a sentence in it: after its first line when material follows, else at its end."""
    text = text.strip()
    first, line_end, rest = text.partition("\n")
    first = first.rstrip()
    if first.endswith((":", ",", ";")):  # what follows belongs to it
        return f"{text}\n\n{sentence}" if line_end else f"{first[:-1]}. {sentence}"
    if not first.endswith(_SENTENCE_ENDS):
        first += "."
    return f"{first} {sentence}{line_end}{rest}"


@lru_cache(maxsize=4096)
def _content(text: str) -> frozenset[str]:
    return frozenset(stem(word) for word in words_of(text) if word not in STOP_WORDS)


@cache
def _task_parts() -> dict[str, str]:
    parts: dict[str, Any] = read_yaml("tasks")
    return {name: part for part, entries in parts.items() if part != "groups" for name in entries}


@cache
def _table() -> dict[str, Any]:
    return read_yaml("expansions")


def listed(tags: str) -> list[str]:
    """Tags as a prompt lists them."""
    return [tag.strip() for tag in tags.split(",") if tag.strip()]


def first_of(options: Sequence[str], default: str) -> str:
    """The first of some options, or a default."""
    return options[0] if options else default
