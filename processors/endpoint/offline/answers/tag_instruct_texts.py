"""Longer answers to Tag-Instruct prompts by rules: responses, reconstructions, derived meanings."""

import re

from tagsmith.processors.endpoint.offline.answers.cues import table
from tagsmith.processors.endpoint.offline.answers.tag_instruct_requests import (
    NOT_GIVEN,
    first_of,
    listed,
    read_request,
    requirements,
)
from tagsmith.processors.endpoint.offline.draw import Draw
from tagsmith.processors.endpoint.offline.keyphrases import keyphrases

# Digits and signs alone leave nothing to talk about.
_WORD = re.compile(r"[^\W\d_]{3}")
_OPENING = (
    "The matter at hand is {topic}.",
    "Let us begin with {topic}.",
    "At the centre stands {topic}.",
)
_BODY = (
    "A good answer names {thing} first and says what it depends on.",
    "With {thing}, the usual mistake is to look at one side only.",
    "What matters about {thing} is how it behaves when conditions change.",
    "Take {thing} as it is now, and then ask what would have to be different.",
    "There are two ways to see {thing}, and both leave something out.",
    "It helps to put a number on {thing} before judging it.",
)
_DEMAND = (
    "As for {thing}: it is met by saying plainly what is known, what is assumed, and what follows.",
    "Concerning {thing}: there are three points, and the second decides the matter, since the others hang on it.",
    "Then {thing}: the first choice is the simple one, the second costs more and lasts longer; the reasons are given in"
    " turn.",
    "The demand about {thing} is met in this way: an example, the rule behind it, and one case in which it fails.",
)
_CLOSING = "So much for {topic}; what is said here was put together by rules, not by a language model."
_RECONSTRUCTED = (
    "Please help with {0}: it is about {1}, and {2} matters as well.",
    "Do some {0} on {1}, with attention to {2}.",
    "I need {0} that deals with {1} and takes {2} into account.",
)
_MEANINGS = (
    "What {tag} means in {domain}",
    "A method of {domain} that goes by the name {tag}",
    "The part of {domain} that is concerned with {tag}",
    "A task in {domain} that calls for {tag}",
)


def respond(values: dict[str, str], draw: Draw) -> str:
    """A paragraph on the subject, longer the more concepts it has, then one on each further demand."""
    text = values["instruction"]
    if missing := NOT_GIVEN.search(text):
        return f"I am sorry, but there is no {missing[0]} that I could look at."
    if not _WORD.search(text):
        return "It is so."
    request = read_request(text)
    topic = first_of(request.phrases, "what was asked")
    draw = Draw(draw.bits("respond"), text)
    things = [*request.phrases[1:], *(concept.name for concept in request.concepts)] or [topic]
    sentences = [draw.pick("opening", _OPENING).format(topic=topic)]
    for number in range(2 + len(request.concepts)):
        sentences.append(_turn(_BODY, number, draw, "body").format(thing=things[number % len(things)]))
    paragraphs = [" ".join(sentences)]
    for number, demand in enumerate(requirements(text)):
        phrases = keyphrases(demand, 4)
        said = [_turn(_DEMAND, number, draw, "demand").format(thing=first_of(phrases, "the next point"))]
        said += [
            _turn(_BODY, number + place, draw, "more").format(thing=each) for place, each in enumerate(phrases[1:])
        ]
        paragraphs.append(" ".join(said))
    return "\n\n".join([*paragraphs, _CLOSING.format(topic=topic)])


def reconstruct(values: dict[str, str], draw: Draw) -> str:
    """A request that names the tags."""
    tags = listed(values["tags"]) or ["an answer"]
    first, second, *rest = (*tags, *("the usual questions", "what is asked most")[: max(0, 3 - len(tags))])
    return Draw("reconstruct", values["tags"]).pick("pattern", _RECONSTRUCTED).format(first, second, ", ".join(rest))


def derive_meanings(values: dict[str, str], draw: Draw) -> str:
    """The fewer words a tag has, the more fields it can belong to."""
    tag = values["tag"].strip()
    draw = Draw("meanings", tag.lower())
    words = max(len(tag.replace("_", " ").split()), 1)
    final = max(1, {1: 4, 2: 2}.get(words, 1) + draw.bits("more") % 3)
    fields = list(table("domains").concepts)
    start, step = draw.bits("field") % len(fields), 1 + draw.bits("step") % 7
    thought = [
        _turn(_MEANINGS, number, draw, "meaning").format(tag=tag, domain=fields[(start + number * step) % len(fields)])
        for number in range(final + 2)
    ]
    return "\n".join(
        [
            "[Think Different]",
            *_numbered(thought),
            "[Merge]",
            f"- The last two add nothing to the first {final}.",
            "[Final List]",
            *_numbered(thought[:final]),
            "End of list",
        ]
    )


def _numbered(lines: list[str]) -> list[str]:
    return [f"{number}. {line}" for number, line in enumerate(lines, 1)]


def _turn(sentences: tuple[str, ...], number: int, draw: Draw, label: str) -> str:
    """One sentence after the other, from a drawn start on, so that neighbours differ."""
    return sentences[(draw.bits(label) + number) % len(sentences)]
