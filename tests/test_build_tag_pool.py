"""The recipe build-tag-pool as a user sees it: its releases, its taggings, opening a pool, and what it refuses."""

import io
import json
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset, load_dataset
from huggingface_hub import DatasetCard

from tagsmith.cards.content_hash import content_hash
from tagsmith.cards.release import load_config
from tagsmith.processors.errors import InputError
from tagsmith.processors.tag_evol.candidates import CandidateSampler
from tagsmith.processors.tag_evol.tag_pool import TagPool
from tagsmith.recipes.cli import main
from tagsmith.recipes.reproduce import main as reproduce
from tagsmith.recipes.tag_pool_source import language_warning, open_pool

PROBLEMS = [
    "A baker sells 12 rolls at $2 each and gives a third of the money to charity. How much is left?",
    "A train runs 60 miles in 45 minutes. What is its average speed per hour?",
    "Lena is twice as old as her brother, and together they are 36 years old. How old is each of them?",
    "A coat costs 80 dollars before a discount of 25 percent. What does it cost in the sale?",
    "Half of the 64 books on a shelf are novels; a quarter of the rest are atlases. How many are atlases?",
    "If a pump fills 15 gallons every 3 minutes, how long does it need for 100 gallons?",
    "What is the probability that two dice show the same number?",
    "The ratio of cats to dogs is 3 to 5, and there are 40 animals in total. How many cats are there?",
    " \n",
]


def run(*command: str) -> tuple[int, str]:
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        status = main(["run", "build-tag-pool", "--store", "store.sqlite", *command])
    return status, out.getvalue() + err.getvalue()


def build(output: str, *more: str, drawn: bool = False) -> dict[str, Any]:
    """A run in this process, and its manifest. Pictures take most of a small run's time."""
    with pytest.MonkeyPatch.context() as patch:
        if not drawn:
            patch.setattr("tagsmith.cards.release.render_explorer", lambda *_, **__: "")
            patch.setattr("tagsmith.recipes.build_tag_pool.pictures", lambda *_: [])
        status, said = run("--dataset", "rows.jsonl", "--output", output, *more)
    assert status == 0, said
    return json.loads(Path(output, "manifest.json").read_text())


def rows_of(folder: str, config: str) -> list[dict[str, Any]]:
    return load_config(Path(folder), config)["train"].to_list()


@pytest.fixture(scope="module", autouse=True)
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("work"))
        rows = [{"question": text, "answer": "#", "tags": "mine"} for text in PROBLEMS]
        Path("rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        yield Path.cwd()


@pytest.fixture(scope="module")
def pool_release(folder: Path) -> dict[str, Any]:
    return build("pool", "--domain", "math", drawn=True)


def test_the_release_is_the_pool_with_the_rows_behind_it(pool_release):
    pool, tagged = rows_of("pool", "default"), rows_of("pool", "tagged")
    assert pool == TagPool().fit(load_config(Path("pool"), "tagged")["train"]).table.to_pylist()
    assert pool[0]["count"] == max(row["count"] for row in pool)
    assert len(tagged) == 8
    assert all(row["source_tags"] == "mine" or row.get("tags") for row in tagged)
    assert {len(row["aspects"]) > 0 for row in tagged} == {True}
    (rejected,) = rows_of("pool", "rejected")
    assert rejected["reason"].startswith("empty_instruction")
    counts = pool_release["counts"]
    assert (counts["rows_in"], counts["rows_tagged"], counts["rejected"]) == (9, 8, {"empty_instruction": 1})
    assert counts["rows_out"] == len(pool)
    assert (pool_release["method"], pool_release["variant"]) == ("Tag-Evol", "one-reply, math")
    assert pool_release["default"] == "default"
    assert load_dataset(str(Path("pool").resolve()), split="train", cache_dir="cache").num_rows == len(pool)


def test_card_and_pictures(pool_release):
    card = DatasetCard.load("pool/README.md")
    assert "under" in card.text
    assert "tag-evol" in card.data.tags
    names = {path.name for path in Path("pool/pictures").iterdir()}
    for name in ("tags_by_aspect", "tag_frequency", "top_tags"):
        assert {f"{name}.png", f"{name}-dark.png"} <= names
    assert "Spellings of one tag are one" in card.text


def test_it_is_made_again_from_its_own_generations(pool_release, capsys):
    assert reproduce(["pool"]) in (0, None)
    assert "default" in capsys.readouterr().out


def test_two_steps_and_the_merging_pass():
    manifest = build("two", "--domain", "math", "--tagging", "two-step", "--merge_aspects", "true")
    assert manifest["variant"] == "two-step, math, aspects merged"
    assert len(manifest["prompts"]) == 3
    tagged = rows_of("two", "tagged")
    assert all(row["attempts"] >= 3 and row["aspect_names"] for row in tagged)
    assert manifest["counts"]["not_merged"] == sum(bool(row["merge_problem"]) for row in tagged)


def test_single_step_is_the_ablation():
    manifest = build("flat", "--tagging", "single-step")
    assert manifest["variant"] == "single-step"
    assert manifest["counts"]["aspects"] == 0
    assert {row["aspect"] for row in rows_of("flat", "default")} == {None}
    assert all(row["tags"] and "aspects" not in row for row in rows_of("flat", "tagged"))


def test_a_second_run_asks_nothing_and_gives_the_same(pool_release):
    manifest = build("again", "--domain", "math")
    assert manifest["counts"]["requests"] == 0
    for config in ("default", "tagged", "rejected", "generations"):
        first, second = (load_config(Path(name), config)["train"] for name in ("pool", "again"))
        assert content_hash(first) == content_hash(second)


def test_a_pool_is_opened_from_wherever_it_is(pool_release, tmp_path):
    table = load_config(Path("pool"), "default")["train"].with_format("arrow")[:]
    opened = open_pool("pool")
    assert opened.table.to_pylist() == table.to_pylist()
    opened.save_pretrained(tmp_path / "saved", embeddings=False)
    assert open_pool(str(tmp_path / "saved")).tags == opened.tags
    (file,) = Path("pool/data").glob("*.parquet")
    assert open_pool(str(file)).tags == opened.tags
    assert open_pool("pool/data").tags == opened.tags
    rows = load_config(Path("pool"), "tagged")["train"]
    drawn = CandidateSampler(pool=opened, n=5).sample_rows(rows)["candidates"]
    assert all(len(found) == 5 for found in drawn)


def test_pools_are_mixed_by_their_names(pool_release):
    build("flat", "--tagging", "single-step")
    mixed = open_pool("pool=3, flat")
    assert set(mixed.config["sources"]) == {"pool", "flat"}
    assert mixed.config["sources"]["pool"]["weight"] == 0.75
    assert len(mixed) >= max(len(open_pool("pool")), len(open_pool("flat")))
    for name, words in (
        ("pool=x,flat", "'x' is no weight"),
        ("pool,pool", "names a pool twice"),
        ("pool=0,flat", "the weight of 'pool' is 0"),
    ):
        with pytest.raises(InputError, match=words):
            open_pool(name)


def test_what_is_no_pool_is_named(pool_release, tmp_path):
    with pytest.raises(InputError, match="--pool 'none' does not exist; give a release of"):
        open_pool("none")
    (tmp_path / "x").mkdir()
    with pytest.raises(InputError, match=r"has no config\.json"):
        open_pool(str(tmp_path / "x"))
    manifest = json.loads(Path("pool/manifest.json").read_text())
    other = tmp_path / "other"
    other.mkdir()
    (other / "manifest.json").write_text(json.dumps(manifest | {"recipe": "select_instag"}))
    with pytest.raises(InputError, match="--pool"):
        open_pool(str(other))


def test_a_pool_in_another_language_is_warned_of():
    english = [
        "data analysis",
        "edge cases",
        "unit conversion",
        "word problems",
        "reading comprehension",
        "travel planning",
    ]
    german = Dataset.from_dict(
        {
            "instruction": [
                "Schreibe ein kurzes Gedicht über den Herbst in den Bergen.",
                "Erkläre mir bitte, wie eine Wärmepumpe funktioniert und was sie kostet.",
                "Wie viele Äpfel bleiben übrig, wenn sie die Hälfte davon verschenkt?",
            ]
            * 5
        }
    )
    pool = TagPool.from_table(Dataset.from_dict({"tag": english}))
    said = language_warning(pool, german)
    assert said is not None
    assert "'en'" in said
    assert "'de'" in said
    assert (
        language_warning(pool, Dataset.from_dict({"instruction": ["Write a poem about autumn in the hills."] * 3}))
        is None
    )
    assert language_warning(pool, Dataset.from_dict({"instruction": ["x = 1"] * 3})) is None  # no language can be told


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--tagging", "three-step"], "tagging 'three-step' is unknown; expected one of one-reply, two-step"),
        (["--domain", "law"], "domain 'law' is unknown"),
        (["--tagging", "single-step", "--merge_aspects", "true"], "single-step tagging has none"),
        (["--min_count", "99", "--domain", "math"], "min_count=99 leaves no tag"),
        (["--eps", "7"], "eps=7.0: expected a cosine distance"),
        (["--min_count", "0"], "min_count=0"),
    ],
)
def test_settings_that_do_not_go(flags, words):
    status, said = run("--dataset", "rows.jsonl", "--output", "bad", *flags)
    assert status == 2
    assert words in said
    assert said.count("\n") <= 2 or "tagging" in said


def test_rows_without_any_text_end_the_run():
    Path("blank.jsonl").write_text('{"instruction": " "}\n')
    status, said = run("--dataset", "blank.jsonl", "--output", "bad")
    assert status == 2
    assert "all 1 rows were rejected (1 empty_instruction)" in said


def test_a_dry_run_sends_nothing():
    status, said = run("--dataset", "rows.jsonl", "--output", "dry", "--dry_run", "true", "--tagging", "two-step")
    assert status == 0
    assert "Dry run of the first step: nothing was sent" in said
    assert not Path("dry").exists()
