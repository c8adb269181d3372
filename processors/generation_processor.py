"""What every processor that asks a model shares: batches of rows in, requests out, replies back to the same rows."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from datasets import Dataset, Features, List, Value

from tagsmith.processors.endpoint.connect import AnyClient, connect
from tagsmith.processors.endpoint.endpoint import Endpoint
from tagsmith.processors.endpoint.limits import suspects
from tagsmith.processors.endpoint.request import Parameters, Reply, Request
from tagsmith.processors.endpoint.ticket import Ticket
from tagsmith.processors.errors import EndpointError, InputError
from tagsmith.processors.prompt_template import PromptTemplate
from tagsmith.processors.typed_column import TypedColumn

Row = dict[str, Any]
OK, REJECTED = "ok", "rejected"
_TOO_LONG = "shorten such rows, serve the model with a longer context, or pass --reject_refused to reject them"


@dataclass
class Batch:
    """Rows under way: each row's own requests are a slice of the ticket's."""

    rows: list[Row]
    spans: list[tuple[int, int]]
    early: dict[int, str]  # row number in the batch → why no request was made for it
    unsent: dict[int, list[str]]  # row number in the batch → store key of its request that is too long
    ticket: Ticket
    model: str


@dataclass(kw_only=True)
class GenerationProcessor(ABC):
    """A picklable callable on a batch of columns, for `Dataset.map(batched=True)` and any map-batches engine.

    A subclass has two pure halves, `render` (row → requests) and `collect` (row, replies → columns), and `read`
    (one reply's text → value): parsing anew never pays anew. Where a row is more than its replies, `rejection` says why
    it is rejected.

    Output columns, besides the subclass's own:
        status (``str``): "ok" or "rejected". A row that comes in rejected passes through untouched.
        reason (``str``): why it was rejected: a code, a colon, the detail; empty when it was not. (Not null: a plain
            `Dataset.map` fixes each column's type by its first rows, and a first batch of nulls would break the run.)
        raw_reply (``str``): of a rejected row, the reply that could not be read or used, as it came; else empty.
        model (``str``): the model's identity, revision included where the server tells it.
        prompt_hash (``str``): content hash of the prompt template.
        attempts (``int``): generations used for the row, repairs included.
        generation_keys (``list[str]``): their keys in the generation store, and those of the requests that were
            refused, failed or too long to be sent: a replay finds under them that no answer came.

    Args:
        endpoint: an `Endpoint`, or just its URI.
        parameters: how to generate.
    """

    endpoint: Endpoint | str = field(default_factory=Endpoint)
    parameters: Parameters = field(default_factory=Parameters)

    # Hashed by `datasets` with the rest of the state: the code of an importable class is not, so a change of behaviour
    # must raise this number in the subclass, or stale rows come back from the cache.
    version: int = field(default=1, init=False)

    def __post_init__(self) -> None:
        if isinstance(self.endpoint, str):
            self.endpoint = Endpoint(self.endpoint)

    @abstractmethod
    def render(self, row: Row) -> list[Request] | str:
        """The row's requests; a text instead is the reason to reject the row without asking."""

    @abstractmethod
    def read(self, text: str) -> Any:
        """The value in a reply; raises UnparsedReplyError with a reason that helps the model to mend it."""

    @abstractmethod
    def collect(self, row: Row, replies: Sequence[Reply]) -> dict[str, Any]:
        """The row's own output columns. Called with no replies for a row that was rejected before asking."""

    def rejection(self, row: Row, replies: Sequence[Reply], made: Mapping[str, Any]) -> str | None:
        """Why the row is rejected, or None; `made` is what `collect` made. By default one bad reply rejects its row."""
        return next((reply.reason for reply in replies if reply.status != "ok"), None)

    @abstractmethod
    def own_features(self) -> Features:
        """Types of the columns that `collect` makes."""

    @property
    @abstractmethod
    def templates(self) -> tuple[PromptTemplate, ...]:
        """The prompts in use: the main one first."""

    @property
    def prompt_hash(self) -> str:
        """Content hashes of the prompts in use."""
        return "+".join(template.sha for template in self.templates)

    def features(self, before: Features) -> Features:
        """Types of a dataset with the features `before` after this processor has run: for `Dataset.map(features=…)`."""
        text = Value("string")
        shared = dict.fromkeys(("status", "reason", "raw_reply", "model", "prompt_hash"), text)
        counted = {"attempts": Value("int64"), "generation_keys": List(text)}
        return Features({**before, **self.own_features(), **shared, **counted})

    @property
    def settings(self) -> Endpoint:
        """The endpoint's settings (`endpoint` may be given as a URI)."""
        assert isinstance(self.endpoint, Endpoint)
        return self.endpoint

    @property
    def client(self) -> AnyClient:
        """The connection: looked up when used, never part of the state."""
        return connect(self.settings)

    def fingerprint_state(self) -> dict[str, Any]:
        """What decides the output: everything but where the server is and how it is called. `map_rows` hashes this."""
        state = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "endpoint"}
        return state | {"class": type(self).__qualname__, "model": self.client.server.model}

    def __getstate__(self) -> dict[str, Any]:
        # The address must travel to other processes; the model's identity is added so that another model behind the
        # same address does not get the first one's cached rows, nor another repair prompt the first one's.
        seen = (self.client.server.model, self.client.repair.sha)
        return {f.name: getattr(self, f.name) for f in fields(self)} | {"_seen": seen}

    def __setstate__(self, state: dict[str, Any]) -> None:
        state.pop("_seen", None)
        self.__dict__.update(state)

    def __call__(self, batch: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
        """Columns in, new columns out, in the same order of rows.

        Raises:
            EndpointError: a request got no answer within its deadline. `Dataset.map` would keep the row's failure in
                its cache and never ask again. All replies are stored: the same call continues. `map_rows` rejects
                such rows instead, and asks for them again the next time.
        """
        work = self.submit(rows_of(batch))
        lost = [reply for reply in work.ticket.result() if reply.status == "failed"]
        if lost:
            raise EndpointError(
                f"{len(lost)} requests got no answer; first: {lost[0].reason}; all replies so far are stored: run the"
                " same again, or use map_rows, which rejects such rows and goes on"
            )
        # Typed, since a plain map fixes each new column's type by its first rows, and those may all be null.
        types = self.features(Features()).arrow_schema
        return {
            name: column if name in batch else TypedColumn(column, types.field(name).type)
            for name, column in self.finish(work).items()
        }

    def check_lengths(self, dataset: Dataset) -> None:
        """Raise for the first row whose prompt the server cannot take, before anything is sent.

        Does nothing with `reject_refused`: such rows are rejected as they come.

        Raises:
            InputError: names row, length and limit, and how many rows are over it.
        """
        if self.settings.reject_refused:
            return
        long: list[tuple[str, str]] = []
        overhead = max(len(template.text.encode()) for template in self.templates)
        dataset = dataset.with_format(None)
        for number in suspects(self.client.server, dataset, overhead, self.parameters.max_new_tokens):
            row = dataset[number]
            rendered = [] if row.get("status") == REJECTED else self.render(row)
            if not isinstance(rendered, str) and (found := _too_long(self.client, rendered)):
                long.append((str(row.get("id", number)), found[0]))
        if long:
            more = f" (and {len(long) - 1:,} more rows)" if len(long) > 1 else ""
            raise InputError(f"row {long[0][0]}: {long[0][1]}{more}; {_TOO_LONG}")

    def submit(self, rows: list[Row], client: AnyClient | None = None) -> Batch:
        """Send what the rows need, without waiting.

        A run of many batches gives its one client: `self.client` is a new one, with a new budget, after an error.
        """
        client = client or self.client
        requests: list[Request] = []
        labels: list[str] = []
        spans: list[tuple[int, int]] = []
        early: dict[int, str] = {}
        unsent: dict[int, list[str]] = {}
        for number, row in enumerate(rows):
            start = len(requests)
            if row.get("status") == REJECTED:
                early[number] = row.get("reason") or "rejected before"
            else:
                rendered = self.render(row)
                if not isinstance(rendered, str) and (found := _too_long(client, rendered)):
                    problem, key = found
                    unsent[number] = [key]
                    if not client.endpoint.reject_refused:
                        raise InputError(f"row {row.get('id', number)}: {problem}; {_TOO_LONG}")
                    rendered = f"too_long: {problem}"
                if isinstance(rendered, str):
                    early[number] = rendered
                else:
                    requests += rendered
                    labels += [str(row.get("id", number))] * len(rendered)
            spans.append((start, len(requests)))
        return Batch(rows, spans, early, unsent, client.submit(requests, self.read, labels), client.server.model)

    def finish(self, batch: Batch) -> dict[str, list[Any]]:
        """Wait for the replies and make the columns."""
        replies = batch.ticket.result()
        finished: list[dict[str, Any]] = []
        prompt_hash = self.prompt_hash
        for number, (row, (start, end)) in enumerate(zip(batch.rows, batch.spans, strict=True)):
            mine = replies[start:end]
            made = self.collect(row, mine)
            reason = batch.early.get(number) or self.rejection(row, mine, made)
            made["status"] = REJECTED if reason else OK
            made["reason"] = reason or ""
            made["raw_reply"] = _to_blame(mine) if reason else ""
            made["attempts"] = sum([reply.received for reply in mine])
            made["generation_keys"] = [key for reply in mine for key in reply.keys] + batch.unsent.get(number, [])
            made["model"], made["prompt_hash"] = batch.model, prompt_hash
            if row.get("status") == REJECTED:
                made |= {name: row[name] for name in made if row.get(name) is not None}
            finished.append(made)
        return {name: [made[name] for made in finished] for name in self.features(Features())}


def _to_blame(replies: Sequence[Reply]) -> str:
    """The text of the first bad reply, or of the first one when all could be read."""
    reply = next((reply for reply in replies if reply.status != "ok"), replies[0] if replies else None)
    return (reply.text if reply else None) or ""


def _too_long(client: AnyClient, requests: Sequence[Request]) -> tuple[str, str] | None:
    """Why the first over-long request is so, and its store key."""
    for request in requests:
        if problem := client.excess(request):
            return problem, client.key_of(request).hex()
    return None


def rows_of(batch: Mapping[str, Sequence[Any]]) -> list[Row]:
    """A batch of columns as a list of rows."""
    names = list(batch)
    return [dict(zip(names, values, strict=True)) for values in zip(*(batch[name] for name in names), strict=True)]
