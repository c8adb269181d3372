"""Several ranks under `accelerate launch`: each generates a share of the requests, one goes on alone after that."""

import os
from collections import deque
from dataclasses import dataclass, replace
from datetime import timedelta

from datasets import Dataset
from tqdm.auto import tqdm

from tagsmith.processors.endpoint.connect import AnyClient
from tagsmith.processors.endpoint.endpoint import Endpoint
from tagsmith.processors.endpoint.ticket import Ticket
from tagsmith.processors.endpoint.usage import Usage
from tagsmith.processors.errors import BudgetReachedError
from tagsmith.processors.generation_processor import REJECTED, GenerationProcessor, rows_of

_BATCH = 256
_WINDOWS_AHEAD = 64


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

        The window of requests in flight and the budget are those of all ranks together, so each takes its part; each
        client's usage is then the sum over all ranks.

        Raises:
            BudgetReachedError: this rank's part is used up. EndpointError, StoreError, InputError: as for one rank.
        """
        if self.world == 1:
            return
        processor.check_lengths(dataset)
        client = processor.client
        whole, window, used = client.endpoint, client.concurrency, client.usage
        client.endpoint, client.concurrency = self._part_of(whole, used), max(1, window // self.world)
        client.usage = Usage()
        try:
            self._generate(dataset, processor, client)
        except BudgetReachedError as error:
            raise BudgetReachedError(
                f"rank {self.rank} of {self.world}, with its part of the budget: {error}"
            ) from error
        client.usage = self._used_by_all(used, client.usage)
        client.endpoint, client.concurrency = whole, window

    def _generate(self, dataset: Dataset, processor: GenerationProcessor, client: AnyClient) -> None:
        tickets: deque[Ticket] = deque()
        with tqdm(total=len(dataset), desc="generating", unit=" rows", disable=not self.first) as bar:
            for batch in dataset.iter(batch_size=_BATCH):
                rows = rows_of(batch)
                mine, labels = [], []
                for row in rows:
                    rendered = "rejected" if row.get("status") == REJECTED else processor.render(row)
                    for request in () if isinstance(rendered, str) else rendered:
                        if client.key_of(request)[0] % self.world == self.rank:
                            mine.append(request)
                            labels.append(str(row.get("id", "?")))
                tickets.append(client.submit(mine, processor.read, labels))
                while len(tickets) > _WINDOWS_AHEAD * client.concurrency // _BATCH + 4:
                    tickets.popleft().result()
                bar.update(len(rows))
            for ticket in tickets:
                ticket.result()

    def _part_of(self, endpoint: Endpoint, used: Usage) -> Endpoint:
        """The same endpoint with this rank's part of the budget that is left."""
        tokens, cost = endpoint.max_tokens_total, endpoint.max_cost
        if tokens is not None:
            tokens = max(1, (tokens - used.prompt_tokens - used.reply_tokens) // self.world)
        if cost is not None:
            cost = max(0.0, cost - (endpoint.cost(used.prompt_tokens, used.reply_tokens) or 0.0)) / self.world
        return replace(endpoint, max_tokens_total=tokens, max_cost=cost)

    def _used_by_all(self, before: Usage, usage: Usage) -> Usage:
        """Wait until all ranks are here, and add up what each has used.

        Through torch itself: without a GPU, `accelerate.PartialState()` takes each rank for the only one and does not
        wait. Another rank may have hours of generation left, so the patience is a month.
        """
        import torch.distributed as dist

        if not dist.is_initialized():
            dist.init_process_group("gloo", timeout=timedelta(days=30))
        gathered = [Usage()] * self.world
        dist.all_gather_object(gathered, usage)
        spent = Usage.total(gathered)
        # Rank 0 goes through all rows again and counts these anew. What was paid for a moment ago is no store hit.
        spent.unparsed = spent.failed = 0
        spent.store_hits = -(spent.requests - spent.repairs)
        return Usage.total([before, spent])
