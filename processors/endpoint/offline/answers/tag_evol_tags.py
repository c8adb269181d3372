"""Answers to Tag-Evol's tagging prompts by rules: aspects from cue tables, tags from cues and keyphrases."""

import re
from functools import cache
from typing import Any

from tagsmith.processors.endpoint.offline.answers.cues import Hit, Reading, read_yaml, stem, table
from tagsmith.processors.endpoint.offline.answers.instag import surface
from tagsmith.processors.endpoint.offline.answers.languages import foreign_concepts, foreign_language
from tagsmith.processors.endpoint.offline.draw import Draw
from tagsmith.processors.endpoint.offline.keyphrases import keyphrases

Aspects = dict[str, list[str]]

# The tables that each domain's tags are looked up in, and for the general ones the aspect that each stands for.
_TABLES = {"math": ("aspects_math",), "code": ("aspects_code",), "general": ("tasks", "domains", "conditions")}
_GENERAL = {"tasks": "type of task", "domains": "field of knowledge", "conditions": "condition to respect"}
_SUBJECT = {"math": "real-life setting", "code": "subject of the program", "general": "subject matter"}
_OTHER_NAMES = {
    "type of task": ("task type", "kind of task", "Required Task"),
    "field of knowledge": ("domain knowledge", "fields of knowledge", "knowledge field"),
    "subject matter": ("topic", "subject", "Subject Matters"),
    "type of operation": ("operation type", "operations", "Type of Operations"),
    "required technique": ("required skill", "techniques", "required techniques"),
    "programming language": ("language", "programming languages", "Programming_Language"),
}
_OTHER_NAME = 0.25
_MOST_ASPECTS, _MOST_TAGS = 6, 5
_PHRASES = 4
# Now and then a reply is no good, as those of models are: a tag twice under its aspect, a sentence for a tag, an aspect
# of two steps left out, a tag lost when aspects are merged.
_REPEATED, _SENTENCE, _LEFT_OUT, _LOST = 0.004, 0.003, 0.006, 0.010
_ADDED = ("edge cases of {0}", "{0} in practice", "limits of {0}", "checking {0}", "{0} under constraints")
_CUED = ("math", "code")  # domains with tables of their own
_SMALL_WORD = re.compile(r"\b[a-z][\w'’+#-]*")
_LINE = re.compile(r"^-\s*(.+)$", re.MULTILINE)


def tag_general(values: dict[str, str], draw: Draw) -> dict[str, Any]:
    """Aspects and tags of any request."""
    return _reply(values["instruction"], "general", draw)


def tag_math(values: dict[str, str], draw: Draw) -> dict[str, Any]:
    """Aspects and tags of a mathematical problem."""
    return _reply(values["instruction"], "math", draw)


def tag_code(values: dict[str, str], draw: Draw) -> dict[str, Any]:
    """Aspects and tags of a programming task."""
    return _reply(values["instruction"], "code", draw)


def aspects_general(values: dict[str, str], draw: Draw) -> dict[str, Any]:
    """The aspects alone."""
    return {"aspects": list(aspects_of(values["instruction"], "general", draw))}


def aspects_math(values: dict[str, str], draw: Draw) -> dict[str, Any]:
    """The aspects alone."""
    return {"aspects": list(aspects_of(values["instruction"], "math", draw))}


def aspects_code(values: dict[str, str], draw: Draw) -> dict[str, Any]:
    """The aspects alone."""
    return {"aspects": list(aspects_of(values["instruction"], "code", draw))}


def tags_of_aspects(values: dict[str, str], draw: Draw) -> dict[str, Any]:
    """Tags under the aspects that are given; an aspect that the rules do not know gets the request's own words."""
    text, names = values["instruction"], [name.strip() for name in _LINE.findall(values["aspects"])]
    draw = Draw(draw.bits("tags"), text)
    known = _found(text, _domain_of(names), draw)
    phrases = _without_names(text) or ["unclear request"]
    found = {name: known.get(_usual_name(name)) or [draw.pick(f"words {name}", phrases)] for name in names}
    if draw.share("left out") < _LEFT_OUT and len(found) > 1:
        found.popitem()
    return _listed(found)


def merge_aspects(values: dict[str, str], draw: Draw) -> dict[str, Any]:
    """Aspects whose names share a word as one, and one or two tags more under each."""
    draw = Draw(draw.bits("merge"), values["instruction"], values["aspects"])
    merged: Aspects = {}
    for line in values["aspects"].splitlines():
        name, _, listed = line.partition(":")
        words = _telling_words(name)
        into = next((other for other in merged if _telling_words(other) & words), name.strip())
        merged.setdefault(into, [])
        merged[into] += [tag.strip() for tag in listed.split(";") if tag.strip() not in merged[into]]
    if draw.share("lost") < _LOST:
        tags = next(iter(merged.values()))
        del tags[-1:]
    for name, tags in merged.items():
        for number in range(1 + draw.bits(f"added {name}") % 2):
            source = draw.pick(f"source {name} {number}", tags or [name])
            tags.append(_ADDED[(draw.bits(f"pattern {name}") + number) % len(_ADDED)].format(source))
    return _listed(merged)


def aspects_of(text: str, domain: str, draw: Draw) -> Aspects:
    """What the rules see in a request: up to six aspects with up to five tags each. The wording is drawn."""
    draw = Draw(draw.bits("aspects"), text)
    return {_named(name, draw): tags for name, tags in _found(text, domain, draw).items()}


def _found(text: str, domain: str, draw: Draw) -> Aspects:
    """The same under the usual names of the aspects."""
    foreign = foreign_language(text)
    if foreign is not None:
        tasks = list(foreign_concepts(text, foreign))[:_MOST_TAGS] or ["general request"]
        return {"type of task": tasks, "language": [f"{foreign} language"]}
    found: Aspects = {}
    reading = Reading(text)
    for name in _TABLES[domain]:
        for hit in sorted(table(name).hits(reading).values(), key=_surest):
            tags = found.setdefault(_GENERAL.get(name) or _aspect_of(name)[hit.concept.name], [])
            tag = surface(hit.concept, draw)
            if len(tags) < _MOST_TAGS and tag.lower() not in map(str.lower, tags):
                tags.append(tag)
    if phrases := _without_names(text):
        found[_SUBJECT[domain]] = phrases
    return dict(list(found.items())[:_MOST_ASPECTS]) or {"type of task": ["unclear request"]}


def _reply(text: str, domain: str, draw: Draw) -> dict[str, Any]:
    found = aspects_of(text, domain, draw)
    share = Draw(draw.bits("faults"), text).share("fault")
    first = next(iter(found.values()))
    if share < _REPEATED:
        first.append(first[0])
    elif share < _REPEATED + _SENTENCE:
        first.append(f"it is important that whoever answers this thinks about {first[0]} before anything else")
    return _listed(found)


def _listed(found: Aspects) -> dict[str, Any]:
    return {"aspects": [{"aspect": name, "tags": tags} for name, tags in found.items()]}


def _without_names(text: str) -> list[str]:
    """Keyphrases, each in one inflection, without those that have a word which the text has in capitals only: names
    belong to one request.
    """
    small = set(_SMALL_WORD.findall(text))
    found: dict[str, str] = {}
    for phrase in keyphrases(text, 2 * _PHRASES):
        if small.issuperset(_SMALL_WORD.findall(phrase)):
            found.setdefault(" ".join(map(stem, phrase.split())), phrase)
    return list(found.values())[:_PHRASES]


def _named(aspect: str, draw: Draw) -> str:
    others = _OTHER_NAMES.get(aspect)
    return draw.pick(f"name {aspect}", others) if others and draw.share(f"named {aspect}") < _OTHER_NAME else aspect


def _surest(hit: Hit) -> tuple[int, int]:
    return -hit.cues * hit.parts, hit.start


def _telling_words(name: str) -> frozenset[str]:
    return frozenset(name.lower().replace("_", " ").split()) - {"of", "the", "type", "kind", "required", "or"}


def _domain_of(names: list[str]) -> str:
    """The domain to which most of the aspects belong."""
    usual = {_usual_name(name) for name in names}
    own = {"general": set(_GENERAL.values())} | {each: set(_aspect_of(f"aspects_{each}").values()) for each in _CUED}
    return max(own, key=lambda domain: len(usual & own[domain]))


def _usual_name(name: str) -> str:
    """The name that the rules use for an aspect, which a row has in lower case with spaces."""
    plain = _spaced(name)
    return next((usual for usual, others in _OTHER_NAMES.items() if plain in map(_spaced, others)), plain)


def _spaced(name: str) -> str:
    return name.lower().replace("_", " ")


@cache
def _aspect_of(name: str) -> dict[str, str]:
    """Concept → aspect of a table that is ordered by aspects."""
    parts: dict[str, Any] = read_yaml(name)
    return {concept: part for part, entries in parts.items() if part != "groups" for concept in entries}
