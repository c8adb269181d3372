"""A tag tree as two tables, nodes and members, and the check that they are a tree and no tag is lost."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tagsmith.processors.errors import InputError
from tagsmith.processors.tags.tree_shape import tree_shape

NODES_SCHEMA = pa.schema(
    {
        "node": pa.int32(),
        "parent": pa.int32(),
        "level": pa.int32(),
        "name": pa.string(),
        "description": pa.string(),
        "named_by": pa.string(),
        "moved": pa.bool_(),
        "tags": pa.int64(),
        "uses": pa.int64(),
    }
)
MEMBERS_SCHEMA = pa.schema({"tag": pa.string(), "leaf": pa.int32(), "count": pa.int64(), "moved": pa.bool_()})
Ints = NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class TreeTable:
    """A checked tag tree.

    Args:
        nodes: one row a node, the root first, level by level, siblings together. `node`: its number, counted from 0;
            `parent`: null for the root; `level`: 0 for the root; `name`; `description`; `named_by`: "model", "single",
            "central_tag" (see `Level`), "given" or "root"; `moved`: whether the review moved it to another parent;
            `tags`: how many are below; `uses`: rows that carry them, added up over the tags.
        members: one row a tag, leaf by leaf, the most used first. `tag`; `leaf`: the node that holds it; `count`: rows
            that carry it; `moved`: whether the review moved it away from its cluster.
        config: how it was grown, as JSON values.
    """

    nodes: pa.Table
    members: pa.Table
    config: dict[str, Any]

    def __len__(self) -> int:
        return len(self.nodes)

    @classmethod
    def build(cls, nodes: dict[str, Any], members: dict[str, Any], config: dict[str, Any]) -> "TreeTable":
        """A tree of loose columns, numbered anew from the root down.

        Args:
            nodes: `node` (any numbers, each once), `parent` (null or −1 for the root), `name`, and what else
                `NODES_SCHEMA` has; `level`, `tags` and `uses` are counted.
            members: `tag`, `leaf` (a number of `node`), and `count` and `moved` if known.

        Raises:
            InputError: they are no tree, or a tag has no leaf or two.
        """
        numbers = np.asarray(nodes["node"], np.int64)
        order = np.argsort(numbers, kind="stable")
        if len(numbers) and (np.diff(numbers[order]) == 0).any():
            twice = numbers[order][1:][np.diff(numbers[order]) == 0][0]
            raise InputError(f"tag tree: node {twice} is listed twice; list each node once")
        parents = np.array([-1 if value is None else value for value in nodes["parent"]], np.int64)
        places = _places(
            parents, numbers, order, "node {}: its parent is {}, which is no node of the tree; add that node"
        )
        shape = tree_shape(np.where(parents < 0, -1, places))
        _check_one_root(parents, numbers)
        # From the root down, siblings together: the number in the shape is the number in the table.
        to_new, old = shape.number, np.argsort(shape.number)
        leaves = _places(
            np.asarray(members["leaf"], np.int64),
            numbers,
            order,
            "member {}: its leaf is {}, which is no node of the tree",
        )
        if (leaves < 0).any():
            raise InputError(
                f"tag tree, member {int(np.argmax(leaves < 0))}: its leaf is below 0; expected a node's number"
            )
        n, tags = len(numbers), pa.array(members["tag"], pa.string())
        leaf = to_new[leaves] if len(leaves) else np.zeros(0, np.int32)
        count = np.asarray(members.get("count", np.ones(len(tags))), np.int64)
        listed = pa.table(
            {
                "tag": tags,
                "leaf": pa.array(leaf, pa.int32()),
                "count": pa.array(count),
                "moved": pa.array(members.get("moved", [False] * len(tags)), pa.bool_()),
            }
        ).sort_by([("leaf", "ascending"), ("count", "descending"), ("tag", "ascending")])

        def column(name: str, default: Any) -> list[Any]:
            values = nodes.get(name)
            return [default] * n if values is None else [values[place] for place in old]

        new_parents = np.where(shape.parents == n, -1, shape.parents)
        table = pa.table(
            {
                "node": pa.array(np.arange(n, dtype=np.int32)),
                "parent": pa.array(new_parents, pa.int32(), mask=new_parents < 0),
                "level": pa.array(shape.depth - 1, pa.int32()),
                "name": pa.array(column("name", None), pa.string()),
                "description": pa.array(column("description", ""), pa.string()),
                "named_by": pa.array(column("named_by", "given"), pa.string()),
                "moved": pa.array(column("moved", False), pa.bool_()),
                "tags": pa.array(_below(new_parents, np.bincount(leaf, minlength=n))),
                "uses": pa.array(_below(new_parents, np.bincount(leaf, count, minlength=n))),
            }
        )
        return cls.checked(table.cast(NODES_SCHEMA), listed.cast(MEMBERS_SCHEMA), config)

    @classmethod
    def checked(cls, nodes: pa.Table, members: pa.Table, config: dict[str, Any]) -> "TreeTable":
        """A tree of tables as `build` makes them.

        Raises:
            InputError: they are no tree (a cycle, a second root, a node without its parent), a level or a count is not
                what the parents say, a node has no name, or a tag is at no leaf or at two.
        """
        tree = cls(nodes, members, config)
        if not len(nodes):
            raise InputError("the tag tree has no node; it needs at least a root")
        numbers = np.arange(len(nodes))
        if nodes["node"].null_count or not np.array_equal(nodes["node"].to_numpy(), numbers):
            raise InputError(f"tag tree: its nodes are not numbered 0 to {len(nodes) - 1} in order; {_DAMAGED}")
        parents = tree.parents
        shape = tree_shape(parents)
        _check_one_root(parents.astype(np.int64), numbers)
        levels = shape.depth[shape.number] - 1
        if wrong := _first(nodes["level"], levels):
            raise InputError(
                f"tag tree, node {wrong[0]}: level {wrong[1]}, but its path has {wrong[2]} steps; {_DAMAGED}"
            )
        if (np.diff(levels) < 0).any() or (np.diff(parents[1:]) < 0).any():
            raise InputError(f"tag tree: its nodes do not stand level by level, siblings together; {_DAMAGED}")
        empty = pc.fill_null(pc.equal(pc.utf8_trim_whitespace(nodes["name"]), ""), True).to_numpy()
        if empty.any():
            raise InputError(f"tag tree, node {int(np.argmax(empty))} has no name; each node needs one")
        tree._check_members()
        return tree

    @cached_property
    def parents(self) -> Ints:
        """Each node's parent, −1 for the root: what `TreeSampler` takes."""
        parents: Ints = pc.fill_null(self.nodes["parent"], -1).to_numpy().astype(np.int32)
        return parents

    @cached_property
    def first_child(self) -> NDArray[np.int64]:
        """Node p's children are `first_child[p]` to `first_child[p + 1] − 1`."""
        return np.searchsorted(self.parents[1:], np.arange(len(self) + 1)) + 1

    @cached_property
    def first_member(self) -> NDArray[np.int64]:
        """The rows of `members` that leaf p holds are `first_member[p]` to `first_member[p + 1] − 1`."""
        return np.searchsorted(self.members["leaf"].to_numpy(), np.arange(len(self) + 1))

    @cached_property
    def leaves(self) -> Ints:
        """The nodes without a child, in ascending order."""
        return np.flatnonzero(np.diff(self.first_child) == 0).astype(np.int32)

    def _check_members(self) -> None:
        leaf, tags = self.members["leaf"], self.members["tag"]
        for name in ("tag", "leaf", "count"):
            if self.members[name].null_count:
                row = int(np.argmax(self.members[name].is_null().to_numpy()))
                raise InputError(f"tag tree, member {row}: its {name} is null; {_DAMAGED}")
        holders = leaf.to_numpy()
        if (np.diff(holders) < 0).any():
            raise InputError(f"tag tree: its members do not stand leaf by leaf; {_DAMAGED}")
        if len(holders) and (holders[0] < 0 or holders[-1] >= len(self)):
            wrong = int(holders[0] if holders[0] < 0 else holders[-1])
            raise InputError(f"tag tree: tags at node {wrong}, which is no node of the tree; {_DAMAGED}")
        inner = np.diff(self.first_child)[holders] > 0
        if inner.any():
            row = int(np.argmax(inner))
            raise InputError(
                f"tag tree: tag {tags[row].as_py()!r} is at node {holders[row]}, which has children; {_AT_LEAF}"
            )
        if len(twice := _twice(tags)):
            raise InputError(
                f"tag tree: tag {twice[0].as_py()!r} is listed twice; a tag has one leaf, and one path to the root"
            )
        counts = self.members["count"].to_numpy()
        for name, values in (("tags", np.ones(len(counts))), ("uses", counts)):
            below = _below(self.parents, np.bincount(holders, values, minlength=len(self)))
            if off := _first(self.nodes[name], below):
                raise InputError(f"tag tree, node {off[0]}: {name} is {off[1]}, but {off[2]} are below it; {_DAMAGED}")


_DAMAGED = "the tree's files are damaged or were edited: save it again, or read them with TagTree.from_table"
_AT_LEAF = "tags are held by leaves alone: give such a node a child for them"


def _check_one_root(parents: NDArray[np.int64], numbers: NDArray[np.int64]) -> None:
    roots = numbers[parents < 0]
    if len(roots) > 1:
        raise InputError(
            f"tag tree: {len(roots)} nodes have no parent (first: {roots[0]} and {roots[1]}); a tree has one root: put"
            " one node above them"
        )


def _places(
    values: NDArray[np.int64], numbers: NDArray[np.int64], order: NDArray[np.int64], problem: str
) -> NDArray[np.int64]:
    """Where each value stands in `numbers`; −1 for those below 0."""
    places = np.searchsorted(numbers[order], values)
    found = order[np.minimum(places, len(numbers) - 1)] if len(numbers) else np.zeros(len(values), np.int64)
    wrong = (numbers[found] != values) & (values >= 0) if len(numbers) else values >= 0
    if wrong.any():
        row = int(np.argmax(wrong))
        label = numbers[row] if problem.startswith("node") else row
        raise InputError(f"tag tree, {problem.format(label, values[row])}")
    return np.where(values < 0, -1, found)


def _below(parents: NDArray[Any], own: NDArray[Any]) -> NDArray[np.int64]:
    """Sums over each node and all below it; a parent's number is smaller than its children's."""
    sums = own.astype(np.int64)
    levels = np.zeros(len(parents), np.int64)
    for node in range(1, len(parents)):  # parents stand before their children
        levels[node] = levels[parents[node]] + 1
    for level in range(int(levels.max(initial=0)), 0, -1):
        nodes = np.flatnonzero(levels == level)
        np.add.at(sums, parents[nodes], sums[nodes])
    return sums


def _first(column: pa.ChunkedArray, expected: NDArray[Any]) -> tuple[int, Any, int] | None:
    """The first place where a column is not as expected: (row, found, expected)."""
    found = pc.fill_null(column, -1).to_numpy()
    wrong = np.flatnonzero(found != expected)
    return (int(wrong[0]), column[int(wrong[0])].as_py(), int(expected[wrong[0]])) if len(wrong) else None


def _twice(tags: pa.ChunkedArray) -> pa.Array:
    """Values that stand there more than once."""
    if pc.count_distinct(tags).as_py() == len(tags):
        return pa.array([], pa.string())
    counts = pc.value_counts(tags)
    return counts.field("values").filter(pc.greater(counts.field("counts"), 1))
