"""A release opens from a folder or from a tag on the Hub, whole, or with one line that says why it does not."""

import json

import pytest
from datasets import Dataset
from huggingface_hub import HfApi

from tagsmith.cards.errors import ReleaseError
from tagsmith.cards.opened_release import open_release

ROWS = {"id": ["a", "b", "c"], "instruction": ["Sing.", "Dance.", None]}


def release(folder, rows=None, **changes):
    """A release folder with the bare minimum: Parquet files and a manifest; each config one split."""
    configs = rows or {"default": ROWS, "rejected": {"id": [], "reason": []}}
    facts = {}
    for config, columns in configs.items():
        split = Dataset.from_dict(columns)
        place = folder / ("data" if config == "default" else config)
        place.mkdir(parents=True)
        split.to_parquet(place / "train-00000-of-00001.parquet")
        facts[config] = {"train": {"rows": len(split), "content_hash": "0", "path": f"{place.name}/train-*.parquet"}}
    manifest = {"tagsmith_format": 1, "default": "default", "configs": facts, "packages": {"tagsmith": "0.1.0"}}
    (folder / "manifest.json").write_text(json.dumps(manifest | changes))
    return folder


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refusal(name):
    with pytest.raises(ReleaseError) as caught:
        open_release(str(name))
    said = str(caught.value)
    assert "\n" not in said
    return said


@pytest.fixture
def published(hub, tmp_path, monkeypatch):
    """lab/x with tag v1, and a later commit on main that the tag does not see."""
    monkeypatch.setenv("HF_TOKEN", hub.token)
    folder = release(tmp_path / "x")
    extra = {"pictures/top.png": b"png", "explorer.html": b"<html>", "prompts/own.jinja": b"Tag this."}
    hub.create("dataset", "lab/x", files=files(folder) | extra)
    HfApi().create_tag("lab/x", tag="v1", repo_type="dataset")
    later = release(tmp_path / "later", {"default": {"id": ["z"]}})
    hub.repo("dataset", "lab/x").commit(files(later), "later")
    return hub


# --- folders --------------------------------------------------------------------------------------------------------


def test_a_folder_opens_with_its_manifest_and_all_configs(tmp_path):
    opened = open_release(str(release(tmp_path / "x")))
    assert (opened.name, opened.folder, opened.target) == (str(tmp_path / "x"), tmp_path / "x", None)
    assert opened.manifest["packages"] == {"tagsmith": "0.1.0"}
    assert opened.load("default")["train"].to_dict() == ROWS
    assert opened.load("rejected")["train"].to_dict() == {"id": [], "reason": []}


def test_a_config_that_is_not_there_names_those_that_are(tmp_path):
    with pytest.raises(ReleaseError, match=r"no config 'generations'; it has \['default', 'rejected'\]"):
        open_release(str(release(tmp_path / "x"))).load("generations")


def test_a_folder_wins_over_a_tag_of_the_same_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    release(tmp_path / "lab" / "x@v1")
    assert open_release("lab/x@v1").target is None


def test_what_is_no_release_is_told_apart(tmp_path):
    (tmp_path / "file").write_text("x")
    (tmp_path / "empty").mkdir()
    assert refusal(tmp_path / "nowhere").startswith(f"{tmp_path}/nowhere is no folder here; give a release folder, or")
    assert refusal(tmp_path / "file").startswith(f"{tmp_path}/file is a file; give")
    assert "empty is no tagsmith release: it has no manifest.json of ours" in refusal(tmp_path / "empty")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"tagsmith_format": 2}, "has a manifest of format 2, this version reads 1; use the version that made it: ta"),
        ({"tagsmith_format": 2, "packages": None}, "tagsmith unknown"),
        ({"tagsmith_format": "1"}, "has a manifest of format '1'"),
        ({"configs": None}, "does not say which rows it has"),
        ({"configs": {"default": ["train"]}}, "does not say which rows it has"),
        ({"configs": {"default": {"train": {"rows": 3}}}}, "does not say which rows it has"),
        ({"configs": {"default": {"train": {"rows": "3", "path": "data/train-*.parquet"}}}}, "does not say which"),
        ({"configs": {"default": {"train": {"rows": 3, "path": "../x/data/*.parquet"}}}}, "does not say which"),
        ({"configs": {"default": {"train": {"rows": 3, "path": "/x/data/*.parquet"}}}}, "does not say which"),
        ({"configs": {"default": {"train": {"rows": 3, "path": "no/train-*.parquet"}}}}, "only 0 of 1 files are here"),
    ],
)
def test_a_manifest_that_we_cannot_read_is_refused(tmp_path, changes, said):
    assert said in refusal(release(tmp_path / "x", **changes))


def test_a_missing_shard_is_missed_at_once(tmp_path):
    folder = release(tmp_path / "x")
    (folder / "data" / "train-00000-of-00001.parquet").rename(folder / "data" / "train-00000-of-00003.parquet")
    assert "only 1 of 3 files are here for default/train; get the release again" in refusal(folder)


def test_files_that_hold_other_rows_than_the_manifest_says(tmp_path):
    folder = release(tmp_path / "x")
    Dataset.from_dict({"id": ["a"]}).to_parquet(folder / "data" / "train-00000-of-00001.parquet")
    (folder / "rejected" / "train-00000-of-00001.parquet").write_bytes(b"PAR1 no more")
    opened = open_release(str(folder))
    with pytest.raises(ReleaseError, match="default/train has 1 rows, its manifest says 3"):
        opened.load("default")
    with pytest.raises(ReleaseError, match="the files of config 'rejected' cannot be read"):
        opened.load("rejected")


# --- the Hub --------------------------------------------------------------------------------------------------------


def test_a_tag_opens_as_it_was_tagged_with_all_but_what_is_for_people(published):
    opened = open_release("lab/x@v1")
    assert opened.load("default")["train"].to_dict() == ROWS
    assert opened.load("rejected")["train"].num_rows == 0
    assert (opened.target.repo_id, opened.target.release) == ("lab/x", "v1")
    assert opened.folder.name == published.repo("dataset", "lab/x").tags["v1"]
    assert (opened.folder / "prompts" / "own.jinja").read_text() == "Tag this."
    assert not (opened.folder / "pictures").exists()
    assert not (opened.folder / "explorer.html").exists()


def test_a_branch_and_a_commit_open_too(published):
    commit = published.repo("dataset", "lab/x").tags["v1"]
    assert open_release("lab/x@main").load("default")["train"]["id"][:] == ["z"]
    assert open_release(f"lab/x@{commit}").load("default")["train"]["id"][:] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("lab/x@v2", "lab/x@v2: lab/x has no tag v2; its page lists its tags: http"),
        ("lab/none@v1", "the Hub has no dataset lab/none, or only a login that may see it finds it"),
        ("lab/other@main", "lab/other@main is no tagsmith release: it has no manifest.json"),
        ("lab/x@", "'lab/x@' names no release; expected org/name@v1.0.0"),
        ("x@v1", "names no user or organisation"),
        ("lab/x", "lab/x is no folder here"),
    ],
)
def test_what_the_hub_does_not_have(published, name, said):
    published.create("dataset", "lab/other", files={"data.csv": b"1"})
    assert said in refusal(name)


def test_a_private_release_is_not_there_for_strangers(published, monkeypatch):
    published.create("dataset", "ada/secret", files={"manifest.json": b"{}"}, private=True)
    monkeypatch.setenv("HF_TOKEN", published.other_token)
    said = refusal("ada/secret@main")
    assert "the Hub has no dataset ada/secret" in said
    assert published.other_token not in said


@pytest.mark.parametrize("kind", [500, 429, "half"])
def test_a_download_survives_a_passing_fault(published, kind):
    published.fail("GET .*resolve.*parquet", kind)
    assert open_release("lab/x@v1").load("default")["train"].num_rows == 3


@pytest.mark.parametrize(
    ("pattern", "kind", "said"),
    [
        ("HEAD .*manifest", 500, "lab/x@v1 could not be fetched: the Hub answered HTTP 500"),
        ("HEAD .*manifest", "drop", "lab/x@v1 could not be fetched: no answer from http"),
        ("GET .*parquet", 500, "lab/x@v1 could not be fetched: the Hub answered HTTP 500"),
        # Here the library returns the folder as it is, with nothing but the manifest in it.
        ("GET /api/datasets/lab/x/tree", 500, "only 0 of 1 files are here for default/train; try again when the Hub"),
    ],
)
def test_a_broken_download_is_never_half_a_release(published, pattern, kind, said):
    published.fail(pattern, kind, times=50)
    problem = refusal("lab/x@v1")
    assert said in problem
    assert published.token not in problem


def test_the_errors_of_the_library_do_not_hang_on_ours(published):
    """They hold the request, and with it the token."""
    with pytest.raises(ReleaseError) as caught:
        open_release("lab/x@v2")
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


def test_what_was_fetched_opens_again_without_the_hub(published):
    open_release("lab/x@v1")
    published.stop()
    assert open_release("lab/x@v1").load("default")["train"].to_dict() == ROWS


def test_without_a_network_only_what_was_fetched_opens(tmp_path):
    """HF_HUB_OFFLINE is set for all tests that do not ask for the stand-in Hub."""
    said = refusal("lab/never@v1")
    assert said == "lab/never@v1 could not be fetched: HF_HUB_OFFLINE is set; unset it to reach the Hub"
