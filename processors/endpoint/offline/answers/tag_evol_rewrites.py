"""Answers to the Tag-Evol prompts that rewrite, by rules: a sentence for each tag, and now and then a mistake."""

import re
from collections.abc import Sequence
from typing import Any

from tagsmith.processors.endpoint.offline.answers.cues import stem, words_of
from tagsmith.processors.endpoint.offline.answers.tag_instruct_requests import insert
from tagsmith.processors.endpoint.offline.draw import Draw
from tagsmith.processors.endpoint.offline.keyphrases import STOP_WORDS

# Of a hundred replies, so many are wrong in one of these ways; and of a hundred tags, so many are left out of the text.
_WRONG_NUMBER, _NO_TAGS, _DRIFT, _LEAK, _COPY = 0.04, 0.01, 0.03, 0.02, 0.02
_LEFT_OUT = 0.025
# Of a hundred rewritten texts, so many have a condition that nobody asked for, which the review takes out; and of a
# hundred repairs, so many change nothing.
_INVENTED, _STUBBORN = 0.15, 0.3
# What is asked about a tag, ten to twenty words each with it: any subject, mathematics, code.
_ASKS = {
    "general": (
        "Bring {tag} into it, and explain which part of the answer would be different without it.",
        "Take a case where {tag} gets in the way, and describe how somebody careful would deal with that.",
        "Weigh {tag} against what is gained otherwise, and defend the balance that you recommend.",
        "Show with a concrete scene how {tag} shapes the result, and what a beginner would overlook there.",
        "Treat {tag} as a firm restriction, and name the two compromises that it forces upon you.",
        "Let an expert on {tag} object to the draft, and revise whatever the objection hits.",
        "Trace how {tag} came about here, and predict what it leads to in five years.",
        "Contrast two views of {tag}, and decide which of them the evidence supports.",
        "Close with a checklist on {tag} that a busy reader can go through in a minute.",
        "Add a passage on {tag} that quotes a figure and admits how uncertain that figure is.",
    ),
    "math": (
        "Now let {tag} come into the calculation, with a quantity twice as large as the smallest one given.",
        "Suppose that {tag} changes one of the amounts by a tenth, and carry this change through every step.",
        "Because of {tag}, a quarter of the total is set aside before anything else is counted.",
        "Use {tag} in one step of the solution, and state the equation that it leads to.",
        "In a second week, {tag} adds three more than in the first, and both weeks count together.",
        "Work {tag} in as a limit: the result must stay below four times the first number.",
        "Express the intermediate result by means of {tag}, and verify it by another path.",
        "As {tag} requires, round each partial result down, and say how much is lost by that.",
        "A neighbour has half as much; compare both by {tag}, and give the difference as well.",
        "Describe the situation through {tag} first, and derive the unknown amount from that description.",
    ),
    "code": (
        "Make {tag} part of the design, and document in a comment which decision follows from it.",
        "The program must cope with {tag}, including the case in which its input is missing or malformed.",
        "Add a unit test that fails as soon as {tag} is violated, and name it accordingly.",
        "Rely on {tag} for the main loop, and state the complexity that results from it.",
        "Provide an option that switches {tag} off, with a sensible default and a clear error message.",
        "Keep {tag} behind a small interface, so that another implementation can replace it later.",
        "Log what happens around {tag}, without printing secrets or slowing the hot path down.",
        "Guarantee that {tag} works for a million records within a few hundred megabytes of memory.",
        "Two callers may use {tag} simultaneously; explain how their results stay consistent.",
        "Validate whatever {tag} receives, and raise an exception that tells the caller what was wrong.",
    ),
}
_INVENTIONS = (
    "The whole must cost less than 40 dollars.",
    "Everything has to be finished before Thursday noon.",
    "Nobody over sixty may take part.",
    "The colour green must not occur anywhere.",
)
_ELSEWHERE = (
    "Write a short essay on {0} for people who restore old sailing boats, and end it on a proverb.",
    "Draw up a questionnaire that finds out what bakers think of {0}, with a joke at the end.",
    "Invent a legend in which a fox learns about {0} from the moon, and set it in winter.",
)
_LINE = re.compile(r"[^\n]+")


def evolve_general(values: dict[str, str], draw: Draw) -> dict[str, Any]:
    """All steps for any subject."""
    return _evolve(values, draw, "general")


def evolve_math(values: dict[str, str], draw: Draw) -> dict[str, Any]:
    """All steps for a mathematical problem."""
    return _evolve(values, draw, "math")


def evolve_code(values: dict[str, str], draw: Draw) -> dict[str, Any]:
    """All steps for a programming task."""
    return _evolve(values, draw, "code")


def choose(values: dict[str, str], draw: Draw) -> dict[str, Any]:
    """Tags for the budget, mostly."""
    return {"chosen_tags": _chosen(values, Draw(draw.bits("choose"), values["instruction"], values["candidates"]))}


def plan(values: dict[str, str], draw: Draw) -> dict[str, Any]:
    """A sentence a tag."""
    return {"plan": _plan(_lines(values["tags"]))}


def rewrite_general(values: dict[str, str], draw: Draw) -> dict[str, Any]:
    """The rewritten text for any subject."""
    return _rewrite(values, draw, "general")


def rewrite_math(values: dict[str, str], draw: Draw) -> dict[str, Any]:
    """The rewritten text of a mathematical problem."""
    return _rewrite(values, draw, "math")


def rewrite_code(values: dict[str, str], draw: Draw) -> dict[str, Any]:
    """The rewritten text of a programming task."""
    return _rewrite(values, draw, "code")


def review(values: dict[str, str], draw: Draw) -> dict[str, Any]:
    """The rewritten text without what was invented."""
    found, final = _reviewed(values["rewritten"])
    return {"ungrounded_constraints": found, "final_instruction": final}


def revise(values: dict[str, str], draw: Draw) -> dict[str, Any]:
    """The original with a sentence for each of b tags; or stubbornly the attempt again."""
    draw = Draw(draw.bits("revise"), values["instruction"], values["rewritten"], values["problem"])
    if draw.share("stubborn") < _STUBBORN:
        return {"chosen_tags": _lines(values["tags"]), "final_instruction": values["rewritten"]}
    candidates = _lines(values["candidates"])
    kept = [tag for tag in dict.fromkeys(_lines(values["tags"])) if tag in candidates]
    more = [tag for tag in candidates if tag not in kept]
    tags = [*kept, *more][: _number(values["budget"])]
    return {"chosen_tags": tags, "final_instruction": _with_tags(values["instruction"], tags, "general", draw)}


def presence(values: dict[str, str], draw: Draw) -> dict[str, Any]:
    """A tag is absent when no word of it stands in the text behind what the original says."""
    had = set(map(stem, words_of(values["instruction"])))
    said = list(map(stem, words_of(values["rewritten"])))
    counts = {word: said.count(word) for word in set(said)}
    original = list(map(stem, words_of(values["instruction"])))
    new = {word for word, n in counts.items() if word not in had or n > original.count(word)}
    absent = [tag for tag in _lines(values["tags"]) if new.isdisjoint(_telling(tag))]
    return {"absent_tags": absent}


def _evolve(values: dict[str, str], draw: Draw, domain: str) -> dict[str, Any]:
    draw = Draw(draw.bits("evolve"), values["instruction"], values["candidates"], values["budget"])
    tags = _chosen(values, draw)
    rewritten = _rewritten(values["instruction"], tags, domain, draw)
    found, final = _reviewed(rewritten)
    return {
        "chosen_tags": tags,
        "plan": _plan(tags),
        "rewritten_instruction": rewritten,
        "ungrounded_constraints": found,
        "final_instruction": final,
    }


def _rewrite(values: dict[str, str], draw: Draw, domain: str) -> dict[str, Any]:
    draw = Draw(draw.bits("rewrite"), values["instruction"], values["tags"])
    return {"rewritten_instruction": _rewritten(values["instruction"], _lines(values["tags"]), domain, draw)}


def _chosen(values: dict[str, str], draw: Draw) -> list[str]:
    candidates = list(dict.fromkeys(_lines(values["candidates"])))
    number = _number(values["budget"])
    share = draw.share("number")
    if share < _NO_TAGS:
        return []
    if share < _NO_TAGS + _WRONG_NUMBER:
        number += 1 if draw.bits("more") % 2 and len(candidates) > number else -1
    ranked = sorted(candidates, key=lambda tag: draw.bits(f"tag {tag}"))
    return ranked[: max(number, 1)]


def _rewritten(text: str, tags: Sequence[str], domain: str, draw: Draw) -> str:
    share = draw.share("mistake")
    if share < _COPY:
        return text
    if share < _COPY + _DRIFT:
        return draw.pick("elsewhere", _ELSEWHERE).format(", ".join(tags) or "it")
    told = [tag for tag in tags if draw.share(f"left out {tag}") >= _LEFT_OUT]
    new = _with_tags(text, told, domain, draw)
    if draw.share("invent") < _INVENTED:
        new = insert(new, draw.pick("invention", _INVENTIONS))
    return f"[instruction starts]\n{new}" if share > 1 - _LEAK else new


def _with_tags(text: str, tags: Sequence[str], domain: str, draw: Draw) -> str:
    asks = _ASKS[domain]
    start = draw.bits("ask") % len(asks)
    said = [asks[(start + number) % len(asks)].format(tag=tag) for number, tag in enumerate(tags)]
    return insert(text, " ".join(said)) if said else insert(text, "Please take your time.")


def _reviewed(text: str) -> tuple[list[str], str]:
    found = [sentence for sentence in _INVENTIONS if sentence in text]
    for sentence in found:
        text = re.sub(rf"[ \n]*{re.escape(sentence)}", "", text)
    return found, text


def _plan(tags: Sequence[str]) -> str:
    return " ".join(f"{tag} enters as a demand of its own." for tag in tags) or "Nothing was chosen."


def _lines(text: str) -> list[str]:
    return [line.strip() for line in _LINE.findall(text) if line.strip()]


def _number(budget: str) -> int:
    return int(budget) if budget.strip().isdigit() else 1


def _telling(tag: str) -> set[str]:
    words = words_of(tag.replace("-", " "))
    return {stem(word) for word in words if word not in STOP_WORDS} or set(map(stem, words))
