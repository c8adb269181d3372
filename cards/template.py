"""The templates of the cards, strict: a name that is missing, or given and not used, is an error."""

import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any, TypedDict

from jinja2 import Environment, FunctionLoader, StrictUndefined, meta
from jinja2.exceptions import UndefinedError

from tagsmith.cards import markdown
from tagsmith.cards.errors import ReleaseError

_FILTERS = ("attribute", "cell", "code", "fence", "inline", "prose")


class Table(TypedDict):
    """One table of results; values are text, numbers or None, and are escaped."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]


def render_template(name: str, **values: Any) -> str:
    """The page that a file of `cards/templates` makes of the values; see `render`."""
    return render(_read(name), **values)


def render(template: str, **values: Any) -> str:
    """The text that a template makes of the values.

    Raises:
        ReleaseError: the template uses a name that is not among the values, or does not use one that is.
    """
    environment = Environment(
        loader=FunctionLoader(_read), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False
    )
    environment.filters |= {name: getattr(markdown, name) for name in _FILTERS}
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


def aligned(table: Table) -> dict[str, Any]:
    """The table, with numeric columns marked: they are set flush right.

    Raises:
        ReleaseError: a row has more or fewer values than there are columns.
    """
    columns = list(table["columns"])
    if ragged := [row for row in table["rows"] if len(row) != len(columns)]:
        raise ReleaseError(f"card: table {table['title']!r} has {len(columns)} columns, but a row is {ragged[0]}")
    numeric = [bool(table["rows"]) and all(_is_number(row[n]) for row in table["rows"]) for n in range(len(columns))]
    return {"title": table["title"], "columns": columns, "rows": table["rows"], "numeric": numeric}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | None) or bool(re.fullmatch(r"[<≥]?[\d.,]+%", str(value)))


def known_columns(title: str, records: Sequence[Mapping[str, Any]], names: Sequence[str]) -> list[Table]:
    """A table of the records with those columns of which something is known; none where there are no records."""
    known = [name for name in names if any(record.get(name) is not None for record in records)]
    rows = [[_short(record.get(name)) for name in known] for record in records]
    return [{"title": title, "columns": known, "rows": rows}] if rows else []


def _short(value: Any) -> Any:
    """A commit's hash as its first twelve digits, so that a table stays narrow."""
    return re.sub(r"\b([0-9a-f]{12})[0-9a-f]{28}\b", r"\1", value) if isinstance(value, str) else value


def _read(name: str) -> str:
    return files("tagsmith.cards").joinpath("templates", name).read_text(encoding="utf-8")
