"""All stages of Tag-Instruct by one command: what is done stays done, what was interrupted goes on, and all of it is
made again from its releases alone."""

import io
import json
import os
import shutil
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest
import yaml

from tagsmith.cards.release import load_config
from tagsmith.recipes import build_tag_preferences
from tagsmith.recipes.cli import main
from tagsmith.recipes.parsing import parse
from tagsmith.recipes.pipeline import is_done
from tagsmith.recipes.tag_instruct import ARGUMENTS, stages

ROWS = [
    {"number": number, "instruction": text, "output": answer}
    for number, (text, answer) in enumerate(
        [
            ("Write a poem about the sea at night.", "The tide is dark, and the moon walks on it."),
            ("Explain how photosynthesis works.", "Plants turn light, water and air into sugar and oxygen."),
            ("Write a Python function that adds two numbers.", "def add(a, b): return a + b"),
            ("What is 17 times 23?", "391"),
            ("Plan a three-day trip to Lisbon for a family.", "Day 1: the river. Day 2: the castle. Day 3: Sintra."),
            ("Write a SQL query that counts the orders of each customer.", "SELECT customer, COUNT(*) FROM orders;"),
            ("Give me a recipe for a vegan chocolate cake.", "Flour, cocoa, sugar, oil, water; half an hour."),
            ("Compare solar and wind energy.", "The sun shines by day; wind blows at night as well."),
        ]
    )
]
STAGES = ["utility", "preferences", "evolved"]
MODULES = ("build_tag_utility", "build_tag_preferences", "evolve_tag_instruct", "combine_tags")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's working folder with the dataset in it. Pictures and explorers take most of a small run's time."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tagsmith.cards.release.render_explorer", lambda *_, **__: "")
    for module in MODULES:
        monkeypatch.setattr(f"tagsmith.recipes.{module}.pictures", lambda *_: [])
    write_rows("rows.jsonl", ROWS)
    return tmp_path


def write_rows(path: str, rows: list[dict[str, Any]]) -> None:
    Path(path).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def tagsmith(*words: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        status = main(list(words))
    return status, out.getvalue(), err.getvalue()


PIPELINE = (
    *("--dataset", "rows.jsonl", "--output", "all", "--store", "store.sqlite"),
    *("--candidates", "6", "--rounds", "1", "--measure", "false"),
)


def pipeline(*more: str) -> tuple[int, str, str]:
    return tagsmith("run", "tag-instruct", *PIPELINE, *more)


def done(out: str) -> list[str]:
    """The stages that were left out."""
    return [line.split("] ")[1].partition(":")[0] for line in out.splitlines() if "done already" in line]


def manifest(release: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(release, "manifest.json").read_text())
    return found


def rows_of(release: str, config: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = load_config(release, config)["train"].to_list()
    return rows


def test_what_is_done_is_left_out_and_what_depends_on_a_change_runs_again() -> None:
    status, out, err = pipeline()
    assert (status, done(out)) == (0, []), err
    assert [f"[{number}/3] {name}" in out for number, name in enumerate(STAGES, 1)] == [True] * 3
    assert {path.name for path in Path("all").iterdir()} == set(STAGES)
    assert rows_of("all/evolved", "utility") == rows_of("all/utility", "default")
    made = {name: manifest(f"all/{name}") for name in STAGES}

    status, out, _ = pipeline()
    assert (status, done(out)) == (0, STAGES)
    assert "Done" not in out.replace("done already", "")
    assert {name: manifest(f"all/{name}") for name in STAGES} == made

    # A setting of the last stage: only that runs, and asks for nothing that the store has.
    status, out, err = pipeline("--rounds", "2")
    assert (status, done(out)) == (0, STAGES[:2]), err
    assert manifest("all/evolved")["counts"]["rounds"] == 2
    assert manifest("all/evolved")["counts"]["store_hits"] > 0

    # One of the first: all that reads its release is made anew, although their own settings are as before.
    status, out, err = pipeline("--rounds", "2", "--utility_variant", "official")
    assert (status, done(out)) == (0, []), err
    assert manifest("all/utility")["counts"]["requests"] == 0
    assert rows_of("all/evolved", "utility") == rows_of("all/utility", "default")

    # Newer rows: everything. The file's time is set, since two writes may fall into one tick of the clock.
    planned = stages(
        *parse("tag_instruct", "", ARGUMENTS, [*PIPELINE, "--rounds", "2", "--utility_variant", "official"])
    )
    assert [is_done(stage) for stage in planned] == [True] * 3
    later = Path("all/evolved/manifest.json").stat().st_mtime + 2
    os.utime("rows.jsonl", (later, later))
    assert [is_done(stage) for stage in planned] == [False] * 3


def test_an_interrupted_run_goes_on_at_its_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = build_tag_preferences.with_candidates

    def interrupted(*_: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(build_tag_preferences, "with_candidates", interrupted)
    status, out, err = pipeline()
    assert status == 130
    assert "Run the same command to continue." in err
    assert [path.name for path in Path("all").iterdir()] == ["utility"]
    first = manifest("all/utility")

    monkeypatch.setattr(build_tag_preferences, "with_candidates", asked)
    status, out, err = pipeline()
    assert (status, done(out)) == (0, ["utility"]), err
    assert manifest("all/utility") == first
    # The encodings were paid for in the first stage.
    assert manifest("all/preferences")["counts"]["store_hits"] == len(ROWS)


def test_all_command_lines_are_checked_before_the_first_stage() -> None:
    status, _, err = pipeline("--base_model", "tiny:", "--train_config", "missing.yaml")
    assert status == 2
    assert "missing.yaml" in err
    assert not Path("all").exists()
    assert not Path("store.sqlite").exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--rounds", "0"), "rounds=0"),
        (("--utility", "somewhere"), "makes its own utilities"),
        (("--dry_run",), "give --dry_run to one of their recipes"),
    ],
)
def test_settings_that_cannot_be_are_one_line(flags: tuple[str, ...], message: str) -> None:
    status, out, err = pipeline(*flags)
    assert (status, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
    assert not Path("store.sqlite").exists()


def test_utilities_of_another_dataset_are_read_by_its_own_columns() -> None:
    given = ["--dataset", "org/seeds", "--instruction_column", "text", "--split", "test", "--revision", "abc"]
    planned = stages(*parse("tag_instruct", "", ARGUMENTS, [*given, "--utility_dataset", "org/answers"]))
    settings = [stage.settings() for stage in planned]
    names = ("dataset", "instruction_column", "split", "revision")
    assert [settings[0][name] for name in names] == ["org/answers", None, "train", None]
    assert [settings[2][name] for name in names] == ["org/seeds", "text", "test", "abc"]
    together = stages(*parse("tag_instruct", "", ARGUMENTS, given))
    assert [together[0].settings()[name] for name in names] == ["org/seeds", "text", "test", "abc"]


def test_each_stage_is_published_under_its_own_name() -> None:
    given = ["--push_to_hub", "ada/harder", "--release", "v1.0.0", "--base_model", "tiny:", "--allow_offline"]
    planned = stages(*parse("tag_instruct", "", ARGUMENTS, given))
    repositories = [stage.settings()["push_to_hub"] for stage in planned]
    assert repositories == ["ada/harder-utility", "ada/harder-preferences", "ada/harder-policy", "ada/harder"]
    assert {stage.settings()["release"] for stage in planned} == {"v1.0.0"}
    assert all(stage.settings()["allow_offline"] for stage in planned)


def test_a_base_model_is_trained_and_expands() -> None:
    """A policy of random weights babbles: its answers are rejections, counted, and no row is lost."""
    quick = {"max_steps": 2, "batch_size": 4, "per_device_batch_size": 4, "evaluation_share": 0.2}
    Path("train.yaml").write_text(yaml.safe_dump(quick | {"activation_checkpointing": False, "tracker": "none"}))
    own = ["--base_model", "tiny:", "--train_config", "train.yaml", "--max_repairs", "0"]
    status, out, err = pipeline(*own)
    assert status == 0, err
    assert {path.name for path in Path("all").iterdir()} == {*STAGES, "policy"}
    assert Path("all/policy/model.safetensors").is_file()
    evolved = manifest("all/evolved")
    assert [record["role"] for record in evolved["models"]][:2] == ["teacher", "tag policy"]
    policy = evolved["models"][1]
    assert policy["model"] == f"policy@{policy['content_hash']}"
    assert (policy["trained_by"], policy["trained_on"]) == ("train_dpo", manifest("all/policy")["inputs"][0]["name"])
    records = rows_of("all/evolved", "rounds")
    assert len(records) == 2 * len(ROWS)
    kept = sum(row["status"] == "ok" for row in records if row["iteration"])
    assert kept + sum(evolved["counts"]["rejected"].values()) == evolved["counts"]["rows_in"] == len(ROWS)
    assert evolved["counts"]["rejected"]
    status, out, err = pipeline(*own)
    assert (status, done(out)) == (0, ["utility", "preferences", "policy", "evolved"]), err


PROSE = "I would say that the best tag depends on what you want.\nPlease tell me more."


@pytest.fixture
def policy(scripted_server: Any) -> str:
    """A policy that answers code and mathematics with prose, and everything else with a tag."""

    def answer(seen: Any) -> str:
        first = str(seen.body["messages"][0]["content"])
        return PROSE if "Python" in first or "17 times" in first else "cultural perspective"

    url: str = scripted_server(answer).url
    return url


EVOLVE = (
    "evolve-tag-instruct",
    "--dataset",
    "rows.jsonl",
    "--utility",
    "utility",
    "--rounds",
    "2",
    "--measure",
    "false",
)


def test_prose_of_a_policy_is_a_counted_rejection_and_made_again(policy: str) -> None:
    recipe("build-tag-utility", "--dataset", "rows.jsonl", "--output", "utility")
    own = ["--expansion", "policy", "--policy_endpoint", policy, "--alignment", "none", "--output", "evolved"]
    recipe(*EVOLVE, *own)
    records = rows_of("evolved", "rounds")
    said = [row for row in records if row["reason"].startswith("unparsed:")]
    number_of = {row["root_id"]: row["number"] for row in rows_of("evolved", "default")}
    # In both rounds, since a row that failed starts from the same version again.
    assert sorted((number_of[row["root_id"]], row["iteration"]) for row in said) == [(2, 1), (2, 2), (3, 1), (3, 2)]
    assert all(row["raw_reply"] == PROSE for row in said)
    assert manifest("evolved")["counts"]["rejected"]["unparsed"] == 4
    assert sum(row["status"] == "ok" for row in records if row["iteration"] == 1) >= 4
    assert len(records) == 3 * len(ROWS)
    made_again("evolved")


def recipe(name: str, *words: str) -> None:
    status, _, err = tagsmith("run", name, "--store", "store.sqlite", *words)
    assert status == 0, err


def made_again(*releases: str) -> None:
    """From the folders alone: what they were made from is gone."""
    kept = {name.partition("/")[0] for name in releases}
    for path in Path().iterdir():
        if path.name not in kept:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for release in releases:
        status, out, err = tagsmith("reproduce", release)
        assert status == 0, (release, out, err)
        assert "not identical" not in out
        for config in manifest(release)["configs"]:
            assert "identical" in next(line for line in out.splitlines() if line.split()[:1] == [config])


def test_every_release_is_made_again_from_itself_alone() -> None:
    spoilt = ["--endpoint", "offline:?malformed=0.1", "--deadline_sec", "3"]
    recipe("build-tag-utility", "--dataset", "rows.jsonl", "--meanings", "1", "--output", "utility")
    Path("releases").mkdir()
    scored = ["--dataset", "rows.jsonl", "--utility", "utility", "--candidates", "5"]
    recipe("build-tag-preferences", *scored, "--output", "releases/preferences")
    recipe("evolve-tag-instruct", *scored, "--rounds", "2", "--output", "releases/evolved", "--alignment", "judge")
    pool = ["--utility", "utility", "--pool_size", "6", "--rows", "5", "--pool", "low"]
    recipe("combine-tags", *pool, *spoilt, "--output", "releases/combined")
    shutil.move("utility", "releases/utility")
    made_again("releases/utility", "releases/preferences", "releases/evolved", "releases/combined")
