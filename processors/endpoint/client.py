"""The client: a sliding window of requests in flight over one server, with the store before and behind it.

A thread of its own runs the event loop, so that it works the same under `Dataset.map`, in a notebook and in a
distributed engine. Work arrives as tickets (a batch of requests); workers take requests from one queue across all
tickets, so a batch whose last reply is slow holds up nobody else's requests.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

import uvloop

from tagsmith.processors.endpoint.asking import Asker
from tagsmith.processors.endpoint.endpoint import Endpoint
from tagsmith.processors.endpoint.failures import SYSTEMATIC, RefusedError
from tagsmith.processors.endpoint.limits import excess
from tagsmith.processors.endpoint.request import Completion, KeyMaker, Reply, Request, UnparsedReplyError
from tagsmith.processors.endpoint.retry import GaveUpError
from tagsmith.processors.endpoint.server import Server, token_for
from tagsmith.processors.endpoint.store import Generation, GenerationStore
from tagsmith.processors.endpoint.ticket import Job, Reader, Ticket
from tagsmith.processors.endpoint.transport import Connection, connection
from tagsmith.processors.endpoint.usage import Usage
from tagsmith.processors.endpoint.writer import StoreWriter
from tagsmith.processors.errors import EndpointError
from tagsmith.processors.prompt_template import PromptTemplate

DEFAULT_CONCURRENCY = 64
# So many requests in a row that used up their whole deadline mean that the server is gone, not that a row is bad.
_DEAD_AFTER = 8


class Client:
    """Generates through one server. Make it with `connect`; it is no part of any processor's state.

    Args:
        endpoint: bounds and settings.
        server: the server's identity and limits.
        locate: the server's address; called when the first request must really be sent, so that a run which finds
            everything in the store starts no server.
        store: where replies are looked up first and kept.
        repair: the prompt that asks again, with the input `reason`.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        server: Server,
        locate: Callable[[], str],
        store: GenerationStore,
        repair: PromptTemplate | None = None,
    ) -> None:
        self.endpoint, self.server, self.store = endpoint, server, store
        self._locate = locate
        self._url: str | None = None
        self.usage = Usage()
        self.concurrency = endpoint.concurrency or server.max_concurrent or DEFAULT_CONCURRENCY
        self._key = KeyMaker(server.model)
        self.repair = repair or PromptTemplate.load("repair")
        self._asker = Asker(endpoint, server.dialect, lambda: self.url, self._count_retry)
        self._queue: deque[Job] = deque()
        self._pending: dict[tuple[bytes, Reader], Job] = {}
        self._lock = threading.Lock()  # guards _pending (who waits for a key that is asked for already) and _closing
        self._starting = threading.Lock()  # two callers must not start two servers
        self._idle: list[asyncio.Future[None]] = []
        self._workers: list[asyncio.Task[None]] = []
        self._in_a_row = 0
        self._error: BaseException | None = None
        self._stopping = False
        self._closing = 0  # calls of `close` under way
        self._writer = StoreWriter(store, self._end)
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="tagsmith-client", daemon=True)
        self._thread.start()

    def submit(self, requests: Sequence[Request], read: Reader, rows: Sequence[str] | None = None) -> Ticket:
        """Start on `requests`; `read` makes a value of a reply's text or raises UnparsedReplyError.

        What the store holds is answered from it. Requests that are equal and read alike are sent once, however many
        ask for them at a time. `rows` names each request's row, for errors.
        """
        ticket = Ticket(len(requests), rows)
        new: list[Job] = []
        try:
            for index, request in enumerate(requests):
                request = self.server.dialect.as_sent(request)
                content = request.content
                key = self._key(request, content)
                with self._lock:
                    if self._error is not None:
                        ticket.fail(self._error)
                        return ticket
                    job = self._pending.get((key, read))
                    if job is None:
                        job = self._pending[key, read] = Job(request, content, key, read)
                        new.append(job)
                    job.places.append((ticket, index))
            # Looked up after the key is marked as pending: a reply that is stored meanwhile is either found here, or
            # its job was still pending above. None falls in between.
            stored = self.store.get_many([job.key for job in new])
            missing = [job for job in new if not self._answered_from_store(job, stored.get(job.key))]
            if missing and self.url and not self._loop.is_closed():  # closed meanwhile: whoever waits has been told
                self._loop.call_soon_threadsafe(self._enqueue, missing)
        except BaseException as error:
            self._end(error)  # nobody will answer what is marked as pending: whoever waits for it must hear that
            raise
        return ticket

    @property
    def ended(self) -> bool:
        """Whether this client takes no more requests: it was closed, or an error ended it."""
        return self._stopping

    def key_of(self, request: Request) -> bytes:
        """The store key of a request."""
        request = self.server.dialect.as_sent(request)
        return self._key(request, request.content)

    def excess(self, request: Request) -> str | None:
        """Why the server cannot take the request: its length and the limit. None when it fits, or nobody can say."""
        problem = excess(self.server, request, self.count_tokens)
        if problem:
            sent = self.server.dialect.as_sent(request)
            self.store.note_failure(self.key_of(request), self.server.model, sent, f"too_long: {problem}")
        return problem

    def count_tokens(self, request: Request) -> int | None:
        """Tokens of what a request says, by the server's own tokenizer (TGI's `/tokenize`); None where it has none."""
        if not self.server.dialect.tgi:
            return None

        async def ask() -> int | None:
            way = connection(self.url, token_for(self.url))
            try:
                return await self._asker.count_tokens(request, way)
            finally:
                await way.close()

        return asyncio.run_coroutine_threadsafe(ask(), self._loop).result()

    @property
    def url(self) -> str:
        """Where the server answers; starts one that is ours to start."""
        if self._url is None:
            with self._starting:
                self._url = self._url or self._locate()
        return self._url

    def close(self, grace_sec: float = 0.0, hurry: threading.Event | None = None) -> int:
        """Stop: start no request any more, wait up to `grace_sec` for those in flight, write all, let go of sockets.

        `hurry` ends the wait when it is set.

        Whoever still waits for a ticket gets an EndpointError. Returns the number of requests that were in flight and
        dropped.
        """
        with self._lock:
            if self._loop.is_closed():
                return 0
            self._closing += 1
            shutting_down = asyncio.run_coroutine_threadsafe(self._shut_down(grace_sec, hurry), self._loop)
        try:
            dropped = shutting_down.result()
        finally:
            with self._lock:
                self._closing -= 1
                last = self._closing == 0  # of several calls, the last one may take the loop away from the others
        if last:
            self._writer.close()  # before the loop, which it wakes: it would end there with replies unwritten
            self._end(EndpointError("the client was closed before all replies were in; run the same again to continue"))
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()
            self.store.close()
        return dropped

    # --- on the loop's thread -----------------------------------------------------------------------------------

    def _enqueue(self, jobs: list[Job]) -> None:
        self._queue.extend(jobs)
        for _ in range(min(len(jobs), len(self._idle))):
            if not (idle := self._idle.pop()).done():
                idle.set_result(None)
        while len(self._workers) < min(self.concurrency, len(self._queue) + len(self._workers)):
            self._workers.append(self._loop.create_task(self._work()))

    async def _work(self) -> None:
        way: Connection | None = None
        try:
            way = connection(self.url, token_for(self.url))
            while not self._stopping:
                if not self._queue:
                    idle = self._loop.create_future()
                    self._idle.append(idle)
                    await idle
                    continue
                await self._answer(self._queue.popleft(), way)
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            self._end(error)
        finally:
            if way is not None:
                await way.close()

    async def _answer(self, job: Job, way: Connection) -> None:
        """Ask, read, and ask again with the reason while the reply cannot be read; never more than `max_repairs`."""
        request, content, key = job.request, job.content, job.key
        keys: list[str] = []
        known = job.known
        asked = False
        for repairs_left in range(self.endpoint.max_repairs, -1, -1):
            keys.append(key.hex())
            generation = None
            if known is None:
                if self._stopping:
                    return  # no repair is started any more; whoever waits is told by what stopped us
                self.usage.check_budget(self.endpoint)
                started = time.monotonic()
                try:
                    completion = await self._asker.complete(request, way)
                except (GaveUpError, RefusedError) as error:
                    self._on_failure(job, request, keys, error)
                    return
                latency, asked, self._in_a_row = time.monotonic() - started, True, 0
                self.usage.add(completion, latency)
                self.usage.repairs += len(keys) > 1
                parameters = request.parameters.as_json
                generation = Generation(
                    key, self.server.model, content, parameters, request.sample, completion, latency
                )
            else:
                completion = known
            try:
                value = job.read(completion.text)
            except UnparsedReplyError as error:
                if repairs_left:
                    await self._on_disk(generation)  # the bad reply is paid for as well: kept before it is used
                    request = request.followed_by(completion.text, self.repair.render(reason=str(error)))
                    content = request.content
                    key = self._key(request, content)
                    known = self.store.get_many([key]).get(key)
                    continue
                self.usage.unparsed += 1
                reply = Reply("unparsed", completion.text, None, f"unparsed: {error}", keys, completion, not asked)
            else:
                reply = Reply("ok", completion.text, value, None, keys, completion, not asked)
            await self._hand_over(job, generation, reply)
            return

    def _count_retry(self) -> None:
        self.usage.retries += 1

    def _on_failure(self, job: Job, request: Request, keys: list[str], error: EndpointError) -> None:
        """A request that failed for good: its row is rejected, or the run ends when it is not about the row."""
        if isinstance(error, RefusedError):
            if error.status in SYSTEMATIC:
                raise error
            if not self.endpoint.reject_refused:
                ticket, index = job.places[0]
                row = f"row {ticket.rows[index]}: " if ticket.rows else ""
                raise EndpointError(
                    f"{row}{error}; mend the row, or pass --reject_refused to reject such rows"
                ) from error
        else:
            self._in_a_row += 1
            if self._in_a_row >= _DEAD_AFTER:
                raise EndpointError(
                    f"{self.url} has not answered {_DEAD_AFTER} requests in a row ({error}); all replies so far"
                    " are stored: see to the server and run the same command again"
                ) from error
        self.usage.failed += 1
        status, code = ("refused", "refused") if isinstance(error, RefusedError) else ("failed", "endpoint")
        reason = f"{code}: {error}"
        self.store.note_failure(bytes.fromhex(keys[-1]), self.server.model, request, reason)
        reply = Reply(status, None, None, reason, keys)
        self._writer.put(None, lambda: self._finish(job, reply))

    async def _on_disk(self, generation: Generation | None) -> None:
        if generation is not None:
            written = self._loop.create_future()
            self._writer.put(generation, lambda: self._wake(written))
            await written

    async def _hand_over(self, job: Job, generation: Generation | None, reply: Reply) -> None:
        """Give the reply to the writer, which finishes the job once it is on disk; normally nobody waits for that.

        On a disk that cannot keep up the worker waits, so that a crash never loses more than about a window of
        replies besides those still at the server.
        """
        if self._writer.waiting < self.concurrency // 2:
            self._writer.put(generation, lambda: self._finish(job, reply))
            return
        written = self._loop.create_future()

        def on_disk() -> None:
            self._finish(job, reply)
            self._wake(written)

        self._writer.put(generation, on_disk)
        await written

    def _wake(self, waiting: "asyncio.Future[None]") -> None:
        """From the writer's thread: let the coroutine go on."""
        self._loop.call_soon_threadsafe(_set, waiting)

    async def _shut_down(self, grace_sec: float, hurry: threading.Event | None) -> int:
        self._stopping = True
        self._queue.clear()
        for idle in self._idle:
            idle.cancel()
        end = time.monotonic() + grace_sec
        await asyncio.sleep(0.01)  # idle workers end
        while (busy := [worker for worker in self._workers if not worker.done()]) and time.monotonic() < end:
            if hurry is not None and hurry.is_set():
                break
            await asyncio.wait(busy, timeout=0.05)
        for worker in busy:
            worker.cancel()
        await asyncio.gather(*busy, return_exceptions=True)
        return len(busy)

    # --- on any thread ------------------------------------------------------------------------------------------

    def _answered_from_store(self, job: Job, completion: Completion | None) -> bool:
        if completion is None:
            return False
        try:
            value = job.read(completion.text)
        except UnparsedReplyError:
            job.known = completion  # a worker goes on from here: its repair may be stored as well
            return False
        self._finish(job, Reply("ok", completion.text, value, None, [job.key.hex()], completion, from_store=True))
        return True

    def _finish(self, job: Job, reply: Reply) -> None:
        with self._lock:
            self._pending.pop((job.key, job.read), None)
            if reply.text is not None:
                # Every place but the one that was paid for found its reply there already.
                self.usage.store_hits += len(job.places) - (not reply.from_store)
        for ticket, index in job.places:
            ticket.set_reply(index, reply)

    def _end(self, error: BaseException) -> None:
        """Something that no other request would survive: everybody who waits gets it."""
        with self._lock:
            if self._error is None:
                self._error = error
            jobs = list(self._pending.values())
            self._pending.clear()
        self._stopping = True
        for job in jobs:
            for ticket, _ in job.places:
                ticket.fail(self._error)


def _set(waiting: "asyncio.Future[None]") -> None:
    if not waiting.done():  # it is done when its worker was cancelled meanwhile
        waiting.set_result(None)
