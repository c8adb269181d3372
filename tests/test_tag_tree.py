"""The tag tree: no tag is lost whatever the LLM replies, the same tags give the same tree, and damage is told."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tagsmith.processors.endpoint.request import Reply, UnparsedReplyError
from tagsmith.processors.errors import InputError
from tagsmith.processors.generation_processor import GenerationProcessor
from tagsmith.processors.tags.grow_settings import GrowSettings, level_sizes
from tagsmith.processors.tags.tag_tree import TagTree
from tagsmith.processors.tags.topic_requests import TopicSteps

KINDS = ("sorting", "poem", "equation", "recipe", "history", "translation")
TAGS = [f"{kind} {number}" for kind in KINDS for number in range(8)]


@dataclass
class KindEmbedder:
    """Vectors by the first word of a text, with a little of the rest: clusters that a person can foresee."""

    model: str = "kinds"
    seen: list[list[str]] = field(default_factory=list)

    def encode(self, texts: Any) -> NDArray[np.float32]:
        self.seen.append(list(texts))
        vectors = np.zeros((len(texts), 16), np.float32)
        for row, text in enumerate(texts):
            first = text.split()[0].lower() if text.split() else ""
            vectors[row, KINDS.index(first) if first in KINDS else 7] = 1
            vectors[row, 8 + sum(map(ord, text)) % 8] += 0.1
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


Answer = Callable[[GenerationProcessor, dict[str, Any]], str]


class FakeAsk:
    """Runs a processor's own halves over rows, with replies that a test makes."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.calls: list[tuple[str, int]] = []

    def __call__(self, rows: Dataset, processor: GenerationProcessor, description: str) -> Dataset:
        self.calls.append((description, len(rows)))
        made = []
        for row in rows.to_list():
            assert not isinstance(processor.render(row), str)
            text = self.answer(processor, row)
            try:
                reply = Reply("ok", text, processor.read(text), None, ["00"])
            except UnparsedReplyError as error:
                reply = Reply("unparsed", text, None, f"unparsed: {error}", ["00"])
            columns = processor.collect(row, [reply])
            reason = processor.rejection(row, [reply], columns)
            state = {
                "status": "rejected" if reason else "ok",
                "reason": reason or "",
                "raw_reply": text if reason else "",
            }
            made.append(
                {
                    **row,
                    **columns,
                    **state,
                    "model": "fake",
                    "prompt_hash": "",
                    "attempts": 1,
                    "generation_keys": ["00"],
                }
            )
        return Dataset.from_list(made, features=processor.features(rows.features))


def sensible(processor: GenerationProcessor, row: dict[str, Any]) -> str:
    """Names by the first member's first word; nothing is the same, nothing moves."""
    name = type(processor).__name__
    if name == "TopicDeduplicator":
        return '{"same": []}'
    if name == "TopicReassigner":
        return '{"moves": []}'
    return json.dumps({"topic": f"{row['members'][0].split()[0]} tasks", "description": "d"})


def rows_of(tags: list[str], per_row: int = 4) -> Dataset:
    return Dataset.from_dict({"tags": [tags[at : at + per_row] for at in range(0, len(tags), per_row)]})


def grown(
    answer: Answer = sensible, sizes: tuple[int, ...] = (6, 2), tags: list[str] = TAGS, **options: Any
) -> TagTree:
    work = options.pop("work", None)
    options = {"embedders": (KindEmbedder(),), "sample_per_cluster": 100, **options}
    return TagTree(GrowSettings(sizes, **options), work=work).fit(rows_of(tags), FakeAsk(answer))


def check_whole(tree: TagTree, tags: list[str]) -> None:
    """Every tag has exactly one path to the root."""
    assert sorted(tree.members(0)) == sorted(tags)
    for tag in tags:
        leaf = tree.leaf_of(tag)
        assert leaf is not None
        assert leaf in tree.leaves
        assert tag in tree.members(leaf)
        path = tree.path(leaf)
        assert path[0] == 0
        assert [tree.level(node) for node in path] == list(range(len(path)))
    for node in range(len(tree)):
        assert all(tree.parent(child) == node for child in tree.children(node))
    assert tree.parents.tolist().count(-1) == 1


def test_clusters_become_leaves_and_their_topics_the_next_level() -> None:
    tree = grown()
    check_whole(tree, TAGS)
    assert tree.level_counts == [1, 2, 6]
    assert {tree.name(leaf) for leaf in tree.leaves} == {f"{kind} tasks" for kind in KINDS}
    for leaf in tree.leaves:
        kind = tree.name(leaf).split()[0]
        assert sorted(tree.members(int(leaf))) == [f"{kind} {number}" for number in range(8)]
    assert tree.requests["step"].to_pylist().count("summarize") == 8
    assert set(tree.fitted.nodes["named_by"].to_pylist()) == {"root", "model"}


reply_texts = st.one_of(
    st.text(max_size=40),
    st.sampled_from(['{"topic": "  ', '{"topic": 3}', "[]", "{}", '{"same": 4}', '{"moves": [[1, 2]]}', "<think> hm"]),
    st.text(min_size=1, max_size=130).map(lambda text: json.dumps({"topic": text, "description": "x"})),
    st.lists(st.lists(st.integers(-1, 9), max_size=4), max_size=4).map(lambda same: json.dumps({"same": same})),
    st.lists(st.tuples(st.integers(-1, 12), st.integers(-1, 7)), max_size=14).map(
        lambda moves: json.dumps({"moves": [{"entry": entry, "topic": topic} for entry, topic in moves]})
    ),
)


@settings(max_examples=30, deadline=None)
@given(data=st.data(), sizes=st.sampled_from([(1,), (3,), (8, 3), (12, 6, 2), (100, 5)]))
def test_no_tag_is_lost_whatever_is_replied(data: st.DataObject, sizes: tuple[int, ...]) -> None:
    tags = data.draw(
        st.lists(st.sampled_from([*TAGS, "poem 1 ", "POEM 1", "x" * 300, "a\nb", "数学"]), min_size=1, unique=True)
    )

    def random_reply(processor: GenerationProcessor, row: dict[str, Any]) -> str:
        if data.draw(st.integers(0, 3)) == 0:
            return sensible(processor, row)
        name = type(processor).__name__
        if name == "TopicReassigner" and data.draw(st.booleans()):  # moves that are in range
            members, topics = st.integers(1, len(row["members"])), st.integers(1, len(row["topics"]))
            moves = data.draw(st.dictionaries(members, topics))
            return json.dumps({"moves": [{"entry": entry, "topic": topic} for entry, topic in moves.items()]})
        return data.draw(reply_texts)

    tree = grown(random_reply, sizes, tags, same_above=-0.5, neighbours=3, reviewed_at_once=7)
    check_whole(tree, tags)
    for level in range(1, len(tree.level_counts)):
        names = [tree.name(node).casefold() for node in range(len(tree)) if tree.level(node) == level]
        assert len({" ".join(name.split()) for name in names}) == len(names)
    facts = tree.fitted.config["levels"]
    rejected = sum(
        fact[f"{step}_fallbacks"] for fact in facts for step in ("summarize", "deduplicate", "reassign", "rename")
    )
    assert tree.requests["status"].to_pylist().count("rejected") == rejected
    assert all(row["fallback"] and row["reason"] for row in tree.requests.to_pylist() if row["status"] == "rejected")


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "I would call it sorting.",
        '{"topic": ""}',
        '{"topic": null}',
        json.dumps({"topic": "x" * 101}),
        '{"topic": "a, b, c, d"}',
        "[1",
    ],
)
def test_cluster_without_a_readable_name_bears_that_of_its_central_tag(reply: str) -> None:
    def no_names(processor: GenerationProcessor, row: dict[str, Any]) -> str:
        return reply if "topic" in processor.own_features() else sensible(processor, row)

    tree = grown(no_names, (6,))
    check_whole(tree, TAGS)
    assert all(tree.name(leaf) in tree.members(int(leaf)) for leaf in tree.leaves)
    assert tree.fitted.nodes["named_by"].to_pylist() == ["root"] + ["central_tag"] * 6
    facts = tree.fitted.config["levels"][0]
    assert (facts["summarize_fallbacks"], facts["rename_fallbacks"], facts["named_by"]["central_tag"]) == (6, 6, 6)
    lost = [row for row in tree.requests.to_pylist() if row["step"] == "summarize"]
    assert {row["raw_reply"] for row in lost} == {reply}
    assert all(row["fallback"] in TAGS and row["reason"].startswith("unparsed: ") for row in lost)


def test_topics_that_are_the_same_are_joined_and_others_not() -> None:
    def joins(processor: GenerationProcessor, row: dict[str, Any]) -> str:
        if type(processor).__name__ == "TopicDeduplicator":
            places = [n for n, topic in enumerate(row["topics"], 1) if topic.startswith(("sorting", "poem"))]
            return json.dumps({"same": [places]})
        return sensible(processor, row)

    tree = grown(joins, (6,), same_above=-1.0)
    assert tree.level_counts == [1, 5]
    assert tree.leaf_of("poem 3") == tree.leaf_of("sorting 3") != tree.leaf_of("recipe 3")
    assert tree.fitted.config["levels"][0]["topics_joined"] == 1


def test_equal_names_are_joined_without_asking() -> None:
    def one_name(processor: GenerationProcessor, row: dict[str, Any]) -> str:
        text = json.loads(sensible(processor, row))
        return json.dumps(
            {**text, "topic": "The  SAME" if "poem" in str(row) else "the same"} if "topic" in text else text
        )

    tree = grown(one_name, (6, 3))
    assert tree.level_counts == [1, 1]  # a level of three above a single topic would group nothing
    assert sorted(tree.members(1)) == sorted(TAGS)


def test_review_moves_members_and_an_emptied_topic_goes() -> None:
    def moves_poems(processor: GenerationProcessor, row: dict[str, Any]) -> str:
        if type(processor).__name__ == "TopicReassigner" and row["topics"][0].startswith("poem"):
            to = next(n for n, topic in enumerate(row["topics"], 1) if topic.startswith("recipe"))
            return json.dumps({"moves": [{"entry": n, "topic": to} for n in range(1, len(row["members"]) + 1)]})
        return sensible(processor, row)

    tree = grown(moves_poems, (6,), reviewed_at_once=3)
    assert tree.level_counts == [1, 5]
    assert {tree.leaf_of(f"poem {n}") for n in range(8)} == {tree.leaf_of("recipe 1")}
    moved = {row["tag"] for row in tree.fitted.members.to_pylist() if row["moved"]}
    assert moved == {f"poem {n}" for n in range(8)}
    facts = tree.fitted.config["levels"][0]
    assert (facts["moved"], facts["topics_emptied"], facts["reviewed"], facts["reassign_requests"]) == (8, 1, 48, 18)


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ('{"moves": [{"entry": 9, "topic": 2}]}', "wrong_number"),
        ('{"moves": [{"entry": 0, "topic": 2}]}', "wrong_number"),
        ('{"moves": [{"entry": 1, "topic": 7}]}', "wrong_number"),
        ('{"moves": [{"entry": 1, "topic": 2}, {"entry": 1, "topic": 3}]}', "moved_twice"),
        ('{"moves": [{"entry": true, "topic": 2}]}', "unparsed"),
        ('{"moves": [{"topic": 2}]}', "unparsed"),
        ('{"moves": "none"}', "unparsed"),
    ],
)
def test_wrong_moves_move_nothing(reply: str, reason: str) -> None:
    def wrong(processor: GenerationProcessor, row: dict[str, Any]) -> str:
        return reply if type(processor).__name__ == "TopicReassigner" else sensible(processor, row)

    tree = grown(wrong, (6,))
    assert tree.fitted.config["levels"][0]["moved"] == 0
    reviews = [row for row in tree.requests.to_pylist() if row["step"] == "reassign"]
    assert len(reviews) == 6
    assert all(row["reason"].startswith(reason) for row in reviews)
    assert {row["fallback"] for row in reviews} == {"members stay"}


def test_two_topics_never_get_one_name() -> None:
    def renames_all_alike(processor: GenerationProcessor, row: dict[str, Any]) -> str:
        if type(processor).__name__ == "TopicRenamer":
            return '{"topic": "Knowledge", "description": "all"}'
        return sensible(processor, row)

    tree = grown(renames_all_alike, (6,))
    names = sorted(tree.name(leaf) for leaf in tree.leaves)
    assert names[0] == "Knowledge"
    assert len(set(names)) == 6
    assert all(name == "Knowledge" or name.endswith(" tasks") for name in names)
    assert tree.fitted.config["levels"][0]["names_taken"] == 5


def test_margin_reviews_only_doubtful_members() -> None:
    assert grown(sizes=(6,), review_margin=0.0).fitted.config["levels"][0]["reviewed"] == 0
    assert grown(sizes=(6,), review_margin=2.0).fitted.config["levels"][0]["reviewed"] == 48


def test_each_level_has_its_own_embedder() -> None:
    leaves, above = KindEmbedder("small"), KindEmbedder("large")
    tree = grown(embedders=(leaves, above))
    assert sorted(leaves.seen[0]) == sorted(TAGS)
    assert sorted(above.seen[0]) == sorted(f"{kind} tasks" for kind in KINDS)
    assert [fact["embedding_model"] for fact in tree.fitted.config["levels"]] == ["small", "large"]


def test_order_of_rows_does_not_matter_and_the_seed_does_what_it_says() -> None:
    first = grown().fitted
    tags = TAGS[::-1]
    assert grown(tags=tags).fitted.nodes.equals(first.nodes)
    assert grown(tags=tags).fitted.members.equals(first.members)
    varied = {str(grown(sizes=(4, 2), seed=seed).fitted.members.to_pydict()) for seed in range(4)}
    assert len(varied) > 1


def test_a_killed_run_goes_on_where_it_was(tmp_path: Path) -> None:
    class KilledError(Exception):
        pass

    def dies_at_the_top(processor: GenerationProcessor, row: dict[str, Any]) -> str:
        if "tasks" in str(row) and type(processor).__name__ == "TopicSummarizer":
            raise KilledError
        return sensible(processor, row)

    embedder = KindEmbedder()
    with pytest.raises(KilledError):
        grown(dies_at_the_top, embedders=(embedder,), work=tmp_path)
    assert len(list(tmp_path.glob("clusters-*.npz"))) == 2
    again = KindEmbedder()
    tree = grown(embedders=(again,), work=tmp_path)
    assert not any(set(TAGS) & set(texts) for texts in again.seen)  # vectors and clusters of the leaves came from disk
    whole = grown()
    assert tree.fitted.nodes.equals(whole.fitted.nodes)
    assert tree.fitted.members.equals(whole.fitted.members)


def test_other_settings_do_not_read_an_earlier_clustering(tmp_path: Path) -> None:
    grown(sizes=(6,), work=tmp_path)
    grown(sizes=(6,), work=tmp_path)
    assert len(list(tmp_path.glob("clusters-*.npz"))) == 1
    grown(sizes=(6,), work=tmp_path, seed=5)
    grown(sizes=(3,), work=tmp_path)
    assert len(list(tmp_path.glob("clusters-*.npz"))) == 3
    assert len(list(tmp_path.glob("vectors-*.npy"))) == 1


@pytest.mark.parametrize(
    ("sizes", "tags", "counts"), [((1,), TAGS, [1, 1]), ((5, 2), ["poem 1"], [1, 1]), ((9, 3), TAGS[:2], [1, 2])]
)
def test_small_trees(sizes: tuple[int, ...], tags: list[str], counts: list[int]) -> None:
    tree = grown(sizes=sizes, tags=tags)
    check_whole(tree, tags)
    assert tree.level_counts == counts


def test_saved_and_loaded(tmp_path: Path) -> None:
    tree = grown()
    tree.save_pretrained(tmp_path)
    loaded = TagTree.from_pretrained(tmp_path)
    assert loaded.fitted.nodes.equals(tree.fitted.nodes)
    assert loaded.fitted.members.equals(tree.fitted.members)
    assert loaded.fitted.config == tree.fitted.config
    assert loaded.to_text() == tree.to_text()
    assert (tmp_path / "README.md").read_text().startswith("---\nconfigs:")


def edit_nodes(folder: Path, change: Callable[[dict[str, list[Any]]], None], file: str = "nodes.parquet") -> None:
    table = pq.read_table(folder / file)
    columns = table.to_pydict()
    change(columns)
    pq.write_table(pa.table(columns, schema=table.schema), folder / file)


def put(name: str, row: int, value: Any) -> Callable[[dict[str, list[Any]]], None]:
    return lambda columns: columns[name].__setitem__(row, value)


def cycle(columns: dict[str, list[Any]]) -> None:
    columns["parent"][1], columns["parent"][3] = 3, 1


@pytest.mark.parametrize(
    ("change", "file", "said"),
    [
        (cycle, "nodes.parquet", "go round in a circle"),
        (put("parent", 3, None), "nodes.parquet", "2 nodes have no parent"),
        (put("parent", 3, 99), "nodes.parquet", "its parent is 99"),
        (put("node", 3, 4), "nodes.parquet", "not numbered"),
        (put("level", 3, 1), "nodes.parquet", "level 1, but its path has 2 steps"),
        (put("name", 3, " "), "nodes.parquet", "node 3 has no name"),
        (put("name", 3, None), "nodes.parquet", "node 3 has no name"),
        (put("tags", 1, 1), "nodes.parquet", "tags is 1, but"),
        (put("leaf", 0, 1), "members.parquet", "which has children"),
        (put("leaf", 47, 99), "members.parquet", "no node of the tree"),
        (put("leaf", 0, None), "members.parquet", "its leaf is null"),
        (put("tag", 0, "poem 3"), "members.parquet", "listed twice"),
        (put("tag", 0, None), "members.parquet", "its tag is null"),
        (lambda columns: [column.pop() for column in columns.values()], "members.parquet", "below it"),
    ],
)
def test_damaged_files_are_told(tmp_path: Path, change: Any, file: str, said: str) -> None:
    grown(sizes=(6, 2)).save_pretrained(tmp_path)
    edit_nodes(tmp_path, change, file)
    with pytest.raises(InputError, match=said) as caught:
        TagTree.from_pretrained(tmp_path)
    assert "\n" not in str(caught.value)


def test_other_folders_are_told(tmp_path: Path) -> None:
    grown(sizes=(6,)).save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "format_version": 99}))
    with pytest.raises(InputError, match="format version 99; this tagsmith reads version 1"):
        TagTree.from_pretrained(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(InputError, match="cannot be read"):
        TagTree.from_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "nodes.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match="cannot be read"):
        TagTree.from_pretrained(tmp_path)
    (tmp_path / "nodes.parquet").unlink()
    with pytest.raises(InputError, match=r"has no nodes\.parquet"):
        TagTree.from_pretrained(tmp_path)


NODES = pa.table({"node": [10, 20, 30, 40], "parent": [30, 30, None, 20], "name": ["leaf a", "inner", "top", "leaf b"]})
MEMBERS = pa.table({"tag": ["x", "y", "z"], "leaf": [40, 10, 40], "count": [1, 5, 7]})


def test_a_tree_from_elsewhere() -> None:
    tree = TagTree.from_table(NODES, Dataset(MEMBERS))
    assert tree.names == ["top", "leaf a", "inner", "leaf b"]
    assert tree.parents.tolist() == [-1, 0, 0, 2]
    assert tree.leaves.tolist() == [1, 3]
    assert tree.members(2) == ["z", "x"]
    assert tree.members(0) == ["y", "z", "x"]
    assert tree.path(3) == [0, 2, 3]
    assert tree.level(3) == 2
    assert tree.children(0) == [1, 2]
    assert tree.parent(0) is None
    assert tree.find("LEAF B") == [3]
    assert tree.find("none") == []
    assert tree.leaf_of("none") is None
    assert tree.fitted.nodes["uses"].to_pylist() == [13, 5, 8, 8]
    assert tree.to_text() == "top (3)\n├── inner (2)\n│   └── leaf b (2)\n└── leaf a (1)"
    assert tree.to_text(1, 1) == "top (3)\n├── inner (2)\n└── … 1 more"
    assert TagTree.from_table(NODES).members(0) == []


@pytest.mark.parametrize(
    ("nodes", "members", "said"),
    [
        ({"parent": [30, 30, None, 40]}, {}, "circle"),
        ({"parent": [30, 30, None, 50]}, {}, "node 40: its parent is 50"),
        ({"parent": [30, None, None, 20]}, {}, "2 nodes have no parent"),
        ({"node": [10, 20, 30, 30]}, {}, "node 30 is listed twice"),
        ({"node": [10, None, 30, 40]}, {}, "row 1: node is null"),
        ({"name": ["a", None, "b", "c"]}, {}, "has no name"),
        ({"node": ["a", "b", "c", "d"]}, {}, "column 'node' is string"),
        ({}, {"leaf": [40, 20, 40]}, "which has children"),
        ({}, {"leaf": [40, 11, 40]}, "its leaf is 11"),
        ({}, {"leaf": [40, -1, 40]}, "leaf is below 0"),
        ({}, {"leaf": [40, None, 40]}, "leaf is null"),
        ({}, {"tag": ["x", "y", "x"]}, "'x' is listed twice"),
    ],
)
def test_tables_that_are_no_tree(nodes: dict[str, Any], members: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        TagTree.from_table(pa.table({**NODES.to_pydict(), **nodes}), pa.table({**MEMBERS.to_pydict(), **members}))


def test_nested_keeps_within_its_size_and_stays_a_tree() -> None:
    tree = grown()

    def size(node: dict[str, Any]) -> int:
        return 1 + sum(map(size, node.get("children", [])))

    assert size(tree.nested()) == 1 + 2 + 6 + 48
    assert size(tree.nested(with_tags=False)) == 9
    assert [size(tree.nested(most)) for most in (1, 2, 5, 9, 20)] == [1, 2, 5, 9, 20]


def test_sizes() -> None:
    assert level_sizes(1000, branching=10) == [1000, 100, 10] == level_sizes(1000, levels=4)
    assert level_sizes(10_000, levels=10) == [10000, 3594, 1292, 464, 167, 60, 22, 8, 3]  # the paper's
    assert level_sizes(5, levels=2) == [5]
    assert level_sizes(1, branching=3) == [1]
    assert level_sizes(4, levels=9)[:2] == [4, 3]


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: level_sizes(0, levels=3), "leaves=0"),
        (lambda: level_sizes(10), "levels or branching"),
        (lambda: level_sizes(10, levels=3, branching=2), "levels or branching"),
        (lambda: level_sizes(10, levels=1), "levels=1"),
        (lambda: level_sizes(10, branching=1.0), "branching=1"),
        (lambda: level_sizes(10, branching=float("nan")), "branching=nan"),
        (lambda: GrowSettings(()), "sizes"),
        (lambda: GrowSettings((10, 10)), "10 above 10"),
        (lambda: GrowSettings((10,), same_above=2.0), "same_above"),
        (lambda: GrowSettings((10,), review_margin=-1.0), "review_margin"),
        (lambda: GrowSettings((10,), shown=1), "shown=1"),
        (lambda: GrowSettings((10,), embedders=()), "embedders"),
        (lambda: GrowSettings((10,), seed=-1), "seed=-1"),
        (lambda: TagTree((3,), min_count=0), "min_count=0"),
        (lambda: TagTree((3,)).parents, "has not grown"),
        (lambda: TagTree((3,)).fit(Dataset.from_dict({"tags": [[], []]})), "holds no tag"),
        (lambda: TagTree((3,)).fit(Dataset.from_dict({"labels": [["a"]]})), "tags"),
        (lambda: TagTree((3,), min_count=2).fit(rows_of(TAGS)), "none in 2 rows"),
        (lambda: TagTree((3,)).fit(rows_of(["a", "  "])), "drop blank tags"),
        (lambda: TagTree((3,)).fit(rows_of(["a", ""])), "drop blank tags"),
        (lambda: TagTree.from_table(NODES).path(4), "node 4: the tree has nodes 0 to 3"),
        (lambda: TopicSteps(prompts={"rename": "tags/summarize"}).processors, "rename|uses"),
    ],
)
def test_bad_input_is_told(call: Callable[[], Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        call()
