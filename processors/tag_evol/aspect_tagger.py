"""Tag-Evol's tagger: the aspects of an instruction first, then specific tags under each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from datasets import Features

from tagsmith.processors.endpoint.request import Parameters, Reply, Request
from tagsmith.processors.errors import InputError
from tagsmith.processors.generation_processor import Row
from tagsmith.processors.one_prompt import OnePromptProcessor, cell, text_of
from tagsmith.processors.prompt_template import PromptTemplate
from tagsmith.processors.tag_evol.aspect_reply import (
    ASPECTS_SCHEMA,
    FEATURES,
    Aspects,
    as_column,
    flat_tags,
    read_aspects,
    tag_key,
)

DOMAINS = ("general", "math", "code")


@dataclass(kw_only=True)
class AspectTagger(OnePromptProcessor):
    """Tag an instruction by aspects (Tag-Evol, §3.1, Fig. 3).

    The paper has two phases, aspect generation and then tag generation, as one chain of thought; `AspectTagger` alone
    asks for both in one reply. With `given`, it is the second of two calls: `AspectFinder` has made the aspects before.

    Input columns:
        instruction (``str``), or messages (``list[{role, content}]``), of which the first user turn is taken.
        and with `given`, a column of aspects (``list[str]``).
    Output columns:
        aspects (``list[{aspect: str, tags: list[str]}] | None``): the aspects in the reply's order, each with one tag
            at least; lower case, with spaces for underscores. A tag may stand under several aspects, once under each.
        tags (``list[str] | None``): the tags of all aspects, each once. Both are None for a row rejected.
        and the columns of every `GenerationProcessor`.

    Args:
        domain: "general", "math" or "code": which aspects the prompt suggests.
        given: name of a column with aspects to use, in place of those that the model would find; `domain` then does
            nothing.
        prompt: a template's name or file, in place of the domain's own; its inputs are `instruction`, and `aspects`
            with `given`.
        parameters: how to generate. Greedy by default (the paper does not say), with a JSON schema.

    Raises:
        InputError: unknown domain, a prompt with other inputs, or rows without the input columns.

    An aspect without tags or named twice, a tag that stands twice under its aspect or is a sentence, and a reply that
    cannot be read are asked for again with the reason, then rejected as ``unparsed``, with the text. With `given`, a
    reply that leaves out an aspect or adds one is rejected as ``other_aspects``.

    Differs from the paper: the reply is a list of aspects with their tags, since servers that enforce a JSON schema
    need fixed keys; a dictionary, as the paper stores it, is read as well. The wording of the prompts is ours.
    """

    prompt_inputs: ClassVar[tuple[str, ...]] = ("instruction",)

    domain: str = "general"
    given: str | None = None
    parameters: Parameters = field(default_factory=lambda: Parameters(json_schema=ASPECTS_SCHEMA))

    def __post_init__(self) -> None:
        check_domain(self.domain)
        own = f"tag_evol/tag_{self.domain}" if self.given is None else "tag_evol/tags_of_aspects"
        if not isinstance(self.prompt, PromptTemplate):
            self.prompt = PromptTemplate.load(self.prompt or own)
        if self.given is not None:
            self.prompt_inputs = ("instruction", "aspects")  # type: ignore[misc]
        super().__post_init__()

    def render(self, row: Row) -> list[Request] | str:
        """One request."""
        instruction = text_of(row)
        if not instruction.strip():
            return "empty_instruction: the instruction has no text"
        if self.given is None:
            return self.ask(instruction=instruction)
        names = cell(row, self.given)
        if not names:
            return f"no_aspects: column {self.given!r} names none"
        return self.ask(instruction=instruction, aspects="\n".join(f"- {name}" for name in names))

    def read(self, text: str) -> Aspects:
        """The aspects with their tags."""
        return read_aspects(text)

    def own_features(self) -> Features:
        """Types of `aspects` and `tags`."""
        return FEATURES

    def collect(self, row: Row, replies: Sequence[Reply]) -> dict[str, Any]:
        """Aspects and tags of the one reply."""
        if not replies or replies[0].status != "ok" or self._other_aspects(row, replies[0].value):
            return {"aspects": None, "tags": None}
        return {"aspects": as_column(replies[0].value), "tags": flat_tags(replies[0].value)}

    def rejection(self, row: Row, replies: Sequence[Reply], made: Mapping[str, Any]) -> str | None:
        """A bad reply, or one about other aspects than those given."""
        if reason := super().rejection(row, replies, made):
            return reason
        return self._other_aspects(row, replies[0].value) if replies else None

    def _other_aspects(self, row: Row, aspects: Aspects) -> str | None:
        if self.given is None:
            return None
        wanted, found = ({tag_key(name): name for name in names} for names in (cell(row, self.given), aspects))
        lost = [name for key, name in wanted.items() if key not in found]
        new = [name for key, name in found.items() if key not in wanted]
        if not lost and not new:
            return None
        return f"other_aspects: left out {', '.join(lost) or 'none'}; added {', '.join(new) or 'none'}"


def check_domain(domain: str) -> None:
    """Raise InputError for a domain that has no prompts."""
    if domain not in DOMAINS:
        raise InputError(
            f"domain {domain!r} is unknown; expected one of {', '.join(DOMAINS)}, or give your own prompt with domain"
            " general"
        )
