"""TagPool: what fit collects, other sources, mixtures, its folder and the Hub, and what it refuses."""

import json
import pickle
import random

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import Dataset, Features, List, Value, load_dataset
from datasets.fingerprint import Hasher
from hypothesis import given, settings
from hypothesis import strategies as st

from tagsmith.processors.errors import InputError
from tagsmith.processors.tag_evol.pool_mixture import mix_pools
from tagsmith.processors.tag_evol.tag_pool import TagPool

ASPECTS = Features({"aspects": List({"aspect": Value("string"), "tags": List(Value("string"))})})


class LetterEmbedder:
    """Unit vectors of the letters in a text: anagrams are the same."""

    model = "letters"

    def encode(self, texts):
        made = np.array([[text.count(letter) for letter in "abcdefghijklmnopqrstuvwxyz"] for text in texts], np.float32)
        made = made.reshape(len(texts), 26) + np.float32(0.01)
        return made / np.linalg.norm(made, axis=1, keepdims=True)


def by_aspect(*rows):
    lists = [[{"aspect": name, "tags": tags} for name, tags in row.items()] for row in rows]
    return Dataset.from_dict({"aspects": lists}, features=ASPECTS)


def flat(*rows):
    return Dataset.from_dict({"tags": list(rows)}, features=Features({"tags": List(Value("string"))}))


def fitted(dataset, **settings_):
    return TagPool(embedder=LetterEmbedder(), **settings_).fit(dataset)


def lines(pool):
    return [(row["tag"], row["aspect"], row["count"]) for row in pool.table.to_pylist()]


TWO = by_aspect(
    {"Required Skill": ["Unit Price", "ratios"], "field": ["arithmetic", "ratio"]},
    {"required_skills": ["ratio", "C++", "C"], "setting": ["arithmetic"]},
    {"field": ["ratio"], "setting": ["Arithmetics"]},
)


def test_spellings_are_one_tag_and_the_most_frequent_aspect_is_its_own():
    pool = fitted(TWO)
    assert lines(pool) == [
        ("arithmetic", "setting", 3),
        ("ratio", "field", 3),
        ("c", "required skill", 1),
        ("c++", "required skill", 1),
        ("unit price", "required skill", 1),
    ]
    assert pool.table["aspects"][1].as_py() == [
        {"aspect": "field", "count": 2},
        {"aspect": "required skill", "count": 2},  # equally often: the first by alphabet is its aspect
    ]
    assert pool.weights.tolist() == [1.0] * 5
    assert {name: pool.config[name] for name in ("rows", "rows_with_tags", "mentions", "raw_tags")} == {
        "rows": 3,
        "rows_with_tags": 3,
        "mentions": 10,  # "ratio" stands under two aspects of the first row
        "raw_tags": 7,
    }


def test_the_dictionary_of_the_paper():
    assert fitted(TWO).by_aspect() == {
        "required skill": ["ratio", "c", "c++", "unit price"],
        "field": ["arithmetic", "ratio"],
        "setting": ["arithmetic"],
    }


def test_flat_tags_have_no_aspect():
    pool = fitted(flat(["Ratio", "ratios"], [], ["proof", "?"]))
    assert lines(pool) == [("proof", None, 1), ("ratio", None, 1)]
    assert pool.by_aspect() == {"": ["proof", "ratio"]}
    assert lines(fitted(TWO.add_column("tags", [["x"], ["x"], ["y"]]), aspects_column="")) == [
        ("x", None, 2),
        ("y", None, 1),
    ]


def test_any_spelling_finds_its_tag():
    pool = fitted(TWO)
    assert [pool.find(tag) for tag in ("RATIOS!", "unit_price", "c++", "C", "calculus", "?!")] == [
        1,
        4,
        3,
        2,
        None,
        None,
    ]
    assert pool.key("Unit-Prices") == pool.key("unit price")


def test_other_special_characters_and_rare_tags():
    assert [tag for tag, _, _ in lines(fitted(TWO, keep_characters="", min_count=2))] == ["arithmetic", "ratio"]
    with pytest.raises(InputError, match="min_count=4 leaves no tag: the most frequent of 5 is in 3 rows"):
        fitted(TWO, min_count=4)


def test_eps_merges_tags_of_similar_meaning():
    pool = fitted(flat(["listen"], ["silent", "listen"], ["graph"]), eps=0.1)
    assert lines(pool) == [("listen", None, 2), ("graph", None, 1)]


rows_by_aspect = st.lists(
    st.dictionaries(
        st.sampled_from(["field", "Fields", "skill", "setting"]),
        st.lists(st.sampled_from(["ratio", "Ratios", "proof", "c++", "c", "a b", "a-b", "?"]), max_size=4),
        max_size=3,
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=40, deadline=None)
@given(rows_by_aspect, st.randoms(use_true_random=False))
def test_equals_a_plain_count_in_any_order_of_rows(rows, randomness):
    key = TagPool(embedder=LetterEmbedder()).key
    counts, pairs = {}, {}
    for row in rows:
        for tag in {key(tag) for tags in row.values() for tag in tags} - {""}:
            counts[tag] = counts.get(tag, 0) + 1
        for pair in {(key(tag), key(name)) for name, tags in row.items() for tag in tags if key(tag)}:
            pairs[pair] = pairs.get(pair, 0) + 1
    if not counts:
        with pytest.raises(InputError, match="no tag that has a letter or digit"):
            fitted(by_aspect(*rows))
        return
    pool = fitted(by_aspect(*rows))
    assert {key(tag): count for tag, _, count in lines(pool)} == counts
    found = zip(pool.tags, pool.table["aspects"].to_pylist(), strict=True)
    assert {(key(tag), key(of["aspect"])): of["count"] for tag, each in found for of in each} == pairs
    randomness.shuffle(rows)
    assert fitted(by_aspect(*rows)).table.equals(pool.table)
    assert TagPool.from_table(pool.table).table.equals(pool.table)  # normalised tags normalise to themselves


def test_saved_and_loaded_it_is_the_same(tmp_path):
    pool = fitted(TWO, min_count=1)
    pool.save_pretrained(tmp_path / "pool")
    again = TagPool.from_pretrained(tmp_path / "pool", embedder=None)
    assert again.table.equals(pool.table)
    assert again.config == pool.config
    assert again.vectors.tolist() == pool.vectors.tolist()  # from the file: there is no model "letters"
    assert (again.min_count, again.embedder.model) == (1, "letters")
    rows = load_dataset(str(tmp_path / "pool"), cache_dir=str(tmp_path / "cache"), split="train")
    assert rows[0]["tag"] == "arithmetic"


def test_without_embeddings_they_are_made_again(tmp_path):
    fitted(TWO).save_pretrained(tmp_path / "pool", embeddings=False)
    assert not (tmp_path / "pool" / "embeddings.npy").exists()
    again = TagPool.from_pretrained(tmp_path / "pool", embedder=LetterEmbedder())
    assert again.vectors.shape == (5, 26)


def test_it_goes_to_the_hub_and_back(hub):
    pool = fitted(TWO)
    assert "lab/pool" in pool.push_to_hub("lab/pool", token=hub.token, commit_message="Pool")
    again = TagPool.from_pretrained("lab/pool", token=hub.token)
    assert again.table.equals(pool.table)
    assert again.vectors.tolist() == pool.vectors.tolist()


def test_a_folder_of_another_version_is_refused(tmp_path):
    fitted(TWO).save_pretrained(tmp_path / "pool")
    path = tmp_path / "pool" / "config.json"
    config = json.loads(path.read_text())
    for version in (2, 0, None):
        path.write_text(json.dumps(config | {"format_version": version}))
        with pytest.raises(InputError, match=f"is of format version {version}; this tagsmith reads version 1"):
            TagPool.from_pretrained(tmp_path / "pool")


def test_broken_folders(tmp_path):
    with pytest.raises(InputError, match="no tag pool at"):
        TagPool.from_pretrained(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"has no config\.json"):
        TagPool.from_pretrained(tmp_path / "empty")
    pool = fitted(TWO)
    pool.save_pretrained(tmp_path / "pool")
    np.save(tmp_path / "pool" / "embeddings.npy", np.zeros((2, 26), np.float32))
    with pytest.raises(InputError, match="has 5 tags and embeddings"):
        TagPool.from_pretrained(tmp_path / "pool")
    (tmp_path / "pool" / "pool.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(InputError, match="cannot be read"):
        TagPool.from_pretrained(tmp_path / "pool")
    (tmp_path / "pool" / "config.json").write_text("{")
    with pytest.raises(InputError, match="cannot be read"):
        TagPool.from_pretrained(tmp_path / "pool")


def test_a_list_of_ones_own(tmp_path):
    path = tmp_path / "tags.jsonl"
    path.write_text(
        '{"tag": "Edge Cases", "count": 3}\n{"tag": "edge case", "count": 2}\n{"tag": "recursion", "count": 1}\n'
    )
    pool = TagPool.from_table(path)
    assert lines(pool) == [("edge cases", None, 5), ("recursion", None, 1)]
    assert pool.weights.tolist() == [2.0, 1.0]  # two entries weigh twice
    assert pool.config["source"] == "tags.jsonl"
    assert lines(TagPool.from_table(Dataset.from_dict({"tag": ["a"], "aspect": ["Fields"]}))) == [("a", "fields", 1)]
    pq.write_table(pool.table, tmp_path / "pool.parquet")
    assert TagPool.from_table(tmp_path / "pool.parquet").table.equals(pool.table)


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"name": ["a"]}, "has the columns name; expected tag"),
        ({"tag": pa.array([], pa.string())}, "has no rows"),
        ({"tag": ["a", None]}, "row 1: .* has a null in 'tag'"),
        ({"tag": ["a"], "count": [0]}, "row 0: .* has a count below 1"),
        ({"tag": ["a", "b"], "weight": [1.0, 0.0]}, "row 1: .* has a weight that is not above 0"),
        ({"tag": ["a"], "weight": [float("nan")]}, "weight that is not above 0"),
        ({"tag": ["a"], "count": ["many"]}, "a column of another type"),
        ({"tag": ["?", "!"]}, "none of the pool's 2 tags has a letter or digit"),
    ],
)
def test_tables_that_are_no_pool(columns, words):
    with pytest.raises(InputError, match=words):
        TagPool.from_table(pa.table(columns))


def test_files_that_are_no_table(tmp_path):
    (tmp_path / "x.jsonl").write_text("no json")
    with pytest.raises(InputError, match="cannot be read"):
        TagPool.from_table(tmp_path / "x.jsonl")


def test_a_mixture_adds_counts_and_shares_weights():
    first = fitted(TWO)
    second = fitted(flat(["Ratios"], ["calculus"]))
    mixed = mix_pools({"math": first, "other": second}, {"math": 1, "other": 3})
    weights = dict(zip(mixed.tags, mixed.weights.tolist(), strict=True))
    assert weights == pytest.approx(
        {
            "ratio": 0.25 / 5 + 0.75 / 2,
            "calculus": 0.75 / 2,
            **dict.fromkeys(["arithmetic", "c", "c++", "unit price"], 0.05),
        }
    )
    assert lines(mixed)[0] == ("ratio", "field", 4)
    assert mixed.config["sources"] == {"math": {"tags": 5, "weight": 0.25}, "other": {"tags": 2, "weight": 0.75}}
    assert mix_pools({"a": first, "b": second}).config["sources"]["a"]["weight"] == 0.5


def test_a_mixture_keeps_the_vectors_of_its_parts():
    first, second = fitted(TWO), fitted(flat(["calculus"]))
    _ = first.vectors, second.vectors
    mixed = mix_pools({"a": first, "b": second})
    mixed.embedder = None  # not asked
    assert mixed.vectors.tolist() == LetterEmbedder().encode(mixed.tags).tolist()


def test_mixtures_that_do_not_go_together():
    pool = fitted(TWO)
    with pytest.raises(InputError, match="no pools to mix"):
        mix_pools({})
    with pytest.raises(InputError, match="weights for b, pools of a"):
        mix_pools({"a": pool}, {"b": 1})
    with pytest.raises(InputError, match="the weight of 'a' is 0"):
        mix_pools({"a": pool}, {"a": 0})
    with pytest.raises(InputError, match="differ in keep_characters"):
        mix_pools({"a": pool, "b": fitted(TWO, keep_characters="")})
    with pytest.raises(InputError, match="differ in embedding model"):
        mix_pools({"a": pool, "b": TagPool.from_table(pool.table)})


def test_it_pickles_and_hashes_by_its_tags():
    pool = fitted(TWO)
    before = Hasher.hash(pool)
    _ = pool.vectors, pool.find("ratio")  # fill caches, which must not count
    assert Hasher.hash(pool) == before
    again = pickle.loads(pickle.dumps(pool))
    assert again.find("ratio") == 1
    assert again.vectors.tolist() == pool.vectors.tolist()
    assert Hasher.hash(fitted(flat(["ratio"]))) != before


def test_refitting_forgets_the_former_tags():
    pool = fitted(TWO)
    _ = pool.tags, pool.vectors, pool.find("ratio")
    pool.fit(flat(["proof"]))
    assert (pool.tags, pool.find("ratio"), pool.vectors.shape) == (["proof"], None, (1, 26))


def test_rows_that_cannot_be_read():
    with pytest.raises(InputError, match="no column 'aspects' or 'tags' with tags; the columns are: x"):
        fitted(Dataset.from_dict({"x": [1]}))
    with pytest.raises(InputError, match="expected lists of aspects with their tags"):
        fitted(Dataset.from_dict({"aspects": [["skill"]]}))
    with pytest.raises(InputError, match="row 1: got null"):
        fitted(Dataset.from_dict({"aspects": [[{"aspect": "a", "tags": ["x"]}], None]}, features=ASPECTS))
    with pytest.raises(InputError, match="row 0: has an aspect without a name"):
        fitted(Dataset.from_dict({"aspects": [[{"aspect": None, "tags": ["x"]}]]}, features=ASPECTS))
    with pytest.raises(InputError, match="row 0: has an aspect whose tags are null"):
        fitted(Dataset.from_dict({"aspects": [[{"aspect": "a", "tags": None}]]}, features=ASPECTS))
    with pytest.raises(InputError, match="row 0: has an aspect with a tag that is null"):
        fitted(Dataset.from_dict({"aspects": [[{"aspect": "a", "tags": [None]}]]}, features=ASPECTS))
    with pytest.raises(InputError, match="0 rows hold no tag"):
        fitted(by_aspect())
    with pytest.raises(InputError, match="the TagPool is empty; call fit"):
        len(TagPool())
    with pytest.raises(InputError, match="min_count=0"):
        TagPool(min_count=0)
    with pytest.raises(InputError, match="eps=3"):
        TagPool(eps=3)


def test_a_shuffled_dataset_gives_the_same_pool():
    order = list(range(len(TWO)))
    random.Random(5).shuffle(order)
    assert fitted(TWO.select(order)).table.equals(fitted(TWO).table)
