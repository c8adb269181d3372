"""Answers to the prompts of TAGS' act-critic loop by rules: knowledge tags with a flaw now and then, and a critic."""

import re
from typing import Any

import orjson

from tagsmith.processors.endpoint.offline.answers.cues import Reading, stem, words_of
from tagsmith.processors.endpoint.offline.answers.instag import concepts_of
from tagsmith.processors.endpoint.offline.answers.languages import foreign_language
from tagsmith.processors.endpoint.offline.draw import Draw
from tagsmith.processors.endpoint.offline.keyphrases import keyphrases

_MOST_TAGS = 5
# Of a hundred first proposals, so many have a tag that is too broad, one that is there twice in other words, too few
# tags, or a blank one, which nobody can read.
_BROAD, _TWICE, _FEW, _BLANK = 0.14, 0.06, 0.05, 0.003
# Of a hundred refinements, so many change nothing; of a hundred checks, so many object without a visible reason, and
# so many object without saying why, which nobody can read.
_STUBBORN, _WHIM, _SILENT = 0.2, 0.04, 0.003
_BROAD_NAMES = ("Mathematics", "General Knowledge", "Science", "Writing", "Programming", "Problem Solving")
_LONG_WORDS = 25
_TO_CHANGE = re.compile(r"^Tags to change: (.*)$", re.MULTILINE)

Tag = dict[str, str]


def propose(values: dict[str, str], draw: Draw) -> dict[str, Any]:
    """Reply to tags/propose."""
    problem, answer = values["problem"], values["answer"]
    tags = _knowledge(problem, answer)
    if values["feedback"] != "none":
        return {"tags": _mended(tags, values, Draw(draw.bits("mend"), problem, values["feedback"]))}
    tags = tags[:_MOST_TAGS]
    flaw = Draw(draw.bits("propose"), problem, answer).share("flaw")
    if flaw < _BROAD:
        name = _BROAD_NAMES[len(problem) % len(_BROAD_NAMES)]
        tags = [*tags[: _MOST_TAGS - 1], {"tag": name, "explanation": "The problem belongs to this field."}]
    elif flaw < _BROAD + _TWICE:
        first = tags[0]
        again = {"tag": f"Basics of {first['tag']}", "explanation": first["explanation"]}
        tags = [first, again, *tags[1 : _MOST_TAGS - 1]]
    elif flaw < _BROAD + _TWICE + _FEW:
        tags = tags[:1]
    elif flaw < _BROAD + _TWICE + _FEW + _BLANK:
        tags = [*tags[: _MOST_TAGS - 1], {"tag": " ", "explanation": "The rest is routine."}]
    return {"tags": tags}


def check(values: dict[str, str], draw: Draw) -> dict[str, Any]:
    """Reply to tags/check."""
    names = [tag["tag"] for tag in _read(values["tags"])]
    draw = Draw(draw.bits("check"), values["problem"], *names)
    if draw.share("silent") < _SILENT:
        return {"check": "No", "reason": "", "faulty_tags": names[:1]}
    faults = _faults(names)
    if not faults and draw.share("whim") < _WHIM:
        faults = {names[-1]: "retells this one problem; name the concept behind it"}
    if faults:
        reason = " ".join(f'"{name}" {fault}.' for name, fault in faults.items())
        return {"check": "No", "reason": reason, "faulty_tags": list(faults)}
    if len(names) == 1 and len(words_of(values["problem"])) >= _LONG_WORDS:
        reason = "One tag does not cover the problem; add the concepts that its solution rests on."
        return {"check": "No", "reason": reason, "faulty_tags": []}
    return {"check": "Yes", "reason": "", "faulty_tags": []}


def _knowledge(problem: str, answer: str) -> list[Tag]:
    """More tags than fit: concepts of the problem, made specific, and phrases of problem and answer."""
    foreign = foreign_language(problem)
    phrases = keyphrases(problem, 4) if foreign is None else []
    tags: dict[str, str] = {}
    used = ""
    for found in concepts_of(problem, Reading(problem), foreign)[:4]:
        name = found.concept.name
        if " " not in name:  # a field: with what it is about it becomes a piece of knowledge
            used = phrases[0] if phrases else "common cases"
            name = f"{name} of {used}"
        tags.setdefault(name.title(), found.explanation)
        if len(tags) == 3:
            break
    for phrase in phrases:
        if " " in phrase and phrase != used:
            tags.setdefault(phrase.title(), f'The problem speaks of "{phrase}".')
    if answer != "none":
        for phrase in keyphrases(answer, 3, min_words=2):
            tags.setdefault(phrase.title(), f'The answer rests on "{phrase}".')
    if not tags:
        named = phrases[0] if phrases else "an unclear request"
        tags[f"Meaning of {named}".title()] = "Without it the problem cannot be understood."
    return [{"tag": name, "explanation": why} for name, why in tags.items()]


def _mended(tags: list[Tag], values: dict[str, str], draw: Draw) -> list[Tag]:
    previous = _read(values["previous"])
    if draw.share("stubborn") < _STUBBORN:
        return previous
    named = _TO_CHANGE.search(values["feedback"])
    objected = set(named[1].split("; ")) if named else set()
    kept = [tag for tag in previous if tag["tag"] not in objected]
    stems = [_stems(tag["tag"]) for tag in previous]
    new = [tag for tag in tags if _stems(tag["tag"]) not in stems]
    mended = [*kept, *new][:_MOST_TAGS]
    return mended or [{"tag": f"Reading of {previous[0]['tag']}", "explanation": "It is what the problem asks for."}]


def _faults(names: list[str]) -> dict[str, str]:
    faults: dict[str, str] = {}
    seen: dict[frozenset[str], str] = {}
    for name in names:
        stems = _stems(name)
        if name in _BROAD_NAMES:
            faults[name] = "is too broad; name the concept that this problem needs"
        elif stems in seen:
            faults[name] = f'says the same as "{seen[stems]}"; keep one of them'
        seen.setdefault(stems, name)
    return faults


def _stems(name: str) -> frozenset[str]:
    return frozenset(stem(word) for word in words_of(name)) - {"basic", "of"}


def _read(text: str) -> list[Tag]:
    try:
        tags = orjson.loads(text)
    except orjson.JSONDecodeError:
        tags = None
    return tags if isinstance(tags, list) and tags else [{"tag": "Unclear Tags", "explanation": "None were readable."}]
