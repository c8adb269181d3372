"""A release folder: what is written loads back unchanged, whole or not at all, and says nothing secret."""

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, List, Value, get_dataset_config_names, load_dataset
from filelock import FileLock

from tagsmith.cards import redact, release
from tagsmith.cards.content_hash import content_hash
from tagsmith.cards.dataset_card import CardText
from tagsmith.cards.errors import ReleaseError
from tagsmith.cards.manifest import build_manifest, read_manifest
from tagsmith.cards.pictures import Picture
from tagsmith.cards.release import check_output_folder, load_config, write_release

FEATURES = Features(
    {
        "id": Value("string"),
        "instruction": Value("string"),
        "response": Value("string"),
        "messages": List({"role": Value("string"), "content": Value("string")}),
        "tags": List(Value("string")),
        "score": Value("float32"),
        "kind": ClassLabel(names=["plain", "hard"]),
        "nothing": Value("null"),
    }
)
ROWS = [
    {
        "id": "a",
        "instruction": "Translate “good morning” into Arabic, please.",
        "response": "صباح الخير 🌅",
        "messages": [{"role": "user", "content": "hé\n"}, {"role": "assistant", "content": None}],
        "tags": ["translation"],
        "score": 0.5,
        "kind": 0,
        "nothing": None,
    },
    {
        "id": "b",
        "instruction": "Explain how a list differs from a tuple.",
        "response": "A tuple cannot change.",
        "messages": [],
        "tags": ["python", "explanation", "comparison"],
        "score": None,
        "kind": 1,
        "nothing": None,
    },
    {
        "id": "c",
        "instruction": None,
        "response": "",
        "messages": None,
        "tags": [],
        "score": -1.0,
        "kind": None,
        "nothing": None,
    },
    {
        "id": "d",
        "instruction": "Plan a trip to three cities by train.",
        "response": "Start in Basel.",
        "messages": None,
        "tags": ["travel", "planning"],
        "score": 2.0,
        "kind": 1,
        "nothing": None,
    },
]
COUNTS = {
    "rows_in": 12345,
    "rows_out": 4,
    "rejected": {"no tag": 3, "reply is not JSON": 9},
    "requests": 5000,
    "store_hits": 7,
    "retries": 2,
    "prompt_tokens": 123456,
    "reply_tokens": 4567,
}
CARD = CardText(
    title="Alpaca, chosen by #InsTag",
    summary=["What it is.", "Where it comes from.", "What it is for."],
    configs={"select_instag": "the chosen rows", "rejected": "rows that fell out", "generations": "every reply"},
    citation="@article{lu2023instag, title={InsTag}}",
    differences=["Ties keep the order of the dataset."],
    tables=[{"title": "Stages", "columns": ["stage", "tags"], "rows": [["frequency", 6000], ["rules | x", None]]}],
)


@pytest.fixture(autouse=True)
def _no_real_secrets(monkeypatch):
    """The machine's own tokens must not decide what the tests see."""
    monkeypatch.setattr(redact, "get_token", lambda: None)


def rows():
    return Dataset.from_list(ROWS, features=FEATURES)


def no_rows():
    return Dataset.from_dict({"id": [], "reason": []}, features=Features(id=Value("string"), reason=Value("string")))


def configs():
    return {
        "generations": {"train": Dataset.from_dict({"text": ["x", None]}), "extra": Dataset.from_dict({"text": ["y"]})},
        "select_instag": rows(),
        "rejected": no_rows(),
    }


def manifest(**changes):
    moment = datetime(2024, 5, 1, 12, tzinfo=UTC)
    arguments = {
        "recipe": "select_instag",
        "command": ["tagsmith", "run", "select-instag"],
        "config": {"n": 4},
        "method": "#InsTag",
        "variant": "paper",
        "inputs": [{"name": "org/alpaca", "rows": 12345, "split": "train"}],
        "prompts": {"instag/tag": "0123456789abcdef"},
        "models": [{"model": "org/llama", "revision": "abc"}],
        "counts": COUNTS,
        "started": moment,
        "finished": moment,
        "offline": False,
    }
    return build_manifest(**(arguments | changes))


def write(folder, of=None, **changes):
    arguments = {"default": "select_instag", "manifest": manifest(), "card": CARD} | changes
    return write_release(folder, of or configs(), **arguments)


def contents(folder):
    """Every file below a folder, hidden ones too, with its bytes."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# --- what is written loads back ---------------------------------------------------------------------------------


def test_load_dataset_opens_the_default_and_every_other_config(tmp_path):
    folder = write(tmp_path / "runs" / "x")
    assert folder == tmp_path / "runs" / "x"
    load = partial(load_dataset, str(folder), cache_dir=str(tmp_path / "cache"))
    default = load()
    assert list(default) == ["train"]
    assert default["train"].features == FEATURES
    assert default["train"].to_list() == rows().to_list()
    assert load("select_instag")["train"].to_list() == rows().to_list()
    assert {name: split["text"][:] for name, split in load("generations").items()} == {
        "train": ["x", None],
        "extra": ["y"],
    }
    said = read_manifest(folder)
    assert said["configs"]["select_instag"]["train"]["content_hash"] == content_hash(default["train"])
    assert said["default"] == "select_instag"


def test_an_empty_config_keeps_its_types_and_stays_out_of_what_load_dataset_lists(tmp_path):
    folder = write(tmp_path / "x")
    empty = load_config(folder, "rejected")
    assert isinstance(empty, DatasetDict)
    assert empty["train"].features == no_rows().features
    assert len(empty["train"]) == 0
    assert content_hash(empty["train"]) == read_manifest(folder)["configs"]["rejected"]["train"]["content_hash"]
    assert get_dataset_config_names(str(folder)) == ["select_instag", "generations"]
    assert "Without a row in this run: `rejected`." in (folder / "README.md").read_text(encoding="utf-8")


def test_an_empty_split_does_not_break_its_config(tmp_path):
    both = {"select_instag": {"train": rows(), "test": rows().select([])}}
    folder = write(tmp_path / "x", both, card=replace(CARD, configs={"select_instag": "rows"}))
    assert list(load_dataset(str(folder), cache_dir=str(tmp_path / "cache"))) == ["train"]
    assert {name: len(split) for name, split in load_config(folder, "select_instag").items()} == {"train": 4, "test": 0}


def test_a_replaced_release_is_not_served_from_the_cache_of_the_old_one(tmp_path):
    load = partial(load_dataset, str(tmp_path / "x"), cache_dir=str(tmp_path / "cache"), split="train")
    write(tmp_path / "x")
    assert load()["id"][:] == ["a", "b", "c", "d"]
    write(tmp_path / "x", configs() | {"select_instag": rows().select([1, 0, 2, 3])})
    assert load()["id"][:] == ["b", "a", "c", "d"]


def test_large_configs_become_several_files_of_several_row_groups(tmp_path, monkeypatch):
    many = Dataset.from_dict({"instruction": [f"row {n}" for n in range(1000)], "tags": [["t"]] * 1000})
    monkeypatch.setattr(release, "_ROWS_PER_GROUP", 100)
    monkeypatch.setattr(release, "_BYTES_PER_FILE", many.data.nbytes / 2.5)
    one = {"select_instag": many}
    folder = write(tmp_path / "x", one, card=replace(CARD, configs={"select_instag": "rows"}))
    files = sorted((folder / "data").iterdir())
    assert [path.name for path in files] == [f"train-0000{n}-of-00003.parquet" for n in range(3)]
    assert [pq.ParquetFile(path).num_row_groups for path in files] == [4, 4, 4]
    loaded = load_dataset(str(folder), cache_dir=str(tmp_path / "cache"), split="train")
    assert loaded.to_list() == many.to_list()
    assert content_hash(loaded) == content_hash(many)


def test_load_config_names_what_there_is(tmp_path):
    folder = write(tmp_path / "x")
    with pytest.raises(ReleaseError, match=r"no config 'tree'; it has \['generations', 'rejected', 'select_instag'\]"):
        load_config(folder, "tree")
    with pytest.raises(ReleaseError, match="is not a tagsmith release"):
        load_config(tmp_path, "rejected")


# --- whole or not at all ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("failure", [RuntimeError("boom"), KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_a_failure_in_mid_write_leaves_the_old_release_whole_and_nothing_else(tmp_path, failure):
    folder = write(tmp_path / "x")
    before = contents(tmp_path)

    def fail(_path, _theme):
        assert (tmp_path / ".x.writing" / "data").is_dir()
        raise failure

    changed = configs() | {"select_instag": rows().select([0])}
    with pytest.raises(ReleaseError if isinstance(failure, OSError) else type(failure)) as caught:
        write(folder, changed, pictures=[Picture("p", "A picture.", fail)])
    if isinstance(failure, OSError):
        assert "No space left on device; what was there is unchanged" in str(caught.value).replace("[Errno 28] ", "")
    assert contents(tmp_path) == before
    write(folder, changed)
    assert len(load_config(folder, "select_instag")["train"]) == 1


def test_a_failure_of_a_first_release_leaves_nothing(tmp_path):
    with pytest.raises(ReleaseError, match="describes"):
        write(tmp_path / "x", card=replace(CARD, configs={"select_instag": "rows"}))
    assert list(tmp_path.iterdir()) == []


def test_the_old_release_comes_back_when_the_new_one_cannot_take_its_place(tmp_path, monkeypatch):
    folder = write(tmp_path / "x")
    before = contents(tmp_path)
    rename = Path.rename

    def refuse_the_new_one(self, target):
        if self.name == ".x.writing":
            raise OSError("device busy")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse_the_new_one)
    with pytest.raises(ReleaseError, match="device busy; what was there is unchanged"):
        write(folder, configs() | {"select_instag": rows().select([0])})
    assert contents(tmp_path) == before


def test_what_killed_runs_left_is_put_right(tmp_path):
    """Killed between the two renames: the old release is found beside its place, next to half a new one."""
    write(tmp_path / "x").rename(tmp_path / ".x.replaced")
    (tmp_path / ".x.writing" / "data").mkdir(parents=True)
    (tmp_path / ".x.lock").touch()

    def see_the_old_one(_path, _theme):
        assert len(load_config(tmp_path / "x", "select_instag")["train"]) == 4
        raise RuntimeError("stop here")

    with pytest.raises(RuntimeError, match="stop here"):
        write(tmp_path / "x", pictures=[Picture("p", "A picture.", see_the_old_one)])
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
    assert len(load_config(tmp_path / "x", "select_instag")["train"]) == 4


def test_two_writers_of_one_folder_do_not_mix(tmp_path):
    with FileLock(tmp_path / ".x.lock"), pytest.raises(ReleaseError, match="another run is writing"):
        write(tmp_path / "x")
    write(tmp_path / "x")


def test_check_output_folder_refuses_what_is_not_ours(tmp_path):
    foreign = tmp_path / "thesis"
    foreign.mkdir()
    assert check_output_folder(foreign) == foreign  # empty: nothing to lose
    (foreign / "chapter1.tex").write_text("years of work")
    for call in (check_output_folder, write):
        with pytest.raises(ReleaseError, match=r"thesis is no tagsmith release \(chapter1.tex\)") as caught:
            call(foreign)
        assert "\n" not in str(caught.value)
    (foreign / "manifest.json").write_text('{"name": "of another program"}')
    with pytest.raises(ReleaseError, match="no tagsmith release"):
        check_output_folder(foreign)
    assert sorted(path.name for path in foreign.iterdir()) == ["chapter1.tex", "manifest.json"]


def test_check_output_folder_refuses_to_delete_what_was_put_into_a_release(tmp_path):
    folder = write(tmp_path / "x")
    assert check_output_folder(folder) == folder
    (folder / ".cache").mkdir()  # what an upload leaves
    assert check_output_folder(folder) == folder
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(ReleaseError, match=r"with something else in it \(notes.txt\)"):
        check_output_folder(folder)


def test_check_output_folder_refuses_files_roots_and_replacing_where_it_is_not_wanted(tmp_path):
    file = tmp_path / "file"
    file.write_text("x")
    for bad, message in (
        (file, "is a file"),
        (file / "below", "not a folder that you may write to"),
        ("/", "below it"),
    ):
        with pytest.raises(ReleaseError, match=message):
            check_output_folder(bad)
    folder = write(tmp_path / "x")
    with pytest.raises(ReleaseError, match="already holds a release"):
        check_output_folder(folder, replace=False)
    assert not (tmp_path / "new").exists()
    assert check_output_folder(tmp_path / "new" / "deep") == tmp_path / "new" / "deep"
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("of", "default", "message"),
    [
        ({"a": 0}, "b", "default config 'b' is not among"),
        ({"a": 1, "default": 1}, "a", "make it the default"),
        ({"a": 1, "pictures": 1}, "a", "'pictures' cannot name a folder"),
        ({"a": 1, "../up": 1}, "a", "'../up' cannot name a folder"),
        ({"a": 0}, "a", "has no rows"),
        ({"a": {"my-split": 1}}, "a", "split 'my-split' must be a word"),
    ],
)
def test_configs_that_cannot_be_loaded_are_refused(tmp_path, of, default, message):
    build = lambda size: rows().select(range(size)) if isinstance(size, int) else {k: rows() for k in size}  # noqa: E731
    with pytest.raises(ReleaseError, match=message):
        write(tmp_path / "x", {name: build(size) for name, size in of.items()}, default=default)
    assert list(tmp_path.iterdir()) == []


# --- the manifest -----------------------------------------------------------------------------------------------


def test_the_manifest_holds_what_a_reader_needs_and_sorts_its_keys(tmp_path):
    @dataclass
    class Config:
        alpha: int = 5
        output: Path = Path("runs/x")
        missing: float = float("nan")

    folder = write(tmp_path / "x", manifest=manifest(config=Config()))
    text = (folder / "manifest.json").read_text(encoding="utf-8")
    said = json.loads(text)
    assert said["config"] == {"alpha": 5, "output": "runs/x", "missing": "nan"}
    assert said["tagsmith_format"] == 1
    assert said["started"] == "2024-05-01T12:00:00.000Z"
    assert {"tagsmith", "datasets", "pyarrow"} <= set(said["packages"])
    assert said["configs"]["generations"]["extra"]["rows"] == 1
    assert list(said) == sorted(said)
    assert list(said["configs"]) == ["generations", "rejected", "select_instag"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"counts": {"rows_in": 1}}, r"counts lack \['rows_out'"),
        ({"counts": COUNTS | {"requests": -1}}, r"whole numbers from 0, got \{'requests': -1\}"),
        ({"counts": COUNTS | {"rejected": 3}}, "must map each reason to rows"),
        ({"inputs": [{"name": "x"}]}, r"entry of inputs lacks \['rows'\]"),
        ({"started": datetime(2024, 5, 1)}, "no time zone"),
        ({"config": {"a": [1, object()]}}, r"manifest.config.a\[1\] is a object"),
    ],
)
def test_an_incomplete_manifest_is_refused(changes, message):
    with pytest.raises(ReleaseError, match=message):
        manifest(**changes)


CANARY = "canary5e1f0aa93b"


def test_no_secret_gets_into_a_release(tmp_path, monkeypatch):
    monkeypatch.setenv("MY_SERVICE_TOKEN", f"{CANARY}-from-the-environment")
    monkeypatch.setattr(redact, "get_token", lambda: f"{CANARY}-from-the-login")
    poisoned = manifest(
        command=["tagsmith", "--hf_token", CANARY, f"--api-key={CANARY}", "-H", f"Authorization: Basic {CANARY} x"],
        config={
            "endpoint": f"https://me:{CANARY}@host:80/v1?a=b&api_key={CANARY}#token={CANARY}",
            "headers": {"Authorization": f"Bearer {CANARY}", "x-api-key": CANARY},
            "nested": [{"password": CANARY}, f"hf_{CANARY}", f"sk-{CANARY}xyz"],
            "note": f"uses {CANARY}-from-the-environment and {CANARY}-from-the-login",
        },
        models=[{"model": f"http://host/?token={CANARY}"}],
        counts=COUNTS | {"rejected": {f"https://u:{CANARY}@host refused": 1}},
    )
    folder = write(tmp_path / "x", manifest=poisoned, card=replace(CARD, title=f"Made with {CANARY}-from-the-login"))
    for name, data in contents(folder).items():
        assert CANARY.encode() not in data, name
    config = read_manifest(folder)["config"]
    assert config["endpoint"] == "https://host:80/v1?a=b&api_key=[removed]"
    assert config["note"] == "uses [removed] and [removed]"


@pytest.mark.parametrize(
    ("given", "published"),
    [
        ("/home/someone/data/alpaca.jsonl", "alpaca.jsonl"),
        ("~/alpaca.jsonl", "alpaca.jsonl"),
        ("C:\\Users\\someone\\alpaca.jsonl", "alpaca.jsonl"),
        ("--dataset=/home/someone/alpaca.jsonl", "--dataset=alpaca.jsonl"),
        ("local:/home/someone/llama", "local:llama"),
        ("data/alpaca.jsonl", "data/alpaca.jsonl"),
        ("org/alpaca", "org/alpaca"),
        ("http://host/generate", "http://host/generate"),
        ("--max_tokens_total 100", "--max_tokens_total 100"),
        (
            {"eos_token": "</s>", "prompt_tokens": 5, "token": None},
            {"eos_token": "</s>", "prompt_tokens": 5, "token": None},
        ),
    ],
)
def test_local_paths_shrink_to_their_name_and_the_rest_stays(given, published):
    assert redact.redact(given) == published
