"""Answers to the judges of TaggerEval and TreeEval by rules: tags agree where they share the stems of their words."""

import re
from typing import Any

from tagsmith.processors.endpoint.offline.answers.cues import stem, words_of
from tagsmith.processors.endpoint.offline.draw import Draw

_TAG_LINE = re.compile(r"^\[tag (\d+)\][ \t]*(.*)$", re.MULTILINE)
# Names without a common stem are mostly right all the same, in a tree that was made with care.
_BELONGS, _FITS = 0.94, 0.97


def coverage(values: dict[str, str], draw: Draw) -> dict[str, Any]:
    """Reply to tags/coverage: the numbers of the reference tags that are covered."""
    generated = [_stems(line) for line in values["generated"].splitlines()]
    covered = [n for n, name in _numbered(values["reference"]) if any(_near(_stems(name), one) for one in generated)]
    return {"covered": [{"idx": number} for number in covered]}


def precision(values: dict[str, str], draw: Draw) -> dict[str, Any]:
    """Reply to tags/precision: the numbers of the generated tags that are accurate."""
    reference = [_stems(line) for line in values["reference"].splitlines()]
    accurate = [n for n, name in _numbered(values["generated"]) if any(_near(one, _stems(name)) for one in reference)]
    return {"accurate": [{"idx": number} for number in accurate]}


def granularity(values: dict[str, str], draw: Draw) -> dict[str, Any]:
    """Reply to tags/granularity: a tag of several words is fine-grained."""
    fine = [number for number, name in _numbered(values["generated"]) if len(words_of(name)) > 1]
    return {"fine_grained": [{"idx": number} for number in fine]}


def tree_instance(values: dict[str, str], draw: Draw) -> dict[str, Any]:
    """Reply to tags/tree_instance."""
    parent, child = values["parent"], values["child"]
    share = Draw(draw.bits("instance"), parent, child).share("belongs")
    return {"belongs": bool(_stems(parent) & _stems(child)) or share < _BELONGS}


def tree_cluster(values: dict[str, str], draw: Draw) -> dict[str, Any]:
    """Reply to tags/tree_cluster."""
    share = Draw(draw.bits("cluster"), values["name"], values["members"]).share("fits")
    return {"fits": bool(_stems(values["name"]) & _stems(values["members"])) or share < _FITS}


def _numbered(block: str) -> list[tuple[int, str]]:
    return [(int(number), name) for number, name in _TAG_LINE.findall(block)]


def _stems(text: str) -> frozenset[str]:
    return frozenset(stem(word) for word in words_of(text) if len(word) > 2)


def _near(wanted: frozenset[str], given: frozenset[str]) -> bool:
    return bool(wanted) and 2 * len(wanted & given) >= len(wanted)
