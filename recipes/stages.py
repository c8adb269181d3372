"""A recipe of several stages: each a processor over all rows, its requests shared among ranks, its work added up."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from datasets import Dataset, Features
from datasets.fingerprint import generate_random_fingerprint
from tqdm.auto import tqdm

from tagsmith.processors.endpoint.connect import AnyClient
from tagsmith.processors.endpoint.offline.settings import MODEL_ID
from tagsmith.processors.endpoint.usage import Usage
from tagsmith.processors.generation_processor import GenerationProcessor
from tagsmith.processors.map_rows import map_rows
from tagsmith.processors.prompt_template import PromptTemplate
from tagsmith.processors.stage_work import add_stage
from tagsmith.recipes.generations import collect_stages
from tagsmith.recipes.ranks import Ranks
from tagsmith.recipes.stage_costs import stage_costs


class Step(Protocol):
    """A processor that asks nobody."""

    def features(self, before: Features) -> Features: ...

    def __call__(self, batch: Mapping[str, Sequence[Any]]) -> Mapping[str, Sequence[Any]]: ...


class Stages:
    """Runs stages one after the other and keeps what the release must say of them."""

    def __init__(self, ranks: Ranks) -> None:
        self.ranks = ranks
        self._clients: dict[int, AnyClient] = {}
        self._done: list[tuple[str, AnyClient, Dataset]] = []
        self._prompts: dict[str, PromptTemplate] = {}

    def run(self, rows: Dataset, processor: GenerationProcessor, description: str) -> Dataset:
        """The rows with the processor's columns; attempts, keys, models and prompts are those of all stages so far.

        Every rank calls this alike: each asks for its share, and then finds all replies in the store.
        """
        self.ranks.generate_share(rows, processor)
        made = map_rows(rows, processor, description=description, progress=self.ranks.first)
        client = processor.client
        self._clients[id(client)] = client
        self._done.append((description, client, made))
        self._prompts |= {template.name: template for template in processor.templates}
        return add_stage(rows, made)

    def compute(self, rows: Dataset, step: Step, description: str) -> Dataset:
        """The rows with the step's columns. On every rank: only requests are shared."""
        with tqdm(total=len(rows), desc=description, unit=" rows", disable=not self.ranks.first) as bar:
            made: Dataset = rows.map(
                _counted(step, bar),
                batched=True,
                batch_size=256,
                features=step.features(rows.features),
                load_from_cache_file=False,
                new_fingerprint=generate_random_fingerprint(),  # else the bar is hashed
            )
        return made

    @property
    def prompts(self) -> Sequence[PromptTemplate]:
        """All templates in use."""
        return list(self._prompts.values())

    @property
    def usage(self) -> Usage:
        """What all endpoints were asked for."""
        return Usage.total([client.usage for client in self._clients.values()])

    @property
    def offline(self) -> bool:
        """Whether rules answered any stage."""
        return any(client.server.model.startswith(MODEL_ID) for client in self._clients.values())

    def generations(self) -> Dataset:
        """Every reply behind the rows, in the order of stages."""
        return collect_stages([(client.store, made) for _, client, made in self._done])

    def costs(self) -> Dataset:
        """What each stage cost, in the order of stages.

        Output columns: stage (``str``), rows (``int``: those that asked for anything), calls (``int``: generations,
        repairs and those of rows that were rejected included; one that an earlier stage paid for is not counted again),
        prompt_tokens, reply_tokens (``int``, as the server counts; 0 where it does not).
        """
        return stage_costs([(name, client.store, made) for name, client, made in self._done])


def _counted(step: Step, bar: Any) -> Callable[[Mapping[str, Sequence[Any]]], Mapping[str, Sequence[Any]]]:
    def of_batch(batch: Mapping[str, Sequence[Any]]) -> Mapping[str, Sequence[Any]]:
        made = step(batch)
        bar.update(len(next(iter(batch.values()))))
        return made

    return of_batch
