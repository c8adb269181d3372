"""Two releases compared: which rows came, went and changed, how tags shifted, what they were made from."""

import json
import math
from pathlib import Path

import pyarrow as pa
import pytest
from datasets import ClassLabel, Dataset, Features, LargeList, List, Value

from tagsmith.cards.diff import as_json, compare_releases
from tagsmith.cards.diff_lineage import FirstAncestors
from tagsmith.cards.errors import ReleaseError
from tagsmith.cards.opened_release import OpenedRelease, open_release

MANIFEST = {
    "tagsmith_format": 1,
    "recipe": "select_instag",
    "method": "#InsTag",
    "variant": "paper",
    "offline": True,
    "config": {"alpha": 2, "n": 60, "prompt": None},
    "prompts": {"instag/tag": "aaaa"},
    "models": [{"model": "org/llama", "role": "tagger"}, {"model": "mini", "role": "tag embeddings"}],
    "inputs": [{"name": "org/alpaca", "rows": 10, "revision": "abc"}],
    "packages": {"tagsmith": "0.1.0", "numpy": "2.4.6"},
    "python": "3.11.7",
    "platform": "Linux",
    "counts": {"rows_in": 10, "rejected": {"unparsed": 2}},
    "started": "2024-05-01T12:00:00Z",
    "seconds": 3.5,
    "command": ["tagsmith", "run"],
}
TEXT = Value("string")


def release(folder, configs, **changes) -> OpenedRelease:
    """Write and open a release: columns, a Dataset, or splits of them, by config; the first one is the default."""
    facts = {}
    for n, (config, splits) in enumerate(configs.items()):
        place = "data" if n == 0 else config
        (folder / place).mkdir(parents=True)
        facts[config] = {}
        if isinstance(splits, Dataset) or not all(isinstance(part, dict | Dataset) for part in splits.values()):
            splits = {"train": splits}
        for split, part in splits.items():
            rows = part if isinstance(part, Dataset) else Dataset.from_dict(part)
            rows.to_parquet(folder / place / f"{split}-00000-of-00001.parquet")
            facts[config][split] = {"rows": len(rows), "content_hash": "0", "path": f"{place}/{split}-*.parquet"}
    manifest = MANIFEST | {"default": next(iter(configs)), "configs": facts} | changes
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return open_release(str(folder))


def compare(tmp_path: Path, a, b, limit=10):
    """The one split of two releases with one config each."""
    diff = compare_releases(
        release(tmp_path / "a", {"default": a}), release(tmp_path / "b", {"default": b}), limit=limit
    )
    (split,) = diff.splits
    assert split.rows_b == split.rows_a - split.removed + split.added
    assert split.rows_a == split.removed + split.changed + split.same
    assert diff.equal == split.equal
    return split


def counts(split):
    return split.removed, split.added, split.changed, split.same


# --- rows by id -----------------------------------------------------------------------------------------------------


def test_rows_come_go_and_change_by_their_id(tmp_path):
    a = {
        "id": ["r", "s", "t", "u"],
        "instruction": ["Read.", "Sing.", "Talk.", "Use."],
        "tags": [["x"], ["x", "y"], [], None],
        "score": [0.5, math.nan, 1.0, 2.0],
    }
    b = {
        "id": ["s", "t", "u", "v"],
        "instruction": ["Sing.", "Talk.", "Use.", "Vote."],
        "tags": [["x", "y"], ["z"], [], ["x"]],
        "score": [math.nan, 1.5, 2.0, 0.0],
    }
    split = compare(tmp_path, a, b)
    assert counts(split) == (1, 1, 2, 1)  # null is not an empty list; NaN is itself
    assert (split.key, split.reordered, split.only_in) == ("id", False, None)
    assert split.changed_columns == {"tags": 2, "score": 1}
    removed, added, talk, use = split.examples
    assert (removed.kind, removed.position_a, removed.position_b) == ("removed", 0, None)
    assert removed.values == {"id": "r", "instruction": "Read.", "tags": ["x"], "score": 0.5}
    assert (added.kind, added.position_a, added.position_b, added.values["id"]) == ("added", None, 3, "v")
    assert (talk.kind, talk.position_a, talk.position_b) == ("changed", 2, 1)
    assert talk.values == {"id": "t", "instruction": "Talk."}
    assert (talk.before, talk.after) == ({"tags": [], "score": 1.0}, {"tags": ["z"], "score": 1.5})
    assert (use.before, use.after) == ({"tags": None}, {"tags": []})


def test_the_same_rows_in_another_order_differ_in_their_order_alone(tmp_path):
    a = {"id": ["r", "s", "t"], "n": [1, 2, 3]}
    split = compare(tmp_path, a, {"id": ["t", "r", "s"], "n": [3, 1, 2]})
    assert counts(split) == (0, 0, 0, 3)
    assert split.reordered
    assert not split.equal


def test_rows_that_only_move_up_because_others_went_are_in_the_same_order(tmp_path):
    split = compare(tmp_path, {"id": ["r", "s", "t"]}, {"id": ["s", "u", "t"]})
    assert (counts(split), split.reordered) == ((1, 1, 0, 2), False)


def test_a_repeated_id_is_paired_with_its_equal_first_then_in_order(tmp_path):
    a = {"id": ["r", "r", "r", "s"], "n": [1, 2, 3, 9]}
    b = {"id": ["r", "r", "s"], "n": [3, 4, 9]}
    split = compare(tmp_path, a, b)
    assert counts(split) == (1, 0, 1, 2)  # 3 stays 3, 1 becomes 4, 2 went
    assert (split.repeated_a, split.repeated_b) == (2, 1)
    assert [example.before for example in split.examples if example.kind == "changed"] == [{"n": 1}]


@pytest.mark.parametrize(("key", "known"), [("key", "key"), ("raw", "raw"), ("name", None)])
def test_generations_and_vocabularies_have_keys_of_their_own(tmp_path, key, known):
    split = compare(tmp_path, {key: ["k", "l"], "text": ["x", "y"]}, {key: ["k", "l"], "text": ["x", "z"]})
    assert split.key == known
    assert counts(split) == ((0, 0, 1, 1) if known else (1, 1, 0, 1))  # without a key, the whole row is the key


def test_whole_rows_are_compared_as_often_as_they_occur(tmp_path):
    a = {"from": ["p", "p", "q"], "to": ["x", "x", None]}
    split = compare(tmp_path, a, {"from": ["p", "q", "q"], "to": ["x", None, None]})
    assert counts(split) == (1, 1, 0, 2)


# --- made rows, whose id changes with their text --------------------------------------------------------------------


def made(*rows):
    """Rows of (id, parent, iteration, text)."""
    columns = dict(zip(("id", "parent_id", "iteration", "instruction"), zip(*rows, strict=True), strict=True))
    features = Features(id=TEXT, parent_id=TEXT, iteration=Value("int64"), instruction=TEXT)
    return Dataset.from_dict({name: list(values) for name, values in columns.items()}, features=features)


def test_another_text_from_the_same_parent_in_the_same_iteration_is_a_change(tmp_path):
    a = made(("s", None, 0, "Sing."), ("s1", "s", 1, "Sing loudly."), ("s2", "s", 2, "Sing it twice."))
    b = made(("s", None, 0, "Sing."), ("s9", "s", 1, "Sing softly."), ("s2", "s", 2, "Sing it twice."))
    split = compare(tmp_path, a, b)
    assert counts(split) == (0, 0, 1, 2)
    assert split.changed_columns == {"id": 1, "instruction": 1}


def test_a_row_of_another_parent_or_iteration_is_another_row(tmp_path):
    a = made(("x1", "s", 1, "A."), ("x2", "s", 2, "B."), ("x3", None, 0, "C."), ("x4", "", 0, "D."))
    b = made(("y1", "t", 1, "A."), ("y2", "s", 3, "B."), ("y3", None, 0, "C."), ("y4", "", 0, "D."))
    assert counts(compare(tmp_path, a, b)) == (4, 4, 0, 0)


def test_a_parent_that_the_source_speaks_of_is_no_lineage(tmp_path):
    """As in threads of a forum; what we made has an iteration too."""
    a = {"id": ["x", "s"], "parent_id": ["post", None], "instruction": ["A.", "S."]}
    assert counts(compare(tmp_path, a, a | {"id": ["y", "s"], "instruction": ["B.", "S."]})) == (1, 1, 0, 1)
    numbered = {"id": ["x"], "parent_id": [7], "iteration": [1]}
    assert counts(compare(tmp_path / "n", numbered, numbered | {"id": ["y"]})) == (1, 1, 0, 0)


def test_children_of_a_changed_row_are_changed_too_though_their_parent_has_another_name(tmp_path):
    a = made(("p", "s", 1, "One."), ("q", "p", 2, "Two."), ("r", "q", 3, "Three."), ("t1", "t", 1, "Other."))
    b = made(("P", "s", 1, "ONE."), ("Q", "P", 2, "TWO."), ("R", "Q", 3, "THREE."), ("t1", "t", 1, "Other."))
    split = compare(tmp_path, a, b)
    assert counts(split) == (0, 0, 3, 1)
    assert [(example.position_a, example.position_b) for example in split.examples] == [(0, 0), (1, 1), (2, 2)]


def test_ancestors_are_looked_for_in_all_configs(tmp_path):
    """The default holds the last version of each row; the versions between are elsewhere."""
    rounds_a, rounds_b = made(("p", "s", 1, "One.")), made(("P", "s", 1, "ONE."))
    a = release(tmp_path / "a", {"default": made(("q", "p", 2, "Two.")), "rounds": rounds_a})
    b = release(tmp_path / "b", {"default": made(("Q", "P", 2, "TWO.")), "rounds": rounds_b})
    assert [counts(split) for split in compare_releases(a, b).splits] == [(0, 0, 1, 0), (0, 0, 1, 0)]
    assert [counts(split) for split in compare_releases(a, b, config="default").splits] == [(0, 0, 1, 0)]


def test_a_parent_is_a_better_guide_than_the_first_ancestor(tmp_path):
    a = made(("p", "s", 1, "P."), ("q", "s", 1, "Q."), ("p2", "p", 2, "P two."), ("q2", "q", 2, "Q two."))
    b = made(("p", "s", 1, "P."), ("q", "s", 1, "Q."), ("q9", "q", 2, "Q nine."), ("p9", "p", 2, "P nine."))
    split = compare(tmp_path, a, b)
    assert [example.before["instruction"] for example in split.examples] == ["P two.", "Q two."]
    assert [example.after["instruction"] for example in split.examples] == ["P nine.", "Q nine."]


def test_a_circle_of_parents_ends(tmp_path):
    rows = made(("a", "b", 1, "A."), ("b", "c", 1, "B."), ("c", "a", 1, "C."), ("d", "d", 1, "D."))
    roots = FirstAncestors(release(tmp_path / "x", {"default": rows}))
    assert roots(pa.array(["d", "x", None], pa.large_string())).to_pylist() == ["d", "x", None]
    assert roots(pa.array(["a"], pa.large_string()))[0].as_py() in "abc"


# --- columns --------------------------------------------------------------------------------------------------------


def typed(**columns):
    """One row each: name=(feature, value)."""
    features = Features({"id": TEXT} | {name: kind for name, (kind, _) in columns.items()})
    return Dataset.from_dict({"id": ["r"]} | {name: [value] for name, (_, value) in columns.items()}, features=features)


def test_columns_that_came_or_went_are_said_once_and_change_no_row(tmp_path):
    split = compare(tmp_path, typed(old=(TEXT, "x")), typed(new=(List(TEXT), ["y"]), more=(Value("int32"), 1)))
    assert (dict(split.columns.removed), dict(split.columns.added)) == (
        {"old": "string"},
        {"new": "list<string>", "more": "int32"},
    )
    assert counts(split) == (0, 0, 0, 1)
    assert not split.equal


@pytest.mark.parametrize(
    ("before", "after", "types", "changed"),
    [
        ((Value("int32"), 7), (Value("int64"), 7), ("int32", "int64"), 0),
        ((Value("int32"), 7), (Value("int64"), 8), ("int32", "int64"), 1),
        ((Value("int64"), 7), (Value("float64"), 7.0), ("int64", "double"), 0),
        ((Value("float32"), 0.1), (Value("float64"), 0.1), ("float", "double"), 1),  # not the same number
        ((Value("null"), None), (TEXT, None), ("null", "string"), 0),
        ((Value("null"), None), (TEXT, "x"), ("null", "string"), 1),
        ((List(Value("null")), []), (List(TEXT), []), ("list<null>", "list<string>"), 0),
    ],
)
def test_a_retyped_column_is_compared_as_the_wider_type(tmp_path, before, after, types, changed):
    split = compare(tmp_path, typed(x=before), typed(x=after))
    assert (dict(split.columns.retyped), list(split.columns.not_compared)) == ({"x": types}, [])
    assert split.changed == changed
    assert not split.equal


def test_types_that_nothing_holds_both_of_are_not_compared(tmp_path):
    split = compare(tmp_path, typed(x=(Value("int64"), 7)), typed(x=(TEXT, "7")))
    assert (dict(split.columns.retyped), list(split.columns.not_compared)) == ({"x": ("int64", "string")}, ["x"])
    assert (split.changed, split.equal) == (0, False)


def test_what_differs_in_memory_alone_is_the_same_type(tmp_path):
    a = typed(text=(TEXT, "x"), tags=(List(TEXT), ["x"]), pair=({"p": TEXT, "q": Value("int8")}, {"p": "x", "q": 1}))
    b = typed(
        text=(Value("large_string"), "x"),
        tags=(LargeList(Value("large_string")), ["x"]),
        pair=({"q": Value("int8"), "p": TEXT}, {"q": 1, "p": "x"}),
    )
    assert compare(tmp_path, a, b).equal


def test_class_labels_of_other_names_are_another_type(tmp_path):
    a, b = (typed(kind=(ClassLabel(names=names), 1)) for names in (["easy", "hard"], ["hard", "easy"]))
    split = compare(tmp_path, a, b)
    assert split.columns.retyped == {"kind": ("class label (easy, hard)", "class label (hard, easy)")}
    assert not split.equal


# --- configs and splits ---------------------------------------------------------------------------------------------


def test_configs_of_one_side_only_count_as_removed_or_added(tmp_path):
    rows = {"id": ["r", "s"], "instruction": ["Read.", "Sing."]}
    a = release(tmp_path / "a", {"default": {"train": rows, "test": {"id": ["t"]}}, "old": {"id": ["o"]}})
    b = release(tmp_path / "b", {"default": {"train": rows}, "new": {"id": []}})
    diff = compare_releases(a, b)
    found = {(s.config, s.split): (s.only_in, s.rows_a, s.rows_b, s.removed, s.added, s.equal) for s in diff.splits}
    assert found == {
        ("default", "train"): (None, 2, 2, 0, 0, True),
        ("default", "test"): ("a", 1, 0, 1, 0, False),
        ("old", "train"): ("a", 1, 0, 1, 0, False),
        ("new", "train"): ("b", 0, 0, 0, 0, False),  # no row, and yet something that A does not have
    }
    assert not any(split.columns.any for split in diff.splits)
    assert not diff.equal
    assert compare_releases(a, b, config="new").splits[0].only_in == "b"
    with pytest.raises(ReleaseError, match="has a config 'tree'; they have default, old, new"):
        compare_releases(a, b, config="tree")


def test_empty_configs_are_compared_by_their_columns(tmp_path):
    a, b = {"id": [], "reason": []}, Dataset.from_dict({"id": ["r"], "reason": ["x"], "n": [1]}).select([])
    split = compare(tmp_path, Dataset.from_dict(a, features=Features(id=TEXT, reason=TEXT)), b)
    assert (counts(split), dict(split.columns.added), split.equal) == ((0, 0, 0, 0), {"n": "int64"}, False)


def test_a_release_of_another_tagsmith_still_compares(tmp_path):
    """What its manifest does not have counts as null."""
    rows = {"default": {"id": ["r"]}}
    a = release(tmp_path / "a", rows)
    b = release(tmp_path / "b", rows, config=None, models="none", inputs=[7], packages={}, counts=None, python=None)
    diff = compare_releases(a, b)
    assert diff.equal
    assert ("alpha", 2, None) in {(fact.name, fact.a, fact.b) for fact in diff.made}


# --- tags, vocabulary, manifest -------------------------------------------------------------------------------------


def test_tag_shifts_are_shares_of_the_tagged_rows(tmp_path):
    a = {"id": list("rstu"), "tags": [["math", "math"], ["math", "code"], ["poem"], []]}
    b = {"id": list("rstu"), "tags": [["math"], ["code"], None, ["code", "law"]]}
    diff = compare_releases(release(tmp_path / "a", {"default": a}), release(tmp_path / "b", {"default": b}))
    (tags,) = diff.tags
    assert (tags.config, tags.split, tags.rows_a, tags.rows_b) == ("default", "train", 4, 3)
    assert (tags.tags_a, tags.tags_b, tags.came, tags.went) == (3, 3, 1, 1)
    assert (tags.diversity_a, tags.diversity_b) == (0.75, 0.75)
    assert (tags.complexity_a, tags.complexity_b) == (1.0, 4 / 3)
    assert [(s.tag, s.rows_a, s.rows_b) for s in tags.shifts] == [
        ("code", 1, 2),  # 1/4 to 2/3
        ("law", 0, 1),
        ("poem", 1, 0),
        ("math", 2, 1),  # 1/2 to 1/3
    ]
    assert tags.shifts[0].change == pytest.approx(2 / 3 - 1 / 4)


def test_without_tags_there_are_no_tag_shifts(tmp_path):
    nothing = Dataset.from_dict({"id": ["r"], "tags": [[]]}, features=Features(id=TEXT, tags=List(TEXT)))
    a = release(tmp_path / "a", {"default": {"id": ["r"]}, "none": nothing, "text": {"id": ["r"], "tags": ["x"]}})
    assert compare_releases(a, a).tags == []


def test_moves_of_the_vocabulary_name_what_a_raw_tag_became(tmp_path):
    a = {"raw": ["maths", "math", "law", "Poem"], "canonical": ["math", "math", None, "poem"], "count": [3, 9, 1, 2]}
    b = {"raw": ["math", "maths", "law", "code"], "canonical": ["math", "maths", "law", "code"], "count": [9, 4, 5, 1]}
    rows = {"id": ["r"]}
    diff = compare_releases(
        release(tmp_path / "a", {"default": rows, "vocabulary": a}),
        release(tmp_path / "b", {"default": rows, "vocabulary": b}),
    )
    found = diff.vocabulary
    assert (found.raw_a, found.raw_b, found.canonical_a, found.canonical_b) == (4, 4, 2, 4)
    assert (found.came, found.went) == (1, 1)
    assert [(move.raw, move.canonical_a, move.canonical_b) for move in found.moves] == [
        ("law", None, "law"),
        ("maths", "math", "maths"),
    ]


def test_facts_of_the_manifest_that_differ(tmp_path):
    a = release(tmp_path / "a", {"default": {"id": ["r"]}})
    b = release(
        tmp_path / "b",
        {"default": {"id": ["r"]}},
        config={"alpha": 4, "n": 60, "eps": 0.1},
        prompts={"instag/tag": "bbbb"},
        models=[{"model": "mini", "role": "tag embeddings"}, {"model": "org/qwen", "role": "tagger"}],
        inputs=[{"name": "org/alpaca", "rows": 10, "revision": "def"}],
        packages={"tagsmith": "0.2.0", "numpy": "2.4.6"},
        counts={"rows_in": 10, "rejected": {"unparsed": 1, "endpoint": 1}},
        started="2025-01-01T00:00:00Z",
        seconds=9.0,
        command=["other"],
    )
    diff = compare_releases(a, b)
    assert diff.equal  # how the same rows were made is said, and makes no difference
    assert [(fact.section, fact.name, fact.a, fact.b) for fact in diff.made] == [
        ("settings", "alpha", 2, 4),
        ("settings", "eps", None, 0.1),
        ("prompts", "instag/tag", "aaaa", "bbbb"),
        ("models", "tagger.model", "org/llama", "org/qwen"),
        ("inputs", "org/alpaca.revision", "abc", "def"),
        ("packages", "tagsmith", "0.1.0", "0.2.0"),
        ("counts", "rejected.endpoint", None, 1),
        ("counts", "rejected.unparsed", 2, 1),
    ]


def test_two_models_of_one_role_are_told_apart(tmp_path):
    rows = {"default": {"id": ["r"]}}
    two = [{"model": "x", "role": "judge"}, {"model": "y", "role": "judge"}]
    a = release(tmp_path / "a", rows, models=two)
    b = release(tmp_path / "b", rows, models=[two[0], {"model": "z", "role": "judge"}])
    assert [(fact.name, fact.a, fact.b) for fact in compare_releases(a, b).made] == [("judge (2).model", "y", "z")]


# --- for machines ---------------------------------------------------------------------------------------------------


def test_the_json_form_has_every_count_and_so_many_examples(tmp_path):
    many, tags = [f"r{n}" for n in range(9)], [[f"t{n}"] for n in range(9)]
    vocabulary = {"raw": many, "canonical": many, "count": [1] * 9}
    a = release(tmp_path / "a", {"default": {"id": many, "tags": tags}, "vocabulary": vocabulary})
    moved = vocabulary | {"canonical": [None] * 9}
    b = release(tmp_path / "b", {"default": {"id": many[1:], "tags": tags[:8]}, "vocabulary": moved})
    plain = json.loads(json.dumps(as_json(compare_releases(a, b, limit=2), 2)))
    assert list(plain) == ["format", "equal", "a", "b", "splits", "tags", "vocabulary", "made"]
    assert (plain["format"], plain["equal"], plain["a"]) == (1, False, str(tmp_path / "a"))
    split = plain["splits"][0]
    assert (split["config"], split["equal"], split["removed"], split["changed"]) == ("default", False, 1, 8)
    assert [example["kind"] for example in split["examples"]] == ["removed", "changed", "changed"]
    assert split["examples"][1]["before"] == {"tags": ["t1"]}
    assert (plain["tags"][0]["shifted"], len(plain["tags"][0]["shifts"])) == (9, 2)
    assert plain["tags"][0]["shifts"][0] == {
        "tag": "t8", "rows_a": 1, "rows_b": 0, "share_a": 1 / 9, "share_b": 0.0, "change": -1 / 9
    }  # fmt: skip
    assert (plain["vocabulary"]["moved"], len(plain["vocabulary"]["moves"])) == (9, 2)
