"""The generation store: every reply that was paid for, on disk before it is used, found again by its content.

SQLite in WAL mode: append-only, shared by processes, whole after a crash at any moment. Failures are never in it; those
of this process are remembered beside it, for the release that is written at the end.
"""

import sqlite3
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa

from tagsmith.processors.endpoint.request import Completion, Request
from tagsmith.processors.errors import StoreError

# Rows are appended in the order of arrival and found through the unique index: a clustered table would move whole
# replies about on each insert, since keys are random.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS generations (
    key BLOB NOT NULL, model TEXT NOT NULL, content TEXT NOT NULL, parameters TEXT NOT NULL, sample INTEGER NOT NULL,
    text TEXT NOT NULL, finish_reason TEXT, prompt_tokens INTEGER, reply_tokens INTEGER, top_tokens TEXT,
    latency_sec REAL NOT NULL, created_at REAL NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS generation_key ON generations (key);
"""
_COLUMNS = "text, finish_reason, prompt_tokens, reply_tokens, top_tokens"
_REQUEST = "model, content, parameters, sample"
# The columns of a release's `generations` config.
EXPORTED = pa.schema(
    dict.fromkeys(("key", "model", "content", "parameters"), pa.string())
    | {"sample": pa.int64()}
    | dict.fromkeys(("text", "finish_reason"), pa.string())
    | dict.fromkeys(("prompt_tokens", "reply_tokens"), pa.int64())
    | dict.fromkeys(("top_tokens", "failure"), pa.string())
)
_PATIENCE_SEC = 60.0  # for a lock that another process holds
_LOOKUP = 512  # keys a query: long enough to amortise it, short enough that SQLite keeps the statement cached


@dataclass(frozen=True, slots=True)
class Generation:
    """One row of the store: what was asked of which model, and what it answered."""

    key: bytes
    model: str
    content: bytes
    parameters: bytes
    sample: int
    completion: Completion
    latency_sec: float


class GenerationStore:
    """Opens (or makes) the store at `path`. One connection a thread; any number of processes.

    Raises:
        StoreError: the file is not a store, is damaged, cannot be written, or the disk is full. What the file holds
            is never deleted or overwritten.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).expanduser()
        self._local = threading.local()
        self._connections: list[sqlite3.Connection] = []
        self._unanswered: dict[bytes, tuple[Any, ...]] = {}  # rows as `export` gives them
        with self._explained("open"):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._connection().executescript(_SCHEMA)

    def get_many(self, keys: Sequence[bytes]) -> dict[bytes, Completion]:
        """The stored completions among `keys`."""
        found: dict[bytes, Completion] = {}
        with self._explained("read"):
            connection = self._connection()
            for start in range(0, len(keys), _LOOKUP):
                part = keys[start : start + _LOOKUP]
                marks = ",".join("?" * len(part))
                query = f"SELECT key, {_COLUMNS} FROM generations WHERE key IN ({marks})"
                for key, *columns in connection.execute(query, part):
                    found[key] = _completion(*columns)
        return found

    def add(self, generations: Iterable[Generation]) -> None:
        """Append in one transaction; on disk when this returns. A key that is there already keeps its first reply."""
        now = time.time()
        rows = [
            (
                g.key,
                g.model,
                g.content.decode(),
                g.parameters.decode(),
                g.sample,
                g.completion.text,
                g.completion.finish_reason,
                g.completion.prompt_tokens,
                g.completion.reply_tokens,
                orjson.dumps(g.completion.top_tokens).decode() if g.completion.top_tokens is not None else None,
                g.latency_sec,
                now,
            )
            for g in generations
        ]
        with self._explained("write"):
            connection = self._connection()
            with connection:
                connection.executemany(f"INSERT OR IGNORE INTO generations VALUES ({','.join('?' * 12)})", rows)

    def note_failure(self, key: bytes, model: str, request: Request, reason: str) -> None:
        """Remember that a request got no answer. Only `export` tells it: it is neither looked up nor written."""
        said = (request.content.decode(), request.parameters.as_json.decode(), request.sample)
        self._unanswered[key] = (key.hex(), model, *said, None, None, None, None, None, reason)

    def export(self, keys: Sequence[bytes]) -> pa.Table:
        """Stored rows in the order of `keys`, as the release's `generations` config has them.

        A request that got no answer in this process has no text and the reason under `failure`. Times are left out: a
        release that is made again from the same replies has the same contents.
        """
        query = f"SELECT key, {_REQUEST}, {_COLUMNS} FROM generations WHERE key IN "
        batches = []
        with self._explained("read"):
            for start in range(0, len(keys), _LOOKUP):
                part = keys[start : start + _LOOKUP]
                rows = self._connection().execute(query + f"({','.join('?' * len(part))})", part)
                known = {key: self._unanswered[key] for key in part if key in self._unanswered}
                known |= {row[0]: (row[0].hex(), *row[1:], None) for row in rows}
                if columns := list(zip(*(known[key] for key in part if key in known), strict=True)):
                    batches.append(pa.record_batch(columns, EXPORTED))
        return pa.Table.from_batches(batches, EXPORTED)

    def mean_tokens(self, model: str, limit: int = 1000) -> tuple[float, int]:
        """Mean reply tokens of the model's latest stored replies, and how many those are: `--dry_run` prices by it."""
        with self._explained("read"):
            row = (
                self._connection()
                .execute(
                    "SELECT AVG(reply_tokens), COUNT(reply_tokens) FROM (SELECT reply_tokens FROM generations"
                    " WHERE model = ? ORDER BY rowid DESC LIMIT ?)",
                    (model, limit),
                )
                .fetchone()
            )
        return float(row[0] or 0.0), int(row[1])

    def __len__(self) -> int:
        with self._explained("read"):
            return int(self._connection().execute("SELECT COUNT(*) FROM generations").fetchone()[0])

    def close(self) -> None:
        """Close every thread's connection. Call when no thread uses the store any more."""
        for connection in self._connections:
            connection.close()
        self._connections.clear()
        self._local = threading.local()

    def _connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = sqlite3.connect(self.path, timeout=_PATIENCE_SEC, check_same_thread=False)
            self._connections.append(connection)
            _write_ahead(connection)
            # FULL: a commit has reached the disk, also through a power cut. Commits are grouped, so it costs little.
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA cache_size = -65536")  # 64 MB of pages: the index of a few million keys
            self._local.connection = connection
        return connection

    def _explained(self, action: str) -> "_Explained":
        return _Explained(self.path, action)


def _write_ahead(connection: sqlite3.Connection) -> None:
    """WAL mode. For this one change SQLite does not wait for locks, which processes that make a file together meet."""
    end = time.monotonic() + _PATIENCE_SEC
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() >= end:
                raise
            time.sleep(0.01)


def _completion(
    text: str, finish_reason: str | None, prompt_tokens: int | None, reply_tokens: int | None, top: str | None
) -> Completion:
    return Completion(text, finish_reason, prompt_tokens, reply_tokens, None if top is None else orjson.loads(top))


class _Explained:
    """Turns SQLite's errors into ours: which file, what happened, what to do."""

    def __init__(self, path: Path, action: str) -> None:
        self.path, self.action = path, action

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, sqlite3.Error):
            text = str(error)
            if "full" in text:
                remedy = "free space on that disk and run the same command again; what was stored is kept"
            elif "locked" in text or "busy" in text:
                remedy = "another process held it for a minute; wait for that one, or give another --store"
            elif "malformed" in text or "not a database" in text:
                remedy = (
                    "the file is damaged or not a store; it is left as it is: give another --store, and save what it"
                    " holds with `sqlite3 FILE .recover`"
                )
            else:
                remedy = "check that the folder exists and can be written, or give another --store"
            raise StoreError(f"cannot {self.action} the generation store {self.path}: {text}; {remedy}") from error
        if isinstance(error, OSError):
            raise StoreError(
                f"cannot {self.action} the generation store {self.path}: {error}; give another --store,"
                " in a folder that can be written"
            ) from error
