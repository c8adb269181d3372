"""Rounds of an evolving method: every row has a record in every round, good or rejected; none is lost or moved."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from typing import Any, ClassVar, Self

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset

from tagsmith.processors.errors import InputError

TEXT, TEXTS = pa.string(), pa.list_(pa.string())
_KEYS = {"id": TEXT, "parent_id": TEXT, "root_id": TEXT, "method": TEXT, "iteration": pa.int64()}
_TEXTS = {"instruction": TEXT, "response": TEXT}
# How a round went for a row.
_WORK = {
    "model": TEXT,
    "prompt_hash": TEXT,
    "attempts": pa.int64(),
    "generation_keys": TEXTS,
    "raw_reply": TEXT,
    "status": TEXT,
    "reason": TEXT,
}
SEED = "seed"

Record = dict[str, Any]


@dataclass(frozen=True, eq=False)
class EvolvedRounds(ABC):
    """The rows of a run, in every round: a value that `advance` turns into the next one.

    A subclass names its method, the columns that it adds to a record, and says what they hold (`own_content`). Rows are
    matched by `id`, never by position: the results of a round may come in any order, but each row must be there.

    Args:
        table: the records of all rounds so far; `start` makes it.
        chained: each round starts from a row's last good version; otherwise all start from the seed.

    Columns of `records`, one row for each seed row and round, in the order of rounds and, within one, of the seeds:
        id (``str``): unique among all records. A content hash of parent, round and texts: the same results give the
            same ids, whatever happens to other rows.
        parent_id (``str | None``): the record that the round started from; None in round 0. root_id (``str``): the
            seed row's id.
        method (``str``): "seed" in round 0. iteration (``int``): the round, from 0.
        instruction (``str``), response (``str | None``), and the subclass's own columns: what the row says after the
            round. Where the round failed, that is what its parent says.
        model, prompt_hash, raw_reply, status, reason (``str``), attempts (``int``), generation_keys (``list[str]``):
            how the round went; status is "ok" or "rejected", with the reason.
    """

    table: pa.Table  # `records` as Arrow; a `Dataset` hashes all its rows when it is made
    chained: bool = True

    method_name: ClassVar[str]
    own_columns: ClassVar[Mapping[str, pa.DataType]]
    seed_columns: ClassVar[tuple[str, ...]] = ()  # own columns that seed rows may bring along
    start_columns: ClassVar[tuple[str, ...]] = ()  # own columns that the next round needs
    result_columns: ClassVar[tuple[str, ...]] = ()  # columns of a round's results that `own_content` reads
    asked_columns: ClassVar[tuple[str, ...]] = ()  # own columns that say what was asked: a failed round has them, too

    @classmethod
    def schema(cls) -> pa.Schema:
        """Types of `records`."""
        return pa.schema([*_KEYS.items(), *_TEXTS.items(), *cls.own_columns.items(), *_WORK.items()])

    @abstractmethod
    def own_content(self, version: Record, result: Mapping[str, Any]) -> Record:
        """The own columns of a new version, from the version that the round started from and its result.

        Raises:
            InputError: the result lacks something: a stage was left out.
        """

    @classmethod
    def start(cls, rows: Dataset, *, chained: bool = True) -> Self:
        """Round 0: the seed rows.

        Input columns: id, instruction (``str``), response (``str | None``, where there is one).

        Raises:
            InputError: there are no rows, an id is missing or repeats, a row is rejected or has no instruction.
        """
        rows = rows.with_format(None)
        missing = [name for name in ("id", "instruction") if name not in rows.column_names]
        if missing:
            raise InputError(f"no column {missing[0]!r}; the columns are: {', '.join(rows.column_names)}; use to_rows")
        if not len(rows):
            raise InputError("there are no rows to evolve (0 rows)")
        _keyed(rows["id"][:], "the seed rows")
        wanted = ("id", "instruction", "response", "status", *cls.seed_columns)
        empty: Record = {name: [] if pa.types.is_list(kind) else None for name, kind in cls.own_columns.items()}
        records = []
        for row in rows.select_columns([name for name in wanted if name in rows.column_names]):
            if row.get("status", "ok") != "ok":
                raise InputError(f"row {row['id']} is rejected; give `start` the rows with status ok only")
            if not (isinstance(row["instruction"], str) and row["instruction"].strip()):
                raise InputError(f"row {row['id']} has no instruction; filter such rows out")
            texts = {"instruction": row["instruction"], "response": row.get("response")}
            own = empty | {name: row[name] for name in cls.seed_columns if row.get(name) is not None}
            keys = {"id": row["id"], "parent_id": None, "root_id": row["id"], "method": SEED, "iteration": 0}
            records.append(keys | texts | own | _work({}) | {"status": "ok", "reason": ""})
        return cls(pa.Table.from_pylist(records, schema=cls.schema()), chained)

    @cached_property
    def records(self) -> Dataset:
        """All rounds of all rows, the columns as above."""
        return Dataset(self.table)

    @property
    def iteration(self) -> int:
        """The last round, 0 before the first."""
        return int(pc.max(self.table["iteration"]).as_py())

    def final(self) -> Dataset:
        """The record of each row's last good version, in the order of the seeds."""
        return Dataset(self._last_good())

    def evolved(self) -> Dataset:
        """All good versions of all rounds but the seeds, in the order of rounds."""
        is_good = pc.and_(pc.equal(self.table["status"], "ok"), pc.greater(self.table["iteration"], 0))
        return Dataset(self.table.filter(is_good).combine_chunks())

    def current(self) -> Dataset:
        """What the next round starts from, in the columns that the processors read.

        Without the response: a new instruction must not get the old one's.
        """
        names = ["id", "root_id", "iteration", "instruction", *self.start_columns, "status", "reason"]
        return Dataset(self._starts().select(names))

    def advance(self, results: Dataset, *, method: str | None = None) -> Self:
        """One round further.

        Input columns: id; status ("ok" or "rejected"), reason; and for rows that are ok: new_instruction, response
        (``str``; without the column, rows have no response), and what the method's own columns are made of. Model,
        prompt_hash, attempts, generation_keys and raw_reply are taken over where they are there.

        Args:
            results: one row for each row of `current()`, in any order; further columns are left.
            method: goes into the records in place of the method's own name.

        Raises:
            InputError: a row has no result, or more than one, or a result has no row; a row that is ok lacks its new
                instruction, response or an own column (a stage was left out).
        """
        started = self._starts().to_pylist()
        results = results.with_format(None)
        needed = ["id", "status", "reason"]
        if missing := [name for name in needed if name not in results.column_names]:
            raise InputError(f"results have no column {missing[0]!r}; their columns: {', '.join(results.column_names)}")
        expected = dict.fromkeys(version["id"] for version in started)
        if unknown := [name for name in _keyed(results["id"][:], "the results") if name not in expected]:
            raise InputError(f"results have {len(unknown)} rows of no version in this round; first: id {unknown[0]!r}")
        read = ("id", "new_instruction", "response", *self.result_columns, *self.asked_columns, *_WORK)
        wanted = [name for name in dict.fromkeys(read) if name in results.column_names]
        result_of = {row["id"]: row for row in results.select_columns(wanted).to_list()}
        if lost := [name for name in expected if name not in result_of]:
            raise InputError(
                f"{len(lost)} of {len(expected)} rows have no result; first: id {lost[0]!r}; a row that fails stays in"
                " the results, with status rejected and the reason"
            )
        iteration = self.iteration + 1
        name = method or self.method_name
        made = [self._record(version, result_of[version["id"]], iteration, name) for version in started]
        added = pa.Table.from_pylist(made, schema=self.schema())
        return type(self)(pa.concat_tables([self.table, added]), self.chained)

    def counts(self) -> list[dict[str, Any]]:
        """For each round: `iteration`, `rows`, `ok`, and `rejected` (reason code → rows); ok + rejected = rows."""
        rounds: dict[int, Counter[str]] = {}
        columns = (self.table[name].to_pylist() for name in ("iteration", "status", "reason"))
        for iteration, status, reason in zip(*columns, strict=True):
            rounds.setdefault(iteration, Counter())["" if status == "ok" else reason.partition(":")[0]] += 1
        return [
            {
                "iteration": iteration,
                "rows": reasons.total(),
                "ok": reasons[""],
                "rejected": {code: n for code, n in reasons.most_common() if code},
            }
            for iteration, reasons in rounds.items()
        ]

    def versions(self, root_id: str) -> list[Record]:
        """The good versions of one row, seed first."""
        is_mine = pc.and_(pc.equal(self.table["root_id"], root_id), pc.equal(self.table["status"], "ok"))
        records: list[Record] = self.table.filter(is_mine).to_pylist()
        return records

    def _starts(self) -> pa.Table:
        if self.chained:
            return self._last_good()
        return self.table.filter(pc.equal(self.table["iteration"], 0)).combine_chunks()

    def _last_good(self) -> pa.Table:
        is_ok = pc.equal(self.table["status"], "ok").to_numpy()
        # Seeds come first, and so number the rows.
        row = self.table["root_id"].combine_chunks().dictionary_encode().indices.to_numpy()
        last = np.zeros(row.max() + 1, np.int64)
        last[row[is_ok]] = np.flatnonzero(is_ok)  # where a row has several, the last one stays
        return self.table.take(pa.array(last)).combine_chunks()

    def _record(self, version: Record, result: Mapping[str, Any], iteration: int, method: str) -> Record:
        """What round `iteration` made of a row: the new version, or the old one and why."""
        is_ok = result["status"] == "ok"
        if is_ok:
            for name in ("new_instruction", *(["response"] if "response" in result else [])):
                check_text(result, name)
            texts = {"instruction": result["new_instruction"], "response": result.get("response")}
            content = texts | self.own_content(version, result)
            said = list(texts.values())
        else:
            content = {name: version[name] for name in (*_TEXTS, *self.own_columns)}
            content |= {name: result[name] for name in self.asked_columns if name in result}
            said = [None, None]
        keys = {
            "id": _hash([version["id"], iteration, *said]),
            "parent_id": version["id"],
            "root_id": version["root_id"],
            "method": method,
            "iteration": iteration,
        }
        reason = "" if is_ok else result["reason"] or "rejected: no reason was given"
        return keys | content | _work(result) | {"status": "ok" if is_ok else "rejected", "reason": reason}


def check_text(result: Mapping[str, Any], name: str) -> None:
    """Raise when a result that is ok has no text under `name`."""
    if not (isinstance(result.get(name), str) and result[name].strip()):
        raise InputError(f"row {result['id']} is ok but has no {name}; run all stages of the round before advance")


def _work(result: Mapping[str, Any]) -> Record:
    empty = {"model": "", "prompt_hash": "", "attempts": 0, "generation_keys": [], "raw_reply": ""}
    return {name: value if (found := result.get(name)) is None else found for name, value in empty.items()}


def _keyed(ids: Iterable[Any], what: str) -> list[str]:
    """The ids, each there and only once."""
    counts = Counter(ids)
    if bad := [name for name, times in counts.items() if times > 1 or not isinstance(name, str)]:
        problem = f"{counts[bad[0]]} times" if isinstance(bad[0], str) else "no text"
        raise InputError(f"{what} have the id {bad[0]!r} ({problem}); expected each row's own id, as to_rows makes it")
    return list(counts)


def _hash(content: Any) -> str:
    return blake2b(orjson.dumps(content), digest_size=8).hexdigest()
