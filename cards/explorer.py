"""The explorer: a release's rows as one web page that works from a file, with no network and no server."""

import base64
import hashlib
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from numpy.typing import NDArray

from tagsmith.cards.errors import ReleaseError
from tagsmith.cards.explorer_map import tag_map
from tagsmith.cards.explorer_payload import Payload, pack
from tagsmith.cards.explorer_rows import ReleaseRows
from tagsmith.cards.explorer_sample import Strata, sample_order

# In the order in which the browser reads them: each file uses only what stands before it.
_SCRIPTS = ("dom", "data", "diff", "state", "search", "filters", "list", "row", "map", "tree", "page")
_TAG_COLUMNS = ("tags", "raw_tags")  # the first that there is
_LISTED_TAGS, _LISTED_CHARACTERS = 3_000, 100_000  # tags the page knows from the start; rarer ones come with rows
_KEPT_TAGS = 500  # tags that keep rows in a sample, if at least one row in 1,000 has them
_TREE_NODES = 5_000

Ints = NDArray[np.int64]


def render_explorer(
    title: str,
    configs: Mapping[str, Dataset],
    *,
    offline: bool,
    tree: Mapping[str, Any] | None = None,
    limit_bytes: int = 3_000_000,
) -> str:
    """One self-contained page to search, filter and read the rows, their tags and their lineage.

    Rows stand once, however many configs hold them: the same row has the same `id`, `status`, `reason` and
    `iteration`. Where not all rows fit, the page holds a sample and says so: in turns 20 rows of each frequent tag, 50
    of each reason, 200 of each round and 500 of each config, then others at random; a lineage stays whole. Equal input
    gives the same bytes. Everything from rows is compressed data, and the page's content security policy forbids every
    request and every script but its own.

    Input columns (any others are shown as they are, except `generation_keys`, which is left out):
        instruction, response (``str``), messages (``list[{role, content}]``): what a row says; a config with neither
            `instruction` nor `messages` is no part of the page.
        tags, raw_tags (``list[str]``): tags to filter by are `tags`, or `raw_tags` where there are none.
        id, parent_id (``str``), iteration (``int``), injected_tags (``list[str]``): lineage.
        status, reason (``str``): outcome; what stands before a colon in `reason` is its code.

    Args:
        title: heading of the page.
        configs: rows by config; where two differ in a column, the first one counts.
        offline: whether the embedded rules stood in for a model, which a banner then says.
        tree: tags as nested ``{"name": str, "children": list, "rows": int}``, the last two optional.
        limit_bytes: largest size of the page, in UTF-8.

    Returns:
        HTML.

    Raises:
        ReleaseError: not even a page without rows fits in `limit_bytes`, or a node of the tree has another shape.
    """
    rows = ReleaseRows.of(configs)
    pairs = _TagPairs.of(rows)
    parents = _parents(rows)
    reasons, rounds = _reasons(rows), _rounds(rows)
    lengths = np.cumsum([len(name) for name in pairs.names[:_LISTED_TAGS]])
    listed = int(np.searchsorted(lengths, _LISTED_CHARACTERS, side="right"))
    head = {
        # What the page knows of the whole release, whichever rows it holds.
        "total": len(rows),
        "configs": [[name, int((places >= 0).sum())] for name, places in zip(rows.names, rows.places, strict=True)],
        "reasons": [[name, count] for name, count in _counted(reasons) if name],
        "rounds": sorted([int(name), count] for name, count in _counted(rounds)),
        "tagColumn": pairs.column,
        "distinctTags": len(pairs.names),
        "strings": pairs.names[:listed],
        "tagCounts": pairs.counts[:listed].tolist(),
        "map": tag_map(pairs.rows, pairs.tags, pairs.counts[:listed], pairs.names, len(rows)),
        "tree": _tree_node(tree, [0]) if tree is not None else None,
    }
    order = sample_order(len(rows), parents, _divisions(rows, pairs, reasons, rounds))
    # The frame without rows tells how much room they have; the numbers in it may get a few characters longer.
    room = limit_bytes - len(_page(title, rows, Payload("", 0, len(rows)), offline).encode()) - 100
    payload = pack(head, rows, order, dict(zip(pairs.names, pairs.counts.tolist(), strict=True)), room)
    if payload is None:
        raise ReleaseError(
            f"an explorer page of at most {limit_bytes:,} bytes has no room for its rows; give a larger limit_bytes"
        )
    return _page(title, rows, payload, offline)


class _TagPairs:
    """Which row has which tag, each pair once; tags numbered by falling number of rows, then by name."""

    def __init__(self, column: str | None, rows: Ints, tags: Ints, names: list[str], counts: Ints) -> None:
        self.column, self.rows, self.tags, self.names, self.counts = column, rows, tags, names, counts

    @classmethod
    def of(cls, rows: ReleaseRows) -> "_TagPairs":
        column, lists = next(((n, v) for n in _TAG_COLUMNS if (v := rows.lists(n)) is not None), (None, None))
        nothing = np.zeros(0, dtype=np.int64)
        if lists is None:
            return cls(None, nothing, nothing, [], nothing)
        coded = lists.flatten().dictionary_encode()
        places = pc.list_parent_indices(lists).to_numpy(zero_copy_only=False)
        codes = pc.fill_null(coded.indices, -1).to_numpy(zero_copy_only=False).astype(np.int64)
        known = codes >= 0
        keys = np.sort(places[known] * max(1, len(coded.dictionary)) + codes[known])
        distinct = keys[np.diff(keys, prepend=-1) != 0]
        of_row, tags = np.divmod(distinct, max(1, len(coded.dictionary)))
        names = coded.dictionary.to_pylist()
        counts = np.bincount(tags, minlength=len(names))
        order = np.lexsort((pc.rank(coded.dictionary).to_numpy(zero_copy_only=False), -counts))
        number = np.empty_like(order)
        number[order] = np.arange(len(order))
        return cls(column, of_row, number[tags], [names[code] for code in order], counts[order])


def _divisions(rows: ReleaseRows, pairs: _TagPairs, reasons: pa.Array | None, rounds: pa.Array | None) -> list[Strata]:
    """Configs, reasons, rounds and frequent tags: each keeps some rows."""
    config, row = np.nonzero(rows.places >= 0)
    divisions = [Strata(row, config, keeps=500)]
    for values, keeps in ((reasons, 50), (rounds, 200)):
        if values is not None:
            codes = pc.fill_null(values.dictionary_encode().indices, -1).to_numpy(zero_copy_only=False)
            held = np.flatnonzero(codes >= 0)
            divisions.append(Strata(held, codes[held].astype(np.int64), keeps))
    frequent = pairs.tags < min(_KEPT_TAGS, int((pairs.counts * 1000 >= len(rows)).sum()))
    return [*divisions, Strata(pairs.rows[frequent], pairs.tags[frequent], keeps=20)]


def _reasons(rows: ReleaseRows) -> pa.Array | None:
    """The codes of the reasons: what stands before the colon."""
    values = rows.texts("reason")
    return None if values is None else pc.list_element(pc.split_pattern(values, ":", max_splits=1), 0)


def _rounds(rows: ReleaseRows) -> pa.Array | None:
    values = rows.texts("iteration")
    return None if values is None else pc.if_else(pc.match_substring_regex(values, r"^\d{1,9}$"), values, None)


def _counted(values: pa.Array | None) -> list[tuple[str, int]]:
    """Distinct values with their counts, the most frequent first."""
    if values is None:
        return []
    found = ((item["values"], item["counts"]) for item in pc.value_counts(values.drop_null()).to_pylist())
    return sorted(found, key=lambda item: (-item[1], item[0]))


def _parents(rows: ReleaseRows) -> Ints:
    """The row number of each row's parent, -1 without one on the page."""
    ids, parent_ids = rows.texts("id"), rows.texts("parent_id")
    if ids is None or parent_ids is None:
        return np.full(len(rows), -1)
    found = pc.index_in(parent_ids, value_set=ids, skip_nulls=True)  # of several rows with an id the first
    parents: Ints = pc.fill_null(found, -1).to_numpy(zero_copy_only=False).astype(np.int64)
    parents[parents == np.arange(len(parents))] = -1
    return parents


def _tree_node(node: Any, seen: list[int]) -> list[Any]:
    """A node as `[name, rows or null, children]`; beyond a size that nobody opens, further nodes are left out."""
    if not isinstance(node, Mapping) or not isinstance(node.get("name"), str):
        raise ReleaseError(f"a node of the tag tree must be a mapping with a text `name`, got {str(node)[:80]!r}")
    rows, children = node.get("rows"), node.get("children") or []
    if not (rows is None or isinstance(rows, int)) or not isinstance(children, list | tuple):
        raise ReleaseError(f"node {node['name'][:80]!r} of the tag tree: `rows` is a whole number, `children` a list")
    seen[0] += 1
    return [_clean(node["name"]), rows, [_tree_node(child, seen) for child in children if seen[0] < _TREE_NODES]]


def _page(title: str, rows: ReleaseRows, payload: Payload, offline: bool) -> str:
    folder = files("tagsmith.cards") / "templates" / "explorer"
    style = (folder / "explorer.css").read_text(encoding="utf-8")
    script = "\n".join((folder / f"{name}.js").read_text(encoding="utf-8") for name in _SCRIPTS)
    environment = Environment(undefined=StrictUndefined, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string((folder / "explorer.html.jinja").read_text(encoding="utf-8"))
    return template.render(
        title=_clean(title),
        total=len(rows),
        shown=payload.rows,
        cut=payload.cut,
        offline=offline,
        style=Markup(style),
        script=Markup(script),
        style_hash=_csp_hash(style),
        script_hash=_csp_hash(script),
        data=payload.text,
    )


def _csp_hash(text: str) -> str:
    """What a content security policy calls an inline text that may run."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")


def _clean(text: str) -> str:
    """Text that can be written as UTF-8: a lone surrogate becomes the replacement character."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
