"""Answers of DEITA's scorers by rules: a score from 1 to 6, with the probabilities of the six score tokens."""

import math

from tagsmith.processors.endpoint.offline.answers.cues import Reading, words_of
from tagsmith.processors.endpoint.offline.answers.instag import concepts_of
from tagsmith.processors.endpoint.offline.answers.languages import foreign_language
from tagsmith.processors.endpoint.offline.draw import Draw
from tagsmith.processors.endpoint.offline.tokens import OneToken

# Of a thousand replies, so many lack a score token among the likeliest.
_LACKING = 0.002
_SPREAD = 0.8  # standard deviation round the score, in points


def complexity(values: dict[str, str], draw: Draw) -> OneToken:
    """Reply to deita/complexity: the more words and concepts, the higher."""
    instruction = values["instruction"]
    concepts = concepts_of(instruction, Reading(instruction), foreign_language(instruction))
    return _scored(1 + 0.5 * math.log1p(len(words_of(instruction)) / 4) + 0.25 * len(concepts), draw, instruction)


def quality(values: dict[str, str], draw: Draw) -> OneToken:
    """Reply to deita/quality: the longer the response and the more of its words are different ones, the higher."""
    words = words_of(values["response"])
    different = len(set(words)) / max(1, len(words))
    return _scored(1 + math.log1p(len(words) / 8) + different, draw, values["instruction"] + values["response"])


def _scored(score: float, draw: Draw, text: str) -> OneToken:
    draw = Draw(draw.bits("score"), text)
    score = min(6.0, max(1.0, score + draw.share("noise") - 0.5))
    weights = {str(k): math.exp(-(((k - score) / _SPREAD) ** 2) / 2) for k in range(1, 7)}
    whole = 1.02 * sum(weights.values())  # the rest is for other tokens
    logprobs = {token: round(math.log(weight / whole), 6) for token, weight in weights.items()}
    if draw.share("lacking") < _LACKING:
        del logprobs[min(logprobs, key=lambda token: logprobs[token])]
    return OneToken(tuple(sorted(logprobs.items(), key=lambda one: -one[1])))
