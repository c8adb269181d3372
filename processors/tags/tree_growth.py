"""From tags to a tree: level upon level, and one root above the last."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tagsmith.processors.tags.grow_settings import GrowSettings
from tagsmith.processors.tags.level_grower import Ask, Level, LevelGrower
from tagsmith.processors.tags.topic_requests import REQUESTS_SCHEMA, TopicSteps
from tagsmith.processors.tags.tree_table import TreeTable

ROOT = "All tags"


def grow_tree(
    tags: Sequence[tuple[str, int]],
    settings: GrowSettings,
    steps: TopicSteps,
    ask: Ask,
    work: Path | None,
    config: dict[str, Any],
) -> tuple[TreeTable, pa.Table, list[dict[str, float]]]:
    """The tree, the record of its requests, and the seconds of each step of each level.

    Args:
        tags: distinct tags with the rows that carry them.
        config: what the tree's record says besides.
    """
    grower = LevelGrower(settings, steps, ask, work)
    items, counts = [tag for tag, _ in tags], np.array([count for _, count in tags], np.int64)
    descriptions = [""] * len(items)
    levels: list[Level] = []
    for height, size in enumerate(settings.sizes):
        if levels and len(items) <= size:
            continue  # it would give each topic a parent of its own
        level = grower.grow(items, descriptions, counts, height)
        counts = np.bincount(level.parent_of, counts, len(level.names)).astype(np.int64)
        items, descriptions = level.names, level.descriptions
        levels.append(level)
    facts = [level.facts for level in levels]
    table = _as_table(tags, levels, {**settings.as_json(), **config, "levels": facts})
    asked = [asked.table for level in levels for asked in level.asked]
    return table, pa.concat_tables([REQUESTS_SCHEMA.empty_table(), *asked]), [level.seconds for level in levels]


def _as_table(tags: Sequence[tuple[str, int]], levels: Sequence[Level], config: dict[str, Any]) -> TreeTable:
    """Levels as columns. Nodes are numbered from the root (0) down here, and put in order by `TreeTable.build`."""
    nodes: dict[str, list[Any]] = {
        "node": [0],
        "parent": [-1],
        "name": [ROOT],
        "description": [""],
        "named_by": ["root"],
        "moved": [False],
    }
    first_above, above = 0, None
    for level in reversed(levels):
        first = len(nodes["node"])
        n = len(level.names)
        nodes["node"] += range(first, first + n)
        nodes["parent"] += [0] * n if above is None else (above.parent_of + first_above).tolist()
        nodes["name"] += level.names
        nodes["description"] += level.descriptions
        nodes["named_by"] += level.named_by
        nodes["moved"] += [False] * n if above is None else above.moved.tolist()
        first_above, above = first, level
    assert above is not None
    members = {
        "tag": [tag for tag, _ in tags],
        "leaf": above.parent_of + first_above,
        "count": [count for _, count in tags],
        "moved": above.moved,
    }
    return TreeTable.build(nodes, members, config)
