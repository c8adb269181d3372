"""A release is made again from itself, bit for bit, without its endpoint, its source file or its prompt file."""

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import Dataset, load_dataset

from tagsmith.processors.prompt_template import PromptTemplate
from tagsmith.recipes.cli import main
from tagsmith.recipes.reproduction import difference_between

ROWS = [
    {"number": n, "instruction": f"{verb} {thing}{end}", "input": "", "output": "Done."}
    for n, (verb, thing, end) in enumerate(
        (verb, thing, end)
        for verb in ("Write a poem about", "Explain", "Write Python code for", "Translate into French a text on")
        for thing in ("the sea at night", "photosynthesis", "a list of prime numbers", "two old friends")
        for end in (".", ", in three sentences, as a table.")
    )
] + [{"number": 32, "instruction": "  ", "input": "", "output": "Nothing was asked."}]


def tagsmith(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    status = main(list(words))
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def select(capsys: pytest.CaptureFixture[str], output: str, *more: str) -> None:
    own = ["--n", "6", "--alpha", "1", "--min_support", "3", "--store", f"{output}.sqlite"]
    words = ["run", "select-instag", "--dataset", "rows.jsonl", "--output", output, *own, *more]
    status, _, err = tagsmith(capsys, *words)
    assert status == 0, err


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tagsmith.recipes.select_instag.pictures", lambda *_: [])  # they take most of the time
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return tmp_path


def edit_manifest(release: str, **changes: Any) -> None:
    path = Path(release, "manifest.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def edit_rows(release: str, config: str, column: str, row: int, value: Any) -> None:
    """Change one value of a config, as someone who tampers with a release would."""
    (path,) = Path(release, config).glob("*.parquet")
    table = pq.read_table(path)
    values = table[column].to_pylist()
    values[row] = value
    place = table.schema.get_field_index(column)
    pq.write_table(
        table.set_column(place, table.schema.field(place), pa.array(values, table.schema.types[place])), path
    )


def test_a_release_is_made_again_without_what_made_it(capsys: pytest.CaptureFixture[str]) -> None:
    mine = Path("mine.jinja")
    mine.write_text(PromptTemplate.load("instag/tag").text + "\nThink before you answer.\n")
    select(capsys, "out", "--prompt", "mine.jinja", "--endpoint", "offline:?malformed=0.2", "--split", "train")
    for used in ("rows.jsonl", "mine.jinja", "out.sqlite"):
        Path(used).unlink()
    shutil.rmtree("runs", ignore_errors=True)
    status, out, err = tagsmith(capsys, "reproduce", "out")
    assert status == 0, (out, err)
    rows = {
        name: splits["train"]["rows"]
        for name, splits in json.loads(Path("out/manifest.json").read_text())["configs"].items()
    }
    for name, number in rows.items():
        assert f"{number:,} rows, identical" in next(line for line in out.splitlines() if line.split()[:1] == [name])
    assert "verdict" in out
    assert "not identical" not in out
    assert sorted(path.name for path in Path().iterdir()) == ["out", "runs"]  # nothing but the embeddings' cache


def test_rows_that_got_no_answer_are_made_again_as_such(capsys: pytest.CaptureFixture[str]) -> None:
    select(capsys, "out", "--endpoint", "offline:?fail=0.5", "--deadline_sec", "1.0")
    rejected = Dataset.from_parquet("out/rejected/*.parquet")
    assert any(reason.startswith("endpoint:") for reason in rejected["reason"])
    status, out, err = tagsmith(capsys, "reproduce", "out")
    assert (status, "not identical" in out) == (0, False), (out, err)


def test_a_changed_row_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    select(capsys, "out")
    manifest = json.loads(Path("out/manifest.json").read_text())
    manifest["configs"]["tagged"]["train"]["content_hash"] = "0" * 64
    edit_manifest("out", configs=manifest["configs"])
    edit_rows("out", "tagged", "tags", 2, ["forged"])
    status, out, _ = tagsmith(capsys, "reproduce", "out")
    assert status == 1
    assert "DIFFERS: tags in 1 rows, first in row 2" in out
    assert "not identical" in out
    assert "the recipe's code has changed" in out


def test_other_versions_are_named_as_a_possible_cause(capsys: pytest.CaptureFixture[str]) -> None:
    select(capsys, "out")
    manifest = json.loads(Path("out/manifest.json").read_text())
    edit_manifest("out", packages=manifest["packages"] | {"nltk": "0.1"}, python="3.9.1")
    status, out, _ = tagsmith(capsys, "reproduce", "out")
    assert status == 0
    assert "nltk 0.1 then" in out
    assert "Python 3.9.1 then" in out
    assert "although here" in out


def test_an_edited_source_row_is_a_request_that_was_not_recorded(capsys: pytest.CaptureFixture[str]) -> None:
    select(capsys, "out")
    edit_rows("out", "source", "instruction", 3, "Write a limerick about tax law.")
    status, _, err = tagsmith(capsys, "reproduce", "out")
    assert status == 2
    assert "limerick" in err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"recipe": "make_gold"}, "'make_gold'"),
        ({"config": {"unheard_of": 1}}, "unheard_of"),
    ],
)
def test_a_release_of_another_version_is_one_line(
    capsys: pytest.CaptureFixture[str], change: dict[str, Any], message: str
) -> None:
    select(capsys, "out")
    edit_manifest("out", **change)
    status, out, err = tagsmith(capsys, "reproduce", "out")
    assert (status, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


def test_seeds_need_no_source_config(capsys: pytest.CaptureFixture[str]) -> None:
    select(capsys, "out", "--dataset", "seeds", "--max_rows", "40")
    assert not Path("out/source").exists()
    status, out, err = tagsmith(capsys, "reproduce", "out")
    assert status == 0, (out, err)


def test_push_report_needs_the_hub(capsys: pytest.CaptureFixture[str]) -> None:
    select(capsys, "out")
    status, _, err = tagsmith(capsys, "reproduce", "out", "--push-report")
    assert status == 2
    assert "org/name@v1.0.0" in err


def test_the_whole_way_over_the_hub(
    capsys: pytest.CaptureFixture[str], hub: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Publish, open by revision, make again from the Hub alone, leave the report there."""
    monkeypatch.setenv("HF_TOKEN", hub.token)
    select(capsys, "out", "--push_to_hub", "ada/tags", "--release", "v1.0.0", "--allow_offline")
    local = Dataset.from_parquet("out/generations/*.parquet")
    for used in ("out", "rows.jsonl", "out.sqlite"):
        path = Path(used)
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    opened = load_dataset("ada/tags", "generations", revision="v1.0.0", split="train")
    assert opened.to_list() == local.to_list()
    status, out, err = tagsmith(capsys, "reproduce", "ada/tags@v1.0.0", "--push-report")
    assert status == 0, (out, err)
    assert "verdict" in out
    assert "not identical" not in out
    repository = hub.repo("dataset", "ada/tags")
    (report,) = [name for name in repository.files("main") if name.startswith("reproductions/")]
    assert b"| verdict | identical |" in repository.read(report, "main")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--push_to_hub", "ada/tags"), "--release"),
        (("--release", "v1.0.0"), "--push_to_hub"),
        (("--push_to_hub", "ada/tags", "--release", "v1.0.0"), "allow_offline"),
        (("--push_to_hub", "ada/tags", "--release", "first", "--allow_offline"), "first"),
        (("--max_failed", "1.5"), "max_failed"),
    ],
)
def test_a_push_that_cannot_be_ends_before_anything_is_sent(
    capsys: pytest.CaptureFixture[str], hub: Any, flags: tuple[str, ...], message: str
) -> None:
    words = ["run", "select-instag", "--dataset", "rows.jsonl", "--n", "6", "--output", "out", "--store", "s.sqlite"]
    status, out, err = tagsmith(capsys, *words, *flags)
    assert (status, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
    assert not Path("s.sqlite").exists()
    assert not Path("out").exists()
    assert not any(seen.method == "POST" for seen in hub.seen)


def rows(**columns: Any) -> Dataset:
    return Dataset.from_dict(columns)


@pytest.mark.parametrize(
    ("before", "now", "words"),
    [
        (rows(a=[1, 2], b=["x", "y"]), rows(a=[1, 2]), "columns b are missing"),
        (rows(a=[1, 2]), rows(a=[1, 2], c=[0, 0]), "columns c are new"),
        (rows(a=[1, 2]), rows(a=[1]), "1 rows instead of 2"),
        (
            rows(a=[1, 2], b=["x", "y"]),
            rows(a=[0, 0], b=["x", "Y"]),
            "a in 2 rows, first in row 0; b in 1 rows, first in row 1",
        ),
        (rows(a=["1"]), rows(a=[[1]]), "a is list<item: int64> instead of string"),
        (rows(a=[None, ["x"]]), rows(a=[["x"], ["x"]]), "a in 1 rows, first in row 0"),
    ],
)
def test_a_difference_is_put_into_words(before: Dataset, now: Dataset, words: str) -> None:
    assert difference_between(before, now) == words
