"""A recipe of several stages: each a processor over all rows, its requests shared among ranks, its work added up."""

from collections.abc import Sequence

from datasets import Dataset

from tagsmith.processors.endpoint.connect import AnyClient
from tagsmith.processors.endpoint.offline.settings import MODEL_ID
from tagsmith.processors.endpoint.usage import Usage
from tagsmith.processors.generation_processor import GenerationProcessor
from tagsmith.processors.map_rows import map_rows
from tagsmith.processors.prompt_template import PromptTemplate
from tagsmith.processors.stage_work import add_stage
from tagsmith.recipes.generations import collect_stages
from tagsmith.recipes.ranks import Ranks


class Stages:
    """Runs stages one after the other and keeps what the release must say of them."""

    def __init__(self, ranks: Ranks) -> None:
        self.ranks = ranks
        self._clients: dict[int, AnyClient] = {}
        self._done: list[tuple[AnyClient, Dataset]] = []
        self._prompts: dict[str, PromptTemplate] = {}

    def run(self, rows: Dataset, processor: GenerationProcessor, description: str) -> Dataset:
        """The rows with the processor's columns; attempts, keys, models and prompts are those of all stages so far.

        Every rank calls this alike: each asks for its share, and then finds all replies in the store.
        """
        self.ranks.generate_share(rows, processor)
        made = map_rows(rows, processor, description=description, progress=self.ranks.first)
        client = processor.client
        self._clients[id(client)] = client
        self._done.append((client, made))
        self._prompts |= {template.name: template for template in processor.templates}
        return add_stage(rows, made)

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
        return collect_stages([(client.store, made) for client, made in self._done])
