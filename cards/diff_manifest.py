"""What two releases were made from, side by side: settings, prompts, models, inputs, versions, counts."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_SAME_NAME = {"models": "role", "inputs": "name"}  # the entries of these lists belong together by this


@dataclass(frozen=True)
class MadeDifference:
    """One fact that differs; None stands for null and for not there at all.

    Args:
        section: `method`, `settings`, `prompts`, `models`, `inputs`, `packages` or `counts`.
        name: of the fact within its section, with dots between levels.
        a, b: the values, as JSON has them.
    """

    section: str
    name: str
    a: Any
    b: Any


def compare_manifests(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[MadeDifference]:
    """All facts that differ, section by section, sorted by name.

    Left out: when a run started and ended, how long it took and the command as typed, which say nothing that the
    settings do not; and the configs, whose rows are compared themselves.
    """
    differences = []
    sections_a, sections_b = _sections(a), _sections(b)
    for section, facts_a in sections_a.items():
        facts_b = sections_b[section]
        for name in sorted(facts_a.keys() | facts_b.keys()):
            if facts_a.get(name) != facts_b.get(name):
                differences.append(MadeDifference(section, name, facts_a.get(name), facts_b.get(name)))
    return differences


def _sections(manifest: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    surroundings = {name: manifest.get(name) for name in ("python", "platform")}
    return {
        "method": {name: manifest.get(name) for name in ("recipe", "method", "variant", "offline")},
        "settings": _flat(manifest.get("config")),
        "prompts": _flat(manifest.get("prompts")),
        "models": _entries("models", manifest.get("models")),
        "inputs": _entries("inputs", manifest.get("inputs")),
        "packages": _flat(manifest.get("packages")) | surroundings,
        "counts": _flat(manifest.get("counts")),
    }


def _flat(value: Any) -> dict[str, Any]:
    """A nested mapping as one: `rejected.unparsed`. Something else, in a manifest of another make, holds no facts."""
    return dict(_items(value, "")) if isinstance(value, Mapping) else {}


def _items(value: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, item in value.items():
        if isinstance(item, Mapping):
            yield from _items(item, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", item


def _entries(section: str, records: Any) -> dict[str, Any]:
    """A list of mappings as one mapping, each entry under its name; the second of a name is `name (2)`."""
    facts: dict[str, Any] = {}
    seen: Counter[str] = Counter()
    for record in records if isinstance(records, list) else ():
        if not isinstance(record, Mapping):
            continue
        name = str(record.get(_SAME_NAME[section], "unnamed"))
        seen[name] += 1
        label = name if seen[name] == 1 else f"{name} ({seen[name]})"
        facts |= {f"{label}.{fact}": value for fact, value in _flat(record).items() if fact != _SAME_NAME[section]}
    return facts
