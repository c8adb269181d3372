"""What the expansion policy is asked and what it completes: one form for sampling, preference pairs and serving."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from tagsmith.processors.endpoint.request import Message, UnparsedReplyError
from tagsmith.processors.prompt_template import PromptTemplate
from tagsmith.processors.reply_sections import section, without_thoughts
from tagsmith.processors.tag_text import normalise_tag

MOST_WORDS = 4
_QUOTED_LENGTH = 60
# What chat models put before a tag when they should give it alone.
_LABEL = re.compile(r"^\W*(?:the )?(?:new )?tag\W*(?:is|would be)?\W*:\W*", re.IGNORECASE)


class NotOneTagError(UnparsedReplyError):
    """Something is said, but it is no single tag: several tags, prose, or more words than a tag has."""


@dataclass(frozen=True)
class Completion:
    """A policy's completion: a tag in its one spelling, and the explanation before it (empty without one)."""

    tag: str
    explanation: str = ""


def expansion_messages(
    instruction: str, tags: Sequence[str], *, explain: bool = False, prompt: PromptTemplate | None = None
) -> list[Message]:
    """The conversation that a policy continues with a new tag (Tag-Instruct, §3.3, App. D.3).

    Preference pairs train on exactly these messages, and `TagExpander` sends them to the trained policy.

    Args:
        instruction: the instruction x.
        tags: its base tags z_base.
        explain: ask for an explanation before the tag, as the authors' code does; the paper's completion is one tag.
        prompt: a template with the inputs `tags` and `instruction`, in place of the shipped one.
    """
    template = prompt or PromptTemplate.load(f"tag_instruct/{'policy_explained' if explain else 'policy'}")
    return [{"role": "user", "content": template.render(tags=", ".join(tags), instruction=instruction)}]


def format_completion(tag: str, explanation: str | None = None) -> str:
    """A completion's text, to train on: the tag alone, or explanation and tag. `parse_completion` reads it back."""
    if not explanation:
        return tag
    return f"[Explanation]: {' '.join(explanation.split())}\n[New Tag]: {tag}"


def parse_completion(text: str) -> Completion:
    """The tag of a completion, and its explanation if there is one.

    Read are the two forms of `format_completion`, and the form of Fig. 7 (`[New Tag]: …`, `[New Question]: …`). The tag
    is the rest of the line behind the last `[New Tag]`, or of the next line when nothing else is on that one.

    Raises:
        UnparsedReplyError: there is no tag. NotOneTagError, which is one: several tags, prose, or more than 4 words.
    """
    bare = without_thoughts(text)
    explanation = ""
    if (behind := section(bare, "New Tag")) is None:
        lines = bare.splitlines()
        if len(lines) > 1:
            raise NotOneTagError(f"there is no line [New Tag], and more than one line: {_quoted(bare)}")
        written = _LABEL.sub("", lines[0])
    else:
        written = behind.partition("\n")[0]
        if written.lstrip().lower().startswith("[new question]"):
            written = ""
        explanation = " ".join((section(bare, "Explanation", end="New Tag") or "").split())
    tag = normalise_tag(written)
    if not tag:
        raise UnparsedReplyError("there is no tag in the answer")
    if re.search(r"[,;:]\s", tag):
        raise NotOneTagError(f"expected one tag alone, got {_quoted(written)}")
    if len(tag.split()) > MOST_WORDS:
        raise NotOneTagError(f"a tag has at most {MOST_WORDS} words, got {_quoted(written)}")
    return Completion(tag, explanation)


def _quoted(text: str) -> str:
    text = " ".join(text.split())
    return repr(text if len(text) <= _QUOTED_LENGTH else f"{text[: _QUOTED_LENGTH - 1]}…")
