"""Answers to the #InsTag prompts by rules: tags of a request from cue tables and keyphrases."""

import re
from dataclasses import dataclass
from typing import Any

from tagsmith.processors.endpoint.offline.answers.cues import Concept, Hit, Reading, table
from tagsmith.processors.endpoint.offline.answers.languages import LANGUAGE_NAMES, foreign_concepts, foreign_language
from tagsmith.processors.endpoint.offline.draw import Draw
from tagsmith.processors.endpoint.offline.keyphrases import keyphrases

_MAX_TAGS = 10
_MAX_TASKS = 4
_MAX_CONDITIONS = 4
# A request of at least this many words is rich enough for a third domain and a second keyphrase.
_LONG = 40

# How often a tagger words a concept otherwise than usual. Enough variety that every stage of tag normalisation has
# work, little enough that the usual wording stays the most frequent.
_OTHER_FORM = 0.30
_TITLE_CASE, _SNAKE_CASE, _HYPHENS, _PLURAL = 0.10, 0.05, 0.03, 0.05

_CODE = re.compile(r"```|\bdef \w+\(|\bfunction \w*\(|#include\b|</\w+>|\bpublic (?:static|class)\b|\);\n")

_TASK_SENTENCES = (
    'With "{quote}" the person asks for {name}.',
    'The request says "{quote}", which calls for {name}.',
    'The wording "{quote}" shows that {name} is wanted.',
)
_DOMAIN_SENTENCES = (
    'The words "{quote}" place the request in {name}.',
    'The request is about {name}, as "{quote}" shows.',
)
_CONDITION_SENTENCES = (
    'The words "{quote}" set a condition on the answer: {name}.',
    'The answer has to respect "{quote}" ({name}).',
)


@dataclass(frozen=True)
class Found:
    """A concept of a request with the sentence that explains it."""

    concept: Concept
    explanation: str


def tag(values: dict[str, str], draw: Draw) -> dict[str, Any]:
    """Reply to instag/tag."""
    return {"tags": tags_of(values["instruction"], draw)}


def instagger(values: dict[str, str], draw: Draw) -> list[dict[str, str]]:
    """Reply of a released InsTagger, whose root is the bare list."""
    return tags_of(values["instruction"], draw)


def tags_of(instruction: str, draw: Draw) -> list[dict[str, str]]:
    """1 to 10 tags, tasks first; the more a request asks, the more tags it gets. The wording is drawn."""
    draw = Draw(draw.bits("tags"), instruction)
    tags: dict[str, str] = {}
    foreign = foreign_language(instruction)
    reading = Reading(instruction)
    for found in concepts_of(instruction, reading, foreign):
        tags.setdefault(surface(found.concept, draw), found.explanation)
    if foreign is None:
        room = 2 if reading.length >= _LONG else 1
        # A single word says little beside concepts, but is better than nothing.
        for phrase in keyphrases(instruction, room, min_words=1 if len(tags) < 2 else 2):
            tags.setdefault(phrase, f'The request names "{phrase}".')
    if not tags:
        # Digits, symbols or nothing at all: a tagger still says something.
        tags["unclear request"] = "The request does not say what is wanted."
    return [{"tag": name, "explanation": explanation} for name, explanation in list(tags.items())[:_MAX_TAGS]]


def concepts_of(instruction: str, reading: Reading, foreign: str | None) -> list[Found]:
    """Tasks, domains, conditions and languages of a request, in this order, each with its broader concept."""
    if foreign is not None:
        return _foreign_concepts(instruction, foreign)
    tasks = _chosen_tasks(table("tasks").hits(reading, head_only=True))
    domains = _chosen_domains(table("domains").hits(reading), reading.length)
    conditions = sorted(table("conditions").hits(reading, head_only=True).values(), key=lambda hit: hit.start)
    found: dict[str, Found] = {}
    if asked := _word_problem(reading):
        _add(found, _concept("math word problem"), asked, _TASK_SENTENCES)
    for hits, sentences in (
        (tasks, _TASK_SENTENCES),
        (domains, _DOMAIN_SENTENCES),
        (conditions[:_MAX_CONDITIONS], _CONDITION_SENTENCES),
    ):
        for hit in hits:
            _add(found, hit.concept, reading.quote(hit.start, hit.end), sentences)
    for name in reading.positions:
        if name in LANGUAGE_NAMES and name != "english":
            _add(found, _language(name), name, _DOMAIN_SENTENCES)
    if _CODE.search(instruction):
        _add(found, _concept("programming"), "code", _DOMAIN_SENTENCES)
    return list(found.values())


def all_concepts(instruction: str) -> set[str]:
    """Every concept that any cue supports, none left out for room: what the judges accept."""
    foreign = foreign_language(instruction)
    reading = Reading(instruction)
    names = {found.concept.name for found in concepts_of(instruction, reading, foreign)}
    if foreign is None:
        for name in ("tasks", "domains", "conditions"):
            for hit in table(name).hits(reading).values():
                names.update(concept.name for concept in _with_parents(hit.concept))
    return names


def surface(concept: Concept, draw: Draw) -> str:
    """One of the ways in which a language model would write a concept's name."""
    bits = draw.bits(concept.name)
    form, style = bits % 1000 / 1000, bits // 1000 % 1000 / 1000
    name = concept.name
    if form < _OTHER_FORM and concept.forms:
        name = concept.forms[bits // 1_000_000 % len(concept.forms)]
    if style < _TITLE_CASE:
        return name.title()
    style -= _TITLE_CASE
    if style < _SNAKE_CASE:
        return name.replace(" ", "_")
    style -= _SNAKE_CASE
    if style < _HYPHENS:
        return name.replace(" ", "-")
    style -= _HYPHENS
    if style < _PLURAL and name[-1] not in "sgy":
        return name + "s"
    return name


def _word_problem(reading: Reading) -> str | None:
    """The words by which a story with numbers asks for one more number, or None."""
    if len(reading.positions.get("#", ())) < 2:
        return None
    for at in reading.positions.get("how", ()):
        if reading.words[at + 1 : at + 2] in (["many"], ["much"]):
            return reading.quote(at, at + 1)
    return None


def _chosen_tasks(hits: dict[str, Hit]) -> list[Hit]:
    firm = [hit for hit in hits.values() if not hit.concept.weak]
    # A cue of several words is surer than a single one, then the earlier is nearer to what is asked.
    firm.sort(key=lambda hit: (-min(hit.parts, 2), hit.start))
    if firm:
        return firm[:_MAX_TASKS]
    return sorted(hits.values(), key=lambda hit: hit.start)[:1]


def _chosen_domains(hits: dict[str, Hit], length: int) -> list[Hit]:
    ranked = sorted(hits.values(), key=lambda hit: (-hit.cues, hit.start))
    if not ranked:
        return []
    # Next to a domain with many cues, one with a single cue is mostly chance, unless it is a part of that domain.
    first = ranked[0]
    firm = [hit for hit in ranked if hit.cues * 2 >= first.cues or hit.concept.parent == first.concept.name]
    return firm[: 3 if length >= _LONG else 2]


def _foreign_concepts(instruction: str, foreign: str) -> list[Found]:
    found: dict[str, Found] = {}
    for name, piece in foreign_concepts(instruction, foreign).items():
        _add(found, _concept(name), piece, _TASK_SENTENCES)
    kept = dict(list(found.items())[: _MAX_TAGS - 1])
    kept[foreign] = Found(_language(foreign), f"The request is written in {foreign.capitalize()}.")
    return list(kept.values())


def _add(found: dict[str, Found], concept: Concept, quote: str, sentences: tuple[str, ...]) -> None:
    # The sentence varies with what it quotes, so that equal cues are explained in equal words.
    sentence = sentences[len(quote) % len(sentences)]
    for each in _with_parents(concept):
        if each.name not in found:
            found[each.name] = Found(each, sentence.format(quote=quote, name=each.name))


def _with_parents(concept: Concept) -> list[Concept]:
    line = [concept]
    while line[-1].parent is not None:
        line.append(_concept(line[-1].parent))
    return line


def _concept(name: str) -> Concept:
    for part in ("tasks", "domains", "conditions"):
        if concept := table(part).concepts.get(name):
            return concept
    raise KeyError(f"the cue tables name {name!r} as a broader concept, but define no such concept")


def _language(name: str) -> Concept:
    return Concept(f"{name} language", (name, f"{name} text"), None, False)
