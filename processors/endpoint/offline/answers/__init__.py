"""Answers by rules, one file a family of prompts: template name → function of the template's values and a draw."""

from collections.abc import Callable
from typing import Any

from tagsmith.processors.endpoint.offline.answers import instag, instag_judges, tag_instruct, tag_instruct_texts
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
    "tag_instruct/encode_basic": tag_instruct.encode_basic,
    "tag_instruct/encode_enhanced": tag_instruct.encode_enhanced,
    "tag_instruct/encode_evolved": tag_instruct.encode_evolved,
    "tag_instruct/expand": tag_instruct.expand,
    "tag_instruct/policy": tag_instruct.policy,
    "tag_instruct/policy_explained": tag_instruct.policy_explained,
    "tag_instruct/align": tag_instruct.align,
    "tag_instruct/decode": tag_instruct.decode,
    "tag_instruct/answerable": tag_instruct.answerable,
    "tag_instruct/combine": tag_instruct.combine,
    "tag_instruct/complexity": tag_instruct.complexity,
    "tag_instruct/respond": tag_instruct_texts.respond,
    "tag_instruct/reconstruct": tag_instruct_texts.reconstruct,
    "tag_instruct/derive_meanings": tag_instruct_texts.derive_meanings,
    "repair": _repair_alone,
}

# Answers that may wait for the embedding model: the server gives them a thread.
SLOW = frozenset({"instag/precision", "instag/consistency"})
