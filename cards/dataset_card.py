"""The dataset card: a page that people want to read, from the recipe's words, the manifest and the rows themselves."""

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, TypedDict

from huggingface_hub import DatasetCardData
from jinja2 import Environment, StrictUndefined, meta
from jinja2.exceptions import UndefinedError

from tagsmith.cards import markdown
from tagsmith.cards.errors import ReleaseError
from tagsmith.cards.examples import Example
from tagsmith.cards.manifest import COUNTS
from tagsmith.cards.redact import redact_text

_LONGEST_TEXT = 300  # characters of a row's text on the card
_LABELS = {"requests": "requests answered", "store_hits": "replies re-used from the store", "seconds": "seconds in all"}


class Table(TypedDict):
    """One table of results; values are text, numbers or None, and are escaped."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]


@dataclass(frozen=True)
class CardText:
    """What only the recipe knows about its release. `summary` and `differences` may be Markdown: no text from rows.

    Args:
        title: heading of the page.
        summary: what the dataset is, in one to three lines.
        configs: for each config of the release, what its rows are, in a few words.
        citation: BibTeX of the method's paper.
        differences: where the run differs from the paper, one a line.
        tables: further results, such as the stages of a tag normaliser.
        license: the Hub's identifier; None where it is not known, which the card then says.
        language: ISO 639 codes, if known.
        tags: keywords on the Hub, beside those that every release has.
    """

    title: str
    summary: Sequence[str]
    configs: Mapping[str, str]
    citation: str
    differences: Sequence[str] = ()
    tables: Sequence[Table] = ()
    license: str | None = None
    language: Sequence[str] | None = None
    tags: Sequence[str] = ()


def render_card(
    text: CardText,
    manifest: Mapping[str, Any],
    *,
    load_name: str,
    examples: Sequence[Example],
    pictures: Sequence[Mapping[str, str]],
) -> str:
    """The whole `README.md`: metadata for the Hub and `load_dataset`, then the page.

    Args:
        text: the recipe's words.
        manifest: as `build_manifest` made it, with `default` and `configs` as `write_release` adds them.
        load_name: what a reader passes to `load_dataset`.
        examples: rows to show.
        pictures: `path` within the release and `caption` of each.

    Raises:
        ReleaseError: the manifest, the texts or the template lack a name or have one that nothing uses.
    """
    configs = manifest["configs"]
    if set(text.configs) != set(configs):
        raise ReleaseError(
            f"card: `configs` describes {sorted(text.configs)}, the release has {sorted(configs)}; describe each"
        )
    opened = {name: splits for name, splits in configs.items() if any(split["rows"] for split in splits.values())}
    page = _render(
        files("tagsmith.cards").joinpath("templates/dataset_card.md.jinja").read_text(encoding="utf-8"),
        title=text.title,
        summary=text.summary,
        offline=manifest["offline"],
        loading=_loading(load_name, manifest["default"], opened),
        configs=[
            {"name": name, "split": split, "rows": facts["rows"], "note": text.configs[name]}
            for name, splits in configs.items()
            for split, facts in splits.items()
        ],
        empty_configs=[name for name in configs if name not in opened],
        examples=examples,
        longest_text=_LONGEST_TEXT,
        pictures=pictures,
        numbers=_numbers(manifest),
        tables=[_aligned(table) for table in (*_origin_tables(manifest), *text.tables)],
        method=manifest["method"],
        variant=manifest["variant"],
        differences=text.differences,
        citation=text.citation,
        command=shlex.join(manifest["command"]),
        packages=manifest["packages"],
        python=manifest["python"],
        started=manifest["started"],
        finished=manifest["finished"],
        license=text.license,
    )
    return redact_text(f"---\n{_metadata(text, manifest, opened).to_yaml()}\n---\n\n{page}")


def _render(template: str, **values: Any) -> str:
    environment = Environment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False)
    environment.filters |= {name: getattr(markdown, name) for name in ("inline", "fence", "code", "cell")}
    used = meta.find_undeclared_variables(environment.parse(template))
    if used != values.keys():
        raise ReleaseError(
            f"card template: lacks a value for {sorted(used - values.keys())}, "
            f"makes no use of {sorted(values.keys() - used)}; both lists must be empty"
        )
    try:
        return environment.from_string(template).render(values)
    except UndefinedError as error:
        raise ReleaseError(f"card template: {error}") from error


def _metadata(text: CardText, manifest: Mapping[str, Any], opened: Mapping[str, Any]) -> DatasetCardData:
    # The default config stands first: `load_dataset` looks at the first one's files to learn the format.
    names = sorted(opened, key=lambda name: (name != manifest["default"], list(opened).index(name)))
    configs = [
        {
            "config_name": name,
            **({"default": True} if name == manifest["default"] else {}),
            # Part of the key under which `load_dataset` caches. Without it a release that was replaced at the same
            # path loads with the rows of the old one: for a local folder neither file times nor sizes count.
            "description": "content " + " ".join(facts["content_hash"][:16] for facts in opened[name].values()),
            # An empty split stays out: `load_dataset` would fail for the whole config.
            "data_files": [
                {"split": split, "path": facts["path"]} for split, facts in opened[name].items() if facts["rows"]
            ],
        }
        for name in names
    ]
    rows = sum(facts["rows"] for facts in opened[manifest["default"]].values())
    return DatasetCardData(
        pretty_name=text.title,
        license=text.license,
        language=list(text.language) if text.language else None,
        size_categories=[_size_category(rows)],
        task_categories=["text-generation"],
        tags=list(dict.fromkeys(["instruction-tuning", "tagsmith", *text.tags])),
        configs=configs,
    )


def _size_category(rows: int) -> str:
    bounds = [(10**3, "1K"), (10**4, "10K"), (10**5, "100K"), (10**6, "1M"), (10**7, "10M"), (10**8, "100M")]
    below = ""
    for bound, name in bounds:
        if rows < bound:
            return f"{below}<n<{name}" if below else f"n<{name}"
        below = name
    return "100M<n<1B"


def _loading(load_name: str, default: str, opened: Mapping[str, Any]) -> str:
    lines = ["from datasets import load_dataset", ""]
    for name in sorted(opened, key=lambda name: name != default):
        config = "" if name == default else f", {json.dumps(name)}"
        lines.append(f"{name.replace('-', '_').replace('.', '_')} = load_dataset({json.dumps(load_name)}{config})")
    return "\n".join(lines)


def _numbers(manifest: Mapping[str, Any]) -> list[tuple[str, Any]]:
    counts = dict(manifest["counts"])
    rejected = counts.pop("rejected")
    pairs = [(name, counts.pop(name)) for name in COUNTS]
    reasons = [(f"rejected: {reason}", rows) for reason, rows in rejected.items()] or [("rejected", 0)]
    pairs = [*pairs[:2], *reasons, *pairs[2:], *counts.items(), ("seconds", manifest["seconds"])]
    return [(_LABELS.get(name, name.replace("_", " ")), value) for name, value in pairs]


def _origin_tables(manifest: Mapping[str, Any]) -> list[Table]:
    """What went in: the datasets and the models, with only those columns of which something is known."""
    origins = (
        ("Source datasets", manifest["inputs"], ("name", "revision", "split", "rows", "license")),
        ("Models", manifest["models"], ("model", "revision", "server", "role")),
    )
    tables: list[Table] = []
    for title, records, names in origins:
        known = [name for name in names if any(record.get(name) is not None for record in records)]
        rows = [[record.get(name) for name in known] for record in records]
        if rows:
            tables.append({"title": title, "columns": known, "rows": rows})
    return tables


def _aligned(table: Table) -> dict[str, Any]:
    """The table, with numeric columns marked: they are set flush right."""
    columns = list(table["columns"])
    if ragged := [row for row in table["rows"] if len(row) != len(columns)]:
        raise ReleaseError(f"card: table {table['title']!r} has {len(columns)} columns, but a row is {ragged[0]}")
    numeric = [
        all(isinstance(row[n], int | float | None) for row in table["rows"]) and bool(table["rows"])
        for n in range(len(columns))
    ]
    return {"title": table["title"], "columns": columns, "rows": table["rows"], "numeric": numeric}
