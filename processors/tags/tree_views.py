"""A tag tree for reading: as lines of text, and as nested mappings for a page."""

from typing import Any

import numpy as np

from tagsmith.processors.tags.tree_table import TreeTable


def tree_text(table: TreeTable, node: int, depth: int | None, most_children: int) -> str:
    """See `TagTree.to_text`."""
    names, tags = table.nodes["name"].to_pylist(), table.nodes["tags"].to_pylist()
    uses = table.nodes["uses"].to_numpy()
    lines: list[str] = []
    # (node, indentation of its line, indentation of its children's lines, levels left)
    waiting: list[tuple[int | str, str, str, int | None]] = [(node, "", "", depth)]
    while waiting:
        each, indent, below, left = waiting.pop()
        if isinstance(each, str):
            lines.append(f"{indent}{each}")
            continue
        lines.append(f"{indent}{names[each]} ({tags[each]:,})")
        if left == 0:
            continue
        first, last = int(table.first_child[each]), int(table.first_child[each + 1])
        order = (first + np.argsort(-uses[first:last], kind="stable")).tolist()
        shown: list[int | str] = [*order[:most_children]]
        if len(order) > most_children:
            shown.append(f"… {len(order) - most_children:,} more")
        for number, child in reversed(list(enumerate(shown))):
            end = number == len(shown) - 1
            fork, stem = ("└── ", "    ") if end else ("├── ", "│   ")
            waiting.append((child, below + fork, below + stem, None if left is None else left - 1))
    return "\n".join(lines)


def nested_tree(table: TreeTable, most_nodes: int, with_tags: bool) -> dict[str, Any]:
    """See `TagTree.nested`."""
    names, uses = table.nodes["name"].to_pylist(), table.nodes["uses"].to_numpy()
    parents = table.parents
    kept = np.arange(len(table))
    if len(kept) > most_nodes:  # nodes stand level by level: whole levels first, then the most used of the next
        level = table.nodes["level"].to_numpy()
        kept = np.sort(np.lexsort((kept, -uses, level))[:most_nodes])
    made: dict[int, dict[str, Any]] = {}
    for node in kept.tolist():
        made[node] = {"name": names[node], "children": []}
    for node in sorted(kept.tolist(), key=lambda node: (-uses[node], node)):
        if node:
            made[int(parents[node])]["children"].append(made[node])
    room = most_nodes - len(kept)
    if with_tags and room > 0:
        counts, leaves = table.members["count"].to_numpy(), table.members["leaf"].to_numpy()
        chosen = np.sort(np.argsort(-counts, kind="stable")[:room])
        tags = table.members["tag"].take(chosen).to_pylist()
        for tag, leaf in zip(tags, leaves[chosen].tolist(), strict=True):
            made[leaf]["children"].append({"name": tag})
    return made[0]
