"""Rounds of Tag-Instruct: each from a row's last good version; what fails keeps it, and every round is kept (§3.5)."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset

from tagsmith.processors.errors import InputError

_TEXT, _TEXTS = pa.string(), pa.list_(pa.string())
# What a row says after a round, and how the round went for it.
_CONTENT = {
    "instruction": _TEXT,
    "response": _TEXT,
    "base_tags": _TEXTS,
    "tags": _TEXTS,
    "injected_tags": _TEXTS,
    "utility": pa.float64(),
}
_WORK = {
    "model": _TEXT,
    "prompt_hash": _TEXT,
    "attempts": pa.int64(),
    "generation_keys": _TEXTS,
    "raw_reply": _TEXT,
    "status": _TEXT,
    "reason": _TEXT,
}
_KEYS = {"id": _TEXT, "parent_id": _TEXT, "root_id": _TEXT, "method": _TEXT, "iteration": pa.int64()}
SCHEMA = pa.schema(_KEYS | _CONTENT | _WORK)
# What the next round starts from. Without the response: a new instruction must not get the old one's.
START_COLUMNS = ["id", "root_id", "iteration", "instruction", "injected_tags", "status", "reason"]
_RESULT_COLUMNS = ("id", "new_instruction", "response", "base_tags", "new_tag", "new_tag_score", *_WORK)
SEED, METHOD = "seed", "tag-instruct"

Record = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Rounds:
    """The rows of a run, in every round: a value that `advance` turns into the next one.

    A round takes `current()` through encode, expand, score, choose, decode and respond, and gives the result back:

        >>> rounds = Rounds.start(rows)
        >>> for _ in range(5):
        ...     rounds = rounds.advance(one_round(rounds.current()))
        >>> rounds.final()                                             # the last good version of each row

    Rows are matched by `id`, never by position: the results may come in any order, but each row must be there.

    Args:
        table: the records of all rounds so far; `start` makes it.

    Columns of `records`, one row for each seed row and round, in the order of rounds and, within one, of the seeds:
        id (``str``): unique among all records. A content hash of parent, round and texts: the same results give the
            same ids, whatever happens to other rows.
        parent_id (``str | None``): the record that the round started from, which is the row's last good version; None
            in round 0. root_id (``str``): the seed row's id.
        method (``str``): "seed" in round 0. iteration (``int``): the round, from 0.
        instruction (``str``), response (``str | None``), base_tags (``list[str]``: tags that the parent's instruction
            was encoded to), tags (``list[str]``: those and the new tag), injected_tags (``list[str]``: new tags of all
            rounds, the latest last), utility (``float | None``: the score of the latest one, Eq. 2 and 3): what the row
            says after the round. Where the round failed, that is what it said before.
        model, prompt_hash, raw_reply, status, reason (``str``), attempts (``int``), generation_keys (``list[str]``):
            how the round went; status is "ok" or "rejected", with the reason.

    Differs from the authors' code: it drops what cannot be parsed from one list and pairs the rest by position, so that
    every later row gets another row's tag; here no row is ever dropped or moved.
    """

    table: pa.Table  # `records` as Arrow; a `Dataset` hashes all its rows when it is made

    @classmethod
    def start(cls, rows: Dataset) -> "Rounds":
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
        records = []
        kept = [name for name in ("id", "instruction", "response", "status") if name in rows.column_names]
        for row in rows.select_columns(kept):
            if row.get("status", "ok") != "ok":
                raise InputError(f"row {row['id']} is rejected; give `start` the rows with status ok only")
            if not (isinstance(row["instruction"], str) and row["instruction"].strip()):
                raise InputError(f"row {row['id']} has no instruction; filter such rows out")
            texts = {"instruction": row["instruction"], "response": row.get("response")}
            content: Record = {"base_tags": [], "tags": [], "injected_tags": [], "utility": None}
            keys = {"id": row["id"], "parent_id": None, "root_id": row["id"], "method": SEED, "iteration": 0}
            records.append(keys | texts | content | _work({}) | {"status": "ok", "reason": ""})
        return cls(pa.Table.from_pylist(records, schema=SCHEMA))

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

    def current(self) -> Dataset:
        """What the next round starts from: the last good versions, in the columns that the processors read."""
        return Dataset(self._last_good().select(START_COLUMNS))

    def advance(self, results: Dataset, *, method: str = METHOD) -> "Rounds":
        """One round further.

        Input columns: id; status ("ok" or "rejected"), reason; and for rows that are ok: new_instruction, response
        (``str``; without the column, rows have no response), base_tags, new_tag, new_tag_score (where there is one).
        Model, prompt_hash, attempts, generation_keys and raw_reply are taken over where they are there.

        Args:
            results: one row for each row of `current()`, in any order; further columns are left.
            method: goes into the records.

        Raises:
            InputError: a row has no result, or more than one, or a result has no row; a row that is ok lacks its new
                instruction, response or tag (a stage was left out).
        """
        started = self._last_good().to_pylist()
        results = results.with_format(None)
        needed = ["id", "status", "reason"]
        if missing := [name for name in needed if name not in results.column_names]:
            raise InputError(f"results have no column {missing[0]!r}; their columns: {', '.join(results.column_names)}")
        expected = dict.fromkeys(version["id"] for version in started)
        if unknown := [name for name in _keyed(results["id"][:], "the results") if name not in expected]:
            raise InputError(f"results have {len(unknown)} rows of no version in this round; first: id {unknown[0]!r}")
        wanted = [name for name in _RESULT_COLUMNS if name in results.column_names]
        result_of = {row["id"]: row for row in results.select_columns(wanted).to_list()}
        if lost := [name for name in expected if name not in result_of]:
            raise InputError(
                f"{len(lost)} of {len(expected)} rows have no result; first: id {lost[0]!r}; a row that fails stays in"
                " the results, with status rejected and the reason"
            )
        iteration = self.iteration + 1
        made = [_record(version, result_of[version["id"]], iteration, method) for version in started]
        return Rounds(pa.concat_tables([self.table, pa.Table.from_pylist(made, schema=SCHEMA)]))

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

    def _last_good(self) -> pa.Table:
        is_ok = pc.equal(self.table["status"], "ok").to_numpy()
        # Seeds come first, and so number the rows.
        row = self.table["root_id"].combine_chunks().dictionary_encode().indices.to_numpy()
        last = np.zeros(row.max() + 1, np.int64)
        last[row[is_ok]] = np.flatnonzero(is_ok)  # where a row has several, the last one stays
        return self.table.take(pa.array(last)).combine_chunks()


def _record(version: Record, result: Mapping[str, Any], iteration: int, method: str) -> Record:
    """What round `iteration` made of a row: the new version, or the old one and why."""
    is_ok = result["status"] == "ok"
    content = _new_content(version, result) if is_ok else {name: version[name] for name in _CONTENT}
    texts = (content["instruction"], content["response"]) if is_ok else (None, None)
    keys = {
        "id": _hash([version["id"], iteration, *texts]),
        "parent_id": version["id"],
        "root_id": version["root_id"],
        "method": method,
        "iteration": iteration,
    }
    reason = "" if is_ok else result["reason"] or "rejected: no reason was given"
    return keys | content | _work(result) | {"status": "ok" if is_ok else "rejected", "reason": reason}


def _new_content(version: Record, result: Mapping[str, Any]) -> Record:
    for name in ("new_instruction", "new_tag", *(["response"] if "response" in result else [])):
        if not (isinstance(result.get(name), str) and result[name].strip()):
            raise InputError(f"row {result['id']} is ok but has no {name}; run all stages of the round before advance")
    base_tags = list(result.get("base_tags") or ())
    return {
        "instruction": result["new_instruction"],
        "response": result.get("response"),
        "base_tags": base_tags,
        "tags": [*base_tags, result["new_tag"]],
        "injected_tags": [*version["injected_tags"], result["new_tag"]],
        "utility": result.get("new_tag_score"),
    }


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
