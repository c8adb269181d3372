"""The first of two tagging steps: under which aspects an instruction should be described."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from datasets import Features, List, Value

from tagsmith.processors.endpoint.request import Parameters, Reply, Request
from tagsmith.processors.generation_processor import Row
from tagsmith.processors.one_prompt import OnePromptProcessor, text_of
from tagsmith.processors.prompt_template import PromptTemplate
from tagsmith.processors.tag_evol.aspect_reply import NAMES_SCHEMA, read_names
from tagsmith.processors.tag_evol.aspect_tagger import check_domain


@dataclass(kw_only=True)
class AspectFinder(OnePromptProcessor):
    """Name the aspects of an instruction (Tag-Evol, §3.1, Fig. 3, aspect generation as a call of its own).

    Input columns:
        instruction (``str``), or messages (``list[{role, content}]``), of which the first user turn is taken.
    Output columns:
        aspect_names (``list[str] | None``): at least one, each once, in lower case; None for a row rejected. The input
            of ``AspectTagger(given="aspect_names")``.
        and the columns of every `GenerationProcessor`.

    Args:
        domain: "general", "math" or "code": which aspects the prompt suggests.
        prompt: a template's name or file, in place of the domain's own; its one input is `instruction`.

    Raises:
        InputError: unknown domain, a prompt with other inputs, or rows without the input columns.
    """

    prompt_inputs = ("instruction",)

    domain: str = "general"
    parameters: Parameters = field(default_factory=lambda: Parameters(max_new_tokens=256, json_schema=NAMES_SCHEMA))

    def __post_init__(self) -> None:
        check_domain(self.domain)
        if not isinstance(self.prompt, PromptTemplate):
            self.prompt = PromptTemplate.load(self.prompt or f"tag_evol/aspects_{self.domain}")
        super().__post_init__()

    def render(self, row: Row) -> list[Request] | str:
        """One request."""
        instruction = text_of(row)
        return self.ask(instruction=instruction) if instruction.strip() else "empty_instruction: there is no text"

    def read(self, text: str) -> list[str]:
        """The names."""
        return read_names(text)

    def own_features(self) -> Features:
        """Type of `aspect_names`."""
        return Features({"aspect_names": List(Value("string"))})

    def collect(self, row: Row, replies: Sequence[Reply]) -> dict[str, Any]:
        """The names in the one reply."""
        return {"aspect_names": replies[0].value if replies and replies[0].status == "ok" else None}
