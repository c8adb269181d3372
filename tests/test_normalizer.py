"""TagNormalizer: Tab. 1 of the paper, each stage's effect, unseen tags, the artefact, and life inside `datasets`."""

import json
import pickle
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from datasets import Dataset, List, Value, load_dataset
from datasets.fingerprint import Hasher
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tagsmith.processors import hub_folder
from tagsmith.processors.errors import InputError
from tagsmith.processors.instag import normalizer as normalizer_module
from tagsmith.processors.instag.normalizer import TagNormalizer
from tagsmith.processors.instag.vocabulary import TagVocabulary
from tagsmith.processors.rule_aggregation import clean, rule_aggregation


@dataclass
class LettersEmbedder:
    """A tag's vector counts its letters: tags with the same words in another order coincide, others do not."""

    model: str = "letters"

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        vectors = np.zeros((len(texts), 128), np.float32)
        for row, text in enumerate(texts):
            for character in text.replace(" ", ""):
                vectors[row, ord(character) % 128] += 1
        return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1)


def normalizer(**settings):
    return TagNormalizer(**{"alpha": 1, "min_support": 2, "embedder": LettersEmbedder()} | settings)


def dataset(*rows):
    return Dataset.from_dict({"raw_tags": [list(row) for row in rows]})


ROWS = (
    [["Information Retrieval", "mathematics"]] * 5
    + [["information_retrieval", "request for data", "!!!"]] * 3
    + [["information retrieve", "data request for"]] * 2
    + [["math problem", "mathematics"]] * 4
    + [["loop", "for loop"]] * 3
    + [["for loop"]] * 2
    + [["once"], []]
)
EXPECTED = {  # raw tag: canonical tag, stage, rows with the raw tag, rows with the canonical one
    "mathematics": ("mathematics", "kept", 9, 9),
    "Information Retrieval": ("information retrieval", "rule", 5, 10),
    "for loop": ("for loop", "kept", 5, 5),
    "math problem": ("mathematics", "association", 4, 9),
    "!!!": (None, "empty", 3, 0),
    "information_retrieval": ("information retrieval", "rule", 3, 10),
    "loop": ("for loop", "association", 3, 5),
    "request for data": ("information retrieval", "association", 3, 10),
    "data request for": ("information retrieval", "association", 2, 10),
    "information retrieve": ("information retrieval", "rule", 2, 10),
    "once": (None, "frequency", 1, 0),
}


@pytest.fixture(scope="module")
def fitted():
    return normalizer(alpha=2).fit(dataset(*ROWS))


def test_every_stage_of_a_small_dataset(fitted):
    table = fitted.vocabulary.table.to_pylist()
    assert {
        row["raw"]: (row["canonical"], row["stage"], row["count"], row["canonical_count"]) for row in table
    } == EXPECTED
    assert [row["raw"] for row in table] == list(EXPECTED)  # the most frequent first
    assert fitted.vocabulary.canonical_tags == ["for loop", "information retrieval", "mathematics"]
    rules = {(rule["antecedent"], rule["consequent"], rule["support"]) for rule in fitted.vocabulary.rules.to_pylist()}
    assert rules == {
        ("math problem", "mathematics", 4),
        ("loop", "for loop", 3),
        ("request for data", "information retrieval", 5),
    }


def test_report_counts_tags_and_occurrences(fitted):
    counts = [
        (row["stage"], row["tags_before"], row["tags_after"], row["occurrences_before"], row["occurrences_after"])
        for row in fitted.report()
    ]
    assert counts == [
        ("frequency", 11, 10, 40, 39),
        ("rule", 10, 7, 39, 36),
        ("semantic", 7, 6, 36, 36),
        ("association", 6, 3, 36, 24),
    ]
    assert all(row["seconds"] >= 0 for row in fitted.report())
    assert [row["embed_seconds"] is not None for row in fitted.report()] == [False, False, True, False]


def test_table_1_rule_aggregation():
    names = ["Information Retrieval", "information_retrieval", "information retrieve"]
    assert rule_aggregation(names, [1, 1, 1]) == ["information retrieval"] * 3
    assert rule_aggregation(names, [1, 1, 3]) == ["information retrieve"] * 3


@pytest.mark.parametrize(
    ("raw", "cleaned"),
    [
        ("  Spelling & Grammar-Check!", "spelling grammar check"),
        ("snake_case_tag", "snake case tag"),
        ("C++", "c"),
        ("हिन्दी अनुवाद", "हिन्दी अनुवाद"),  # vowel signs belong to their letters
        ("翻訳（日本語）", "翻訳 日本語"),
        ("ＡＰＩ", "api"),
        ("cafe\u0301", "café"),
        ("co\u00adoperate\u200b", "cooperate"),
        ("#1 Tip", "1 tip"),
        ("!?_-", ""),
        ("", ""),
    ],
)
def test_clean(raw, cleaned):
    assert clean(raw) == cleaned


def test_keep_characters():
    assert rule_aggregation(["C++", "C#", "C"], [3, 2, 1]) == ["c", "c", "c"]
    assert rule_aggregation(["C++", "C#", "C", "++"], [3, 2, 1, 1], "+#") == ["c++", "c#", "c", None]


@given(st.text(), st.sampled_from(["", "+#", "]^-\\", "é"]))
@example("\u03d3\u0301 İ\u0307 ﬁ \u1e9b\u0323", "")
def test_cleaning_twice_is_cleaning_once(text, keep):
    assert clean(clean(text, keep), keep) == clean(text, keep)


# Few letters, so that rows share tags and spellings meet; marks, case pairs and special characters that trip cleaning.
TAG = st.text("aAbsß İé_!\u0301", max_size=4)
BASKETS = st.lists(st.lists(TAG, max_size=5), min_size=1, max_size=25).filter(any)
PARAMETERS = st.fixed_dictionaries(
    {
        "alpha": st.integers(1, 2),
        "eps": st.sampled_from([0.01, 0.3]),
        "min_support": st.integers(1, 3),
        "min_confidence": st.sampled_from([0.6, 1.0]),
        "stages": st.lists(st.sampled_from(normalizer_module.STAGES), unique=True).map(tuple),
    }
)


@settings(deadline=None, max_examples=80)
@given(rows=BASKETS, other_rows=BASKETS, parameters=PARAMETERS, unseen=st.sampled_from(["drop", "keep"]))
def test_nothing_is_lost_and_canonical_tags_stay(rows, other_rows, parameters, unseen):
    unfitted = normalizer(**parameters, unseen=unseen)
    counts = Counter(tag for row in rows for tag in set(row))
    if "frequency" in parameters["stages"] and max(counts.values()) < parameters["alpha"]:
        with pytest.raises(InputError, match="leaves no tag"):
            unfitted.fit(dataset(*rows))
        return
    fitted = unfitted.fit(dataset(*rows))
    vocabulary = fitted.vocabulary
    assert dict(zip(vocabulary.table["raw"].to_pylist(), vocabulary.table["count"].to_pylist(), strict=True)) == counts
    assert all(vocabulary.lookup(name) == name for name in vocabulary.canonical_tags)

    columns = fitted({"raw_tags": rows + other_rows})
    for number, raw_tags in enumerate(rows + other_rows):
        tags, dropped, new = (columns[name][number] for name in ("tags", "dropped_tags", "unseen_tags"))
        kept = {tag for tag in raw_tags if vocabulary.lookup(tag) is not None}
        assert len(kept) + len(dropped) + len(new) == len(set(raw_tags))
        assert kept | set(dropped) | set(new) == set(raw_tags)
        assert len(set(tags)) == len(tags)
        added = {vocabulary.clean(tag) for tag in new} if unseen == "keep" else set()
        assert set(tags) == {vocabulary.lookup(tag) for tag in kept} | added
        assert number >= len(rows) or not new
    # What came out goes through once more unchanged.
    assert fitted({"raw_tags": columns["tags"]})["tags"] == columns["tags"]


@settings(deadline=None, max_examples=30)
@given(rows=BASKETS, parameters=PARAMETERS, random=st.randoms())
def test_the_order_of_rows_decides_nothing(rows, parameters, random):
    shuffled = random.sample(rows, len(rows))
    parameters |= {"alpha": 1}
    one, other = (normalizer(**parameters).fit(dataset(*these)).vocabulary for these in (rows, shuffled))
    assert one.table.equals(other.table)
    assert one.rules.equals(other.rules)


def test_canonical_tags_come_once_in_order_of_first_mention(fitted):
    columns = fitted({"raw_tags": [["math problem", "LOOP", "once", "mathematics", "other", "other", "for loops"], []]})
    assert columns == {
        "tags": [["mathematics", "for loop"], []],
        "dropped_tags": [["once"], []],
        "unseen_tags": [["other"], []],
    }


def test_unseen_tags_can_be_kept():
    keeping = normalizer(alpha=2, unseen="keep").fit(dataset(*ROWS))
    columns = keeping({"raw_tags": [["Some_Other", "loop", "???", "some other", "ONCE"]]})
    assert columns["tags"] == [["some other", "for loop"]]
    assert columns["unseen_tags"] == [["Some_Other", "some other"]]
    assert columns["dropped_tags"] == [["???", "ONCE"]]  # another spelling of a tag that was too rare


def test_a_tag_repeated_in_a_row_counts_once():
    fitted = normalizer(alpha=2).fit(dataset(["often", "rare", "rare", "rare"], ["often"]))
    assert fitted.vocabulary.lookup("rare") is None
    assert fitted.vocabulary.table.to_pylist()[1]["count"] == 1


def test_a_rare_tag_that_is_a_canonical_name_is_kept_but_no_other_rare_spelling():
    rows = [["Python"]] * 5 + [["python"], ["PYTHON"], ["pythons"]]
    fitted = normalizer(alpha=3).fit(dataset(*rows))
    got = {row["raw"]: (row["canonical"], row["stage"]) for row in fitted.vocabulary.table.to_pylist()}
    assert got == {
        "Python": ("python", "rule"),
        "python": ("python", "kept"),
        "PYTHON": (None, "frequency"),
        "pythons": (None, "frequency"),
    }
    assert fitted.vocabulary.table["canonical_count"].to_pylist() == [6, 0, 6, 0]  # ties: alphabetical
    assert fitted.vocabulary.lookup("PyThOn") == "python"  # an unseen spelling follows the kept ones


@pytest.mark.parametrize(
    ("stages", "tags"),
    [
        ((), 11),
        (("frequency",), 10),
        (("rule",), 8),
        (("semantic",), 9),
        (("association",), 5),
        (["association", "rule", "frequency"], 3),
    ],
)
def test_each_stage_can_be_switched_off(stages, tags):
    fitted = normalizer(alpha=2, stages=stages).fit(dataset(*ROWS))
    assert len(fitted.vocabulary.canonical_tags) == tags
    assert [row["stage"] for row in fitted.report()] == [s for s in normalizer_module.STAGES if s in stages]


def test_without_the_rule_stage_spellings_do_not_meet():
    fitted = normalizer(stages=()).fit(dataset(["Python"]))
    assert fitted({"raw_tags": [["python", "Python"]]})["unseen_tags"] == [["python"]]


def test_dataset_map(fitted):
    mapped = dataset(*ROWS).map(fitted, batched=True, batch_size=7)
    assert mapped["tags"][5] == ["information retrieval"]
    assert mapped["dropped_tags"][5] == ["!!!"]
    assert mapped["raw_tags"] == dataset(*ROWS)["raw_tags"]


def test_dataset_map_with_processes(fitted):
    rows = dataset(*ROWS)
    assert rows.map(fitted, batched=True, num_proc=2)["tags"][:] == rows.map(fitted, batched=True)["tags"][:]


def test_columns_that_start_empty_keep_their_type(fitted):
    mapped = dataset(*[["loop"]] * 10, ["loop", "new", "once"]).map(fitted, batched=True, batch_size=5)
    assert mapped[10]["unseen_tags"] == ["new"]
    assert mapped[10]["dropped_tags"] == ["once"]
    for name in ("tags", "dropped_tags", "unseen_tags"):
        assert mapped.features[name] == List(Value("string"))


def test_save_and_load(fitted, tmp_path):
    fitted.save_pretrained(tmp_path / "vocabulary")
    loaded = TagNormalizer.from_pretrained(tmp_path / "vocabulary")
    assert sorted(path.name for path in (tmp_path / "vocabulary").iterdir()) == [
        "README.md",
        "config.json",
        "rules.parquet",
        "vocabulary.parquet",
    ]
    assert loaded.vocabulary.table.equals(fitted.vocabulary.table)
    assert loaded.vocabulary.rules.equals(fitted.vocabulary.rules)
    assert (loaded.alpha, loaded.min_support, loaded.stages) == (2, 2, normalizer_module.STAGES)
    assert loaded.embedder.model == "letters"
    assert loaded({"raw_tags": ROWS}) == fitted({"raw_tags": ROWS})
    timeless = [{k: v for k, v in row.items() if "seconds" not in k} for row in fitted.report()]
    assert loaded.report() == [row | {"seconds": None, "embed_seconds": None} for row in timeless]


def test_saving_twice_writes_the_same_bytes(fitted, tmp_path):
    for name in ("a", "b", "b"):  # and over an earlier one
        fitted.save_pretrained(tmp_path / name)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_the_saved_folder_opens_with_load_dataset(fitted, tmp_path):
    fitted.save_pretrained(tmp_path / "vocabulary")
    folder, cache = str(tmp_path / "vocabulary"), str(tmp_path / "cache")
    assert load_dataset(folder, split="train", cache_dir=cache)["raw"][0] == "mathematics"
    assert len(load_dataset(folder, "rules", split="train", cache_dir=cache)) == 3


def test_fingerprint_is_that_of_the_content(fitted, tmp_path):
    again = normalizer(alpha=2).fit(dataset(*ROWS))
    before = Hasher.hash(fitted)
    fitted({"raw_tags": [["loop", "never seen"]]})
    fitted.save_pretrained(tmp_path)
    loaded = TagNormalizer.from_pretrained(tmp_path)
    loaded.embedder = LettersEmbedder()
    assert Hasher.hash(again) == before == Hasher.hash(fitted) == Hasher.hash(loaded)
    assert Hasher.hash(normalizer(alpha=2, unseen="keep").fit(dataset(*ROWS))) != before
    assert Hasher.hash(normalizer(alpha=2).fit(dataset(*ROWS, ["loop"]))) != before


def test_pickling(fitted):
    copy = pickle.loads(pickle.dumps(fitted))
    assert copy({"raw_tags": ROWS}) == fitted({"raw_tags": ROWS})
    assert copy.report()[0]["seconds"] is None


def test_push_to_hub_uploads_the_folder_as_a_dataset(fitted, monkeypatch, tmp_path):
    calls = []

    class Api:
        def __init__(self, token=None):
            calls.append(("token", token))

        def create_repo(self, repo_id, **kwargs):
            calls.append(("create", repo_id, kwargs))

        def upload_folder(self, *, folder_path, **kwargs):
            calls.append(("upload", TagVocabulary.load(folder_path).lookup("loop"), kwargs))
            return "the commit"

    monkeypatch.setattr(hub_folder, "HfApi", Api)
    url = fitted.push_to_hub("org/tags", private=True, token="t", commit_message="Tags")
    assert url == "the commit"
    assert calls == [
        ("token", "t"),
        ("create", "org/tags", {"repo_type": "dataset", "private": True, "exist_ok": True}),
        ("upload", "for loop", {"repo_id": "org/tags", "repo_type": "dataset", "commit_message": "Tags"}),
    ]

    def snapshot(repo_id, *, repo_type, revision):
        assert (repo_id, repo_type, revision) == ("org/tags", "dataset", "v1")
        fitted.save_pretrained(tmp_path)
        return str(tmp_path)

    monkeypatch.setattr(hub_folder, "snapshot_download", snapshot)
    assert TagNormalizer.from_pretrained("org/tags", revision="v1").vocabulary.lookup("loop") == "for loop"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"alpha": 0}, "alpha=0: expected a whole number, at least 1"),
        ({"alpha": 2.5}, "alpha=2.5"),
        ({"eps": 0}, "eps=0: expected a cosine distance"),
        ({"eps": 2.0}, "eps=2.0"),
        ({"eps": "0.05"}, "eps='0.05'"),
        ({"min_samples": 0}, "min_samples=0"),
        ({"min_support": 0}, "min_support=0"),
        ({"min_confidence": 0}, "min_confidence=0"),
        ({"min_confidence": 1.01}, "min_confidence=1.01"),
        ({"unseen": "ignore"}, "unseen='ignore': expected 'drop' or 'keep'"),
        ({"stages": ("rules",)}, "stages=.*expected stages of frequency, rule"),
        ({"stages": "rule"}, "stages='rule'"),
    ],
)
def test_parameters_out_of_range(settings, message):
    with pytest.raises(InputError, match=message):
        TagNormalizer(**settings)


def test_alpha_that_leaves_no_tag_says_what_would():
    with pytest.raises(
        InputError, match="alpha=20 leaves no tag: the most frequent of 2 raw tags is in 7 of 8 rows; use"
    ):
        normalizer(alpha=20).fit(dataset(*[["a"]] * 7, ["b"]))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"tags": [["a"]]}, "no column 'raw_tags'.*tags"),
        ({"raw_tags": ["a"]}, "'raw_tags'.*expected.*lists? of str"),
        ({"raw_tags": [["a"], None]}, "'raw_tags', row 1"),
        ({"raw_tags": [["a"], ["b", None]]}, "'raw_tags', row 1"),
        ({"raw_tags": [[], [1]]}, "'raw_tags', row 1"),
        ({"raw_tags": [[], []]}, "holds no tag in 2 rows"),
        ({"raw_tags": []}, "holds no tag in 0 rows"),
    ],
)
def test_fit_names_what_is_wrong_with_the_column(columns, message):
    with pytest.raises(InputError, match=message):
        normalizer().fit(Dataset.from_dict(columns))


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ({"tags": [["a"]]}, "no column 'raw_tags'.*the columns are: tags"),
        ({"raw_tags": [["a"], "b"]}, "row 1 of the batch: got 'b', expected a list of strings"),
        ({"raw_tags": [["a"], None]}, "row 1 of the batch: got None"),
        ({"raw_tags": [["a", 3]]}, "row 0 of the batch"),
    ],
)
def test_map_names_what_is_wrong_with_the_batch(fitted, batch, message):
    with pytest.raises(InputError, match=message):
        fitted(batch)


def test_map_before_fit():
    for use in (lambda it: it({"raw_tags": []}), lambda it: it.report(), lambda it: it.save_pretrained("nowhere")):
        with pytest.raises(InputError, match=r"no vocabulary yet; call fit\(dataset\)"):
            use(normalizer())


def test_an_embedder_that_miscounts_is_an_error():
    class Wrong(LettersEmbedder):
        def encode(self, texts):
            return super().encode(texts)[1:]

    with pytest.raises(InputError, match=r"array \(0, 128\) of 1 tags"):
        normalizer(embedder=Wrong()).fit(dataset(["a"]))


def test_loading_what_is_no_vocabulary(fitted, tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"has no config\.json"):
        TagNormalizer.from_pretrained(tmp_path)
    fitted.save_pretrained(tmp_path)
    (tmp_path / "rules.parquet").write_bytes(b"half a f")
    with pytest.raises(InputError, match="cannot be read"):
        TagNormalizer.from_pretrained(tmp_path)
    fitted.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    del config["eps"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match="has no 'eps'"):
        TagNormalizer.from_pretrained(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(InputError, match="no tag vocabulary at '/no/such/folder'"):
        TagNormalizer.from_pretrained("/no/such/folder")
