"""The card's three rows: of three difficulties, readable, with what they were made from, the same every time."""

import pytest
from datasets import Dataset

from tagsmith.cards.examples import example_rows

READABLE = "A good, readable instruction."


def rows(*of):
    columns = ("id", "instruction", "response", "tags", "parent_id", "iteration")
    filled = [{"response": "r", "parent_id": None, "iteration": None, **row} for row in of]
    return Dataset.from_dict({name: [row.get(name) for row in filled] for name in columns})


def of(dataset, **others):
    return example_rows({"x": {"train": dataset}, **others}, "x")


def test_an_easy_a_median_and_a_hard_row_by_tags():
    tags = [["a"], ["a", "b", "c"], [], ["a", "b"], None]
    dataset = rows(*({"id": str(n), "instruction": f"{READABLE} {n}", "tags": t} for n, t in enumerate(tags)))
    shown = [(example.level, example.versions[-1].tags) for example in of(dataset)]
    assert shown == [("easy", ["a"]), ("median", ["a", "b"]), ("hard", ["a", "b", "c"])]


def test_without_tags_the_length_of_the_instruction_decides():
    texts = ["Say a few good words.", "w " * 100, "x " * 30, ""]
    dataset = Dataset.from_dict({"instruction": texts, "response": ["r"] * 4})
    assert [example.versions[0].instruction for example in of(dataset)] == [texts[0], texts[2], texts[1]]


def test_rows_that_read_well_are_preferred_and_none_comes_twice():
    texts = ["x", READABLE, "Another good and readable one.", "y" * 5000]
    dataset = rows(*({"id": str(n), "instruction": t, "tags": ["t"]} for n, t in enumerate(texts)))
    examples = of(dataset)
    assert [example.versions[0].instruction for example in examples] == [texts[1], texts[0], texts[2]]
    assert [example.level for example in of(dataset.select([0, 1]))] == ["easy", "hard"]
    assert of(dataset.select([])) == []


def test_the_chain_goes_back_to_the_original_over_several_configs():
    source = rows({"id": "a", "instruction": "Original.", "tags": ["t"]})
    round_1 = rows({"id": "b", "instruction": "First.", "tags": ["t", "u"], "parent_id": "a", "iteration": 1})
    made = rows({"id": "c", "instruction": READABLE, "tags": ["t", "u", "v"], "parent_id": "b", "iteration": 2})
    (example,) = of(made, source={"train": source}, rounds={"test": made.select([]), "train": round_1})
    assert [(v.made, v.instruction, v.tags) for v in example.versions] == [
        ("original", "Original.", ["t"]),
        ("round 1", "First.", ["t", "u"]),
        ("round 2", READABLE, ["t", "u", "v"]),
    ]


def test_a_row_whose_parent_is_here_is_preferred_to_one_without():
    dataset = rows(
        {"id": "lost", "instruction": READABLE, "tags": ["t"], "parent_id": "gone"},
        {"id": "child", "instruction": READABLE, "tags": ["t"], "parent_id": "p"},
    )
    parents = rows({"id": "p", "instruction": "The parent of it all.", "tags": []})
    easy, hard = of(dataset, source={"train": parents})
    assert [version.made for version in easy.versions] == ["original", "round 1"]
    assert [version.made for version in hard.versions] == ["rewritten"]  # its parent is not here, and not made up


@pytest.mark.parametrize("parent", ["a", "b"])
def test_a_row_that_is_its_own_ancestor_does_not_hang(parent):
    dataset = rows(
        {"id": "a", "instruction": READABLE, "tags": ["t"], "parent_id": parent},
        {"id": "b", "instruction": READABLE, "tags": ["t"], "parent_id": "a"},
    )
    assert {len(example.versions) for example in of(dataset)} <= {1, 2}


def test_configs_without_ids_or_texts_are_passed_over():
    made = rows({"id": "c", "instruction": READABLE, "tags": ["t"], "parent_id": "b"})
    replies = Dataset.from_dict({"id": ["b"], "text": ["a reply"]})
    (example,) = of(made, generations={"train": replies}, rules={"train": Dataset.from_dict({"tag": ["b"]})})
    assert len(example.versions) == 1


def test_the_example_of_a_conversation_is_its_first_turn():
    turns = [
        {"role": r, "content": c} for r, c in (("system", "s"), ("user", "u1"), ("assistant", "a1"), ("user", "u2"))
    ]
    (example,) = of(Dataset.from_dict({"messages": [turns], "tags": [["t"]]}))
    assert (example.versions[0].instruction, example.versions[0].response) == ("u1", "a1")
