"""What a release recorded: its generations, and why some requests got none. Read once, kept in memory."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tagsmith.processors.endpoint.request import Completion
from tagsmith.processors.endpoint.store import EXPORTED
from tagsmith.processors.errors import EndpointError, InputError
from tagsmith.processors.take_rows import take

_NEVER_NULL = ("key", "model", "content", "parameters", "sample")
_COLUMNS = EXPORTED.names
_COMPLETION = ("text", "finish_reason", "prompt_tokens", "reply_tokens", "top_tokens")
_REJECTED = ("id", "reason", "generation_keys")
_NO_ANSWER, _TOO_LONG = ("endpoint: ", "refused: "), "too_long: "
_REMEDY = "write the release again, or give one that `tagsmith` wrote"


class Recording:
    """A release's generations, found by store key; offers what is read from a `GenerationStore`.

    Args:
        name: what the user called the release, for errors.
        generations: its config `generations`. A row with a `failure` is a request that got no answer, and why.
        rejected: its config `rejected`, if it has one: the reasons of single rows.
        models: further models that are known to have been asked.

    Raises:
        EndpointError: a column is missing or has nulls, or a key stands there twice.
    """

    def __init__(
        self, name: str, generations: pa.Table, rejected: pa.Table | None = None, models: Iterable[str] = ()
    ) -> None:
        self.name = name
        if "failure" not in generations.column_names:
            generations = generations.append_column("failure", pa.nulls(len(generations), pa.string()))
        if missing := [column for column in _COLUMNS if column not in generations.column_names]:
            raise EndpointError(f"{name}: its generations lack the columns {', '.join(missing)}; {_REMEDY}")
        try:
            self.table = generations.select(_COLUMNS).cast(EXPORTED)
        except pa.ArrowException as error:
            raise EndpointError(
                f"{name}: its generations have another type than they should: {error}; {_REMEDY}"
            ) from error
        self._keys = self.table["key"].combine_chunks()
        self.models: list[str] = list(dict.fromkeys([*self.table["model"].unique().to_pylist(), *models]))
        self._check()
        needed = self.table.select(["key", *_COMPLETION])
        keys, *columns = (column.to_pylist() for column in needed.filter(pc.is_valid(needed["text"])).columns)
        self._answers = dict(
            zip(keys, zip(*columns, strict=True), strict=True)
        )  # a `Completion` only for what is asked
        failed = self.table.select(["key", "failure"]).filter(pc.is_valid(self.table["failure"]))
        self._failures: dict[str, str] = dict(zip(*(column.to_pylist() for column in failed.columns), strict=True))
        self._reasons: dict[tuple[str | None, str], str] = {}  # of a single row and key, where they are known
        if rejected is not None and set(_REJECTED[1:]) <= set(rejected.column_names):
            self._read_rejected(rejected)
        # What `Client.excess` says of a request: its length and the limit.
        self.too_long = {
            key: reason.removeprefix(_TOO_LONG)
            for key, reason in self._failures.items()
            if reason.startswith(_TOO_LONG)
        }

    def completion(self, key: str) -> Completion | None:
        """The generation under a key (hexadecimal)."""
        answer = self._answers.get(key)
        if answer is None:
            return None
        text, finish_reason, prompt_tokens, reply_tokens, top_tokens = answer
        tops = None if top_tokens is None else orjson.loads(top_tokens)
        return Completion(text, finish_reason, prompt_tokens, reply_tokens, tops)

    def why_unanswered(self, key: str, row: str | None) -> str | None:
        """Why the request got no answer, None when it got one.

        A request can fail for one row and, asked again for a later one, be answered: what is known of the row decides.
        """
        reason = self._failures.get(key)
        if reason is None:
            return None
        return self._reasons.get((row, key), None if key in self._answers else reason)

    def choose_model(self, wanted: str | None) -> str:
        """The identity of the model to replay: the one that is wanted, or the only one there is.

        Raises:
            InputError: none was recorded under that name, or several were and none is wanted.
        """
        known = ", ".join(self.models) or "none"
        if wanted is None:
            if len(self.models) != 1:
                raise InputError(f"{self.name} recorded {len(self.models)} models ({known}); choose one: …?model=NAME")
            return next(iter(self.models))
        if wanted in self.models:
            return wanted
        named = [model for model in self.models if model.rpartition("@")[0] == wanted]
        if len(named) != 1:
            raise InputError(f"{self.name} recorded no model {wanted!r}; it has: {known}")
        return named[0]

    def sent_as_chat(self, model: str) -> bool:
        """Whether the model got conversations as such. Then some recorded content is a list and not one text."""
        of_model = pc.equal(self.table["model"], model)
        as_chat = pc.and_(of_model, pc.starts_with(self.table["content"], "["))
        return not pc.any(of_model).as_py() or bool(pc.any(as_chat).as_py())

    # --- as a GenerationStore -----------------------------------------------------------------------------------

    def get_many(self, keys: Sequence[bytes]) -> dict[bytes, Completion]:
        """The recorded completions among `keys`."""
        found = ((key, self.completion(key.hex())) for key in keys)
        return {key: completion for key, completion in found if completion is not None}

    def export(self, keys: Sequence[bytes]) -> pa.Table:
        """Recorded rows in the order of `keys`, as the release has them."""
        places = pc.index_in(pa.array([key.hex() for key in keys], pa.string()), self._keys).drop_null()
        return take(self.table, places.to_numpy(zero_copy_only=False).astype(np.int64))

    def mean_tokens(self, model: str, limit: int = 1000) -> tuple[float, int]:
        """Mean reply tokens of the model's last recorded replies, and how many those are."""
        counts = self.table["reply_tokens"].filter(pc.equal(self.table["model"], model))[-limit:]
        return float(pc.mean(counts).as_py() or 0.0), int(pc.count(counts).as_py())

    def __len__(self) -> int:
        return len(self._keys)

    def _check(self) -> None:
        if nulls := [column for column in _NEVER_NULL if self.table[column].null_count]:
            raise EndpointError(f"{self.name}: its generations have nulls in {', '.join(nulls)}; {_REMEDY}")
        counts = self._keys.value_counts()
        if len(counts) != len(self._keys):
            (twice, *_) = counts.filter(pc.greater(counts.field("counts"), 1)).field("values")
            raise EndpointError(f"{self.name}: its generations have the key {twice} more than once; {_REMEDY}")
        empty = pc.and_(pc.is_null(self.table["text"]), pc.is_null(self.table["failure"]))
        if pc.any(empty).as_py():
            (key, *_) = self._keys.filter(empty.combine_chunks())
            raise EndpointError(f"{self.name}: its generation {key} has neither text nor failure; {_REMEDY}")

    def _read_rejected(self, rejected: pa.Table) -> None:
        """Rows that fell out for want of an answer, with the reason of each.

        Mostly their requests stand under `failure` as well; not so those of other processes (`Dataset.map` with
        `num_proc`), nor one that was asked again for a later row and answered then.
        """
        for row in rejected.select([name for name in _REJECTED if name in rejected.column_names]).to_pylist():
            reason, keys = row["reason"] or "", row["generation_keys"] or []
            if not reason.startswith((*_NO_ANSWER, _TOO_LONG)):
                continue
            lost = [key for key in keys if key not in self._answers]
            if not lost and reason.startswith(_NO_ANSWER):
                lost = keys[-1:]
            for key in lost:
                self._failures.setdefault(key, reason)
                self._reasons[row.get("id"), key] = reason


def open_recording(target: str) -> Recording:
    """Read a release: a folder, or `org/name@tag` on the Hub (fetched once; only what a replay needs).

    Raises:
        EndpointError: there is no such folder, repository or tag, it is no release, or its generations are missing
            or damaged.
    """
    folder = _folder(target)
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        configs = manifest["configs"]
        asked = [record["model"] for record in manifest.get("models", ()) if "endpoint" in record]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EndpointError(
            f"replay:{target} is no release: its manifest.json cannot be read ({error}); {_REMEDY}"
        ) from error
    if "generations" not in configs:
        raise EndpointError(f"replay:{target} has no config `generations` (it has: {', '.join(configs)}); {_REMEDY}")
    rejected = _read(folder, target, "rejected", configs, _REJECTED) if "rejected" in configs else None
    return Recording(target, _read(folder, target, "generations", configs, _COLUMNS), rejected, asked)


def _folder(target: str) -> Path:
    path = Path(target).expanduser()
    if path.is_dir():
        return path
    if target.startswith((".", "/", "~")):
        raise EndpointError(f"replay:{target} does not exist; give a release folder, or org/name@tag on the Hub")
    name, _, tag = target.partition("@")
    if not tag:
        raise EndpointError(
            f"replay:{target} is no folder here, and names no version for the Hub: replay:{name}@v1.0.0"
        )
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

    try:
        wanted = ["manifest.json", "generations/*", "rejected/*"]
        return Path(snapshot_download(name, repo_type="dataset", revision=tag, allow_patterns=wanted))
    except RevisionNotFoundError as error:
        raise EndpointError(f"replay:{target}: dataset {name} has no tag {tag!r}; see the list on its page") from error
    except RepositoryNotFoundError as error:
        raise EndpointError(
            f"replay:{target}: there is no dataset {name} on the Hub, or it is private; check the name, or log in with"
            " `hf auth login`"
        ) from error
    except Exception as error:  # the library raises many kinds; each becomes one line
        words = " ".join(str(error).split())[:300]
        raise EndpointError(
            f"replay:{target} could not be fetched from the Hub: {words}; try again, or give a release folder"
        ) from error


def _read(folder: Path, target: str, config: str, configs: Any, wanted: Sequence[str]) -> pa.Table:
    """The columns of a config that are wanted and there, from all files that the manifest names."""
    tables = []
    for facts in configs[config].values():
        try:
            parts = [_read_file(path, wanted) for path in sorted(folder.glob(facts["path"]))]
            table = pa.concat_tables(parts, promote_options="permissive") if parts else pa.table({})
        except (OSError, pa.ArrowException) as error:
            raise EndpointError(f"replay:{target}: {config} cannot be read: {error}; {_REMEDY}") from error
        if table.num_rows != facts["rows"]:
            raise EndpointError(
                f"replay:{target}: {facts['path']} has {table.num_rows:,} rows, manifest.json says {facts['rows']:,};"
                " fetch the release again, all files of it"
            )
        tables.append(table)
    return pa.concat_tables(tables, promote_options="permissive")


def _read_file(path: Path, wanted: Sequence[str]) -> pa.Table:
    """One row group after the other from mapped memory: texts are neither buffered twice nor moved as they grow."""
    file = pq.ParquetFile(path, memory_map=True, pre_buffer=False)
    columns = [name for name in file.schema_arrow.names if name in wanted]
    groups = [file.read_row_group(number, columns, use_threads=False) for number in range(file.num_row_groups)]
    return pa.concat_tables([file.schema_arrow.empty_table().select(columns), *groups])
