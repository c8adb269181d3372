"""A large replay in several processes: answering from memory is all Python, and one process has one core."""

import multiprocessing
import os
import sys
import tempfile
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import pyarrow as pa
from datasets import Dataset
from datasets.fingerprint import Hasher

from tagsmith.processors.endpoint.replay import ReplayClient
from tagsmith.processors.endpoint.usage import Usage
from tagsmith.processors.errors import EndpointError

ROWS_A_SHARE = 10_000  # below twice as many rows, starting a process costs more than it saves
MOST_SHARES = 4

Map = Callable[[Dataset, bool], Dataset]  # rows, whether to show progress → rows with their new columns


def shares_for(rows: int) -> int:
    """How many processes are worth it; 1 where processes cannot be forked."""
    if sys.platform == "win32" or sys.platform == "darwin":
        return 1
    return max(1, min(MOST_SHARES, os.cpu_count() or 1, rows // ROWS_A_SHARE))


def map_in_shares(dataset: Dataset, client: ReplayClient, shares: int, map_share: Map) -> Dataset:
    """Map contiguous shares, the first one here and each other one in a forked process, and join them in order.

    A replay has no thread, socket or file of its own, so a forked process goes on with the same record in memory. What
    the others used is added to `client.usage`.

    Raises:
        Whatever a share raised, the first share's before the second's.
    """
    ends = [len(dataset) * n // shares for n in range(shares + 1)]
    fork = multiprocessing.get_context("fork")
    with tempfile.TemporaryDirectory(prefix="tagsmith-replay-") as folder:
        others = []
        try:
            for n in range(1, shares):
                here, there = fork.Pipe(duplex=False)
                path = Path(folder) / f"{n}.arrow"
                part = dataset.select(range(ends[n], ends[n + 1]))
                process = fork.Process(target=_map_there, args=(part, client, map_share, path, there), daemon=True)
                process.start()
                there.close()  # so that a process which dies is noticed
                others.append((process, here, path))
            first = map_share(dataset.select(range(ends[1])), True)
            tables = [first.data.table]
            fingerprints = [first._fingerprint]
            for process, here, path in others:
                usage, fingerprint = _result(here)
                client.usage = Usage.total([client.usage, usage])
                fingerprints.append(fingerprint)
                tables.append(_read(path))
                process.join()
        finally:
            for process, here, _ in others:
                process.terminate()
                process.join()
                here.close()
        table = pa.concat_tables(tables)
    return Dataset(table, info=first.info.copy(), split=dataset.split, fingerprint=Hasher.hash(fingerprints))


def _map_there(part: Dataset, client: ReplayClient, map_share: Map, path: Path, answer: Connection) -> None:
    """In the forked process: the share's table into a file, usage and fingerprint (or the error) back."""
    before = client.usage
    client.usage = Usage()
    try:
        mapped = map_share(part, False)
        table = mapped.data.table
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)
        answer.send((client.usage, mapped._fingerprint))
    except BaseException as error:  # whoever waits raises it
        answer.send(error)
    finally:
        client.usage = before


def _result(answer: Connection) -> tuple[Usage, str]:
    try:
        got = answer.recv()
    except EOFError as error:
        raise EndpointError("a process of the replay died, of want of memory perhaps; run the same again") from error
    if isinstance(got, BaseException):
        raise got
    usage, fingerprint = got
    return usage, str(fingerprint)


def _read(path: Path) -> pa.Table:
    with pa.memory_map(str(path)) as file:
        return pa.ipc.open_file(file).read_all()  # stays readable after the file's name is gone
