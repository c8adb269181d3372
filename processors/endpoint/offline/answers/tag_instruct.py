"""Answers to the Tag-Instruct prompts by rules: encode, expand, judge candidates, decode, combine."""

import re
from collections.abc import Iterable
from typing import Any

from tagsmith.processors.endpoint.offline.answers.cues import stem, words_of
from tagsmith.processors.endpoint.offline.answers.tag_instruct_requests import (
    NOT_GIVEN,
    Request,
    aspects,
    expansions,
    first_of,
    fitting,
    harder,
    listed,
    misfits,
    read_request,
    requirements,
    short_name,
    takes_up,
)
from tagsmith.processors.endpoint.offline.draw import Draw

_TAGS = 3
_FALLBACKS = ("general request", "open answer", "plain text")
# Of a hundred candidates, so many repeat a tag that is there, belong elsewhere, or take a word of the request up.
_KNOWN, _MISFIT, _OWN_WORDS = 0.04, 0.06, 0.20
_CANDIDATE = re.compile(r"^\[tag (\d+)\][ \t]*(.*)$", re.MULTILINE)
_WORD_LIMIT = re.compile(r"\b(?:at most|no more than|under|up to) (\d+) words|\bat least (\d+) words", re.IGNORECASE)
_HANGING_TEXT = "a an and at by for from in into is of on or that the to which with"
_HANGING = frozenset(_HANGING_TEXT.split())
_COMBINED = (
    "Develop a project in which {0} and {1} depend on each other. Describe the goal, the obstacles, and the order of"
    " work{rest}.",
    "Write a report on a case in which {0} conflicts with {1}. Propose two solutions, and defend the better one{rest}.",
    "Design a course that teaches {0} by means of {1}. Set three assignments, and explain how each is graded{rest}.",
    "Analyze how {0} changes {1} over ten years. Support every step with evidence, and name what is uncertain{rest}.",
    "Build a detailed plan for an organization that needs both {0} and {1}. Weigh costs against benefits{rest}.",
)


def encode_evolved(values: dict[str, str], draw: Draw) -> dict[str, Any]:
    """What is wanted first, then what it is about."""
    request = read_request(values["instruction"])
    names = [short_name(concept) for concept in request.concepts]
    return {"tags": _three((*names, *_short_phrases(request)))}


def encode_enhanced(values: dict[str, str], draw: Draw) -> dict[str, Any]:
    """Intention and words of the request in turn."""
    request = read_request(values["instruction"])
    names = [short_name(concept) for concept in request.concepts]
    return {"tags": _three((*names[:1], *_short_phrases(request)[:1], *names[1:], *_short_phrases(request)[1:]))}


def encode_basic(values: dict[str, str], draw: Draw) -> dict[str, Any]:
    """Words of the request first."""
    request = read_request(values["instruction"])
    names = [short_name(concept) for concept in request.concepts]
    return {"tags": _three((*_short_phrases(request)[:2], *names, *_short_phrases(request)[2:]))}


def expand(values: dict[str, str], draw: Draw) -> str:
    """A tag, then the harder question."""
    tag = _candidate(values, draw)
    return f"[New Tag]: {tag}\n[New Question]: {harder(values['instruction'], tag, draw)}"


def policy(values: dict[str, str], draw: Draw) -> str:
    """A tag alone."""
    return _candidate(values, draw)


def policy_explained(values: dict[str, str], draw: Draw) -> str:
    """Why, and a tag."""
    tag = _candidate(values, draw)
    topic = first_of(read_request(values["instruction"]).phrases, "this")
    return (
        f"[Explanation]: Whoever takes up {tag} cannot answer from memory alone; {topic} has to be thought through from"
        f" another side.\n[New Tag]: {tag}"
    )


def align(values: dict[str, str], draw: Draw) -> dict[str, Any]:
    """The candidates that belong to other requests, or that the request leaves no room for."""
    request = read_request(values["instruction"])
    about = request.stems | _stems(values["tags"])
    failing = []
    for number, tag in _CANDIDATE.findall(values["candidates"]):
        known = expansions().get(tag.strip())
        if known is None:
            if tag.strip() in misfits() and about.isdisjoint(_stems(tag)):
                failing.append({"idx": int(number), "why": "alignment"})
        elif not known.fits(request.kind):
            failing.append({"idx": int(number), "why": "alignment"})
        elif any(takes_up(request, other) for other in known.against):
            failing.append({"idx": int(number), "why": "coherence"})
    return {"failing": failing}


def decode(values: dict[str, str], draw: Draw) -> str:
    """The question with the new tag's demand in it."""
    text, tag = values["instruction"], values["new_tag"].strip()
    return f"[New Question]\n{harder(text, tag, Draw(draw.bits('decode'), text))}"


def answerable(values: dict[str, str], draw: Draw) -> dict[str, Any]:
    """Whether nothing that is needed is missing and nothing contradicts itself."""
    text = values["instruction"].strip()
    if missing := NOT_GIVEN.search(text):
        return _unanswerable(f'it refers to "{missing[0]}", which is not given')
    limits = [(int(most or 0), int(least or 0)) for most, least in _WORD_LIMIT.findall(text)]
    most = min((limit for limit, _ in limits if limit), default=None)
    least = max((limit for _, limit in limits), default=0)
    if most is not None and least > most:
        return _unanswerable(f"it allows at most {most} words and demands at least {least}")
    words = words_of(text)
    if text.endswith(",") or (words and words[-1] in _HANGING and not text.endswith((".", "?", "!", '"', "'"))):
        return _unanswerable("it stops in the middle of a sentence")
    return {"answerable": True, "problem": ""}


def combine(values: dict[str, str], draw: Draw) -> str:
    """A task that names all tags."""
    tags = listed(values["tags"]) or ["one concept"]
    tags += tags[:1] * (2 - len(tags))
    draw = Draw(draw.bits("combine"), *tags)
    rest = f", with {', '.join(tags[2:])} taken into account" if tags[2:] else ""
    return draw.pick("pattern", _COMBINED).format(*tags[:2], rest=rest)


def complexity(values: dict[str, str], draw: Draw) -> dict[str, Any]:
    """More concepts and more demands make a higher score."""
    request = read_request(values["instruction"])
    demands = len(requirements(values["instruction"]))
    score = max(1, min(10, round(1 + 0.4 * len(request.concepts) + 0.8 * min(demands, 6))))
    return {"reason": f"It shows {len(request.concepts)} concepts and {demands} further demands.", "score": score}


def _candidate(values: dict[str, str], draw: Draw) -> str:
    text, tags = values["instruction"], listed(values["tags"])
    draw = Draw(draw.bits("expand"), text, values["tags"])
    request = read_request(text)
    share = draw.share("source")
    if share < _KNOWN and tags:
        return draw.pick("known", tags)
    if share < _KNOWN + _MISFIT:
        return draw.pick("misfit", misfits())
    if share < _KNOWN + _MISFIT + _OWN_WORDS and request.phrases:
        phrase = draw.pick("phrase", request.phrases[:3]).split()[-1]
        return f"{phrase} {draw.pick('aspect', aspects())}"
    suited = [tag for tag in fitting(text) if tag not in tags]
    return draw.pick("tag", suited or misfits())


def _short_phrases(request: Request) -> list[str]:
    return [" ".join(phrase.replace("_", " ").split()[-2:]) for phrase in request.phrases]


def _three(names: Iterable[str | None]) -> list[str]:
    """The first three names that differ in their words, whatever their inflection."""
    chosen: dict[frozenset[str], str] = {}
    for name in (*names, *_FALLBACKS):
        roots = frozenset(part[:5] for part in _stems(name or ""))  # argument, argumentation
        if name and roots and not any(roots <= other or other <= roots for other in chosen):
            chosen[roots] = name
    return list(chosen.values())[:_TAGS]


def _stems(text: str) -> frozenset[str]:
    return frozenset(map(stem, words_of(text.replace("-", " "))))


def _unanswerable(problem: str) -> dict[str, Any]:
    return {"answerable": False, "problem": f"{problem[0].upper()}{problem[1:]}."}
