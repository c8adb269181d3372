"""Several ranks under `accelerate launch`: each generates a share of the requests, one goes on alone after that."""

import os
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from datasets import Dataset
from tqdm.auto import tqdm

from tagsmith.processors.generation_processor import REJECTED, GenerationProcessor

_BATCH = 256


@dataclass(frozen=True)
class Ranks:
    """This process's number among all, from the environment that the launcher sets."""

    rank: int
    world: int

    @classmethod
    def from_environment(cls) -> "Ranks":
        """Rank 0 of 1 without a launcher."""
        return cls(int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1")))

    @property
    def first(self) -> bool:
        """Whether this is the rank that goes on after the shares are generated."""
        return self.rank == 0

    def generate_share(self, dataset: Dataset, processor: GenerationProcessor) -> None:
        """Generate this rank's share into the common store, and wait until all ranks have theirs.

        A request belongs to the rank that its store key falls on: equal requests of different rows meet in one rank,
        so nothing is generated twice. Rank 0 then finds everything in the store. Alone, there is nothing to do.
        """
        if self.world == 1:
            return
        processor.check_lengths(dataset)
        client = processor.client
        tickets: list[Any] = []
        for batch in tqdm(
            dataset.iter(batch_size=_BATCH), total=-(-len(dataset) // _BATCH), desc="generating", disable=not self.first
        ):
            names = list(batch)
            rows = [dict(zip(names, values, strict=True)) for values in zip(*batch.values(), strict=True)]
            mine = [
                request
                for row in rows
                if row.get("status") != REJECTED and not isinstance(rendered := processor.render(row), str)
                for request in rendered
                if client.key_of(request)[0] % self.world == self.rank
            ]
            tickets.append(client.submit(mine, processor.read))
            while len(tickets) > 64 * client.concurrency // _BATCH + 4:
                tickets.pop(0).result()
        for ticket in tickets:
            ticket.result()
        self.wait()

    def wait(self) -> None:
        """Until all ranks are here. Another rank may have hours of generation left, so the patience is a month."""
        if self.world > 1:
            from accelerate import PartialState

            PartialState(timeout=timedelta(days=30)).wait_for_everyone()
