"""The four prompted steps of a level together, and the record of what they were asked."""

from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset

from tagsmith.processors.endpoint.endpoint import Endpoint
from tagsmith.processors.endpoint.request import Parameters
from tagsmith.processors.generation_processor import REJECTED, GenerationProcessor
from tagsmith.processors.prompt_template import PromptTemplate
from tagsmith.processors.tags.topic_deduplicator import SAME_SCHEMA, TopicDeduplicator
from tagsmith.processors.tags.topic_naming import TOPIC_SCHEMA, TopicRenamer, TopicSummarizer
from tagsmith.processors.tags.topic_reassigner import MOVES_SCHEMA, TopicReassigner

STEPS = ("summarize", "deduplicate", "reassign", "rename")
# One request of the growth: its level counted from the leaves (1), its step, and how it ended.
REQUESTS_SCHEMA = pa.schema(
    {
        "id": pa.string(),
        "height": pa.int32(),
        "step": pa.string(),
        "fallback": pa.string(),  # what stands in for the reply where the row is rejected, else null
        "status": pa.string(),
        "reason": pa.string(),
        "raw_reply": pa.string(),
        "model": pa.string(),
        "prompt_hash": pa.string(),
        "attempts": pa.int64(),
        "generation_keys": pa.list_(pa.string()),
    }
)


@dataclass(frozen=True)
class TopicSteps:
    """The processors of a level.

    Args:
        endpoint: an `Endpoint`, or just its URI.
        temperature: of all steps; 0 is greedy.
        prompts: a prompt's name or file by step ("summarize", "deduplicate", "reassign", "rename"), in place of the
            shipped one.

    Raises:
        InputError: a prompt with other inputs than its step has.
    """

    endpoint: Endpoint | str = "offline:"
    temperature: float = 0.0
    prompts: dict[str, str | PromptTemplate] = field(default_factory=dict)

    def processor(self, step: str) -> GenerationProcessor:
        """The processor of a step."""
        prompt = self.prompts.get(step)
        if step == "deduplicate":
            return TopicDeduplicator(
                endpoint=self.endpoint,
                prompt=prompt,
                parameters=Parameters(512, self.temperature, json_schema=SAME_SCHEMA),
            )
        if step == "reassign":
            return TopicReassigner(
                endpoint=self.endpoint,
                prompt=prompt,
                parameters=Parameters(1024, self.temperature, json_schema=MOVES_SCHEMA),
            )
        kind = {"summarize": TopicSummarizer, "rename": TopicRenamer}[step]
        parameters = Parameters(256, self.temperature, json_schema=TOPIC_SCHEMA)
        return kind(endpoint=self.endpoint, prompt=prompt, parameters=parameters)

    @property
    def processors(self) -> list[GenerationProcessor]:
        """All four, made now, so that a wrong prompt is found before a run."""
        return [self.processor(step) for step in STEPS]


@dataclass(frozen=True, eq=False)
class Asked:
    """The requests of one step of one level.

    Args:
        table: one row a request, as `REQUESTS_SCHEMA` says.
    """

    table: pa.Table

    @classmethod
    def of(cls, height: int, step: str, made: Dataset, fallbacks: list[str]) -> "Asked":
        """The record of rows that came back from a processor.

        Args:
            height: level, counted from the leaves (0).
            fallbacks: what stands in for each reply that cannot be used.
        """
        rows = made.with_format("arrow")[:]
        rejected = pc.equal(rows["status"], REJECTED)
        columns = {
            "height": pa.repeat(pa.scalar(height + 1, pa.int32()), len(rows)),
            "step": pa.repeat(step, len(rows)),
            "fallback": pc.if_else(rejected, pa.array(fallbacks, pa.string()), pa.scalar(None, pa.string())),
        }
        arrays = [columns[name] if name in columns else rows[name] for name in REQUESTS_SCHEMA.names]
        return cls(pa.table(arrays, names=REQUESTS_SCHEMA.names).cast(REQUESTS_SCHEMA))

    @property
    def rejected(self) -> int:
        """Requests whose reply could not be used."""
        return int(pc.sum(pc.equal(self.table["status"], REJECTED)).as_py() or 0)
