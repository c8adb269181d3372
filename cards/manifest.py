"""The manifest of a release: everything that went into a run and came out of it, as one JSON file."""

import dataclasses
import json
import math
import platform
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import Enum
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any

from tagsmith.cards.errors import ReleaseError
from tagsmith.cards.redact import redact

MANIFEST_NAME = "manifest.json"
FORMAT = 1
FORMAT_KEY = "tagsmith_format"  # marks a folder as a release of ours: it may be replaced by the next one

COUNTS = ("rows_in", "rows_out", "requests", "store_hits", "retries", "prompt_tokens", "reply_tokens")


def build_manifest(
    *,
    recipe: str,
    command: Sequence[str],
    config: Any,
    method: str,
    variant: str,
    inputs: Sequence[Mapping[str, Any]],
    prompts: Mapping[str, str],
    models: Sequence[Mapping[str, Any]],
    artefacts: Mapping[str, str] | None = None,
    counts: Mapping[str, Any],
    started: datetime,
    finished: datetime,
    offline: bool,
) -> dict[str, Any]:
    """Collect what a run was made from; `write_release` adds rows and content hash of each config.

    Secrets are replaced by `[removed]` and absolute local paths by their last part, in every value.

    Args:
        recipe: its name, such as `select_instag`.
        command: the command as typed, an item a word (`sys.argv`).
        config: every parameter with its value: a dataclass or a mapping.
        method: what the method is called, such as `#InsTag`.
        variant: which reading of it ran, such as `paper` or `official`.
        inputs: one mapping a dataset, with at least `name` (as given: Hub name or path) and `rows`, and where
            known `revision`, `split`, `content_hash`, `fingerprint`, `license`.
        prompts: name of each prompt in use and the hash of its text.
        models: the identity of each model that answered or embedded, with at least `model`; empty if none did.
        artefacts: settings that named something made before, such as a table, and the config of this release that holds
            it.
        counts: whole numbers under the names in `COUNTS`, `rejected` (rows for each reason), and any others that
            the card should show.
        started, finished: with a time zone.
        offline: whether any row came from the embedded offline endpoint.

    Raises:
        ReleaseError: a count, an input's name or rows, or a time zone is missing, or a value has no form in JSON.
    """
    manifest = {
        FORMAT_KEY: FORMAT,
        "recipe": recipe,
        "command": command,
        "config": config,
        "method": method,
        "variant": variant,
        "inputs": inputs,
        "prompts": prompts,
        "models": models,
        "artefacts": artefacts or {},
        "counts": counts,
        "started": _utc(started),
        "finished": _utc(finished),
        "seconds": round((finished - started).total_seconds(), 3),
        "offline": offline,
        "packages": package_versions(),
        "python": platform.python_version(),
        "platform": platform.platform(),
    }
    public: dict[str, Any] = redact(_plain(manifest, "manifest"))
    _check_counts(public["counts"])
    for name, keys in (("inputs", ("name", "rows")), ("models", ("model",))):
        for record in public[name]:
            if missing := [key for key in keys if key not in record]:
                raise ReleaseError(f"manifest: an entry of {name} lacks {missing}: {record}")
    return public


def as_recorded(value: Any) -> Any:
    """A value as it stands in a manifest: in JSON's own types, without secrets and local folders."""
    return redact(_plain(value, "value"))


def package_versions() -> dict[str, str]:
    """Versions of tagsmith and of what it requires, as installed here."""
    try:
        wanted = [re.split(r"[^\w.-]", line)[0] for line in requires("tagsmith") or () if "extra ==" not in line]
    except PackageNotFoundError as error:
        raise ReleaseError("tagsmith is not installed, so its version is unknown; run `pip install -e .`") from error
    found = {}
    for name in ["tagsmith", *wanted]:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # required on another platform only
            continue
    return found


def dump_manifest(manifest: Mapping[str, Any]) -> str:
    """The text of `manifest.json`: keys sorted, one a line, UTF-8."""
    return json.dumps(manifest, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def read_manifest(folder: str | Path) -> dict[str, Any] | None:
    """The manifest of a release folder; None where the folder holds none of ours."""
    try:
        manifest = json.loads((Path(folder) / MANIFEST_NAME).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return manifest if isinstance(manifest, dict) and FORMAT_KEY in manifest else None


def _check_counts(counts: Mapping[str, Any]) -> None:
    if missing := [name for name in (*COUNTS, "rejected") if name not in counts]:
        raise ReleaseError(f"manifest: counts lack {missing}; give every one, 0 where nothing happened")
    if not isinstance(counts["rejected"], Mapping):
        raise ReleaseError(f"manifest: counts['rejected'] must map each reason to rows, got {counts['rejected']!r}")
    numbers = {name: counts[name] for name in COUNTS} | dict(counts["rejected"])
    if wrong := {name: value for name, value in numbers.items() if not isinstance(value, int) or value < 0}:
        raise ReleaseError(f"manifest: counts must be whole numbers from 0, got {wrong}")


def _utc(moment: datetime) -> str:
    if moment.tzinfo is None:
        raise ReleaseError(f"manifest: time {moment} has no time zone; use datetime.now(timezone.utc)")
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _plain(value: Any, where: str) -> Any:
    """The value in JSON's own types."""
    if isinstance(value, Enum):
        return _plain(value.value, where)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # JSON has no word for them
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, datetime):
        return _utc(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name), f"{where}.{f.name}") for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        items = sorted(value, key=str) if isinstance(value, set | frozenset) else value
        return [_plain(item, f"{where}[{n}]") for n, item in enumerate(items)]
    if hasattr(value, "item"):  # a NumPy number
        return _plain(value.item(), where)
    raise ReleaseError(f"{where} is a {type(value).__name__}, which a manifest cannot hold; give text or numbers")
