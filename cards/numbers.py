"""What a run counted, as tables for the card."""

from collections.abc import Mapping, Sequence
from typing import Any

from tagsmith.cards.template import Table

_LABELS = {
    "requests": "requests",
    "store_hits": "replies from the store",
    "repairs": "repairs asked for",
    "retries": "retries",
    "unparsed": "unreadable replies",
    "failed": "failed requests",
    "prompt_tokens": "prompt tokens",
    "reply_tokens": "reply tokens",
}


def number_tables(manifest: Mapping[str, Any]) -> list[Table]:
    """Rows in and out, rows rejected by reason, and what the run used; a count of nothing is left out there."""
    counts = dict(manifest["counts"])
    rejected: Mapping[str, int] = counts.pop("rejected")
    rows_in, rows_out = counts.pop("rows_in"), counts.pop("rows_out")
    steps = [(name, counts.pop(name)) for name in list(counts) if name.startswith("rows_")]
    fallen = sum(rejected.values())
    rows = [("rows in", rows_in), *((_words(name), count) for name, count in steps)]
    tables = [_across("Rows", [*rows, ("rejected", fallen), ("rows out", rows_out)])]
    if fallen:
        reasons = sorted(rejected.items(), key=lambda item: (-item[1], item[0]))
        shares = [(reason, count, share(count, rows_in)) for reason, count in reasons]
        tables.append({"title": "Rejected rows", "columns": ("reason", "rows", "share of rows in"), "rows": shares})
    cost = run_cost(manifest)
    used = [(_LABELS.get(name, _words(name)), count) for name, count in counts.items() if count and name != "cost"]
    used += [("cost, at the prices given", cost)] if cost is not None else []
    used += [("seconds", round(manifest["seconds"], 1))]
    return [*tables, _across("What it took", used)]


def run_cost(manifest: Mapping[str, Any]) -> float | None:
    """Money for the run's own requests, in the currency of the prices; None where no prices were given.

    `counts.cost` if the recipe counted it; else tokens at the prices of `config` (for a million).
    """
    counts, config = manifest["counts"], manifest["config"]
    if counts.get("cost") is not None:
        return float(counts["cost"])
    prices = [config.get("prompt_price"), config.get("reply_price")] if isinstance(config, Mapping) else [None]
    if None in prices:
        return None
    return float(counts["prompt_tokens"] * prices[0] + counts["reply_tokens"] * prices[1]) / 1e6


def share(part: int, whole: int) -> str:
    """A share in percent, to one digit behind the point where it is small."""
    percent = 100 * part / max(1, whole)
    return f"{percent:.0f}%" if percent >= 10 or not part else f"{percent:.1f}%" if percent >= 0.1 else "<0.1%"


def _across(title: str, facts: Sequence[tuple[str, Any]]) -> Table:
    """A table of one row, which takes less of the page than one of two columns."""
    return {"title": title, "columns": [name for name, _ in facts], "rows": [[value for _, value in facts]]}


def _words(name: str) -> str:
    return name.replace("_", " ")
