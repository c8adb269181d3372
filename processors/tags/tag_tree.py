"""The tag tree of TAGS (§3.3): fine-grained tags below leaves, leaves below ever broader topics, one root."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json
import pyarrow.parquet as pq
from datasets import Dataset
from numpy.typing import NDArray

from tagsmith.processors.errors import InputError
from tagsmith.processors.hub_folder import find_folder, push_folder
from tagsmith.processors.map_rows import map_rows
from tagsmith.processors.tag_sets import read_tag_sets
from tagsmith.processors.tags.grow_settings import GrowSettings
from tagsmith.processors.tags.level_grower import Ask
from tagsmith.processors.tags.topic_requests import REQUESTS_SCHEMA, TopicSteps
from tagsmith.processors.tags.tree_folder import columns_of, load_tree, save_tree
from tagsmith.processors.tags.tree_growth import grow_tree
from tagsmith.processors.tags.tree_table import MEMBERS_SCHEMA, NODES_SCHEMA, TreeTable

Ints = NDArray[np.int32]


@dataclass(eq=False)
class TagTree:
    """Grow a tree over a dataset's tags, level by level from below, and find one's way in it (TAGS, §3.3, App. A.2.2).

    At each level the items (tags; above them the topics of the level below) are embedded and clustered by k-means; an
    LLM then names each cluster (summarise), joins topics that are the same (deduplicate), moves members that belong to
    another topic (reassign) and names what came out (rename). The topics are the items of the next level. A root stands
    above the last one. Every tag has one leaf, and so one path to the root, whatever the LLM replies: a reply that
    cannot be used changes nothing but is counted, and a cluster that gets no name bears that of its most central tag
    (`named_by` "central_tag").

    Input columns of `fit`:
        tags (``list[str]``): the row's tags; a repeated tag counts once. A tag of nothing but spaces is an error.

    Args:
        settings: sizes of the levels, embedding models, and what each step shows; or just the sizes, leaves first.
        steps: the endpoint and the prompts.
        tags_column: name of the column.
        min_count: tags of fewer rows are left out, and counted (the paper keeps all).
        work: folder for embeddings and clusterings. A run that was stopped finds there what it had finished, and all
            replies in the endpoint's store. None keeps them in memory.
        table: the result of `fit`.

    Nodes are numbers, 0 for the root, then level by level; `parents` and `leaves` are what `TreeSampler` takes.

    Raises:
        InputError: settings out of range; in `fit`: the column is missing or holds no tags, or min_count leaves none.
            EndpointError, StoreError, BudgetReachedError: what ended the run; the same call continues.

    Differs from the paper: it prints neither the prompts of the four steps nor how many items each is shown; ours are
    `prompts/tags/` and `GrowSettings`. Levels that would not group anything are left out, so that a small tag set gets
    a smaller tree than was asked for.

    Example:
        >>> tree = TagTree((1000, 100, 10), steps=TopicSteps("http://localhost:8080")).fit(tagged)
        >>> tree.save_pretrained("runs/tree")
        >>> tree.path(tree.leaf_of("binary search"))
        [0, 4, 57, 611]
    """

    settings: GrowSettings | tuple[int, ...] = (1000, 100, 10)
    steps: TopicSteps = field(default_factory=TopicSteps)
    tags_column: str = "tags"
    min_count: int = 1
    work: str | Path | None = None
    table: TreeTable | None = field(default=None, repr=False)
    requests: pa.Table = field(default_factory=REQUESTS_SCHEMA.empty_table, init=False, repr=False)
    seconds: list[dict[str, float]] = field(default_factory=list, init=False, repr=False)
    version: int = field(default=1, init=False)

    def __post_init__(self) -> None:
        if not isinstance(self.settings, GrowSettings):
            self.settings = GrowSettings(tuple(self.settings))
        if type(self.min_count) is not int or self.min_count < 1:
            raise InputError(f"min_count={self.min_count!r}: expected a whole number from 1")

    def fit(self, dataset: Dataset, ask: Ask | None = None) -> "TagTree":
        """Grow the tree over the dataset's tags, and return self.

        `requests` then has a row for every request with its outcome (see `REQUESTS_SCHEMA`), and `seconds` what each
        step of each level took.

        Args:
            ask: runs a processor over rows: `(rows, processor, description) -> rows`; `map_rows` by default.
        """
        assert isinstance(self.settings, GrowSettings)
        sets = read_tag_sets(dataset, self.tags_column)
        counts = sets.tag_counts
        kept = np.flatnonzero(counts >= self.min_count)
        if not len(kept):
            found = f"{len(counts):,} tags, none in {self.min_count} rows" if len(counts) else "no tag"
            raise InputError(
                f"column {self.tags_column!r} holds {found} ({len(sets):,} rows); a tree needs at least one"
            )
        # Neither the order of rows nor that of tags within them changes the tree.
        tags = sorted((sets.vocabulary[number], int(counts[number])) for number in kept)
        if blank := next((tag for tag, _ in tags if not tag.strip()), None):
            raise InputError(f"column {self.tags_column!r} holds the tag {blank!r}; drop blank tags first")
        if not tags[0][0]:
            raise InputError(f"column {self.tags_column!r} holds an empty tag; drop blank tags first")
        work = None if self.work is None else Path(self.work)
        config = {
            "tags_column": self.tags_column,
            "min_count": self.min_count,
            "rows": len(sets),
            "version": self.version,
        }
        config |= {"tags_left_out": len(counts) - len(kept)}
        grown = grow_tree(tags, self.settings, self.steps, ask or _map, work, config)
        self.table, self.requests, self.seconds = grown
        return self

    # --- in the tree --------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self.fitted)

    @property
    def fitted(self) -> TreeTable:
        """The tables; raises InputError before `fit`."""
        if self.table is None:
            raise InputError("the TagTree has not grown yet; call fit(dataset) or TagTree.from_pretrained")
        return self.table

    @property
    def parents(self) -> Ints:
        """Each node's parent, −1 for the root."""
        return self.fitted.parents

    @property
    def leaves(self) -> Ints:
        """The nodes without children, ascending."""
        return self.fitted.leaves

    @property
    def names(self) -> list[str]:
        """Each node's name."""
        names: list[str] = self.fitted.nodes["name"].to_pylist()
        return names

    @property
    def level_counts(self) -> list[int]:
        """Nodes of each level, from the root down."""
        counts: list[int] = np.bincount(self.fitted.nodes["level"].to_numpy()).tolist()
        return counts

    def parent(self, node: int) -> int | None:
        """The node above; None for the root."""
        parent = int(self.parents[self._known(node)])
        return None if parent < 0 else parent

    def children(self, node: int) -> list[int]:
        """The nodes below, in ascending order."""
        first = self.fitted.first_child
        return list(range(int(first[self._known(node)]), int(first[node + 1])))

    def path(self, node: int) -> list[int]:
        """From the root to the node, both included."""
        found = [self._known(node)]
        while (above := self.parent(found[-1])) is not None:
            found.append(above)
        return found[::-1]

    def level(self, node: int) -> int:
        """Steps from the root."""
        return int(self.fitted.nodes["level"][self._known(node)].as_py())

    def name(self, node: int) -> str:
        """What the node is called."""
        return str(self.fitted.nodes["name"][self._known(node)].as_py())

    def members(self, node: int) -> list[str]:
        """The tags at a leaf, or at all leaves below a node; leaf by leaf, the most used first."""
        self._known(node)
        first, tags = self.fitted.first_member, self.fitted.members["tag"]
        found: list[str] = []
        waiting = deque([node])
        while waiting:
            each = waiting.popleft()
            waiting.extend(self.children(each))
            found += tags.slice(int(first[each]), int(first[each + 1] - first[each])).to_pylist()
        return found

    def leaf_of(self, tag: str) -> int | None:
        """The leaf that holds a tag; None for a tag that the tree does not have, letter by letter."""
        row = pc.index(self.fitted.members["tag"], tag).as_py()
        return None if row < 0 else int(self.fitted.members["leaf"][row].as_py())

    def find(self, name: str) -> list[int]:
        """The nodes of that name, whatever its case, from the root down."""
        return np.flatnonzero(pc.equal(pc.utf8_lower(self.fitted.nodes["name"]), name.lower()).to_numpy()).tolist()

    def _known(self, node: int) -> int:
        if not 0 <= node < len(self):
            raise InputError(
                f"node {node}: the tree has nodes 0 to {len(self) - 1}; leaf_of(tag) and find(name) tell numbers"
            )
        return int(node)

    # --- shown --------------------------------------------------------------------------------------------------

    def to_text(self, depth: int | None = None, most_children: int = 20, node: int = 0) -> str:
        """The tree as indented lines, each with the tags below it; the nodes with most uses first.

        Args:
            depth: levels below `node`; None for all of them.
            most_children: of a node; how many more there are stands in their place.
            node: where to start.
        """
        from tagsmith.processors.tags.tree_views import tree_text

        return tree_text(self.fitted, self._known(node), depth, most_children)

    def nested(self, most_nodes: int = 5000, *, with_tags: bool = True) -> dict[str, Any]:
        """The tree as nested ``{"name": str, "children": list}``, as the explorer's page shows it.

        Args:
            most_nodes: what is left out where there are more: first tags, the least used first, then the lowest levels.
            with_tags: whether the leaves' tags hang below them, by which the page finds rows.
        """
        from tagsmith.processors.tags.tree_views import nested_tree

        return nested_tree(self.fitted, most_nodes, with_tags)

    # --- kept ---------------------------------------------------------------------------------------------------

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the tree and its parameters to a folder."""
        save_tree(folder, self.fitted)

    @classmethod
    def from_pretrained(cls, folder: str | Path, **download: Any) -> "TagTree":
        """Read a folder that `save_pretrained` wrote, or a dataset repository that `push_to_hub` made.

        Args:
            folder: a path, or a repository's id on the Hub.
            download: for `huggingface_hub.snapshot_download`: `revision`, `token`, …

        Raises:
            InputError: there is no tree, it is of another format version, or damaged: a cycle, a second root, a node
                without its parent, a tag at no leaf or at two.
        """
        return cls._of(load_tree(find_folder(folder, "tag tree", **download)))

    @classmethod
    def from_table(
        cls, nodes: "str | Path | pa.Table | Dataset", members: "str | Path | pa.Table | Dataset | None" = None
    ) -> "TagTree":
        """Take a tree that was made elsewhere.

        Args:
            nodes: `node` (any whole numbers), `parent` (null or −1 for the root), `name`, and `description` if there is
                one; a JSON Lines or Parquet file, or in memory.
            members: `tag`, `leaf` (a node without children), and `count` if known; without them the tree has no tags,
                which anchoring needs none of.

        Raises:
            InputError: a file cannot be read, a column is missing, or they are no tree.
        """
        given = columns_of(_table(nodes), ("node", "parent", "name"), NODES_SCHEMA, "nodes")
        held: dict[str, Any] = {"tag": [], "leaf": []}
        if members is not None:
            held = columns_of(_table(members), ("tag", "leaf"), MEMBERS_SCHEMA, "members")
        if (bad := next((n for n, node in enumerate(given["node"]) if node is None), None)) is not None:
            raise InputError(f"the table of nodes, row {bad}: node is null; expected its number")
        if (bad := next((n for n, leaf in enumerate(held["leaf"]) if leaf is None), None)) is not None:
            raise InputError(f"the table of members, row {bad}: leaf is null; expected a node's number")
        return cls._of(TreeTable.build(given, held, {"source": "from_table"}))

    def push_to_hub(self, repo_id: str, *, private: bool | None = None, token: str | None = None, **upload: Any) -> str:
        """Upload the folder of `save_pretrained` as a dataset repository, made if need be; returns the commit's URL.

        Args:
            upload: for `HfApi.upload_folder`: `commit_message`, `revision`, …
        """
        return push_folder(partial(save_tree, table=self.fitted), repo_id, private=private, token=token, **upload)

    @classmethod
    def _of(cls, table: TreeTable) -> "TagTree":
        grown: Mapping[str, Any] = table.config
        sizes = tuple(grown["sizes"]) if grown.get("sizes") else (1,)
        return cls(
            sizes, tags_column=grown.get("tags_column", "tags"), min_count=grown.get("min_count", 1), table=table
        )


def _map(rows: Dataset, processor: Any, description: str) -> Dataset:
    return map_rows(rows, processor, description=description)


def _table(source: "str | Path | pa.Table | Dataset") -> pa.Table:
    if isinstance(source, pa.Table):
        return source
    if isinstance(source, Dataset):
        return source.with_format("arrow")[:]
    path = Path(source)
    try:
        return pq.read_table(path) if path.suffix == ".parquet" else pa.json.read_json(path)
    except (OSError, pa.ArrowException) as error:
        raise InputError(
            f"table {str(path)!r} cannot be read ({str(error).splitlines()[0]:.200}); expected JSON Lines or Parquet"
        ) from error
