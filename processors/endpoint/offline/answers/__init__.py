"""Answers by rules, one file a family of prompts: template name → function of the template's values and a draw."""

from collections.abc import Callable
from typing import Any

from tagsmith.processors.endpoint.offline.answers import instag, instag_judges
from tagsmith.processors.endpoint.offline.draw import Draw

# An answer is text, or a JSON value that is written out (or brought into the shape that a grammar wants).
Answer = Callable[[dict[str, str], Draw], Any]


def _repair_alone(values: dict[str, str], draw: Draw) -> str:
    # Within a conversation the first message is answered again; on its own the prompt refers to nothing.
    return "There is no earlier answer that I could give again."


ANSWERS: dict[str, Answer] = {
    "instag/tag": instag.tag,
    "instag/instagger": instag.instagger,
    "instag/instagger_paper": instag.instagger,
    "instag/precision": instag_judges.precision,
    "instag/consistency": instag_judges.consistency,
    "repair": _repair_alone,
}

# Answers that may wait for the embedding model: the server gives them a thread.
SLOW = frozenset({"instag/precision", "instag/consistency"})
