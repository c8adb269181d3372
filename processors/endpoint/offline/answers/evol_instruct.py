"""Answers to the Evol-Instruct prompts by rules: one more demand, another task of the domain, and a judge."""

from typing import Any

from tagsmith.processors.endpoint.offline.answers.cues import stem, words_of
from tagsmith.processors.endpoint.offline.answers.tag_instruct_requests import (
    aspects,
    expansions,
    first_of,
    fitting,
    harder,
    insert,
    read_request,
)
from tagsmith.processors.endpoint.offline.draw import Draw
from tagsmith.processors.endpoint.offline.keyphrases import STOP_WORDS

# Of a hundred replies, so many repeat words of the prompt, add nothing, refer to what is not given, or ask nothing.
_PROMPT_WORDS, _NO_GAIN, _NOT_GIVEN, _NOTHING = 0.03, 0.05, 0.02, 0.01
_CONCRETE = (
    "Answer it for a village of three hundred inhabitants near the coast.",
    "Take a bakery with two ovens and five employees as the case in point.",
    "Let it be about a bridge that was built in 1931 and is due for repair.",
    "Assume a patient of seventy who lives alone and reads little.",
)
_STEPS = (
    "First name what is given, then derive what follows, and only then conclude; justify every inference.",
    "Reason backwards from the outcome to its causes, and rule out each rival explanation in turn.",
    "Split it into three dependent subproblems, and show how the second rests on the first.",
)
_INPUT = (
    'Work with this record: {{"region": "north", "{0}": [12, 17, 9], "unit": "tonnes"}}.',
    "Use the table of {0} by quarter: Q1 14, Q2 9, Q3 22, Q4 5.",
    "Base it on the formula y = 3x + 7, in which x stands for {0}.",
)
_BREADTH = (
    "Draft a guide to {0} from the viewpoint of {1}, for somebody who meets it for the first time.",
    "Examine {0} with regard to {1}, and recommend what a small team should try next.",
    "Compile five questions on {1} in {0} that an examiner could ask, with model answers.",
)
_MISSING = "Refer to the attached file for the figures."


def constraints(values: dict[str, str], draw: Draw) -> str:
    """One more demand."""
    draw = Draw(draw.bits("constraint"), values["instruction"])
    return _spoilt(values, draw, _demanded(values["instruction"], draw))


def deepening(values: dict[str, str], draw: Draw) -> str:
    """A deeper question about its subject."""
    text = values["instruction"]
    draw = Draw(draw.bits("deepen"), text)
    topic = first_of(read_request(text).phrases, "this").replace("_", " ")
    ask = f"Go on to the {draw.pick('aspect', aspects())} of {topic}, and to what remains disputed about that."
    return _spoilt(values, draw, insert(text, ask))


def concretizing(values: dict[str, str], draw: Draw) -> str:
    """A concrete case."""
    draw = Draw(draw.bits("concrete"), values["instruction"])
    return _spoilt(values, draw, insert(values["instruction"], draw.pick("case", _CONCRETE)))


def reasoning(values: dict[str, str], draw: Draw) -> str:
    """Steps that depend on each other."""
    draw = Draw(draw.bits("steps"), values["instruction"])
    return _spoilt(values, draw, insert(values["instruction"], draw.pick("way", _STEPS)))


def complicate_input(values: dict[str, str], draw: Draw) -> str:
    """Data to work on."""
    text = values["instruction"]
    draw = Draw(draw.bits("input"), text)
    topic = first_of(read_request(text).phrases, "amount").replace("_", " ")
    return _spoilt(values, draw, insert(text, draw.pick("data", _INPUT).format(topic)))


def breadth(values: dict[str, str], draw: Draw) -> str:
    """Another task about the same subject."""
    text = values["instruction"]
    draw = Draw(draw.bits("breadth"), text)
    topic = first_of(read_request(text).phrases, "daily life").replace("_", " ")
    return _spoilt(values, draw, draw.pick("task", _BREADTH).format(topic, draw.pick("aspect", aspects())))


def equal(values: dict[str, str], draw: Draw) -> dict[str, Any]:
    """Equal unless two content words or more are new."""
    had = {stem(word) for word in words_of(values["first"])}
    new = {stem(word) for word in words_of(values["second"]) if word not in STOP_WORDS}
    return {"equal": len(new - had) < 2}


def _demanded(text: str, draw: Draw) -> str:
    return harder(text, draw.pick("tag", fitting(text) or tuple(expansions())), draw)


def _spoilt(values: dict[str, str], draw: Draw, new: str) -> str:
    """The new text, or now and then one that fails."""
    share = draw.share("mistake")
    if share < _PROMPT_WORDS:
        return f"Rewritten instruction: {new}"
    if share < _PROMPT_WORDS + _NO_GAIN:
        return insert(values["instruction"], "Please answer in detail.")
    if share < _PROMPT_WORDS + _NO_GAIN + _NOT_GIVEN:
        return insert(new, _MISSING)
    if share < _PROMPT_WORDS + _NO_GAIN + _NOT_GIVEN + _NOTHING:
        return "Is 17 + 4 > 20?"
    return new
