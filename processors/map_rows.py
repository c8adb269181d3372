"""`Dataset.map` for processors that generate: the same rows and the same cache, with requests running ahead.

`Dataset.map` hands out one batch at a time, so a plain call waits for each batch's slowest reply. Here the batches that
follow are sent before the first is waited for: the window of requests in flight stays full from end to end.
"""

import gc
import sys
from collections import deque
from collections.abc import Sequence
from hashlib import blake2b

import orjson
import pyarrow as pa
from datasets import Dataset, Features, are_progress_bars_disabled, disable_progress_bars, enable_progress_bars
from datasets.fingerprint import Hasher
from tqdm.auto import tqdm

from tagsmith.processors.endpoint.replay import ReplayClient
from tagsmith.processors.generation_processor import Batch, GenerationProcessor
from tagsmith.processors.replay_shares import map_in_shares, shares_for

BATCH_SIZE = 256
REPLAY_BATCH_SIZE = 1024  # where nobody waits for a batch's slowest reply, only the cost of a batch counts
# Python lets a busy thread keep the interpreter for 5 ms while others wait: long beside a reply's 20 ms. Parsing here
# must not hold up the thread that sends.
SWITCH_SEC = 0.0005
# Millions of small objects come and go, none in cycles: at its usual pace the collector of cycles takes a third of the
# time that is spent outside the network.
COLLECT_AFTER = (100_000, 50, 50)
# Requests sent ahead of the row that is waited for, in windows of requests in flight. A reply that takes 50 times as
# long as the others is overtaken by 50 windows of them: even then there is something to send. As many rows at most,
# since a row may ask nothing.
LOOK_AHEAD_WINDOWS = 64


def map_rows(
    dataset: Dataset,
    processor: GenerationProcessor,
    *,
    description: str,
    batch_size: int | None = None,
    progress: bool = True,
) -> Dataset:
    """The dataset with the processor's columns added.

    Input and output columns: the processor's. Rows keep their order, whatever order replies come in.

    Args:
        dataset: rows.
        processor: what to ask about each row.
        description: label of the progress bar.
        batch_size: rows that go back to `Dataset.map` at a time; None chooses.
        progress: whether to show the progress bar, which is ours: `datasets.disable_progress_bars` leaves it.

    Raises:
        InputError: a prompt is over the server's limits; raised before anything is sent.
        EndpointError, StoreError, BudgetReachedError: what ended the run; what came in until then is stored.
    """
    # Arrow tables in and out: from and to Python values each is turned once, and by Arrow.
    dataset = dataset.with_format("arrow")
    processor.check_lengths(dataset)
    client = processor.client
    if batch_size is None:
        batch_size = BATCH_SIZE if client.concurrency else REPLAY_BATCH_SIZE
    size = batch_size

    def map_share(rows: Dataset, shown: bool) -> Dataset:
        return _map(rows, processor, description, size, shown and progress)

    if isinstance(client, ReplayClient) and (shares := shares_for(len(dataset))) > 1:
        return map_in_shares(dataset, client, shares, map_share)
    return map_share(dataset, True)


def _map(
    dataset: Dataset, processor: GenerationProcessor, description: str, batch_size: int, progress: bool
) -> Dataset:
    features = processor.features(dataset.features)
    with _Ahead(dataset, processor, features, description, batch_size, progress) as ahead:
        fingerprint = Hasher.hash([dataset._fingerprint, processor.fingerprint_state()])
        mapped = dataset.map(
            ahead.table_of,
            batched=True,
            batch_size=batch_size,
            with_indices=True,
            features=features,
            new_fingerprint=fingerprint,
            # The store is the cache. That of `datasets` would keep rows whose request failed and never ask again.
            load_from_cache_file=False,
        ).with_format(None)
    # Later steps are cached by this. Another store, or a request that failed this time, gives other contents.
    mapped._fingerprint = Hasher.hash([fingerprint, ahead.digest.hexdigest()])
    return mapped


class _Ahead:
    """Feeds the client from the dataset, batches ahead of the one that `Dataset.map` wants."""

    def __init__(
        self,
        dataset: Dataset,
        processor: GenerationProcessor,
        features: Features,
        description: str,
        batch_size: int,
        progress: bool,
    ) -> None:
        self._dataset, self._processor, self._batch_size = dataset, processor, batch_size
        self._types = {field.name: field.type for field in features.arrow_schema}
        self._client = processor.client
        windows = LOOK_AHEAD_WINDOWS * self._client.concurrency
        self._look_ahead = max(windows, 4 * batch_size) if windows else 0
        self._sent: deque[Batch] = deque()
        self._next = 0  # first row that has not been sent
        self._requests_ahead = 0  # of the batches in _sent
        self.digest = blake2b(digest_size=16)  # of all new columns
        self._bars_were_off = are_progress_bars_disabled()
        self._bar = tqdm(total=len(dataset), desc=description, unit=" rows", disable=not progress)

    def __enter__(self) -> "_Ahead":
        disable_progress_bars()  # one bar, ours: it also counts what the store had and what is tried again
        self._switch_sec = sys.getswitchinterval()
        sys.setswitchinterval(SWITCH_SEC)
        self._collect_after = gc.get_threshold()
        gc.set_threshold(*COLLECT_AFTER)
        return self

    def __exit__(self, *error: object) -> None:
        sys.setswitchinterval(self._switch_sec)
        gc.set_threshold(*self._collect_after)
        if not self._bars_were_off:
            enable_progress_bars()
        self._bar.close()

    def table_of(self, table: pa.Table, numbers: Sequence[int]) -> pa.Table:
        """The rows `numbers`, which come in order, with the new columns."""
        if not self._sent:
            self._send()
        batch = self._sent.popleft()
        self._requests_ahead -= len(batch.ticket.replies)
        # Two batches for each one that is taken build up the lead; all the time spent waiting goes into it as well.
        sent = 0
        while self._next < min(len(self._dataset), numbers[0] + self._look_ahead):
            if (sent >= 2 and batch.ticket.done) or self._requests_ahead >= self._look_ahead:
                break
            self._send()
            sent += 1
        columns = self._processor.finish(batch)
        self.digest.update(orjson.dumps(columns, default=repr, option=orjson.OPT_NON_STR_KEYS))
        usage = self._client.usage
        self._bar.set_postfix(stored=usage.store_hits, retries=usage.retries, unparsed=usage.unparsed, refresh=False)
        self._bar.update(len(numbers))
        arrays = [
            pa.array(columns[name], kind) if name in columns else table[name] for name, kind in self._types.items()
        ]
        return pa.Table.from_arrays(arrays, names=list(self._types))

    def _send(self) -> None:
        stop = min(self._next + self._batch_size, len(self._dataset))
        self._sent.append(self._processor.submit(self._dataset[self._next : stop].to_pylist(), self._client))
        self._requests_ahead += len(self._sent[-1].ticket.replies)
        self._next = stop
