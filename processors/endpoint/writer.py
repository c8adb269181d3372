"""The thread that puts generations into the store, many to a transaction, and says when each is on disk."""

import queue
import threading
import time
from collections.abc import Callable

from tagsmith.processors.endpoint.store import Generation, GenerationStore

_GATHER_SEC = 0.005  # a commit waits so long for company: the disk is asked 200 times a second at most
_LARGEST = 1024

_Entry = tuple[Generation | None, Callable[[], None]]


class StoreWriter:
    """Group commit. `put` returns at once; `on_disk` is called from the writer's thread after the commit.

    After an error nothing more is written: `on_error` gets it once, and no `on_disk` of an unwritten entry is called.
    """

    def __init__(self, store: GenerationStore, on_error: Callable[[BaseException], None]) -> None:
        self._store = store
        self._on_error = on_error
        self._queue: queue.SimpleQueue[_Entry | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="tagsmith-store-writer", daemon=True)
        self._thread.start()

    def put(self, generation: Generation | None, on_disk: Callable[[], None]) -> None:
        """Queue one generation; None is written nowhere and only keeps its place in the order of callbacks."""
        self._queue.put((generation, on_disk))

    @property
    def waiting(self) -> int:
        """Entries that no transaction has taken up yet."""
        return self._queue.qsize()

    def close(self) -> None:
        """Write what is queued, then end."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        try:
            while (first := self._queue.get()) is not None:
                time.sleep(_GATHER_SEC)
                entries, last = self._gather(first)
                generations = [generation for generation, _ in entries if generation is not None]
                if generations:
                    self._store.add(generations)
                for _, on_disk in entries:
                    on_disk()
                if last:
                    return
        except BaseException as error:  # handed to whoever waits for replies
            self._on_error(error)

    def _gather(self, first: _Entry) -> tuple[list[_Entry], bool]:
        entries = [first]
        while len(entries) < _LARGEST:
            try:
                entry = self._queue.get_nowait()
            except queue.Empty:
                break
            if entry is None:
                return entries, True
            entries.append(entry)
        return entries, False
