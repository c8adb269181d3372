"""Tag expansion: candidates for one further tag, sampled from a teacher or completed by a trained policy."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Any

from datasets import Features, List, Value

from tagsmith.processors.endpoint.request import Parameters, Reply, Request
from tagsmith.processors.errors import InputError
from tagsmith.processors.generation_processor import OK, REJECTED, Row
from tagsmith.processors.one_prompt import OnePromptProcessor, cell, text_of
from tagsmith.processors.prompt_template import PromptTemplate
from tagsmith.processors.tag_instruct.expansion_prompt import Completion, expansion_messages, parse_completion
from tagsmith.processors.tag_text import tag_key

PROMPTS = {
    "question": "tag_instruct/expand",
    "policy": "tag_instruct/policy",
    "policy_explained": "tag_instruct/policy_explained",
}
# Nobody reads the question that Fig. 7 asks for after the tag, and what comes after cannot change the tag.
_STOP = "[New Question]"
CANDIDATE = {name: Value("string") for name in ("tag", "explanation", "status", "reason", "raw_reply")}


@dataclass(kw_only=True)
class TagExpander(OnePromptProcessor):
    """Sample N candidates z_new ~ p(z | z_base, x) for a row's new tag (Tag-Instruct, §3.3, Fig. 7, App. D.2).

    The three ways to expand use it so: best of n, with n = 20 and a score over the candidates; prompt, the teacher's
    first candidate (n = 1, or candidate 0 of more: the same request, so it is paid for once); policy, n = 1 with a
    policy's format and endpoint.

    Input columns:
        id (``str``), instruction (``str``) or messages, base_tags (``list[str]``).
        injected_tags (``list[str]``, optional): tags of earlier rounds; they count as tags that the row has.
    Output columns:
        candidates (``list[{tag, explanation, status, reason, raw_reply}] | None``): n of them; a candidate's place is
            its number. tag (``str | None``): None where the reply could not be read. explanation (``str``): empty where
            none was asked for. status (``str``): "ok" or "rejected". reason (``str``): empty, or ``unparsed: …``,
            ``known: …`` (the row has that tag), ``duplicate: …`` (of an earlier candidate), ``endpoint: …``,
            ``refused: …``. raw_reply (``str``): the text of an unparsed one. None for a row rejected before.
        and the columns of every `GenerationProcessor`. A row is rejected only when no candidate is ok: with that one's
        reason for n = 1, else ``no_candidate: …`` with their number by reason.

    Args:
        n: candidates a row; 20 in the paper.
        seed: of the sampling. A candidate's seed is made of this, the row's id and its number, so that the order of
            rows, their sharding and n change nothing.
        format: "question" asks as Fig. 7 does, for a tag and then a harder question; the reply is stopped before the
            question. "policy" sends `expansion_messages`, as a policy is trained on, "policy_explained" those that ask
            for an explanation.
        prompt: a template's name or file, in place of the format's own; inputs: `tags`, `instruction`.
        parameters: how to generate. Temperature 1 by default (the paper does not say); its seed is replaced.

    Raises:
        InputError: n or format out of range, a prompt with other inputs, or rows without the input columns.

    Differs from the paper: the question of Fig. 7 is not generated. Differs from the authors' code: candidates that
    cannot be read keep their place with text and reason, where dropping them shifts the rows behind.
    """

    prompt_inputs = ("tags", "instruction")

    n: int = 20
    seed: int = 0
    format: str = "question"
    parameters: Parameters = field(default_factory=lambda: Parameters(max_new_tokens=128, temperature=1.0))

    def __post_init__(self) -> None:
        if self.format not in PROMPTS:
            raise InputError(f"expander format {self.format!r} is unknown; expected one of {', '.join(PROMPTS)}")
        if not isinstance(self.n, int) or isinstance(self.n, bool) or self.n < 1:
            raise InputError(f"n={self.n!r}: expected a whole number of candidates, at least 1 (the paper samples 20)")
        if self.n > 1 and self.parameters.temperature == 0:
            raise InputError(f"n={self.n} with temperature 0 gives {self.n} equal candidates; set a temperature, 1 say")
        if not isinstance(self.prompt, PromptTemplate):
            self.prompt = PromptTemplate.load(self.prompt or PROMPTS[self.format])
        super().__post_init__()
        if self.format == "question" and _STOP not in self.parameters.stop:
            self.parameters = replace(self.parameters, stop=(*self.parameters.stop, _STOP))

    def render(self, row: Row) -> list[Request] | str:
        """n requests of the same messages, each with its own seed and sample number."""
        instruction, tags = text_of(row), cell(row, "base_tags")
        if not instruction.strip():
            return "empty_instruction: the instruction has no text"
        messages = tuple(expansion_messages(instruction, tags, prompt=self.templates[0]))
        row_id = cell(row, "id")
        return [Request(self._parameters(row_id, number), messages=messages, sample=number) for number in range(self.n)]

    def read(self, text: str) -> Completion:
        """The tag, and the explanation before it."""
        return parse_completion(text)

    def own_features(self) -> Features:
        """Type of `candidates`."""
        return Features({"candidates": List(CANDIDATE)})

    def collect(self, row: Row, replies: Sequence[Reply]) -> dict[str, Any]:
        """The candidates, each in its place."""
        if not replies:
            return {"candidates": None}
        has = [*cell(row, "base_tags"), *(row.get("injected_tags") or ())]
        known = {tag_key(tag): f"known: the row has the tag {tag!r} already" for tag in has}
        candidates = []
        for number, reply in enumerate(replies):
            made = reply.value if reply.status == "ok" else Completion("")
            reason = known.get(tag_key(made.tag), "") if made.tag else reply.reason or ""
            if not reason:
                known[tag_key(made.tag)] = f"duplicate: the same tag as candidate {number}"
            candidates.append(
                {
                    "tag": made.tag or None,
                    "explanation": made.explanation,
                    "status": REJECTED if reason else OK,
                    "reason": reason,
                    "raw_reply": reply.text or "" if reply.status == "unparsed" else "",
                }
            )
        return {"candidates": candidates}

    def rejection(self, row: Row, replies: Sequence[Reply], made: Mapping[str, Any]) -> str | None:
        """A row needs one candidate."""
        return no_candidate(made["candidates"])

    def _parameters(self, row_id: str, number: int) -> Parameters:
        if self.parameters.temperature == 0:
            return self.parameters
        digest = blake2b(f"{self.seed}/{row_id}/{number}".encode(), digest_size=4).digest()
        # 31 bits: some servers take signed integers of 32.
        return replace(self.parameters, seed=int.from_bytes(digest, "big") >> 1)


def no_candidate(candidates: Sequence[Mapping[str, Any]]) -> str | None:
    """Why none of the candidates can be used, with the number of each reason; None when one can."""
    if any(candidate["status"] == OK for candidate in candidates):
        return None
    if len(candidates) == 1:
        return str(candidates[0]["reason"])
    counts = Counter(candidate["reason"].partition(":")[0] for candidate in candidates)
    listed = ", ".join(f"{count} {code}" for code, count in counts.most_common())
    return f"no_candidate: none of {len(candidates)} can be used ({listed}); first: {candidates[0]['reason']}"
